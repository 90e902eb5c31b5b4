//! Medians and spreads of a few runs.

/// The middle value; 0 of none.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (sorted.len(), sorted.len() / 2) {
        (0, _) => 0.0,
        (length, middle) if length % 2 == 0 => f64::midpoint(sorted[middle - 1], sorted[middle]),
        (_, middle) => sorted[middle],
    }
}

/// Half the distance between the largest and the smallest value, as a share of the median.
#[must_use]
pub fn spread(values: &[f64]) -> f64 {
    let largest = values.iter().copied().fold(f64::MIN, f64::max);
    let smallest = values.iter().copied().fold(f64::MAX, f64::min);
    let middle = median(values);
    if middle > 0.0 {
        (largest - smallest) / 2.0 / middle
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::{median, spread};

    #[test]
    fn the_middle_and_the_width_are_found() {
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((median(&[4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-9);
        assert!((spread(&[9.0, 10.0, 11.0]) - 0.1).abs() < 1e-9);
        assert!(median(&[]).abs() < 1e-9 && spread(&[]).abs() < 1e-9);
    }
}

//! The names of what was cut at the end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Most names that are told apart.
const MOST_NAMES: usize = 64;
/// What counts those past them.
const OTHERS: &str = "others";

/// Something that was cut at the end, or that holds a worker up which did not come back.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unfinished {
    /// Its name, such as `GET /user/{id}`. Never what a client chose.
    pub what: String,
    /// How many of this name.
    pub count: u64,
}

/// Counts by name.
#[derive(Debug, Default)]
pub(crate) struct UnfinishedNames {
    counts: Mutex<BTreeMap<String, u64>>,
}

impl UnfinishedNames {
    /// Counts one. Whether it is the first of its name.
    pub(crate) fn count(&self, what: String) -> bool {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let what = match counts.len() >= MOST_NAMES && !counts.contains_key(&what) {
            true => OTHERS.to_owned(),
            false => what,
        };
        let count = counts.entry(what).or_default();
        *count += 1;
        *count == 1
    }

    pub(crate) fn all(&self) -> Arc<[Unfinished]> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let each = |(what, count): (&String, &u64)| Unfinished {
            what: what.clone(),
            count: *count,
        };
        counts.iter().map(each).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_counted_and_bounded() {
        let names = UnfinishedNames::default();
        assert!(names.count("a".to_owned()) && !names.count("a".to_owned()));
        for number in 0..200 {
            names.count(format!("n{number}"));
        }
        let all = names.all();
        assert_eq!(all.len(), MOST_NAMES + 1);
        assert_eq!(all.iter().map(|one| one.count).sum::<u64>(), 202);
        assert!(all.iter().any(|one| one.what == "a" && one.count == 2));
    }
}

//! Unmasking (RFC 6455 §5.3): in place, a word at a time.

/// Undoes the client's masking of `payload` in place.
///
/// `position` is how many bytes of the frame's payload came before this piece, so a frame may arrive in any
/// number of pieces.
#[inline(always)]
pub(crate) fn unmask(payload: &mut [u8], key: [u8; 4], position: u64) {
    let turned = u32::from_le_bytes(key).rotate_right(8 * (position & 3) as u32);
    let wide = u64::from(turned) << 32 | u64::from(turned);
    let (words, rest) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_le_bytes(*word) ^ wide).to_le_bytes();
    }
    let (half, rest) = rest.split_at_mut(rest.len() & 4);
    if let Ok(half) = <&mut [u8; 4]>::try_from(half) {
        *half = (u32::from_le_bytes(*half) ^ turned).to_le_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(turned.to_le_bytes()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::unmask;
    use proptest::prelude::*;

    fn byte_by_byte(payload: &[u8], key: [u8; 4]) -> Vec<u8> {
        payload
            .iter()
            .enumerate()
            .map(|(index, byte)| byte ^ key[index % 4])
            .collect()
    }

    proptest! {
        #[test]
        fn agrees_with_the_rfc_formula_however_the_payload_is_cut(
            payload in proptest::collection::vec(any::<u8>(), 0..200),
            key in any::<[u8; 4]>(),
            cut in any::<prop::sample::Index>(),
        ) {
            let cut = cut.index(payload.len() + 1);
            let mut ours = payload.clone();
            let (head, tail) = ours.split_at_mut(cut);
            unmask(head, key, 0);
            unmask(tail, key, cut as u64);
            prop_assert_eq!(ours, byte_by_byte(&payload, key));
        }
    }
}

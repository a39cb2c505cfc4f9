//! Tells zeros from data.

/// As long as a cluster, so that one comparison decides about one.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// Whether every byte is zero. The comparison is `memcmp`, which stops at the first difference and is vectorised even in a
/// build without optimisation.
pub(super) fn is_zero(bytes: &[u8]) -> bool {
    bytes.chunks(ZEROS.len()).all(|chunk| chunk == &ZEROS[..chunk.len()])
}

#[cfg(test)]
mod tests {
    use super::is_zero;

    #[test]
    fn one_bit_anywhere_is_data() {
        assert!(is_zero(&[]));
        assert!(is_zero(&vec![0; 200_000]));
        for at in [0, 1, 65_535, 65_536, 131_071, 199_999] {
            let mut bytes = vec![0; 200_000];
            bytes[at] = 1;
            assert!(!is_zero(&bytes), "byte {at}");
        }
    }
}

//! Marvin32, the hash by which an entry of a log proves to be whole.

/// The seed that Windows uses for logs.
const SEED: u64 = 0x82EF_4D88_7A4E_55C5;

/// The hash of bytes.
pub fn hash(bytes: &[u8]) -> u64 {
    let (low, high) = (SEED & 0xffff_ffff, SEED >> 32);
    let mut state = (low as u32, high as u32);
    let mut words = bytes.chunks_exact(4);
    for word in &mut words {
        state = mixed(state, u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
    }
    let mut last = [0; 4];
    let rest = words.remainder();
    last[..rest.len()].copy_from_slice(rest);
    last[rest.len()] = 0x80;
    let (low, high) = mixed(mixed(state, u32::from_le_bytes(last)), 0);
    u64::from(high) << 32 | u64::from(low)
}

fn mixed((mut a, mut b): (u32, u32), word: u32) -> (u32, u32) {
    a = a.wrapping_add(word);
    b ^= a;
    a = a.rotate_left(20).wrapping_add(b);
    b = b.rotate_left(9) ^ a;
    a = a.rotate_left(27).wrapping_add(b);
    (a, b.rotate_left(19))
}

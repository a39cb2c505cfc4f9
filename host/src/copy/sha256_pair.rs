//! SHA-256 of two chunks of equal length at once.
//!
//! The SHA instructions of x86 processors take four cycles each and wait for one another within a message; a second message
//! fills the gaps. On the machine this was written on (EPYC, Zen 4) two chunks take little longer than one. Everywhere else,
//! and for a single chunk, the `sha2` crate does the work. Both give FIPS 180-4's SHA-256; a test compares them.

use sha2::{Digest as _, Sha256};

/// Without optimisation each instruction below is a call, seventy times as slow; `sha2` is optimised in every profile (see the
/// workspace's Cargo.toml).
#[cfg(target_arch = "x86_64")]
const OPTIMISED: bool = cfg!(not(debug_assertions));

/// Digests of both.
pub(super) fn sha256_pair(one: &[u8], other: &[u8]) -> [[u8; 32]; 2] {
    #[cfg(target_arch = "x86_64")]
    if one.len() == other.len() && one.len() % x86::BLOCK == 0 && x86::supported() && OPTIMISED {
        // SAFETY: `supported` has found the instructions; the lengths are equal and whole blocks.
        return unsafe { x86::digest([one, other]) };
    }
    [Sha256::digest(one).into(), Sha256::digest(other).into()]
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    /// Bytes of a block.
    pub(super) const BLOCK: usize = 64;

    /// Words `H` of FIPS 180-4, section 5.3.3.
    const INITIAL: [u32; 8] =
        [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

    /// Words `K` of FIPS 180-4, section 4.2.2.
    #[rustfmt::skip]
    static ROUNDS: [u32; 64] = [
        0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
        0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
        0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
        0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
        0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
        0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
        0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
        0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
    ];

    /// Whether this processor has what [`digest`] needs. The answer is remembered by the standard library.
    pub(super) fn supported() -> bool {
        is_x86_feature_detected!("sha") && is_x86_feature_detected!("ssse3") && is_x86_feature_detected!("sse4.1")
    }

    /// A message's state in the order the instructions want it.
    #[derive(Clone, Copy)]
    struct State {
        abef: __m128i,
        cdgh: __m128i,
    }

    /// Digests of two messages.
    ///
    /// # Safety
    ///
    /// The processor must be [`supported`]; both messages have the same length, a multiple of [`BLOCK`].
    #[target_feature(enable = "sha,ssse3,sse4.1")]
    pub(super) unsafe fn digest(messages: [&[u8]; 2]) -> [[u8; 32]; 2] {
        // Padding of a message of whole blocks: a one bit, zeros, and the length in bits (section 5.1.1).
        let mut padding = [0; BLOCK];
        padding[0] = 0x80;
        padding[56..].copy_from_slice(&(messages[0].len() as u64 * 8).to_be_bytes());
        let [a, b, c, d, e, f, g, h] = INITIAL.map(|word| word as i32);
        // SAFETY: the features are this function's; `chunks_exact` gives blocks of 64 bytes.
        unsafe {
            let initial = State { abef: _mm_set_epi32(a, b, e, f), cdgh: _mm_set_epi32(c, d, g, h) };
            let mut states = [initial; 2];
            for (one, other) in messages[0].chunks_exact(BLOCK).zip(messages[1].chunks_exact(BLOCK)) {
                compress(&mut states, [one.as_ptr(), other.as_ptr()]);
            }
            compress(&mut states, [padding.as_ptr(); 2]);
            states.map(|state| {
                let (mut abef, mut cdgh) = ([0u32; 4], [0u32; 4]);
                _mm_storeu_si128(abef.as_mut_ptr().cast(), state.abef);
                _mm_storeu_si128(cdgh.as_mut_ptr().cast(), state.cdgh);
                let words = [abef[3], abef[2], cdgh[3], cdgh[2], abef[1], abef[0], cdgh[1], cdgh[0]];
                let mut digest = [0; 32];
                for (bytes, word) in digest.chunks_exact_mut(4).zip(words) {
                    bytes.copy_from_slice(&word.to_be_bytes());
                }
                digest
            })
        }
    }

    /// One block of each message (section 6.2.2), four rounds of the one and four of the other by turns.
    ///
    /// # Safety
    ///
    /// As for [`digest`]; each pointer leads to a block of 64 readable bytes.
    #[target_feature(enable = "sha,ssse3,sse4.1")]
    unsafe fn compress(states: &mut [State; 2], blocks: [*const u8; 2]) {
        // SAFETY: the features are this function's; 16 bytes are read at 0, 16, 32 and 48 of each block, and four words of
        // `ROUNDS` at multiples of four below 64.
        unsafe {
            let big_endian = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
            let load =
                |block: *const u8, at: usize| _mm_shuffle_epi8(_mm_loadu_si128(block.add(at * 16).cast()), big_endian);
            let mut words = blocks.map(|block| [load(block, 0), load(block, 1), load(block, 2), load(block, 3)]);
            let mut next = *states;
            // The index of the words must be known to the compiler for them to stay in registers: hence no loop.
            macro_rules! four_rounds {
                ($($group:literal)*) => {$(
                    let constants = _mm_loadu_si128(ROUNDS.as_ptr().add($group * 4).cast());
                    for lane in 0..2 {
                        let w = &mut words[lane];
                        if $group >= 4 {
                            let sum = _mm_sha256msg1_epu32(w[$group % 4], w[($group + 1) % 4]);
                            let middle = _mm_alignr_epi8::<4>(w[($group + 3) % 4], w[($group + 2) % 4]);
                            w[$group % 4] = _mm_sha256msg2_epu32(_mm_add_epi32(sum, middle), w[($group + 3) % 4]);
                        }
                        let message = _mm_add_epi32(w[$group % 4], constants);
                        let state = &mut next[lane];
                        state.cdgh = _mm_sha256rnds2_epu32(state.cdgh, state.abef, message);
                        let message = _mm_shuffle_epi32::<0x0e>(message);
                        state.abef = _mm_sha256rnds2_epu32(state.abef, state.cdgh, message);
                    }
                )*};
            }
            four_rounds!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
            for (state, next) in states.iter_mut().zip(next) {
                state.abef = _mm_add_epi32(state.abef, next.abef);
                state.cdgh = _mm_add_epi32(state.cdgh, next.cdgh);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_same_digests_as_alone(
            one in prop::collection::vec(any::<u8>(), 0..600),
            other in prop::collection::vec(any::<u8>(), 0..600),
            blocks in 0usize..9,
        ) {
            let alone =
                |one: &[u8], other: &[u8]| -> [[u8; 32]; 2] { [Sha256::digest(one).into(), Sha256::digest(other).into()] };
            prop_assert_eq!(sha256_pair(&one, &other), alone(&one, &other));
            let (mut one, mut other) = (one, other);
            one.resize(blocks * 64, 7);
            other.resize(blocks * 64, 9);
            prop_assert_eq!(sha256_pair(&one, &other), alone(&one, &other));
            #[cfg(target_arch = "x86_64")]
            if x86::supported() {
                // SAFETY: the instructions are there, the lengths are equal and whole blocks.
                prop_assert_eq!(unsafe { x86::digest([&one, &other]) }, alone(&one, &other));
            }
        }
    }
}

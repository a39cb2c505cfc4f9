//! Against the program itself, and with bytes as an enemy makes them.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;

/// What the program makes of data.
pub(crate) fn lzop(data: &[u8], options: &[&str]) -> Vec<u8> {
    let mut program = Command::new("lzop")
        .args(options)
        .args(["-c", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("lzop (package lzop)");
    let mut input = program.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || input.write_all(data).unwrap());
        let output = program.wait_with_output().unwrap();
        assert!(output.status.success());
        output.stdout
    })
}

/// What is read, and what is left behind it.
fn unpack(mut image: &[u8]) -> Result<(Vec<u8>, &[u8])> {
    let mut out = Vec::new();
    Lzop::new(&mut image)?.read_to_end(&mut out).map_err(bad)?;
    Ok((out, image))
}

/// Text, noise and runs: literals, near and far matches, blocks that are stored as they are.
fn samples() -> Vec<Vec<u8>> {
    let text: Vec<u8> =
        (0..40_000).flat_map(|number: u32| format!("line {} of {number}\n", number % 7).into_bytes()).collect();
    let mut state = 1_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    })
    .take(600_000)
    .collect();
    let far = [&noise[..40_000], &text[..50_000], &noise[..40_000]].concat();
    vec![Vec::new(), b"x".to_vec(), vec![0; 1 << 20], text, noise, far]
}

#[test]
fn what_the_program_packs_is_read_to_its_end_and_no_further() {
    for options in [&["-1"][..], &["-3"], &["-9"], &["-6", "--crc32"], &["-3", "-F"]] {
        for data in samples() {
            let image = [&lzop(&data, options)[..], b"070701"].concat();
            let (out, rest) = unpack(&image).unwrap_or_else(|error| panic!("{options:?}: {error}"));
            assert!(out == data, "{options:?}: {} bytes of {}", out.len(), data.len());
            assert_eq!(rest, b"070701");
        }
    }
}

#[test]
fn says_what_is_wrong() {
    let whole = lzop(&samples()[3], &["-3"]);
    let error = |at: usize, byte: u8| {
        let mut bent = whole.clone();
        bent[at] = byte;
        unpack(&bent).unwrap_err().message
    };
    let damaged = |what: &str| format!("the initramfs is damaged: {what}");
    assert_eq!(error(8, 0), damaged("the data behind lzop's first bytes is not lzop's"));
    assert_eq!(error(15, 0x80), damaged("the kernel does not read lzop's method 128"));
    assert_eq!(error(19, 8), damaged("the kernel does not read lzop's filters"));
    // The first block's length, behind a header without a name.
    assert!(error(38, 0x7f).contains("a block of lzop claims "), "{}", error(38, 0x7f));
    assert!(unpack(&whole[..whole.len() - 4]).is_err());
}

/// Small, of several kinds of instructions.
static WHOLE: LazyLock<Vec<u8>> = LazyLock::new(|| lzop(&samples()[5][39_000..95_000], &["-9"]));

proptest! {
    /// Neither panics nor takes more room than a block for each one that is stored.
    #[test]
    fn what_an_enemy_sends_is_refused_or_read(bytes in prop::collection::vec(any::<u8>(), 0..2000), flags: u32) {
        let header = [&MAGIC[..], &[0x10, 0x40, 0x20, 0xa0, 0x09, 0x40, 1, 5], &(flags & !FILTER).to_be_bytes(), &[0; 17]].concat();
        if let Ok((out, _)) = unpack(&[header, bytes.clone()].concat()) {
            prop_assert!(out.len() <= (bytes.len() / 8 + 1) * LARGEST_BLOCK);
        }
    }

    /// Blocks whose lengths are right, and nothing else.
    #[test]
    fn a_block_of_any_bytes_is_refused_or_read(block in prop::collection::vec(any::<u8>(), 1..600), more in 1_u32..70_000) {
        let lengths = [block.len() as u32 + more, block.len() as u32].map(u32::to_be_bytes).concat();
        let header = [&MAGIC[..], &[0x10, 0x40, 0x20, 0xa0, 0x09, 0x40, 1, 5], &[0; 21]].concat();
        let _ = unpack(&[header, lengths, block, vec![0; 4]].concat());
    }

    #[test]
    fn what_is_bent_is_refused_or_read(at: usize, by in 1_u8..) {
        let mut image = WHOLE.clone();
        let at = at % image.len();
        image[at] ^= by;
        let _ = unpack(&image);
    }
}

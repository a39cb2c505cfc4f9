//! The compressed parts of an initramfs: which method, and a stream of what is inside.
//!
//! Every decoder stops exactly where its stream ends, since another archive may follow.

use std::io::{self, BufRead, BufReader, Read};

use vmdk2kvm_plugin_api::Result;

use super::cpio::bad;
use super::lzop::Lzop;

/// How a part is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Compression {
    /// gzip.
    Gzip,
    /// xz.
    Xz,
    /// The older lzma format.
    Lzma,
    /// Zstandard.
    Zstd,
    /// LZ4 in its legacy frame, the only one the kernel reads.
    Lz4,
    /// bzip2.
    Bzip2,
    /// LZO as lzop writes it.
    Lzo,
}

/// What a decoder may use for its dictionary; the kernel's own tools stay far below.
const DICTIONARY: u64 = 256 << 20;
/// zstd's window, as a power of two: what `zstd --ultra -22` uses.
const WINDOW_LOG: u32 = 27;

impl Compression {
    /// The method by the magic number at the start of `image` (the table in the kernel's `lib/decompress.c`).
    pub(super) fn of(image: &[u8]) -> Option<Self> {
        Some(match image {
            [0x1f, 0x8b | 0x9e, ..] => Self::Gzip,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            [0x5d, 0, 0, ..] => Self::Lzma,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            [0x02, 0x21, 0x4c, 0x18, ..] => Self::Lz4,
            [b'B', b'Z', b'h', ..] => Self::Bzip2,
            [0x89, b'L', b'Z', b'O', ..] => Self::Lzo,
            _ => return None,
        })
    }

    /// Reads the part at the start of `image` through `consume`, which reads to the end, and returns how long the part is.
    pub(super) fn read(self, image: &[u8], consume: &mut dyn FnMut(&mut dyn BufRead) -> Result<()>) -> Result<usize> {
        let mut rest = image;
        {
            let input = &mut rest;
            let mut decoder: Box<dyn Read + '_> = match self {
                Self::Gzip => Box::new(flate2::bufread::GzDecoder::new(input)),
                Self::Xz => Box::new(xz(input, false)?),
                Self::Lzma => Box::new(xz(input, true)?),
                Self::Bzip2 => Box::new(bzip2::bufread::BzDecoder::new(input)),
                Self::Zstd => {
                    let mut decoder = zstd::stream::read::Decoder::with_buffer(input).map_err(bad)?.single_frame();
                    decoder.window_log_max(WINDOW_LOG).map_err(bad)?;
                    Box::new(decoder)
                }
                Self::Lz4 => Box::new(Lz4Legacy::new(input)?),
                Self::Lzo => Box::new(Lzop::new(input)?),
            };
            let mut stream = BufReader::with_capacity(1 << 18, &mut decoder);
            consume(&mut stream)?;
        }
        Ok(image.len() - rest.len())
    }
}

fn xz<R: BufRead>(input: R, alone: bool) -> Result<liblzma::bufread::XzDecoder<R>> {
    let stream = if alone {
        liblzma::stream::Stream::new_lzma_decoder(DICTIONARY)
    } else {
        liblzma::stream::Stream::new_stream_decoder(DICTIONARY, 0)
    };
    Ok(liblzma::bufread::XzDecoder::new_stream(input, stream.map_err(bad)?))
}

/// LZ4's legacy frame: the magic number, then blocks of at most 8 MiB, each behind its compressed length. It has no end: it ends
/// with the input, with a length of zero (padding, Linux 5.8 and newer), or with what cannot be a length.
/// <https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md>, "Legacy frame".
struct Lz4Legacy<'a, 'b> {
    input: &'a mut &'b [u8],
    block: Vec<u8>,
    used: usize,
    ended: bool,
}

const LZ4_BLOCK: usize = 8 << 20;
const LZ4_MAGIC: u32 = 0x184c_2102;

impl<'a, 'b> Lz4Legacy<'a, 'b> {
    fn new(input: &'a mut &'b [u8]) -> Result<Self> {
        *input = input.get(4..).unwrap_or_default();
        Ok(Self { input, block: Vec::new(), used: 0, ended: false })
    }

    fn next_block(&mut self) -> io::Result<()> {
        let all = *self.input;
        let Some((length, rest)) = all.split_first_chunk::<4>() else {
            self.ended = true;
            return Ok(());
        };
        let length = u32::from_le_bytes(*length);
        if length == LZ4_MAGIC {
            *self.input = rest;
            return Ok(());
        }
        let most = lz4_flex::block::get_maximum_output_size(LZ4_BLOCK);
        if length == 0 || length as usize > most {
            self.ended = true;
            return Ok(());
        }
        let data = rest.get(..length as usize).ok_or(io::ErrorKind::UnexpectedEof)?;
        self.block.resize(LZ4_BLOCK, 0);
        let size = lz4_flex::block::decompress_into(data, &mut self.block).map_err(io::Error::other)?;
        self.block.truncate(size);
        self.used = 0;
        *self.input = &rest[length as usize..];
        Ok(())
    }
}

impl Read for Lz4Legacy<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.used == self.block.len() && !self.ended {
            self.block.clear();
            self.used = 0;
            self.next_block()?;
        }
        let length = buffer.len().min(self.block.len() - self.used);
        buffer[..length].copy_from_slice(&self.block[self.used..self.used + length]);
        self.used += length;
        Ok(length)
    }
}

//! Inflating one compressed cluster (section "Compressed Clusters Descriptor").
//!
//! The stored length counts whole sectors, so bytes behind the end of the stream are none of it. A cluster must come out whole.

use std::sync::{Mutex, PoisonError};

use vmdk2kvm_plugin_api::Result;

use crate::header::{Compression, bad};

/// Inflaters that wait to be used again: making one costs more than a small cluster.
#[derive(Default)]
pub struct Inflaters {
    deflate: Mutex<Vec<libdeflater::Decompressor>>,
    zstd: Mutex<Vec<zstd::bulk::Decompressor<'static>>>,
}

impl Inflaters {
    /// Inflates `input` so that it fills `out`.
    pub fn inflate(&self, compression: Compression, input: &[u8], out: &mut [u8]) -> Result<()> {
        let done = match compression {
            Compression::Deflate => self.deflate(input, out),
            Compression::Zstd => self.zstd(input, out),
        };
        match done {
            Some(length) if length == out.len() => Ok(()),
            Some(length) => Err(bad(format!("its compressed data gives {length} bytes and not {}", out.len()))),
            None => Err(bad("its compressed data is damaged")),
        }
    }

    fn deflate(&self, input: &[u8], out: &mut [u8]) -> Option<usize> {
        let mut inflater = pop(&self.deflate).unwrap_or_default();
        let done = inflater.deflate_decompress(input, out);
        push(&self.deflate, inflater);
        done.ok()
    }

    /// Frame by frame: the input has trailing bytes, and may have several frames.
    fn zstd(&self, input: &[u8], out: &mut [u8]) -> Option<usize> {
        let mut inflater = match pop(&self.zstd) {
            Some(inflater) => inflater,
            None => zstd::bulk::Decompressor::new().ok()?,
        };
        let (mut input, mut done) = (input, 0);
        while done < out.len() {
            let length = zstd::zstd_safe::find_frame_compressed_size(input).ok().filter(|length| *length > 0)?;
            let (frame, rest) = input.split_at_checked(length)?;
            done += inflater.decompress_to_buffer(frame, &mut out[done..]).ok()?;
            input = rest;
        }
        push(&self.zstd, inflater);
        Some(done)
    }
}

fn pop<T>(pool: &Mutex<Vec<T>>) -> Option<T> {
    pool.lock().unwrap_or_else(PoisonError::into_inner).pop()
}

fn push<T>(pool: &Mutex<Vec<T>>, item: T) {
    pool.lock().unwrap_or_else(PoisonError::into_inner).push(item);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deflated(data: &[u8]) -> Vec<u8> {
        let mut compressor = libdeflater::Compressor::default();
        let mut out = vec![0; compressor.deflate_compress_bound(data.len())];
        let length = compressor.deflate_compress(data, &mut out).unwrap();
        out.truncate(length);
        out
    }

    #[test]
    fn both_kinds_come_out_whole_whatever_follows() {
        let data: Vec<u8> = (0..65536u32).map(|n| (n / 7) as u8).collect();
        let inflaters = Inflaters::default();
        let (first, second) = data.split_at(1000);
        let frames = [zstd::bulk::compress(first, 3).unwrap(), zstd::bulk::compress(second, 3).unwrap()].concat();
        for (compression, mut input) in [
            (Compression::Deflate, deflated(&data)),
            (Compression::Zstd, zstd::bulk::compress(&data, 3).unwrap()),
            (Compression::Zstd, frames),
        ] {
            let whole = input.len();
            input.extend([0xaa; 300]);
            let mut out = vec![0; data.len()];
            inflaters.inflate(compression, &input, &mut out).unwrap();
            assert!(out == data);

            for (input, length) in [(&input[..whole / 2], data.len()), (&[0xff; 40], 4096), (&[], 512)] {
                assert!(inflaters.inflate(compression, input, &mut vec![0; length]).is_err());
            }
            assert!(inflaters.inflate(compression, &input[..whole], &mut vec![0; data.len() / 2]).is_err());
            let long = inflaters.inflate(compression, &input[..whole], &mut vec![0; data.len() + 512]);
            assert!(long.is_err());
        }
    }
}

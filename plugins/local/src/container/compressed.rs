//! A compressed file: which compressor made it, and its unpacked bytes as a stream.

use std::io::{BufReader, Read};
use std::sync::Arc;

use vmdk2kvm_plugin_api::{BlockSource, PluginError, Result};

use super::reader::{SourceReader, fault};

/// The most memory that unpacking may take, in bytes: enough for `xz -9` and `zstd -19`.
const MEMORY: u64 = 256 << 20;
/// zstd's window, as a power of two: the largest that `zstd -d` accepts without being told.
const ZSTD_WINDOW: u32 = 27;

/// A compressor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// gzip (RFC 1952), also of several members.
    Gzip,
    /// xz.
    Xz,
    /// bzip2.
    Bzip2,
    /// Zstandard (RFC 8878).
    Zstd,
}

impl Compression {
    /// With its article.
    pub const fn what(self) -> &'static str {
        match self {
            Self::Gzip => "a gzip file",
            Self::Xz => "an xz file",
            Self::Bzip2 => "a bzip2 file",
            Self::Zstd => "a zstd file",
        }
    }

    /// The unpacked bytes of `source`.
    pub fn reader(self, name: &str, source: &Arc<dyn BlockSource>) -> Result<Box<dyn Read>> {
        let raw = BufReader::with_capacity(1 << 20, SourceReader::new(Arc::clone(source)));
        Ok(match self {
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(raw)),
            Self::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(raw)),
            Self::Xz => {
                let stream = liblzma::stream::Stream::new_stream_decoder(MEMORY, liblzma::stream::CONCATENATED);
                let stream = stream.map_err(|error| PluginError::defect(format!("{name}: {error}")))?;
                Box::new(liblzma::bufread::XzDecoder::new_stream(raw, stream))
            }
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(raw).map_err(|error| fault(name, error))?;
                decoder.window_log_max(ZSTD_WINDOW).map_err(|error| fault(name, error))?;
                Box::new(decoder)
            }
        })
    }

    /// The name of the unpacked file: without the compressor's extension.
    pub fn inner_name(name: &str) -> String {
        let last = name.rsplit('/').next().unwrap_or(name);
        for (extension, becomes) in
            [(".gz", ""), (".xz", ""), (".bz2", ""), (".zst", ""), (".tgz", ".tar"), (".txz", ".tar"), (".gzip", "")]
        {
            if let Some(stem) = last.len().checked_sub(extension.len()).filter(|at| last.is_char_boundary(*at)) {
                if stem > 0 && last[stem..].eq_ignore_ascii_case(extension) {
                    return format!("{}{becomes}", &last[..stem]);
                }
            }
        }
        last.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unpacked_file_loses_the_extension() {
        for (name, expected) in [
            ("/a/disk.vmdk.gz", "disk.vmdk"),
            ("image.TXZ", "image.tar"),
            ("disk.vmdk", "disk.vmdk"),
            (".gz", ".gz"),
            ("ü.xz", "ü"),
        ] {
            assert_eq!(Compression::inner_name(name), expected);
        }
    }
}

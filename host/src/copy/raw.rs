//! Writes a raw image: the disk's bytes at their own offsets, holes where they are zero.

use vmdk2kvm_plugin_api::Result;

use super::image_file::ImageFile;
use super::sink::{Filled, Placed, Sink};

/// A raw image that is being written.
pub(super) struct RawImage<'a> {
    file: &'a ImageFile<'a>,
}

impl<'a> RawImage<'a> {
    /// Gives the empty file its size, all hole.
    pub(super) fn create(file: &'a ImageFile<'a>, virtual_size: u64) -> Result<Self> {
        file.set_len(virtual_size)?;
        Ok(Self { file })
    }
}

impl Sink for RawImage<'_> {
    fn store(&self, start: u64, span: &[u8], filled: Filled) -> Result<Placed> {
        for run in filled.runs(span.len()) {
            let at = start + run.start as u64;
            self.file.write(&span[run], at)?;
        }
        Ok(Placed { start, filled, host: start })
    }

    fn settle(&self, _: Placed) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use vmdk2kvm_plugin_api::ErrorKind;

    use super::*;

    #[test]
    fn no_space_is_an_output_error() {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let image = RawImage { file: &ImageFile::new(&full, Path::new("out/web.part")) };
        let error = image.store(0, &[1; 65_536], Filled(1)).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Output);
        assert_eq!(error.message, "out/web.part: cannot be written: No space left on device (os error 28)");
        assert!(error.hint.unwrap().starts_with("free space in out or"));
    }
}

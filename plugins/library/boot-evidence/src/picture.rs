//! A picture of the screen, as a machine gives it: checked before it is believed.

use std::io::{BufWriter, Cursor};
use std::path::Path;

use tempfile::NamedTempFile;
use vmdk2kvm_plugin_api::{PluginError, Result};

/// Name of the picture in the evidence folder.
pub const PICTURE: &str = "screenshot.png";
/// Larger pictures are not taken, in pixels of a side.
const LARGEST_SIDE: u32 = 8192;

/// Saves a picture of the screen, a PPM or a PNG, as [`PICTURE`] of mode 0600 in `folder`, and returns its size in pixels.
pub fn save(picture: &[u8], folder: &Path) -> Result<(usize, usize)> {
    let picture =
        Picture::parse(picture).ok_or_else(|| PluginError::io("the picture of the screen is no PPM or PNG"))?;
    picture.save(folder).map(|()| (picture.width(), picture.height()))
}

/// A picture: rows of red, green and blue.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Picture {
    width: u32,
    height: u32,
    pixels: Vec<u8>,
}

impl Picture {
    /// A picture of this many pixels, three bytes each; `None` when they are not as many.
    pub fn new(width: u32, height: u32, pixels: Vec<u8>) -> Option<Self> {
        let sides = 1..=LARGEST_SIDE;
        let sane = sides.contains(&width) && sides.contains(&height);
        (sane && pixels.len() == width as usize * height as usize * 3).then_some(Self { width, height, pixels })
    }

    /// Reads a binary PPM (netpbm's `P6`) or a PNG, of 8 bits each.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        if bytes.starts_with(b"P6") { Self::ppm(bytes) } else { Self::png(bytes) }
    }

    fn ppm(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes.strip_prefix(b"P6")?;
        let mut numbers = [0; 3];
        for number in &mut numbers {
            let start = rest.iter().position(|byte| !byte.is_ascii_whitespace())?;
            let length = rest[start..].iter().position(|byte| !byte.is_ascii_digit())?;
            *number = std::str::from_utf8(&rest[start..start + length]).ok()?.parse().ok()?;
            rest = &rest[start + length..];
        }
        let [width, height, depth] = numbers;
        if depth != 255 || width > LARGEST_SIDE || height > LARGEST_SIDE {
            return None;
        }
        let pixels = rest.get(1..)?;
        // The length is compared before anything is copied.
        if pixels.len() != width as usize * height as usize * 3 {
            None
        } else {
            Self::new(width, height, pixels.to_vec())
        }
    }

    fn png(bytes: &[u8]) -> Option<Self> {
        let mut decoder = png::Decoder::new(Cursor::new(bytes));
        decoder.set_transformations(png::Transformations::EXPAND | png::Transformations::STRIP_16);
        let mut reader = decoder.read_info().ok()?;
        let (width, height) = reader.info().size();
        if width > LARGEST_SIDE || height > LARGEST_SIDE {
            return None;
        }
        let mut pixels = vec![0; reader.output_buffer_size()];
        let frame = reader.next_frame(&mut pixels).ok()?;
        pixels.truncate(frame.buffer_size());
        let pixels = match frame.color_type {
            png::ColorType::Rgb => pixels,
            png::ColorType::Rgba => pixels.chunks_exact(4).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect(),
            png::ColorType::Grayscale => pixels.iter().flat_map(|grey| [*grey; 3]).collect(),
            png::ColorType::GrayscaleAlpha => pixels.chunks_exact(2).flat_map(|pixel| [pixel[0]; 3]).collect(),
            png::ColorType::Indexed => return None,
        };
        Self::new(width, height, pixels)
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width as usize
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height as usize
    }

    /// The colour of a pixel that is inside.
    pub fn at(&self, x: usize, y: usize) -> [u8; 3] {
        let at = (y * self.width() + x) * 3;
        [self.pixels[at], self.pixels[at + 1], self.pixels[at + 2]]
    }

    /// All pixels, row by row.
    pub fn colours(&self) -> impl Iterator<Item = [u8; 3]> {
        self.pixels.chunks_exact(3).map(|pixel| [pixel[0], pixel[1], pixel[2]])
    }

    /// Saves it as [`PICTURE`] of mode 0600 in `folder`.
    pub fn save(&self, folder: &Path) -> Result<()> {
        let target = folder.join(PICTURE);
        // A picture of an earlier test may be there, and another test may be writing one.
        let output = NamedTempFile::new_in(folder).map_err(|error| PluginError::from_io(target.display(), &error))?;
        let mut encoder = png::Encoder::new(BufWriter::new(&output), self.width, self.height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        encoder
            .write_header()
            .and_then(|mut writer| writer.write_image_data(&self.pixels))
            .map_err(|error| PluginError::output(format!("{}: {error}", target.display())))?;
        output.persist(&target).map_err(|error| PluginError::from_io(target.display(), &error.error))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_checked_before_it_is_believed() {
        let picture = Picture::parse(b"P6\n2 1\n255\nabcdef").unwrap();
        assert_eq!((picture.width(), picture.height(), picture.at(1, 0)), (2, 1, *b"def"));
        for bad in [
            &b"P6\n2 1\n255\nabcde"[..],
            b"P5\n2 1\n255\nabcdef",
            b"P6\n0 1\n255\n",
            b"P6 99999 99999 255 ",
            b"P6 4294967295 4294967295 255 ",
            b"P6\n2",
            b"\x89PNG\r\n\x1a\n",
            b"",
        ] {
            assert!(Picture::parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn it_is_saved_as_a_png_that_reads_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let picture = Picture::new(3, 2, (0..18).collect()).unwrap();
        picture.save(folder.path()).unwrap();
        assert_eq!(Picture::parse(&std::fs::read(folder.path().join(PICTURE)).unwrap()), Some(picture));
    }
}

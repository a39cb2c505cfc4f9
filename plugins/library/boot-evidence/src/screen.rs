//! What the guest's screen shows: its text, while the adapter is in a text mode, and a picture, always.
//!
//! Text is read from the adapter's memory, not recognised: firmware, bootloaders and kernels without a framebuffer write there.
//! In a graphics mode the same addresses hold no text, which shows in their bytes.

use std::io::BufWriter;
use std::path::Path;

use tempfile::NamedTempFile;
use vmdk2kvm_plugin_api::{PluginError, Result};

/// Name of the picture in the evidence folder.
pub const PICTURE: &str = "screenshot.png";
/// Physical address of the adapter's colour text page.
pub const TEXT_PAGE_ADDRESS: u64 = 0xb8000;
/// Its size in bytes: 25 rows of 80 cells, each a character and an attribute.
pub const TEXT_PAGE_BYTES: usize = COLUMNS * ROWS * 2;
const COLUMNS: usize = 80;
const ROWS: usize = 25;
/// Larger pictures are not taken.
const LARGEST_SIDE: usize = 8192;

/// The rows of a text page without trailing blanks; `None` when it holds no text.
pub fn decode(page: &[u8]) -> Option<Vec<String>> {
    if page.len() != TEXT_PAGE_BYTES {
        return None;
    }
    // A page of text has few attributes, and blanks have letters between them.
    let printable = page.chunks(2).filter(|cell| matches!(cell[0], 0 | b' '..=b'~' | 0xb0..=0xdf)).count();
    let dark = page.chunks(2).filter(|cell| cell[1] & 0x88 == 0).count();
    if printable * 10 < COLUMNS * ROWS * 9 || dark * 2 < COLUMNS * ROWS {
        return None;
    }
    let letter = |cell: &[u8]| match cell[0] {
        byte @ b' '..=b'~' => char::from(byte),
        0xb0..=0xdf => '+',
        _ => ' ',
    };
    let rows: Vec<String> = page
        .chunks(COLUMNS * 2)
        .map(|row| row.chunks(2).map(letter).collect::<String>().trim_end().to_owned())
        .collect();
    rows.iter().any(|row| !row.is_empty()).then_some(rows)
}

/// Saves a picture of the screen (a binary PPM of 8 bits) as [`PICTURE`] of mode 0600 in `folder`, and returns its size in pixels.
pub fn save(picture: &[u8], folder: &Path) -> Result<(u32, u32)> {
    let target = folder.join(PICTURE);
    let picture = Picture::parse(picture).ok_or_else(|| PluginError::io("the picture of the screen is not a PPM"))?;
    // A picture of an earlier test may be there, and another test may be writing one.
    let output = NamedTempFile::new_in(folder).map_err(|error| PluginError::from_io(target.display(), &error))?;
    let mut encoder = png::Encoder::new(BufWriter::new(&output), picture.width, picture.height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder
        .write_header()
        .and_then(|mut writer| writer.write_image_data(picture.pixels))
        .map_err(|error| PluginError::output(format!("{}: {error}", target.display())))?;
    output.persist(&target).map_err(|error| PluginError::from_io(target.display(), &error.error))?;
    Ok((picture.width, picture.height))
}

/// A binary PPM (netpbm's `P6`) of 8 bits.
struct Picture<'a> {
    width: u32,
    height: u32,
    /// Red, green, blue.
    pixels: &'a [u8],
}

impl<'a> Picture<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = bytes.strip_prefix(b"P6")?;
        let mut numbers = [0usize; 3];
        for number in &mut numbers {
            let start = rest.iter().position(|byte| !byte.is_ascii_whitespace())?;
            let length = rest[start..].iter().position(|byte| !byte.is_ascii_digit())?;
            *number = std::str::from_utf8(&rest[start..start + length]).ok()?.parse().ok()?;
            rest = &rest[start + length..];
        }
        let [width, height, depth] = numbers;
        let sane = (1..=LARGEST_SIDE).contains(&width) && (1..=LARGEST_SIDE).contains(&height) && depth == 255;
        let pixels = rest.get(1..)?;
        (sane && pixels.len() == width * height * 3).then_some(Self {
            width: width as u32,
            height: height as u32,
            pixels,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_page_is_read_and_a_graphics_page_is_not() {
        let mut page = [b' ', 7].repeat(COLUMNS * ROWS);
        for (at, letter) in b"No bootable device.".iter().enumerate() {
            page[(COLUMNS + at) * 2] = *letter;
        }
        let rows = decode(&page).unwrap();
        assert_eq!((rows.len(), rows[0].as_str(), rows[1].as_str()), (ROWS, "", "No bootable device."));
        assert_eq!(decode(&[b' ', 7].repeat(COLUMNS * ROWS)), None);
        assert_eq!(decode(&[0xff; COLUMNS * ROWS * 2]), None);
        assert_eq!(decode(&[0; COLUMNS * ROWS * 2]), None);
        assert_eq!(decode(b"short"), None);
    }

    #[test]
    fn a_picture_is_checked_before_it_is_believed() {
        let picture = Picture::parse(b"P6\n2 1\n255\nabcdef").unwrap();
        assert_eq!((picture.width, picture.height, picture.pixels), (2, 1, &b"abcdef"[..]));
        for bad in [
            &b"P6\n2 1\n255\nabcde"[..],
            b"P5\n2 1\n255\nabcdef",
            b"P6\n0 1\n255\n",
            b"P6 99999 99999 255 ",
            b"P6\n2",
            b"",
        ] {
            assert!(Picture::parse(bad).is_none(), "{bad:?}");
        }
    }
}

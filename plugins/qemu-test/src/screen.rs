//! What the guest's screen shows: its text, while the adapter is in a text mode, and a picture, always.
//!
//! Text is read from the adapter's memory, not recognised: firmware, bootloaders and kernels without a framebuffer write there.
//! In a graphics mode the same addresses hold no text, which shows in their bytes.

use std::fs;
use std::io::BufWriter;
use std::path::Path;

use serde_json::json;
use tempfile::NamedTempFile;
use vmdk2kvm_plugin_api::{PluginError, Result};

use crate::machine::Running;

/// Physical address of the colour text page.
const TEXT_PAGE: u64 = 0xb8000;
const COLUMNS: usize = 80;
const ROWS: usize = 25;
/// Larger pictures are not taken.
const LARGEST_SIDE: usize = 8192;

/// The text page without trailing blanks; `None` when the adapter shows none.
///
/// Reading it goes through the adapter and loads its latches. Only planar graphics modes care, where a pixel could be lost.
pub fn text(machine: &mut Running, folder: &Path, stop: &dyn Fn() -> bool) -> Option<Vec<String>> {
    let file = folder.join("text-page");
    let arguments = json!({ "val": TEXT_PAGE, "size": COLUMNS * ROWS * 2, "filename": file });
    machine.call("pmemsave", arguments, stop).ok()?;
    let page = fs::read(&file).ok()?;
    decode(&page)
}

/// Rows of a text page: a character and an attribute each two bytes.
fn decode(page: &[u8]) -> Option<Vec<String>> {
    if page.len() != COLUMNS * ROWS * 2 {
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

/// Saves a picture of the screen as PNG of mode 0600, and returns its size in pixels.
///
/// The monitor writes PPM, which every qemu can; PNG is known to newer ones only.
pub fn save(machine: &mut Running, folder: &Path, target: &Path, stop: &dyn Fn() -> bool) -> Result<(u32, u32)> {
    let file = folder.join("screen.ppm");
    machine
        .call("screendump", json!({ "filename": file }), stop)
        .map_err(|error| PluginError::io(format!("the screen could not be saved: {error}")))?;
    let bytes = fs::read(&file).map_err(|error| PluginError::from_io(file.display(), &error))?;
    let picture = Picture::parse(&bytes).ok_or_else(|| PluginError::io("qemu's picture of the screen is not a PPM"))?;
    // A picture of an earlier test may be there, and another test may be writing one.
    let output = NamedTempFile::new_in(target.parent().unwrap_or(Path::new(".")))
        .map_err(|error| PluginError::from_io(target.display(), &error))?;
    let mut encoder = png::Encoder::new(BufWriter::new(&output), picture.width, picture.height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder
        .write_header()
        .and_then(|mut writer| writer.write_image_data(picture.pixels))
        .map_err(|error| PluginError::output(format!("{}: {error}", target.display())))?;
    output.persist(target).map_err(|error| PluginError::from_io(target.display(), &error.error))?;
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

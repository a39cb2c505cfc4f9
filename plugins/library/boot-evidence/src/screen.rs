//! The text on the guest's screen, while its adapter is in a text mode.
//!
//! Text is read from the adapter's memory, not recognised: firmware, bootloaders and kernels without a framebuffer write there.
//! In a graphics mode the same addresses hold no text, which shows in their bytes.

/// Physical address of the adapter's colour text page.
pub const TEXT_PAGE_ADDRESS: u64 = 0xb8000;
/// Its size in bytes: 25 rows of 80 cells, each a character and an attribute.
pub const TEXT_PAGE_BYTES: usize = COLUMNS * ROWS * 2;
const COLUMNS: usize = 80;
const ROWS: usize = 25;

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
}

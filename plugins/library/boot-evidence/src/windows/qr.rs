//! The QR code of a stop screen.

use std::panic::catch_unwind;

use super::codes;
use crate::picture::Picture;

/// Larger pictures are not searched, in pixels: a search takes time with them.
const LARGEST: usize = 4096 * 2304;
/// No more codes of a picture are read.
const MOST: usize = 8;

/// Where the codes of stop screens lead.
const ADDRESS: &str = "windows.com/stopcode";

/// What a stop screen's code says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopQr {
    /// The stop code, where the address has one.
    pub code: Option<u32>,
}

/// The code of a stop screen, if the picture has one.
pub fn stop(picture: &Picture) -> Option<StopQr> {
    // Its dark squares are those of the ground or of the letters.
    [false, true].iter().find_map(|inverted| texts(picture, *inverted).iter().find_map(|text| address(text)))
}

fn texts(picture: &Picture, inverted: bool) -> Vec<String> {
    let (width, height) = (picture.width(), picture.height());
    if width * height > LARGEST {
        return Vec::new();
    }
    let grey = |x, y| {
        let [red, green, blue] = picture.at(x, y).map(u32::from);
        let grey = ((red * 3 + green * 6 + blue) / 10) as u8;
        if inverted { !grey } else { grey }
    };
    // The picture is the guest's; a reader that gives up on it has found nothing.
    let read = catch_unwind(|| {
        let mut image = rqrr::PreparedImage::prepare_from_greyscale(width, height, grey);
        let grids = image.detect_grids();
        grids.iter().take(MOST).filter_map(|grid| grid.decode().ok().map(|(_, text)| text)).collect()
    });
    read.unwrap_or_default()
}

fn address(text: &str) -> Option<StopQr> {
    let text = text.trim();
    let lower = text.to_ascii_lowercase();
    let rest = ["https://", "http://"].iter().find_map(|scheme| lower.strip_prefix(scheme)).unwrap_or(&lower);
    let rest = rest.strip_prefix("www.").unwrap_or(rest).strip_prefix(ADDRESS)?;
    let ended = rest.is_empty() || rest.starts_with(['/', '?', '#']);
    ended.then(|| StopQr { code: codes::first(rest) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_address_of_stop_codes_counts() {
        let table = [
            ("http://windows.com/stopcode", Some(None)),
            ("https://www.windows.com/stopcode", Some(None)),
            ("HTTPS://WINDOWS.COM/STOPCODE?code=0x7b", Some(Some(0x7b))),
            ("https://windows.com/stopcodes", None),
            ("https://windows.com.example.org/stopcode", None),
            ("https://example.org/?windows.com/stopcode", None),
            ("", None),
        ];
        for (text, wanted) in table {
            assert_eq!(address(text).map(|found| found.code), wanted, "{text}");
        }
    }
}

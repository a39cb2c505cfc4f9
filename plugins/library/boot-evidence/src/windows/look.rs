//! What a picture of a Windows' screen looks like: by colours, layout and QR code. No letter is recognised, so a screen that only its
//! words tell from another has no name of its own here.

use super::face;
use super::ink::{Ground, Ink, Line};
use super::qr;
use crate::picture::Picture;

/// Larger pictures are not looked at, in pixels.
const LARGEST: usize = 4096 * 2304;

/// What a screen looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Look {
    /// One colour.
    Blank,
    /// A stop screen, by the QR code or the sad face that no other screen has.
    Stop {
        /// The code, where the QR code has one.
        code: Option<u32>,
        /// The QR code was read; otherwise it is the face.
        by_qr: bool,
    },
    /// A stop screen as Windows 7 and older paint it: two colours, lines of letters on blue.
    OldStop,
    /// Lines of letters below each other on plain blue: a stop screen without face, or what Windows repairs itself with.
    BlueText,
    /// The boot manager's black screen between two bars. It has menus of that kind, too.
    BootManager,
    /// Lines in the middle of a black screen: how updates look, and stop screens from Windows 11 24H2 on.
    CentredText,
    /// A photograph or a painting fills the screen: the lock screen, the sign-in screen, a desktop.
    Photograph,
    /// Anything else.
    Other,
}

impl Look {
    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Blank => "a screen of one colour",
            Self::Stop { by_qr: true, .. } => "a stop screen, told by its QR code",
            Self::Stop { by_qr: false, .. } => "a stop screen, told by its sad face",
            Self::OldStop => "a stop screen of Windows 7 or older, told by its two colours",
            Self::BlueText => "text on a blue screen: a stop screen, or the recovery environment",
            Self::BootManager => "a black screen between two bars: the boot manager",
            Self::CentredText => {
                "text in the middle of a black screen: an update, or a stop screen of Windows 11 24H2 or newer"
            }
            Self::Photograph => "a picture that fills the screen: the lock screen or the sign-in screen",
            Self::Other => "a screen that says nothing by its looks",
        }
    }
}

/// Looks at a picture.
pub fn look(picture: &Picture) -> Look {
    let (width, height) = (picture.width(), picture.height());
    if width * height > LARGEST || width < 160 || height < 120 {
        return Look::Other;
    }
    let ground = Ground::of(picture);
    if is_photograph(picture, &ground) {
        return Look::Photograph;
    }
    if ground.share < 0.5 {
        return Look::Other;
    }
    let ink = Ink::of(picture, ground.colour);
    let marks = ink.count();
    if marks * 20_000 < width * height {
        return Look::Blank;
    }
    if let Some(found) = qr::stop(picture) {
        return Look::Stop { code: found.code, by_qr: true };
    }
    if face::is_there(&ink, width, height) {
        return Look::Stop { code: None, by_qr: false };
    }
    let lines = ink.lines();
    if is_old_stop(picture, &ground, &lines) {
        Look::OldStop
    } else if is_blue(ground.colour) && ground.share > 0.75 && is_page(&lines, width, height) {
        Look::BlueText
    } else if is_black(ground.colour) && is_between_bars(picture, &lines) {
        Look::BootManager
    } else if is_black(ground.colour) && ground.share > 0.9 && is_centred(&lines, width, height) {
        Look::CentredText
    } else {
        Look::Other
    }
}

/// Many colours in nearly every place, none of them everywhere.
fn is_photograph(picture: &Picture, ground: &Ground) -> bool {
    const GRID: (usize, usize) = (8, 6);
    ground.share < 0.15 && ground.colours >= 400 && Ground::rich_tiles(picture, GRID, 6) >= 44
}

/// Of the stop screens of 8 and later, in all their shades.
fn is_blue([red, green, blue]: [u8; 3]) -> bool {
    let (red, green, blue) = (u32::from(red), u32::from(green), u32::from(blue));
    blue >= 100 && red * 4 <= blue && green * 100 <= blue * 72
}

fn is_black(colour: [u8; 3]) -> bool {
    colour.iter().all(|channel| *channel <= 16)
}

/// Light and without much of a colour.
fn is_grey(colour: [u8; 3]) -> bool {
    let (least, most) = (colour.iter().min().copied().unwrap_or(0), colour.iter().max().copied().unwrap_or(0));
    least >= 120 && most - least <= 24
}

/// A blue without red and green, letters of one white or grey, several lines that begin at the left.
fn is_old_stop(picture: &Picture, ground: &Ground, lines: &[Line]) -> bool {
    let [red, green, blue] = ground.colour;
    let pure = red <= 8 && green <= 8 && (112..=200).contains(&blue);
    let left = |line: &&Line| line.left * 100 <= picture.width() * 4;
    let Some(letters) = picture.colours().find(|colour| *colour != ground.colour).filter(|colour| is_grey(*colour))
    else {
        return false;
    };
    let two = || picture.colours().all(|colour| colour == ground.colour || colour == letters);
    pure && ground.share > 0.7 && lines.iter().filter(left).count() >= 6 && two()
}

/// A heading in the upper part, away from the edge, nothing left of it, and another line below it that begins at the same place.
fn is_page(lines: &[Line], width: usize, height: usize) -> bool {
    let Some(heading) = lines.first() else { return false };
    let inside = (width * 4 / 100..=width / 5).contains(&heading.left)
        && (height * 6 / 100..=height * 2 / 5).contains(&heading.top);
    let near = width * 15 / 1000;
    let outside = lines.iter().any(|line| line.left + near < heading.left);
    let same = lines.iter().filter(|line| line.left.abs_diff(heading.left) <= near).count();
    inside && !outside && (2..=40).contains(&same) && lines.len() <= 40
}

/// One at the top, one at the bottom, of one width, light and filled.
fn is_between_bars(picture: &Picture, lines: &[Line]) -> bool {
    let (Some(top), Some(bottom)) = (lines.first(), lines.last()) else { return false };
    let (width, height) = (picture.width(), picture.height());
    let wide = (top.right - top.left) * 10 >= width * 6 && top.left == bottom.left && top.right == bottom.right;
    let thin = |line: &Line| (height / 100..=height * 8 / 100).contains(&(line.bottom - line.top));
    let filled = |line: &Line| {
        let inside = (line.top..line.bottom).flat_map(|y| (line.left..line.right).map(move |x| picture.at(x, y)));
        let all = (line.bottom - line.top) * (line.right - line.left);
        inside.filter(|colour| is_grey(*colour)).count() * 10 >= all * 6
    };
    let apart = top.bottom * 10 <= height * 2 && bottom.top * 10 >= height * 8;
    wide && apart && thin(top) && thin(bottom) && filled(top) && filled(bottom) && lines.len() > 3
}

/// Every line is centred and no higher than text is, one in the middle half is as wide as a sentence.
fn is_centred(lines: &[Line], width: usize, height: usize) -> bool {
    let centred = |line: &Line| (line.left + line.right).abs_diff(width) * 100 <= width * 6;
    let low = |line: &Line| (line.bottom - line.top) * 100 <= height * 8;
    let sentence =
        |line: &Line| (height / 4..height * 3 / 4).contains(&line.top) && (line.right - line.left) * 5 >= width;
    (2..=20).contains(&lines.len()) && lines.iter().all(|line| centred(line) && low(line)) && lines.iter().any(sentence)
}

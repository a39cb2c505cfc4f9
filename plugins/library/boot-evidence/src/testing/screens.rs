//! The screens. What is known of the real ones is their colours and where things stand; the letters are signs.

use super::canvas::{Canvas, Colour};
use crate::picture::Picture;

const WHITE: Colour = [255, 255, 255];
const GREY: Colour = [170, 170, 170];
const BLACK: Colour = [0, 0, 0];
const BLUE_10: Colour = [0, 120, 215];
const BLUE_8: Colour = [16, 113, 170];
const BLUE_7: Colour = [0, 0, 130];

/// A screen that can be painted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Screen {
    /// A stop screen of 10 and 11: sad face, text, and a QR code with this text.
    Stop10(&'static str),
    /// A stop screen of 8: sad face and text.
    Stop8,
    /// A stop screen of a server: text alone.
    StopServer,
    /// A stop screen of 11 from 24H2 on: text in the middle of a black screen.
    Stop24H2,
    /// A stop screen of 7 and older.
    Stop7,
    /// Heading, text and keys on blue.
    Recovery,
    /// The boot manager's error on a UEFI.
    BootManager,
    /// A lock screen with a photograph.
    LockScreen,
    /// The console of a Linux.
    Console,
    /// A screen of one colour.
    Plain(Colour),
    /// A setup program: a window on plain ground.
    Setup,
    /// A desktop with a plain blue ground.
    Desktop,
    /// A logo above a ring of dots.
    Spinner,
    /// A QR code that is no stop screen's.
    OtherQr,
}

/// Paints it; `soft`: with the soft edges of letters that were smoothed.
pub fn paint(screen: Screen, width: usize, height: usize, soft: bool) -> Picture {
    let scale = if soft { 2 } else { 1 };
    let (w, h) = (width * scale, height * scale);
    let mut canvas = Canvas::new(w, h, ground(screen));
    match screen {
        Screen::Stop10(qr) => {
            canvas.face(w / 10, h / 10, h / 6, WHITE);
            page(&mut canvas, w / 10, h / 3);
            let module = (h / 250).max(2).next_multiple_of(scale);
            let side = canvas.qr(w / 10, h * 2 / 3, module, qr, BLUE_10, WHITE);
            canvas.text(w / 10 + side + w / 50, h * 2 / 3, (h / 50).max(5), 40, WHITE);
        }
        Screen::Stop8 => {
            canvas.face(w / 8, h / 6, h / 6, WHITE);
            page(&mut canvas, w / 8, h * 2 / 5);
        }
        Screen::StopServer => page(&mut canvas, w / 8, h / 5),
        Screen::Stop24H2 => {
            canvas.centred(h * 45 / 100, h / 30, 40, WHITE);
            canvas.centred(h * 55 / 100, h / 40, 12, WHITE);
            canvas.centred(h * 9 / 10, h / 50, 30, WHITE);
        }
        Screen::Stop7 => {
            for line in 0..16 {
                canvas.text(w / 100, h / 20 + line * h / 18, (h / 40).max(6), 30 + line, WHITE);
            }
        }
        Screen::Recovery => {
            canvas.text(w / 8, h / 8, h / 18, 8, WHITE);
            page(&mut canvas, w / 8, h / 4);
            canvas.rectangle(w * 6 / 10, h * 8 / 10, w / 8, h / 20, [255, 255, 255]);
            canvas.rectangle(w * 8 / 10, h * 8 / 10, w / 8, h / 20, [255, 255, 255]);
        }
        Screen::BootManager => {
            canvas.rectangle(0, 0, w, h / 30, GREY);
            canvas.centred(h / 120, h / 60, 20, BLACK);
            for line in 0..10 {
                canvas.text(w / 20, h / 8 + line * h / 15, (h / 50).max(5), 40, GREY);
            }
            canvas.rectangle(0, h - h / 30, w, h / 30, GREY);
        }
        Screen::LockScreen => {
            photograph(&mut canvas);
            canvas.text(w / 20, h * 7 / 10, h / 8, 5, WHITE);
        }
        Screen::Console => {
            for line in 0..24 {
                let signs = 10 + (canvas.random() % 60) as usize;
                canvas.text(0, line * h / 25 + h / 100, (h / 40).max(5), signs, GREY);
            }
        }
        Screen::Plain(_) => {}
        Screen::Setup => {
            canvas.rectangle(w / 4, h / 4, w / 2, h / 2, [240, 240, 240]);
            canvas.text(w * 3 / 10, h * 3 / 10, h / 30, 20, [30, 30, 120]);
            canvas.text(w * 3 / 10, h * 4 / 10, h / 45, 30, BLACK);
        }
        Screen::Desktop => {
            for icon in 0..5 {
                let (top, side) = (h / 40 + icon * h / 9, h / 18);
                for (index, colour) in [[250, 200, 60], [40, 160, 80], [200, 60, 50]].into_iter().enumerate() {
                    canvas.rectangle(w / 60, top + index * side / 3, side, side / 3, colour);
                }
                canvas.text(w / 90, top + side + h / 150, (h / 80).max(4), 9, WHITE);
            }
            canvas.rectangle(0, h - h / 25, w, h / 25, [16, 20, 32]);
        }
        Screen::Spinner => {
            let side = h / 12;
            for (x, y) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
                let (left, top) = (w / 2 + x * (side + side / 20), h / 4 + y * (side + side / 20));
                canvas.rectangle(left - side, top, side, side, [0, 164, 239]);
            }
            for dot in 0..6 {
                let angle = f64::from(dot) * 0.7;
                let at = |middle: usize, part: f64| (middle as f64 + part * h as f64 / 25.0) as usize;
                canvas.disc((at(w / 2, angle.cos()), at(h * 3 / 4, angle.sin())), (h / 150).max(1), WHITE);
            }
        }
        Screen::OtherQr => {
            let module = (h / 150).max(2).next_multiple_of(scale);
            canvas.qr(w / 3, h / 3, module, "https://example.org/stopcode", BLACK, WHITE);
        }
    }
    canvas.picture(soft)
}

fn ground(screen: Screen) -> Colour {
    match screen {
        Screen::Stop10(_) | Screen::StopServer | Screen::Recovery => BLUE_10,
        Screen::Stop8 => BLUE_8,
        Screen::Stop7 => BLUE_7,
        Screen::Plain(colour) => colour,
        Screen::Setup => [24, 0, 82],
        Screen::Desktop => [0, 99, 177],
        Screen::OtherQr => [0, 60, 120],
        _ => BLACK,
    }
}

/// Lines of text that begin at the left.
fn page(canvas: &mut Canvas, left: usize, top: usize) {
    let height = (canvas.height / 28).max(6);
    for (line, signs) in [38, 34, 20].into_iter().enumerate() {
        canvas.text(left, top + line * height * 3 / 2, height, signs, WHITE);
    }
    canvas.text(left, top + height * 6, height, 12, WHITE);
}

/// Sky, hills and grain: many colours in every place.
fn photograph(canvas: &mut Canvas) {
    let (w, h) = (canvas.width, canvas.height);
    for y in 0..h {
        for x in 0..w {
            let grain = (canvas.random() % 24) as usize;
            let hill = h * (4 + x * 7 / w % 3) / 10;
            let colour = if y < hill {
                [40 + y * 120 / h, 90 + x * 90 / w, 140 + y * 90 / h]
            } else {
                [30 + x * 80 / w, 60 + y * 110 / h, 20 + x * 50 / w]
            };
            canvas.dot(x, y, colour.map(|channel| (channel + grain).min(255) as u8));
        }
    }
}

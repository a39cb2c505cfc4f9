//! The large `:(` of stop screens, by its shape: two dots above each other, and right of them an arc that bulges to the left.

use super::ink::{Ink, Part};

/// Where it stands: this part of the width and of the height, from the top left.
const REGION: (f64, f64) = (0.45, 0.6);
/// The arc is at least this part of the screen's height; letters are smaller.
const SMALLEST: f64 = 0.05;

/// Whether the screen shows one.
pub fn is_there(ink: &Ink, width: usize, height: usize) -> bool {
    let region = |side: usize, part: f64| (side as f64 * part) as usize;
    let parts = ink.parts(region(width, REGION.0), region(height, REGION.1));
    let arcs = parts.iter().filter(|part| part.height() as f64 >= height as f64 * SMALLEST && is_arc(ink, part));
    let mut found = arcs.filter(|arc| {
        let dots: Vec<&Part> = parts.iter().filter(|part| is_dot(part, arc)).collect();
        let [upper, lower] = dots[..] else { return false };
        is_colon(upper, lower, arc)
    });
    found.next().is_some()
}

/// Higher than wide, thin, and its middle is left of its ends.
fn is_arc(ink: &Ink, part: &Part) -> bool {
    let (width, height) = (part.width(), part.height());
    let slender = height * 10 >= width * 18 && height <= width * 7;
    let thin = part.count * 100 <= width * height * 65;
    if !slender || !thin {
        return false;
    }
    let mean = |rows: std::ops::Range<usize>| {
        let inside = rows.flat_map(|y| (part.left..part.right).filter(move |x| ink.is(*x, y)));
        let (sum, count) = inside.fold((0, 0), |(sum, count), x| (sum + x - part.left, count + 1));
        sum as f64 / f64::from(count.max(1))
    };
    let fifth = (height / 5).max(1);
    let middle = mean(part.top + height * 2 / 5..part.top + height * 3 / 5);
    let ends = mean(part.top..part.top + fifth).min(mean(part.bottom - fifth..part.bottom));
    // Both ends are further right, by a part of the width that no slanted stroke reaches at both.
    ends - middle >= width as f64 * 0.15
}

/// About as wide as high, filled, left of the arc and much smaller.
fn is_dot(part: &Part, arc: &Part) -> bool {
    let (width, height) = (part.width(), part.height());
    let even = width * 10 <= height * 17 && height * 10 <= width * 17;
    let small = height * 20 >= arc.height() && height * 3 <= arc.height();
    let filled = part.count * 10 >= width * height * 6;
    let beside = part.right <= arc.left && arc.left - part.right <= arc.height();
    let between = part.top + arc.height() / 10 >= arc.top && part.bottom <= arc.bottom + arc.height() / 10;
    even && small && filled && beside && between
}

/// Above each other, of one size, with room between.
fn is_colon(upper: &Part, lower: &Part, arc: &Part) -> bool {
    let (upper, lower) = if upper.top <= lower.top { (upper, lower) } else { (lower, upper) };
    let aligned = (upper.left + upper.right).abs_diff(lower.left + lower.right) <= upper.width().max(lower.width());
    let same = upper.count * 10 <= lower.count * 16 && lower.count * 10 <= upper.count * 16;
    let room = lower.top >= upper.bottom && (lower.top - upper.bottom) * 10 >= arc.height();
    aligned && same && room
}

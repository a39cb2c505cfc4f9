//! A picture as ground and ink: the colour that most of it has, and what differs from that, in lines and parts.

use crate::picture::Picture;

/// Colours are told apart by their highest five bits each.
const BINS: usize = 1 << 15;
/// A colour of fewer pixels is the edge of a letter.
const FEW: u32 = 4;
/// What differs by less than this (the sum of three channels) belongs to the ground.
const DIFFERENCE: u32 = 120;
/// A picture of more parts than this is no screen with a few signs on it.
const MOST_PARTS: usize = 4096;

/// The colours of a picture.
#[derive(Debug, Clone, Copy)]
pub struct Ground {
    /// The most frequent one: red, green, blue.
    pub colour: [u8; 3],
    /// The part of the picture that has it, from 0 to 1.
    pub share: f64,
    /// How many different ones there are.
    pub colours: usize,
}

fn bin([red, green, blue]: [u8; 3]) -> usize {
    (usize::from(red >> 3) << 10) | (usize::from(green >> 3) << 5) | usize::from(blue >> 3)
}

impl Ground {
    /// Counts the colours.
    pub fn of(picture: &Picture) -> Self {
        let mut bins = vec![0u32; BINS];
        picture.colours().for_each(|colour| bins[bin(colour)] += 1);
        let (most, count) = bins.iter().enumerate().max_by_key(|(_, count)| **count).unwrap_or((0, &0));
        let colour = picture.colours().find(|colour| bin(*colour) == most).unwrap_or_default();
        let all = (picture.width() * picture.height()) as f64;
        Self { colour, share: f64::from(*count) / all, colours: bins.iter().filter(|count| **count >= FEW).count() }
    }

    /// How many tiles of a grid of this many columns and rows have at least `least` colours.
    pub fn rich_tiles(picture: &Picture, (columns, rows): (usize, usize), least: usize) -> usize {
        let (width, height) = (picture.width() / columns, picture.height() / rows);
        let mut tiles = 0;
        for tile in 0..columns * rows {
            let (left, top) = (tile % columns * width, tile / columns * height);
            let mut seen = std::collections::BTreeSet::new();
            'tile: for y in top..top + height {
                for x in left..left + width {
                    seen.insert(bin(picture.at(x, y)));
                    if seen.len() >= least {
                        tiles += 1;
                        break 'tile;
                    }
                }
            }
        }
        tiles
    }
}

/// What differs from the ground.
pub struct Ink {
    width: usize,
    height: usize,
    marks: Vec<bool>,
}

/// Rows that follow each other and all have ink: a line of text, usually. In pixels; right and bottom are outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    pub left: usize,
    pub top: usize,
    pub right: usize,
    pub bottom: usize,
}

/// Ink that touches itself. In pixels; right and bottom are outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    pub left: usize,
    pub top: usize,
    pub right: usize,
    pub bottom: usize,
    /// Pixels of it.
    pub count: usize,
}

impl Part {
    pub fn width(&self) -> usize {
        self.right - self.left
    }

    pub fn height(&self) -> usize {
        self.bottom - self.top
    }
}

impl Ink {
    /// Takes the ground away.
    pub fn of(picture: &Picture, ground: [u8; 3]) -> Self {
        let differs = |colour: [u8; 3]| {
            let sum: u32 = colour.iter().zip(ground).map(|(one, other)| u32::from(one.abs_diff(other))).sum();
            sum >= DIFFERENCE
        };
        Self { width: picture.width(), height: picture.height(), marks: picture.colours().map(differs).collect() }
    }

    /// Whether a pixel is ink.
    pub fn is(&self, x: usize, y: usize) -> bool {
        self.marks[y * self.width + x]
    }

    /// How many pixels are.
    pub fn count(&self) -> usize {
        self.marks.iter().filter(|mark| **mark).count()
    }

    /// Its lines, from the top.
    pub fn lines(&self) -> Vec<Line> {
        let mut lines: Vec<Line> = Vec::new();
        for y in 0..self.height {
            let row = &self.marks[y * self.width..(y + 1) * self.width];
            let Some(left) = row.iter().position(|mark| *mark) else { continue };
            let right = row.iter().rposition(|mark| *mark).unwrap_or(left) + 1;
            match lines.last_mut().filter(|line| line.bottom == y) {
                Some(line) => {
                    (line.left, line.right) = (line.left.min(left), line.right.max(right));
                    line.bottom = y + 1;
                }
                None => lines.push(Line { left, top: y, right, bottom: y + 1 }),
            }
        }
        lines
    }

    /// Its parts inside of a region of this width and height at the top left; none when they are too many. Parts that reach over the
    /// region's edge are cut.
    pub fn parts(&self, width: usize, height: usize) -> Vec<Part> {
        let (width, height) = (width.min(self.width), height.min(self.height));
        let mut seen = vec![false; width * height];
        let mut parts = Vec::new();
        let mut waiting = Vec::new();
        for start in 0..width * height {
            let (x, y) = (start % width, start / width);
            if seen[start] || !self.is(x, y) {
                continue;
            }
            let mut part = Part { left: x, top: y, right: x + 1, bottom: y + 1, count: 0 };
            seen[start] = true;
            waiting.push((x, y));
            while let Some((x, y)) = waiting.pop() {
                part.count += 1;
                (part.left, part.right) = (part.left.min(x), part.right.max(x + 1));
                (part.top, part.bottom) = (part.top.min(y), part.bottom.max(y + 1));
                for near_y in y.saturating_sub(1)..(y + 2).min(height) {
                    for near_x in x.saturating_sub(1)..(x + 2).min(width) {
                        let near = near_y * width + near_x;
                        if !seen[near] && self.is(near_x, near_y) {
                            seen[near] = true;
                            waiting.push((near_x, near_y));
                        }
                    }
                }
            }
            parts.push(part);
            if parts.len() > MOST_PARTS {
                return Vec::new();
            }
        }
        parts
    }
}

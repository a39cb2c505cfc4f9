//! Paints rectangles, arcs, QR codes, and signs that stand for letters: no font is drawn, and none is recognised either.

use qrcode::{Color, EcLevel, QrCode};

use crate::picture::Picture;

/// Red, green, blue.
pub type Colour = [u8; 3];

/// A picture that is being painted. Places and sizes are in its own pixels.
pub struct Canvas {
    pub width: usize,
    pub height: usize,
    pixels: Vec<Colour>,
    seed: u32,
}

impl Canvas {
    pub fn new(width: usize, height: usize, ground: Colour) -> Self {
        Self { width, height, pixels: vec![ground; width * height], seed: 1 }
    }

    pub fn dot(&mut self, x: usize, y: usize, colour: Colour) {
        if x < self.width && y < self.height {
            self.pixels[y * self.width + x] = colour;
        }
    }

    pub fn rectangle(&mut self, left: usize, top: usize, width: usize, height: usize, colour: Colour) {
        for y in top..top + height {
            (left..left + width).for_each(|x| self.dot(x, y, colour));
        }
    }

    pub fn disc(&mut self, middle: (usize, usize), radius: usize, colour: Colour) {
        for y in middle.1.saturating_sub(radius)..=middle.1 + radius {
            for x in middle.0.saturating_sub(radius)..=middle.0 + radius {
                if x.abs_diff(middle.0).pow(2) + y.abs_diff(middle.1).pow(2) <= radius * radius {
                    self.dot(x, y, colour);
                }
            }
        }
    }

    /// `:(`, `height` high from the top of its arc to the bottom.
    pub fn face(&mut self, left: usize, top: usize, height: usize, colour: Colour) {
        let (stroke, dot) = ((height / 11).max(1), (height / 7).max(2));
        self.rectangle(left, top + height / 4, dot, dot, colour);
        self.rectangle(left, top + height * 2 / 3, dot, dot, colour);
        // A part of a circle that bulges to the left.
        let radius = height as f64 * 0.65;
        let (x, y) = ((left + dot + height / 3) as f64 + radius, top as f64 + height as f64 / 2.0);
        for step in -500..=500 {
            let angle = f64::from(step) / 500.0 * 0.88;
            let at = |value: f64| value.max(0.0) as usize;
            self.rectangle(at(x - radius * angle.cos()), at(y + radius * angle.sin()), stroke, stroke, colour);
        }
    }

    /// A line of signs that look like text of this height.
    pub fn text(&mut self, left: usize, top: usize, height: usize, signs: usize, colour: Colour) {
        let (advance, stroke) = ((height * 3 / 5).max(3), (height / 9).max(1));
        for sign in 0..signs {
            let (x, wide) = (left + sign * advance, (advance * 7 / 10).max(2));
            let bits = self.random() | 0b1_0001;
            // Words have a gap between them.
            if sign % 7 == 6 {
                continue;
            }
            for (bit, at) in [(1, 0), (2, wide - 1)] {
                if bits & bit != 0 {
                    self.rectangle(x + at, top, stroke, height, colour);
                }
            }
            for (bit, at) in [(4, 0), (8, height / 2), (16, height - stroke)] {
                if bits & bit != 0 {
                    self.rectangle(x, top + at, wide, stroke, colour);
                }
            }
        }
    }

    /// As [`Canvas::text`], in the middle.
    pub fn centred(&mut self, top: usize, height: usize, signs: usize, colour: Colour) {
        let advance = (height * 3 / 5).max(3);
        self.text(self.width.saturating_sub(signs * advance) / 2, top, height, signs, colour);
    }

    /// A QR code with `module` pixels for each square and a border of its light colour; how wide it is.
    pub fn qr(&mut self, left: usize, top: usize, module: usize, text: &str, dark: Colour, light: Colour) -> usize {
        let code = QrCode::with_error_correction_level(text, EcLevel::L).expect("a short text");
        let side = code.width();
        self.rectangle(left, top, (side + 8) * module, (side + 8) * module, light);
        for (index, colour) in code.to_colors().into_iter().enumerate() {
            if colour == Color::Dark {
                let (x, y) = (left + (index % side + 4) * module, top + (index / side + 4) * module);
                self.rectangle(x, y, module, module, dark);
            }
        }
        (side + 8) * module
    }

    /// The same numbers each time.
    pub fn random(&mut self) -> u32 {
        self.seed = self.seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.seed >> 8
    }

    /// The picture; `halved`: two by two pixels become one, and edges soft.
    pub fn picture(&self, halved: bool) -> Picture {
        let step = if halved { 2 } else { 1 };
        let (width, height) = (self.width / step, self.height / step);
        let mut bytes = Vec::with_capacity(width * height * 3);
        for y in 0..height {
            for x in 0..width {
                for channel in 0..3 {
                    let at = |over: usize| {
                        usize::from(
                            self.pixels[(y * step + over / step) * self.width + x * step + over % step][channel],
                        )
                    };
                    bytes.push(((0..step * step).map(at).sum::<usize>() / (step * step)) as u8);
                }
            }
        }
        Picture::new(width as u32, height as u32, bytes).expect("as many bytes as pixels")
    }
}

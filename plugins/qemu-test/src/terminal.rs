//! Turns the bytes of a serial console into lines of plain text.
//!
//! Understands as much of a terminal as is needed to read what a firmware, a bootloader and a kernel print: line ends, carriage
//! return, backspace, colours (dropped), and cursor positions, by which GRUB splits a line into pieces and joins lines into
//! one. Everything is bounded: the guest on the other side is not trusted.

/// A longer line is cut here.
const LONGEST_LINE: usize = 1024;
/// A longer escape sequence is none.
const LONGEST_ESCAPE: usize = 64;

/// Takes bytes in pieces of any size.
#[derive(Debug, Default)]
pub struct Terminal {
    state: State,
    /// The unfinished line, UTF-8 as far as the guest is right about it.
    line: Vec<u8>,
    /// Where in it the next byte goes; a letter of several bytes counts as several columns.
    column: usize,
    /// A carriage return came: what follows overwrites the line, unless it is a line feed.
    returned: bool,
    /// Row of the cursor, known once the guest has positioned it.
    row: Option<u32>,
    escape: Vec<u8>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    Escape,
    /// `ESC [ ...` up to a letter.
    Control,
    /// `ESC ( x` and its like: one byte more.
    One,
    /// `ESC ] ...`, `ESC P ...` up to BEL or `ESC \`.
    String,
}

impl Terminal {
    /// Takes a piece, and gives each line that ended in it to `ended`.
    pub fn feed(&mut self, bytes: &[u8], mut ended: impl FnMut(&str)) {
        for byte in bytes {
            self.take(*byte, &mut ended);
        }
    }

    /// The line that has not ended: a prompt, usually.
    pub fn unfinished(&self) -> String {
        text(&self.line)
    }

    fn take(&mut self, byte: u8, ended: &mut impl FnMut(&str)) {
        match self.state {
            State::Text => self.plain(byte, ended),
            State::Escape => {
                self.state = match byte {
                    b'[' => State::Control,
                    b']' | b'P' | b'X' | b'^' | b'_' => State::String,
                    b' '..=b'/' => State::One,
                    _ => State::Text,
                };
            }
            State::One => self.state = State::Text,
            State::Control => match byte {
                b'@'..=b'~' => {
                    self.state = State::Text;
                    self.control(byte, ended);
                }
                b' '..=b'?' if self.escape.len() < LONGEST_ESCAPE => self.escape.push(byte),
                _ => self.state = State::Text,
            },
            State::String => match byte {
                0x07 => self.state = State::Text,
                0x1b => self.state = State::Escape,
                _ if self.escape.len() < LONGEST_ESCAPE => self.escape.push(byte),
                _ => self.state = State::Text,
            },
        }
    }

    fn plain(&mut self, byte: u8, ended: &mut impl FnMut(&str)) {
        match byte {
            0x1b => {
                self.state = State::Escape;
                self.escape.clear();
            }
            b'\n' => {
                self.end(ended);
                self.row = self.row.map(|row| row.saturating_add(1));
            }
            b'\r' => self.returned = true,
            0x08 => self.column = self.column.saturating_sub(1),
            b'\t' => self.push(b' '),
            b' '..=b'~' | 0x80.. => self.push(byte),
            _ => {}
        }
    }

    fn push(&mut self, byte: u8) {
        if self.returned {
            self.returned = false;
            self.column = 0;
            self.line.clear();
        }
        if self.column < LONGEST_LINE {
            if self.column >= self.line.len() {
                self.line.resize(self.column + 1, b' ');
            }
            self.line[self.column] = byte;
            self.column += 1;
        }
    }

    fn end(&mut self, ended: &mut impl FnMut(&str)) {
        self.returned = false;
        self.column = 0;
        if !self.line.is_empty() {
            ended(&text(&self.line));
            self.line.clear();
        }
    }

    /// ECMA-48 control sequences that move the cursor or erase; the others are colours and modes.
    fn control(&mut self, letter: u8, ended: &mut impl FnMut(&str)) {
        let mut numbers = self
            .escape
            .split(|byte| *byte == b';')
            .map(|part| std::str::from_utf8(part).ok().and_then(|part| part.parse::<u32>().ok()).unwrap_or(1));
        match letter {
            b'H' | b'f' => {
                let row = numbers.next().unwrap_or(1);
                let column = numbers.next().unwrap_or(1).saturating_sub(1) as usize;
                if self.row != Some(row) {
                    self.end(ended);
                    self.row = Some(row);
                }
                // No terminal is this wide: a position to be clamped, used to ask how wide one is.
                self.column = if column < LONGEST_LINE / 2 { column } else { 0 };
            }
            b'C' => self.column += 1,
            b'K' if !self.returned => self.line.truncate(self.column),
            b'A' | b'B' | b'E' | b'F' | b'd' => {
                self.end(ended);
                self.row = None;
            }
            b'J' => self.end(ended),
            _ => {}
        }
    }
}

fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> (Vec<String>, String) {
        let mut whole = (Vec::new(), String::new());
        for piece in [1, 3, bytes.len().max(1)] {
            let (mut terminal, mut lines) = (Terminal::default(), Vec::new());
            for part in bytes.chunks(piece) {
                terminal.feed(part, |line| lines.push(line.to_owned()));
            }
            let read = (lines, terminal.unfinished());
            assert!(piece == 1 || whole == read, "pieces of {piece} differ: {whole:?} {read:?}");
            whole = read;
        }
        whole
    }

    #[test]
    fn lines_end_and_prompts_do_not() {
        let (lines, prompt) = read(b"Debian GNU/Linux 12 web ttyS0\r\n\r\nweb login: ");
        assert_eq!(lines, ["Debian GNU/Linux 12 web ttyS0"]);
        assert_eq!(prompt, "web login: ");
    }

    #[test]
    fn colours_charsets_and_titles_are_dropped() {
        let (lines, _) = read(b"[\x1b[0;32m  OK  \x1b[0m] \x1b]0;title\x07Reached\x1b(B target \xc3\xbc\x1b[K\n");
        assert_eq!(lines, ["[  OK  ] Reached target \u{fc}"]);
    }

    #[test]
    fn a_carriage_return_overwrites() {
        let (lines, rest) = read(b"10%\r20%\r\r\nnext\x08T");
        assert_eq!(lines, ["20%"]);
        assert_eq!(rest, "nexT");
    }

    #[test]
    fn grub_positions_the_cursor_inside_a_line() {
        let (lines, rest) = read(b"\x1b[03;1HLoading Linux 6.\x1b[03;16H\x1b[03;17H1.0 ...\x1b[05;3Hx\x1b[06;1Hgrub> ");
        assert_eq!(lines, ["Loading Linux 6.1.0 ...", "  x"]);
        assert_eq!(rest, "grub> ");
    }

    #[test]
    fn garbage_is_bounded() {
        let mut terminal = Terminal::default();
        terminal.feed(&vec![b'x'; 1 << 20], |_| {});
        assert_eq!(terminal.unfinished().len(), LONGEST_LINE);
        let (lines, _) = read(b"\x1b]never ending \x1b[99999999999;4294967295H\xff\xfe\n\x1b[5");
        assert_eq!(lines, ["\u{fffd}\u{fffd}"]);
        let mut terminal = Terminal::default();
        let endless: Vec<u8> = b"\x1b]".iter().copied().chain(std::iter::repeat_n(b'y', 500)).collect();
        terminal.feed(&endless, |_| {});
        assert!(!terminal.unfinished().is_empty());
    }
}

//! Turns the bytes of a serial console into lines of plain text.
//!
//! The screen is vt100's: it understands what a firmware, a bootloader and a kernel print. A line is what stands in a row when the cursor
//! leaves it, so that the pieces into which GRUB splits one become one, and lines that it joins become several. Everything is bounded:
//! the guest on the other side is not trusted.

use std::num::NonZeroU16;

use vt100::Parser;

/// As many as any firmware thinks that a terminal has.
const ROWS: NonZeroU16 = NonZeroU16::new(64).unwrap();
/// A longer line continues in another.
const COLUMNS: NonZeroU16 = NonZeroU16::new(1024).unwrap();
const ESCAPE: u8 = 0x1b;
/// Line feed, and what moves the cursor as it does.
const FEEDS: std::ops::RangeInclusive<u8> = b'\n'..=0x0c;

/// Takes bytes in pieces of any size.
pub struct Terminal {
    screen: Parser,
    /// The cursor's row, as it was when the cursor came: what then still stands in it is no new line.
    arrived: Row,
    /// The cursor's row, as it was before what may make the cursor leave it, or erase it.
    before: Option<Row>,
}

#[derive(Debug, Default)]
struct Row {
    number: u16,
    text: String,
}

impl Default for Terminal {
    fn default() -> Self {
        Self { screen: Parser::new(ROWS, COLUMNS, 0), arrived: Row::default(), before: None }
    }
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
        self.row().text
    }

    fn take(&mut self, byte: u8, ended: &mut impl FnMut(&str)) {
        let column = self.column();
        let feeds = FEEDS.contains(&byte);
        if feeds || byte == ESCAPE || column >= COLUMNS.get() {
            self.before = Some(self.row());
        }
        self.screen.process(&[byte]);
        let Some(before) = &self.before else { return };
        let now = self.row();
        let is_wrapped = column >= COLUMNS.get() && self.column() < column && byte >= b' ';
        // Whoever erases a line alone writes it anew: progress, usually.
        let is_erased = now.text.is_empty() && !before.text.is_empty() && byte != b'K';
        if feeds || is_wrapped || is_erased || now.number != before.number {
            if !before.text.is_empty() && (before.number, &before.text) != (self.arrived.number, &self.arrived.text) {
                ended(&before.text);
            }
            if feeds && now.number != before.number {
                // A row further down may have been used before; a console is a stream.
                self.screen.process(b"\x1b[2K");
            }
            self.arrived = self.row();
            self.before = None;
        } else if byte.is_ascii_alphabetic() {
            // With a letter a sequence ends at the latest.
            self.before = None;
        }
    }

    fn column(&self) -> u16 {
        self.screen.screen().cursor_position().1
    }

    /// The row of the cursor.
    fn row(&self) -> Row {
        let screen = self.screen.screen();
        let (number, _) = screen.cursor_position();
        // Up to the beginning of the next row: for a part of one row all rows above would be gone through.
        let mut text = screen.contents_between(number, 0, number + 1, 0);
        text.truncate(text.trim_end_matches('\n').len());
        // No terminal is this wide: that was a position to be clamped, used to ask how wide one is.
        let blank = text.bytes().take_while(|byte| *byte == b' ').count();
        let text = if blank > usize::from(COLUMNS.get()) / 2 { text.trim_start().to_owned() } else { text };
        Row { number, text }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
        let (mut terminal, mut lines) = (Terminal::default(), 0);
        terminal.feed(&vec![b'x'; 1 << 20], |line| {
            assert_eq!(line.len(), 1024);
            lines += 1;
        });
        assert_eq!((lines, terminal.unfinished().len()), (1023, 1024));
        let (lines, _) = read(b"\x1b]never ending \x1b[99999999999;4294967295H\xff\xfe\n\x1b[5");
        assert_eq!(lines, [""; 0]);
        let endless: Vec<u8> = b"\x1b]".iter().copied().chain(std::iter::repeat_n(b'y', 1 << 20)).collect();
        let (lines, rest) = read(&[&endless, &b"\x1b[0mlogin: "[..]].concat());
        assert_eq!((lines.len(), rest.as_str()), (0, "login: "));
    }

    #[test]
    fn a_row_is_a_line_once() {
        // The menu's entry is highlighted and drawn again as it was; then the screen is cleared, and used anew.
        let (lines, rest) =
            read(b"\x1b[2J\x1b[4;2HDebian\x1b[5;2HMemtest\x1b[4;2H\x1b[7mDebian\x1b[0m\x1b[9;1Hwait 5 s\x1b[H\x1b[JLinux\r\n\r\n\r\nup\n");
        assert_eq!(lines, [" Debian", " Memtest", "wait 5 s", "Linux", "up"]);
        assert_eq!(rest, "");
        let (lines, rest) = read(b"old text\x1bcnew\r\n10 of 90\r\x1b[K20\x1b[999;999H\x1b[6nx");
        assert_eq!((lines.as_slice(), rest.as_str()), (&["old text", "new", "20"].map(str::to_owned)[..], "x"));
    }

    proptest! {
        /// Of bytes that are likely to be sequences, too.
        #[test]
        fn no_guest_brings_it_down(bytes in proptest::collection::vec(prop_oneof![any::<u8>(), proptest::sample::select(&b"\x1b[];?0129HJKLMPXACDhlmrc\r\n\t\xe4\xb8\xad\xcc\x81"[..])], 0..2000)) {
            let mut terminal = Terminal::default();
            terminal.feed(&bytes, |line| assert!(line.chars().count() <= 1024 && !line.contains('\n')));
            terminal.feed(b"\x18\x1bc\r\nweb login: ", |_| {});
            prop_assert_eq!(terminal.unfinished(), "web login: ");
        }
    }
}

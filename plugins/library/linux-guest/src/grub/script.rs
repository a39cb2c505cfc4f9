//! A reader of GRUB's script language: simple commands with their words, and the blocks in braces behind them.
//!
//! Format: GRUB manual, "Shell-like scripting". Words, quotes, escapes, variables, comments and braces are read as GRUB reads them; of
//! `if`, `while` and `for` only the commands in them are kept, since what they choose is not known here. Any text can be read.

use std::ops::Range;

/// Deeper blocks are read as if their braces were not there.
const DEEPEST: usize = 64;

/// Words that stand before a command and are none.
const KEYWORDS: [&str; 8] = ["if", "then", "else", "elif", "while", "until", "do", "!"];

/// A simple command, or a block without one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Command {
    /// Its words, the name first; keywords are left out.
    pub words: Vec<Word>,
    /// What stands in braces behind it.
    pub body: Vec<Command>,
}

impl Command {
    /// Its name; empty for a block alone.
    pub fn name(&self) -> String {
        self.words.first().map(Word::literal).unwrap_or_default()
    }
}

/// A word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    /// Where it stands, quotes included.
    pub range: Range<usize>,
    /// What it is made of.
    pub pieces: Vec<Piece>,
}

impl Word {
    /// Its text, with variables as `${NAME}`.
    pub fn literal(&self) -> String {
        self.pieces
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => text.clone(),
                Piece::Variable(name) => format!("${{{name}}}"),
            })
            .collect()
    }
}

/// A part of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Text, quotes and escapes resolved.
    Text(String),
    /// The value of a variable.
    Variable(String),
}

/// The commands of a script.
pub(crate) fn read(text: &str) -> Vec<Command> {
    Reader { text, at: 0, depth: 0 }.list()
}

/// Shows every command, those in blocks behind the one that they belong to.
pub(crate) fn visit<'a>(commands: &'a [Command], see: &mut dyn FnMut(&'a Command)) {
    for command in commands {
        see(command);
        visit(&command.body, see);
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl Reader<'_> {
    /// The commands up to the brace that closes their block.
    fn list(&mut self) -> Vec<Command> {
        let mut out = Vec::new();
        let mut now = Command::default();
        let mut end = |now: &mut Command| {
            let command = std::mem::take(now);
            if !command.words.is_empty() || !command.body.is_empty() {
                out.push(command);
            }
        };
        while let Some(letter) = self.peek() {
            match letter {
                ' ' | '\t' | '\r' => self.at += 1,
                '\n' | ';' | '|' | '&' | '<' | '>' => {
                    self.at += 1;
                    end(&mut now);
                }
                '#' => self.at += self.text[self.at..].find('\n').unwrap_or(self.text.len() - self.at),
                '{' => {
                    self.at += 1;
                    if self.depth < DEEPEST {
                        self.depth += 1;
                        now.body = self.list();
                        self.depth -= 1;
                    }
                    end(&mut now);
                }
                '}' => {
                    self.at += 1;
                    if self.depth > 0 {
                        break;
                    }
                }
                _ => {
                    let Some(word) = self.word() else { continue };
                    if !(now.words.is_empty() && KEYWORDS.contains(&word.literal().as_str())) {
                        now.words.push(word);
                    }
                }
            }
        }
        end(&mut now);
        out
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    /// The word that begins here; `None` where there is only an escaped line end.
    fn word(&mut self) -> Option<Word> {
        let start = self.at;
        let mut pieces = Vec::new();
        let mut text = String::new();
        // Whether anything stands here, be it empty quotes.
        let mut any = false;
        let mut quoted = false;
        while let Some(letter) = self.peek() {
            match letter {
                '"' => {
                    quoted = !quoted;
                    any = true;
                    self.at += 1;
                }
                '\'' if !quoted => {
                    let inner = &self.text[self.at + 1..];
                    // Quotes that nobody closes: GRUB would refuse the script. The line counts.
                    let end = inner.find('\'').or_else(|| inner.find('\n')).unwrap_or(inner.len());
                    text.push_str(&inner[..end]);
                    any = true;
                    self.at += 1 + end + usize::from(inner[end..].starts_with('\''));
                }
                '\\' => {
                    self.at += 1;
                    let Some(next) = self.peek() else { break };
                    self.at += next.len_utf8();
                    match next {
                        '\n' => {}
                        '"' | '$' | '\\' => text.push(next),
                        _ if quoted => text.extend(['\\', next]),
                        _ => text.push(next),
                    }
                    any |= next != '\n';
                }
                '$' => {
                    any = true;
                    match self.variable() {
                        Some(name) => {
                            if !text.is_empty() {
                                pieces.push(Piece::Text(std::mem::take(&mut text)));
                            }
                            pieces.push(Piece::Variable(name));
                        }
                        None => {
                            text.push('$');
                            self.at += 1;
                        }
                    }
                }
                ' ' | '\t' | '\r' | '\n' | ';' | '|' | '&' | '<' | '>' | '{' | '}' if !quoted => break,
                other => {
                    text.push(other);
                    any = true;
                    self.at += other.len_utf8();
                }
            }
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        any.then_some(Word { range: start..self.at, pieces })
    }

    /// The name of the variable that begins here with a dollar; stays where it is when there is none.
    fn variable(&mut self) -> Option<String> {
        let rest = &self.text[self.at + 1..];
        let braced = rest.strip_prefix('{');
        let name = braced.unwrap_or(rest);
        let special = |letter: char| matches!(letter, '?' | '*' | '@' | '#');
        let end = if name.starts_with(special) {
            1
        } else {
            name.find(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_')).unwrap_or(name.len())
        };
        let closed = braced.is_none() || name[end..].starts_with('}');
        if end == 0 || !closed {
            return None;
        }
        self.at += 1 + end + if braced.is_some() { 2 } else { 0 };
        Some(name[..end].to_owned())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The commands, one behind the other: words with bars between them, bodies in braces.
    fn shown(commands: &[Command]) -> String {
        let one = |command: &Command| {
            let words: Vec<String> = command.words.iter().map(Word::literal).collect();
            let body = if command.body.is_empty() { String::new() } else { format!("{{{}}}", shown(&command.body)) };
            format!("{}{body}", words.join("|"))
        };
        commands.iter().map(one).collect::<Vec<_>>().join(" / ")
    }

    #[test]
    fn commands_and_blocks() {
        for (text, want) in [
            ("set timeout=3 # why\n# linux x\nlinux /a root=x#y", "set|timeout=3 / linux|/a|root=x#y"),
            (
                "menuentry \"A b\" --id 'c d' { linux /k root=/dev/sda1 ro; initrd /i }\nset x=1",
                "menuentry|A b|--id|c d{linux|/k|root=/dev/sda1|ro / initrd|/i} / set|x=1",
            ),
            ("submenu 'x' {\n\tmenuentry y {\n\t\tlinux /k\n\t}\n}\n", "submenu|x{menuentry|y{linux|/k}}"),
            (
                "if [ -f /x ]; then linux /a; elif ! y; then linux /b\nelse linux /c; fi",
                "[|-f|/x|] / linux|/a / y / linux|/b / linux|/c / fi",
            ),
            (
                "function load { linux $1 root=$2; }\nload /k /dev/sda1",
                "function|load{linux|${1}|root=${2}} / load|/k|/dev/sda1",
            ),
            ("linux /a \\\n  root=x \\\n", "linux|/a|root=x"),
            ("set a=\"x $b ${c} \\$d \\n\" e=$ f=${", "set|a=x ${b} ${c} $d \\n|e=$|f=$"),
            ("a ''\nb \"open", "a| / b|open"),
            ("a 'open\nb", "a|open / b"),
            ("}}\n} x {{ y } }", "x{{y}}"),
            ("linux /ä root=ü\r\n\\", "linux|/ä|root=ü"),
        ] {
            assert_eq!(shown(&read(text)), want, "{text:?}");
        }
    }

    #[test]
    fn words_stand_where_they_are() {
        let text = "x  'a'\"b\"$c \t{ y z; }";
        let commands = read(text);
        let mut seen = Vec::new();
        visit(&commands, &mut |command| seen.extend(command.words.iter().map(|word| &text[word.range.clone()])));
        assert_eq!(seen, ["x", "'a'\"b\"$c", "y", "z"]);
    }

    #[test]
    fn braces_without_end_are_read() {
        let text = "{".repeat(100_000) + "linux /a" + &"}".repeat(100_000);
        let mut found = 0;
        visit(&read(&text), &mut |command| found += usize::from(command.name() == "linux"));
        assert_eq!(found, 1);
    }

    proptest! {
        #[test]
        fn any_text_is_read_to_its_end(text in "[a-z{};'\"$\\\\ \n#=/ä]{0,80}") {
            visit(&read(&text), &mut |command| {
                command.words.iter().for_each(|word| assert!(text.get(word.range.clone()).is_some_and(|own| !own.is_empty())));
            });
        }
    }
}

//! `TextFile`: a configuration file of the guest, read once, edited as text, and turned into a change.
//!
//! Owns the promise that what is not edited stays byte for byte: line endings, a missing last newline, and files that are not
//! UTF-8 (each byte is then one character, and becomes that byte again). Decides nothing.

use sha2::{Digest, Sha256};
use vmdk2kvm_plugin_api::model::{Action, Change, Content, Finding, FixerPlan, Severity};
use vmdk2kvm_plugin_api::{ErrorKind, Guest, Result};

/// No configuration file of a guest is larger; a larger one is not read.
const LIMIT: u64 = 4 << 20;

/// Reads the file at `path`; `None` when there is nothing, or nothing that can be read, which is a finding.
pub(crate) fn read(guest: &dyn Guest, path: &str, limit: u64, findings: &mut Vec<Finding>) -> Result<Option<Vec<u8>>> {
    match guest.read(path, limit) {
        Err(error) if error.kind == ErrorKind::Unusable => {
            findings.push(
                Finding::new("unreadable-file", Severity::Warn, format!("{path} was not read: {}", error.message))
                    .hint("look at it by hand"),
            );
            Ok(None)
        }
        other => other,
    }
}

/// A text file of the guest.
#[derive(Debug, Clone)]
pub(crate) struct TextFile {
    /// Path in the guest.
    pub path: String,
    /// Its text.
    pub text: String,
    latin1: bool,
    sha256: String,
}

impl TextFile {
    /// Reads `path`; `None` when there is nothing. What is there but cannot be read as a file (a folder, a FIFO, far too
    /// large) is a finding, not an error: one odd file must not hide the others.
    pub fn read(guest: &dyn Guest, path: &str, findings: &mut Vec<Finding>) -> Result<Option<Self>> {
        Ok(read(guest, path, LIMIT, findings)?.map(|bytes| Self::from_bytes(path, bytes)))
    }

    /// Wraps bytes that were read from `path`.
    pub fn from_bytes(path: &str, bytes: Vec<u8>) -> Self {
        let sha256 = sha256_hex(&bytes);
        let (text, latin1) = match String::from_utf8(bytes) {
            Ok(text) => (text, false),
            Err(error) => (error.as_bytes().iter().copied().map(char::from).collect(), true),
        };
        Self { path: path.to_owned(), text, latin1, sha256 }
    }

    /// The change that gives the file this text; `None` when it has it already.
    pub fn rewrite(&self, text: &str, why: Why<'_>) -> Option<Change> {
        if text == self.text {
            return None;
        }
        let bytes = if self.latin1 {
            // What an edit inserts is ASCII; a character past U+00FF cannot come from the file.
            text.chars().map(|letter| u8::try_from(u32::from(letter)).unwrap_or(b'?')).collect()
        } else {
            text.as_bytes().to_vec()
        };
        let action = Action::WriteFile {
            content: Content::from_bytes(bytes),
            mode: None,
            old_sha256: Some(self.sha256.clone()),
        };
        Some(why.change(action, &self.path))
    }

    /// The change that removes the file.
    pub fn remove(&self, why: Why<'_>) -> Change {
        why.change(Action::Remove { old_sha256: Some(self.sha256.clone()) }, &self.path)
    }

    /// The file's lines, each with its ending.
    pub fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        lines(&self.text)
    }
}

/// The change that makes a file that is not there yet.
pub(crate) fn create(path: &str, text: &str, why: Why<'_>) -> Change {
    why.change(Action::WriteFile { content: Content::Text(text.to_owned()), mode: None, old_sha256: None }, path)
}

/// Plans what `edit` makes of the file's text, of no text where there is no file. What is there and cannot be read is a finding,
/// and stays.
pub(crate) fn put(
    guest: &dyn Guest,
    path: &str,
    why: Why<'_>,
    plan: &mut FixerPlan,
    edit: impl FnOnce(&str) -> String,
) -> Result<()> {
    let before = plan.findings.len();
    match TextFile::read(guest, path, &mut plan.findings)? {
        Some(file) => plan.changes.extend(file.rewrite(&edit(&file.text), why)),
        None if plan.findings.len() == before => {
            plan.changes.extend(Some(edit("")).filter(|text| !text.is_empty()).map(|text| create(path, &text, why)));
        }
        None => {}
    }
    Ok(())
}

/// What a change says about itself to people.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Why<'a> {
    /// One line: what.
    pub summary: &'a str,
    /// One line: why.
    pub reason: &'a str,
    /// Whether the guest fails to boot or loses its network without it.
    pub critical: bool,
}

impl Why<'_> {
    /// A change of this action on `target`.
    pub fn change(self, action: Action, target: &str) -> Change {
        Change::new(action, target.to_owned(), self.summary.to_owned(), self.reason.to_owned())
            .with(|it| it.critical = self.critical)
    }
}

/// A line and its ending (`\n`, `\r\n`, or nothing at the end of the file).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    /// The line without its ending.
    pub body: &'a str,
    /// The ending.
    pub ending: &'a str,
}

/// The lines of a text; put together again they are the text.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    text.split_inclusive('\n').map(|line| {
        let body = line.strip_suffix('\n').map_or(line, |body| body.strip_suffix('\r').unwrap_or(body));
        Line { body, ending: &line[body.len()..] }
    })
}

/// The text with each line replaced by what `edit` makes of it; endings stay.
pub(crate) fn map_lines(text: &str, mut edit: impl FnMut(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len() + 64);
    for line in lines(text) {
        match edit(line.body) {
            Some(new) => out.push_str(&new),
            None => out.push_str(line.body),
        }
        out.push_str(line.ending);
    }
    out
}

/// The text with these lines behind it, ended as the text's own are.
pub(crate) fn with_lines<'a>(text: &str, more: impl IntoIterator<Item = &'a str>) -> String {
    let ending = lines(text).next().map_or("\n", |first| first.ending).to_owned();
    let ending = if ending.is_empty() { "\n" } else { ending.as_str() };
    let mut out = text.to_owned();
    for line in more {
        if !out.is_empty() && !out.ends_with('\n') {
            out.push_str(ending);
        }
        out.push_str(line);
        out.push_str(ending);
    }
    out
}

/// Where the words of a line are: byte ranges of what whitespace separates.
pub(crate) fn words(line: &str) -> Vec<std::ops::Range<usize>> {
    let mut out = Vec::new();
    let mut start = None;
    for (at, letter) in line.char_indices() {
        match (letter.is_ascii_whitespace(), start) {
            (false, None) => start = Some(at),
            (true, Some(from)) => {
                out.push(from..at);
                start = None;
            }
            _ => {}
        }
    }
    if let Some(from) = start {
        out.push(from..line.len());
    }
    out
}

/// The SHA-256 of bytes in hex.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHY: Why<'static> = Why { summary: "s", reason: "r", critical: false };

    #[test]
    fn keeps_endings_and_bytes() {
        let text = "a\r\n\nb\tc\r\nlast";
        assert_eq!(map_lines(text, |_| None), text);
        assert_eq!(map_lines(text, |line| (line == "a").then(|| "A".to_owned())), "A\r\n\nb\tc\r\nlast");
        let file = TextFile::from_bytes("/etc/x", b"gr\xfcn = 1\n".to_vec());
        assert!(file.rewrite(&file.text, WHY).is_none());
        let change = file.rewrite(&file.text.replace('1', "2"), WHY).unwrap();
        let Action::WriteFile { content, .. } = change.action else { panic!() };
        assert_eq!(content.to_bytes().unwrap(), b"gr\xfcn = 2\n");
    }

    #[test]
    fn new_lines_end_as_the_others() {
        for (old, new) in
            [("", "x\ny\n"), ("a", "a\nx\ny\n"), ("a\r\nb", "a\r\nb\r\nx\r\ny\r\n"), ("\na\n", "\na\nx\ny\n")]
        {
            assert_eq!(with_lines(old, ["x", "y"]), new);
        }
    }

    #[test]
    fn finds_words() {
        assert_eq!(words("  ab\tc "), vec![2..4, 5..6]);
        assert!(words("\t ").is_empty());
    }
}

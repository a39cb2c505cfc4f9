//! Sections and lines of an INF: comments, quotes, continued lines, keys and fields. Owns no meaning.
//!
//! Sections of one name are one section, as Windows reads them; names compare without case. `%tokens%` stay as they are written.

use std::collections::BTreeMap;

/// No INF of a driver comes near.
const MOST_FIELDS: usize = 200_000;

/// `key = field, field`, or `field, field`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub key: Option<String>,
    pub fields: Vec<String>,
}

impl Line {
    /// The field, empty when the line has fewer.
    pub fn field(&self, index: usize) -> &str {
        self.fields.get(index).map_or("", String::as_str)
    }
}

/// Lines in their order, and where those of a key are, by the key in lower case.
#[derive(Debug, Default)]
struct Section {
    lines: Vec<Line>,
    keys: BTreeMap<String, Vec<usize>>,
}

impl Section {
    fn push(&mut self, line: Line) {
        if let Some(key) = &line.key {
            self.keys.entry(key.to_lowercase()).or_default().push(self.lines.len());
        }
        self.lines.push(line);
    }
}

/// The sections by their names in lower case.
#[derive(Debug, Default)]
pub(super) struct Sections(BTreeMap<String, Section>);

impl Sections {
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut sections: BTreeMap<String, Section> = BTreeMap::new();
        let (mut current, mut reader, mut fields) = (None, Reader::default(), 0);
        // A Ctrl-Z ended files once, and some editors still write it.
        for text in text.split('\u{1a}').next().unwrap_or(text).lines() {
            if let Some(header) = text.trim_start().strip_prefix('[').filter(|_| !reader.continues) {
                let name = header.split(']').next().unwrap_or(header).trim().trim_matches('"').to_lowercase();
                sections.entry(name.clone()).or_default();
                current = Some(name);
                continue;
            }
            if !reader.read(text)? {
                continue;
            }
            let Some(line) = std::mem::take(&mut reader).finish() else { continue };
            fields += line.fields.len() + 1;
            if fields > MOST_FIELDS {
                return Err(format!("it has more than {MOST_FIELDS} fields"));
            }
            // Lines before the first section belong to nothing.
            if let Some(section) = current.as_ref().and_then(|name| sections.get_mut(name)) {
                section.push(line);
            }
        }
        if let (Some(line), Some(name)) = (reader.finish(), current) {
            sections.entry(name).or_default().push(line);
        }
        Ok(Self(sections))
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(&name.to_lowercase())
    }

    /// The lines of a section, none when there is no such section.
    pub fn lines(&self, name: &str) -> &[Line] {
        self.0.get(&name.to_lowercase()).map_or(&[], |section| section.lines.as_slice())
    }

    /// The lines with this key, without case.
    pub fn with_key(&self, section: &str, key: &str) -> impl Iterator<Item = &Line> + use<'_> {
        let section = self.0.get(&section.to_lowercase());
        let at = section.and_then(|section| section.keys.get(&key.to_lowercase()));
        section.zip(at).into_iter().flat_map(|(section, at)| at.iter().map(|at| &section.lines[*at]))
    }

    /// The first of them.
    pub fn first(&self, section: &str, key: &str) -> Option<&Line> {
        self.with_key(section, key).next()
    }

    /// Names in lower case, and lines.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[Line])> {
        self.0.iter().map(|(name, section)| (name.as_str(), section.lines.as_slice()))
    }
}

/// One logical line while it is read.
#[derive(Default)]
struct Reader {
    key: Option<String>,
    fields: Vec<String>,
    field: String,
    /// The part of the field that stood in quotes: its blanks stay.
    kept: usize,
    quoted: bool,
    /// The last line ended in a backslash.
    continues: bool,
}

/// Windows takes no string that is longer.
const LONGEST_FIELD: usize = 4096;
const MOST_FIELDS_A_LINE: usize = 4096;

impl Reader {
    /// Whether the logical line ends with this one.
    fn read(&mut self, text: &str) -> Result<bool, String> {
        self.continues = false;
        let (mut quotes, mut chars) = (false, text.chars());
        while let Some(char) = chars.next() {
            match char {
                '"' if quotes && chars.as_str().starts_with('"') => {
                    chars.next();
                    self.push('"')?;
                    self.kept = self.field.len();
                }
                '"' => {
                    quotes = !quotes;
                    self.quoted = true;
                    self.kept = self.field.len();
                }
                _ if quotes => {
                    self.push(char)?;
                    self.kept = self.field.len();
                }
                ';' => break,
                '\\' if matches!(chars.as_str().trim_start().chars().next(), None | Some(';')) => {
                    self.continues = true;
                    return Ok(false);
                }
                ',' => self.end_field()?,
                // Only the first separator can make a key.
                '=' if self.key.is_none() && self.fields.is_empty() => self.key = Some(self.take()),
                _ if char.is_whitespace() && self.field.is_empty() && !self.quoted => {}
                _ => self.push(char)?,
            }
        }
        Ok(true)
    }

    fn push(&mut self, char: char) -> Result<(), String> {
        if self.field.len() >= LONGEST_FIELD {
            return Err(format!("it has a field of more than {LONGEST_FIELD} bytes"));
        }
        self.field.push(char);
        Ok(())
    }

    fn take(&mut self) -> String {
        let end = self.field.trim_end().len().max(self.kept);
        self.field.truncate(end);
        (self.kept, self.quoted) = (0, false);
        std::mem::take(&mut self.field)
    }

    fn end_field(&mut self) -> Result<(), String> {
        if self.fields.len() >= MOST_FIELDS_A_LINE {
            return Err(format!("it has a line of more than {MOST_FIELDS_A_LINE} fields"));
        }
        let field = self.take();
        self.fields.push(field);
        Ok(())
    }

    /// Nothing for a line that is empty or only a comment.
    fn finish(mut self) -> Option<Line> {
        if self.key.is_none() && self.fields.is_empty() && self.field.is_empty() && !self.quoted {
            return None;
        }
        let last = self.take();
        self.fields.push(last);
        Some(Line { key: self.key, fields: self.fields })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<(Option<String>, Vec<String>)> {
        let sections = Sections::parse(&format!("[S]\r\n{text}")).unwrap();
        sections.lines("s").iter().map(|line| (line.key.clone(), line.fields.clone())).collect()
    }

    #[test]
    fn keys_fields_quotes_and_comments() {
        let cases: &[(&str, Option<&str>, &[&str])] = &[
            ("a = b", Some("a"), &["b"]),
            ("  netkvm.sys,,,2  ", None, &["netkvm.sys", "", "", "2"]),
            ("1 = %DiskId1%,,,\"\"", Some("1"), &["%DiskId1%", "", "", ""]),
            ("x = 1   ; why; not", Some("x"), &["1"]),
            ("x = \"a;b, c\" ; no", Some("x"), &["a;b, c"]),
            ("x = \" a \"", Some("x"), &[" a "]),
            ("x = \"say \"\"yes\"\"\"", Some("x"), &["say \"yes\""]),
            ("x = \"open, to the end", Some("x"), &["open, to the end"]),
            ("HKR,Interrupt Management,,0x10", None, &["HKR", "Interrupt Management", "", "0x10"]),
            ("HKR,,v,,a=b", None, &["HKR", "", "v", "", "a=b"]),
            ("HKR, \"A\\B\", \"5\", %D%, 1", None, &["HKR", "A\\B", "5", "%D%", "1"]),
            ("x = %12%\\a.sys", Some("x"), &["%12%\\a.sys"]),
            ("*IfType\t = 6\t", Some("*IfType"), &["6"]),
            ("Tx = \"Tx Enabled\"; ", Some("Tx"), &["Tx Enabled"]),
            ("empty =", Some("empty"), &[""]),
            ("a = b, \\\r\n   c", Some("a"), &["b", "c"]),
            ("a = b, \\  ; more\r\nc, \\\r\nd", Some("a"), &["b", "c", "d"]),
            ("a = b\\\r\nc", Some("a"), &["bc"]),
            ("AddService = , 2   ; none", Some("AddService"), &["", "2"]),
        ];
        for (text, key, fields) in cases {
            let expected = (key.map(str::to_owned), fields.iter().map(|it| (*it).to_owned()).collect());
            assert_eq!(lines(text), [expected], "{text}");
        }
        assert!(lines("; only\r\n\r\n   ;;;\r\n").is_empty());
    }

    #[test]
    fn sections_of_one_name_are_one_and_names_have_no_case() {
        let text = "stray\r\n[One] ; first\r\na=1\r\n[ two ]\r\nb=2\r\n[ONE]\r\nc=3\r\n[open\r\nd=4\r\n[Empty]\r\n\u{1a}e=5\r\n";
        let sections = Sections::parse(text).unwrap();
        let keys = |name: &str| sections.lines(name).iter().filter_map(|line| line.key.clone()).collect::<String>();
        assert_eq!((keys("one"), keys("Two"), keys("OPEN")), ("ac".to_owned(), "b".to_owned(), "d".to_owned()));
        assert!(sections.has("empty") && !sections.has("three") && sections.lines("three").is_empty());
        assert_eq!(sections.with_key("ONE", "C").count(), 1);
    }

    #[test]
    fn what_is_out_of_all_bounds_is_refused() {
        for (text, why) in [
            (format!("[s]\na={}", "x".repeat(5000)), "a field of more than 4096 bytes"),
            (format!("[s]\na={}", ",".repeat(5000)), "a line of more than 4096 fields"),
            (format!("[s]\n{}", ",,,\n".repeat(50_000)), "more than 200000 fields"),
        ] {
            let error = Sections::parse(&text).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}

//! What ovftool says: as records for machines (`NAME`, lines `+ text`, an empty line), or as lines for people, whose progress is rewritten with carriage returns.
//! Both are read alike, for not every release keeps to the one that it was told. Bytes come in any pieces, and may be no text.

use vmdk2kvm_plugin_api::text::escape;

/// The longest line that is kept, in bytes.
const LONGEST: usize = 64 << 10;
/// So many complaints are kept.
const KEPT: usize = 20;

/// What was said so far.
#[derive(Debug, Default)]
pub struct Output {
    line: Vec<u8>,
    record: Option<String>,
    /// The last percentage.
    pub percent: Option<u8>,
    /// How it says that it ended: `Some(true)` for success.
    pub result: Option<bool>,
    /// What it complains of.
    pub errors: Vec<String>,
    /// What it warns of.
    pub warnings: Vec<String>,
}

/// What it asks for on its terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// The user.
    User,
    /// The password.
    Password,
}

impl Output {
    /// Takes the next bytes.
    pub fn hear(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'\n' | b'\r' => {
                    let line = String::from_utf8_lossy(&self.line).into_owned();
                    self.line.clear();
                    self.take(&line);
                }
                byte if self.line.len() < LONGEST => self.line.push(*byte),
                _ => {}
            }
        }
    }

    /// The question that stands at the end of what was said, and is not answered yet. Answering it begins a new line.
    pub fn question(&mut self) -> Option<Question> {
        let text = String::from_utf8_lossy(&self.line).trim().to_ascii_lowercase();
        let question = match () {
            () if text.ends_with("username:") => Question::User,
            () if text.ends_with("password:") => Question::Password,
            () => return None,
        };
        self.line.clear();
        Some(question)
    }

    fn take(&mut self, line: &str) {
        let line = line.trim();
        if line.is_empty() {
            self.record = None;
            return;
        }
        if let Some(text) = line.strip_prefix("+ ").or_else(|| line.strip_prefix('+')) {
            if let Some(record) = self.record.clone() {
                self.take_record(&record, text.trim());
            }
            return;
        }
        let is_name = line.len() > 1 && line.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
        if is_name {
            self.record = Some(line.to_owned());
            return;
        }
        self.record = None;
        self.take_line(line);
    }

    fn take_record(&mut self, record: &str, text: &str) {
        match record {
            "PROGRESS" => self.percent = number(text).or(self.percent),
            "RESULT" => self.result = Some(text == "SUCCESS"),
            "ERROR" => keep(&mut self.errors, &words(text)),
            "WARNING" => keep(&mut self.warnings, &words(text)),
            _ => {}
        }
    }

    fn take_line(&mut self, line: &str) {
        if let Some(percent) = line.split("progress: ").nth(1) {
            self.percent = number(percent).or(self.percent);
        } else if let Some(text) = line.strip_prefix("Error: ") {
            keep(&mut self.errors, text);
        } else if let Some(text) = line.strip_prefix("Warning: ") {
            keep(&mut self.warnings, text);
        } else if line == "Completed successfully" {
            self.result = Some(true);
        } else if line == "Completed with errors" {
            self.result = Some(false);
        }
    }
}

fn number(text: &str) -> Option<u8> {
    text.trim_end_matches(['%', ' ']).parse().ok().filter(|percent| *percent <= 100)
}

fn keep(list: &mut Vec<String>, text: &str) {
    let text = escape(text.trim()).into_owned();
    if !text.is_empty() && list.len() < KEPT && !list.contains(&text) {
        list.push(text);
    }
}

/// The words of a line of XML, without its elements.
fn words(text: &str) -> String {
    let mut found = String::new();
    let mut inside = false;
    for letter in text.chars() {
        match letter {
            '<' => inside = true,
            '>' => {
                inside = false;
                found.push(' ');
            }
            letter if !inside => found.push(letter),
            _ => {}
        }
    }
    found.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MACHINE: &str = "PROBE\n+ <probeResult>\n+ </probeResult>\n\nWARNING\n+ <Errors><Warning><LocalizedMsg>No manifest</LocalizedMsg></Warning></Errors>\n\n\
        PROGRESS\n+ 7\n\nPROGRESS\n+ 42\n\nRESULT\n+ SUCCESS\n\n";
    const HUMAN: &str = "Opening VI source: vi://x/\nWarning: No manifest\nDisk progress: 7%\rDisk progress: 42%\rTransfer Completed\nCompleted successfully\n";

    fn heard(pieces: &[&[u8]]) -> Output {
        let mut output = Output::default();
        pieces.iter().for_each(|piece| output.hear(piece));
        output
    }

    #[test]
    fn both_forms_say_the_same() {
        for text in [MACHINE, HUMAN] {
            let output = heard(&[text.as_bytes()]);
            assert_eq!((output.percent, output.result), (Some(42), Some(true)), "{text}");
            assert_eq!((output.warnings, output.errors.len()), (vec!["No manifest".to_owned()], 0), "{text}");
        }
        for text in [
            "ERROR\n+ <Errors><Error>Disk gone</Error></Errors>\n\nRESULT\n+ ERROR\n",
            "Error: Disk gone\nCompleted with errors\n",
        ] {
            let output = heard(&[text.as_bytes()]);
            assert_eq!((output.result, output.errors), (Some(false), vec!["Disk gone".to_owned()]), "{text}");
        }
    }

    #[test]
    fn what_is_not_said_in_its_place_is_not_said() {
        let output = heard(&[b"+ SUCCESS\nRESULT\n\n+ SUCCESS\nPROGRESS\n+ 101\n+ x\nDisk progress: 999%\n\xff\xfe\n"]);
        assert_eq!((output.result, output.percent), (None, None));
    }

    #[test]
    fn questions_are_heard_before_their_line_ends() {
        let mut output = heard(&[b"Enter login information for source vi://h/\nUser", b"name: "]);
        assert_eq!((output.question(), output.question()), (Some(Question::User), None));
        output.hear(b"root\r\nPassword: ");
        assert_eq!(output.question(), Some(Question::Password));
        output.hear(b"*****\n");
        assert_eq!(output.question(), None);
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(cuts in proptest::collection::vec(0usize..400, 0..12)) {
            for text in [MACHINE, HUMAN] {
                let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % text.len()).collect();
                cuts.extend([0, text.len()]);
                cuts.sort_unstable();
                let pieces: Vec<&[u8]> = cuts.windows(2).map(|two| &text.as_bytes()[two[0]..two[1]]).collect();
                let output = heard(&pieces);
                prop_assert_eq!((output.percent, output.result, output.warnings.len()), (Some(42), Some(true), 1));
            }
        }
    }
}

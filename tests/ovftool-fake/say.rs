//! What it says, for machines or for people, in pieces that end anywhere.

use std::io::Write;

/// How it speaks.
pub struct Say {
    /// In records.
    pub machine: bool,
}

impl Say {
    fn say(&self, text: &str) {
        let mut output = std::io::stdout().lock();
        for piece in text.as_bytes().chunks(5) {
            let _ = output.write_all(piece).and_then(|()| output.flush());
        }
    }

    /// How far it is.
    pub fn progress(&self, percent: usize) {
        self.say(&if self.machine {
            format!("PROGRESS\n+ {percent}\n\n")
        } else {
            format!("Disk progress: {percent}%\r")
        });
    }

    /// What is wrong.
    pub fn error(&self, why: &str) {
        self.say(&if self.machine {
            format!("ERROR\n+ <Errors>\n+ <Error><LocalizedMsg>{why}</LocalizedMsg></Error>\n+ </Errors>\n\n")
        } else {
            format!("Error: {why}\n")
        });
    }

    /// How it ends.
    pub fn result(&self, good: bool) {
        self.say(match (self.machine, good) {
            (true, true) => "RESULT\n+ SUCCESS\n\n",
            (true, false) => "RESULT\n+ ERROR\n\n",
            (false, true) => "Completed successfully\n",
            (false, false) => "Completed with errors\n",
        });
    }
}

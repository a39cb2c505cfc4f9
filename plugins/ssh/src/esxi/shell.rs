//! A shell on a host: the one trait through which everything here reaches it, whatever speaks SSH behind it.

use vmdk2kvm_plugin_api::{PluginError, Result};

/// What makes a call fail.
#[derive(Debug)]
pub enum Failed {
    /// The connection is of no use any more. On another one the same command may work.
    Lost(PluginError),
    /// It is not the connection's fault.
    Final(PluginError),
}

impl Failed {
    /// The error, whoever's fault it is.
    pub fn error(self) -> PluginError {
        match self {
            Self::Lost(error) | Self::Final(error) => error,
        }
    }
}

/// A connection on which commands are run, one at a time.
pub trait Shell: Send {
    /// Starts a command.
    fn exec(&mut self, command: &str) -> Result<Box<dyn Stream + '_>, Failed>;

    /// Says that somebody is there, so that nobody in between forgets the connection.
    fn keep_alive(&mut self) -> Result<(), Failed>;
}

/// What a command writes.
pub trait Stream {
    /// The next bytes of its output; 0: there are no more.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Failed>;

    /// Waits until the command has ended. Only now its status counts.
    fn end(self: Box<Self>) -> Result<Ended, Failed>;
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Its status; `None`: a signal ended it.
    pub status: Option<i32>,
    /// The beginning of what it said beside its output.
    pub said: String,
}

impl Ended {
    /// Whether all went well.
    pub fn is_good(&self) -> bool {
        self.status == Some(0)
    }

    /// What was said, in a line, without the statistics of `dd`.
    pub fn reason(&self) -> String {
        let is_reason = |line: &&str| {
            let line = line.trim();
            let counts = |ending| line.strip_suffix(ending).is_some_and(|rest: &str| rest.contains('+'));
            !line.is_empty() && !counts(" records in") && !counts(" records out") && !line.contains(" copied, ")
        };
        let said = self.said.lines().find(is_reason).unwrap_or_default().trim();
        match self.status {
            _ if !said.is_empty() => said.to_owned(),
            Some(status) => format!("exit status {status}"),
            None => "it was killed".to_owned(),
        }
    }
}

/// A word of a command line. A NUL, which no word can have, is left out.
pub fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\0', "").replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_reason_is_not_the_statistics() {
        let ended = |status, said: &str| Ended { status, said: said.to_owned() }.reason();
        let said = "0+0 records in\n0+0 records out\ndd: can't open 'x': Device or resource busy\n";
        assert_eq!(ended(Some(1), said), "dd: can't open 'x': Device or resource busy");
        assert_eq!(ended(Some(1), "4+0 records in\n4+0 records out\n4096 bytes copied, 0.1 s\n"), "exit status 1");
        assert_eq!(ended(None, ""), "it was killed");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_shell_reads_a_quoted_word_as_it_was(word in "[^\0]{0,40}") {
            let output = Command::new("sh").args(["-c", &format!("printf %s {}", quote(&word))]).output().unwrap();
            prop_assert_eq!(output.stdout, word.as_bytes());
        }
    }
}

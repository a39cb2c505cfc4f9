//! `console.log`: what the serial console said, as plain text that is safe to print.

use std::fs;
use std::io::{BufWriter, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use tempfile::NamedTempFile;
use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{ErrorKind, PluginError, Result};

/// Name of the file in the evidence folder.
pub const LOG: &str = "console.log";
/// A guest that says more than this (8 MiB) is not listened to further.
const LARGEST: usize = 8 << 20;

/// The log of one boot.
#[derive(Debug)]
pub struct Log {
    file: BufWriter<fs::File>,
    written: usize,
    last: String,
}

impl Log {
    /// Begins a log of mode 0600 in `folder`, in place of an earlier test's, and whole even where two tests run at once: each writes
    /// its own file, and the name is the last one's.
    pub fn create(folder: &Path) -> Result<Self> {
        let path = folder.join(LOG);
        let open = || {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            Ok::<_, std::io::Error>(NamedTempFile::new_in(folder)?.persist(&path)?)
        };
        let file = open().map_err(|error| {
            PluginError::new(ErrorKind::Output, format!("{}: cannot be created: {error}", path.display()))
        })?;
        Ok(Self { file: BufWriter::new(file), written: 0, last: String::new() })
    }

    /// Adds a line.
    pub fn line(&mut self, line: &str) {
        if !line.trim().is_empty() {
            self.last = line.to_owned();
        }
        if self.written > LARGEST {
            return;
        }
        let mut text = escape(line).into_owned();
        self.written += text.len() + 1;
        if self.written > LARGEST {
            text = format!("(more than {LARGEST} bytes: the rest is left out)");
        }
        // Evidence of a boot that cannot be stored does not change what the boot was.
        let _ = writeln!(self.file, "{text}");
    }

    /// The last line that said anything.
    pub fn last(&self) -> &str {
        &self.last
    }

    /// Adds what the screen showed at the end.
    pub fn finish(&mut self, screen: Option<&[String]>) {
        if let Some(rows) = screen {
            self.line("--- text on the screen ---");
            rows.iter().filter(|row| !row.is_empty()).for_each(|row| self.line(row));
        }
        let _ = self.file.flush();
    }
}

//! A secret that was planted, and must turn up nowhere.

use std::path::Path;

/// The part of the secret that is the same however it is written: as it is, as JSON, as XML, in a URI.
#[derive(Debug, Clone, Copy)]
pub struct Planted<'a>(pub &'a str);

impl Planted<'_> {
    /// Whether it stands in these bytes.
    pub fn is_in(self, bytes: impl AsRef<[u8]>) -> bool {
        bytes.as_ref().windows(self.0.len()).any(|window| window == self.0.as_bytes())
    }

    /// Fails where a file below a folder has it. Returns how many files there were; those that go meanwhile count for nothing.
    #[track_caller]
    pub fn look_into(self, folder: &Path) -> usize {
        let mut files = 0;
        for entry in std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                files += self.look_into(&path);
            } else if entry.file_type().is_ok_and(|kind| kind.is_file()) {
                assert!(!self.is_in(std::fs::read(&path).unwrap_or_default()), "{}", path.display());
                files += 1;
            }
        }
        files
    }
}

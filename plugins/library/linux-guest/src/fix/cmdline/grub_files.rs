//! Which files hold GRUB 2's script: its configurations with what they read along, and what generators copy into them.

use std::collections::BTreeSet;
use std::ops::Range;

use vmdk2kvm_plugin_api::model::{Finding, MountInfo};
use vmdk2kvm_plugin_api::{FileKind, Guest, Result};

use super::arguments::Arguments;
use super::grub_script::{Used, rewrite};
use crate::grub::{copied, place, sourced};
use crate::textfile::TextFile;

const CONFIGURATIONS: [&str; 4] =
    ["/boot/grub/grub.cfg", "/boot/grub2/grub.cfg", "/boot/grub/custom.cfg", "/boot/grub2/custom.cfg"];
const GENERATORS: &str = "/etc/grub.d";
/// No guest has more; a script that reads itself along must end.
const MOST: usize = 256;

/// A file with script in it.
pub(super) struct Script {
    pub file: TextFile,
    /// Where the script is.
    parts: Vec<Range<usize>>,
}

impl Script {
    fn texts(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().map(|range| &self.file.text[range.clone()])
    }

    /// The file's text with its command lines made stable.
    pub fn rewrite(&self, used: &Used, arguments: &mut Arguments<'_>) -> String {
        let text = &self.file.text;
        let mut out = String::with_capacity(text.len());
        let mut done = 0;
        for part in &self.parts {
            out.push_str(&text[done..part.start]);
            out.push_str(&rewrite(&text[part.clone()], used, arguments));
            done = part.end;
        }
        out.push_str(&text[done..]);
        out
    }
}

/// Every script of the guest, and the variables that they use together; `vendors` are GRUB's folders on the EFI system partition.
pub(super) fn scripts(
    vendors: &[String],
    mounts: &[MountInfo],
    guest: &dyn Guest,
    findings: &mut Vec<Finding>,
) -> Result<(Vec<Script>, Used)> {
    let mut left: Vec<String> = CONFIGURATIONS.iter().map(|path| (*path).to_owned()).collect();
    left.extend(vendors.iter().map(|folder| format!("{folder}/grub.cfg")));
    left.reverse();
    let mut seen = BTreeSet::new();
    let mut scripts = Vec::new();
    while let Some(path) = left.pop() {
        if scripts.len() >= MOST || !seen.insert(path.clone()) {
            continue;
        }
        let Some(file) = TextFile::read(guest, &path, findings)? else { continue };
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for along in sourced(&file.text, folder) {
            left.extend(place(&along, mounts, guest)?);
        }
        let parts = std::iter::once(0..file.text.len()).collect();
        scripts.push(Script { file, parts });
    }
    for entry in guest.list(GENERATORS)?.into_iter().flatten() {
        // What an editor leaves behind, grub-mkconfig passes over, too.
        if entry.kind != FileKind::File || entry.name.ends_with('~') || entry.name.starts_with('#') {
            continue;
        }
        let path = format!("{GENERATORS}/{}", entry.name);
        let Some(file) = TextFile::read(guest, &path, findings)? else { continue };
        let parts = copied(&file.text);
        scripts.push(Script { file, parts });
    }
    let used = Used::of(scripts.iter().flat_map(Script::texts));
    Ok((scripts, used))
}

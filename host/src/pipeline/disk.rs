//! A disk on its way through a run: one record, from the opened chain to the final image.

use std::path::PathBuf;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use vmdk2kvm_plugin_api::model::{ChainReport, Way};
use vmdk2kvm_plugin_api::{BlockSource, ErrorKind, PluginError, Result, Transport};

use super::stated::Stated;
use crate::copy::CopyOutcome;
use crate::device::Device;
use crate::events::escape;
use crate::report::WayRecord;

/// A disk of the VM.
pub(super) struct Disk {
    /// Its place among the VM's disks, from 0.
    pub index: usize,
    pub name: String,
    /// All of it, as the guest sees it.
    pub source: Arc<dyn BlockSource>,
    pub report: ChainReport,
    /// The plugin that reads its format; `None` for raw and empty disks.
    pub plugin: Option<String>,
    /// Its size in the source in bytes, when it is to be larger.
    pub grown_from: Option<u64>,
    /// The block device that takes its bytes; `None`: a file in the output folder.
    pub device: Option<Device>,
    /// The way that its bytes come; `None`: it has none.
    pub way: Option<ChosenWay>,
    /// The state of its files when the run began: [`Disk::fingerprint`].
    pub before: String,
}

/// The disk that the user means by its number, from 1, or its name; `why` ends the error when there is none, or several.
pub(super) fn named(disks: &[Disk], word: &str, why: &str) -> Result<usize> {
    let is_meant = |index: &usize| word.parse() == Ok(index + 1) || disks[*index].name == word;
    let meant: Vec<usize> = (0..disks.len()).filter(is_meant).collect();
    let [index] = meant[..] else {
        let count = if meant.is_empty() { "no disk is" } else { "several disks are" };
        let known: Vec<_> = disks.iter().map(|disk| escape(&disk.name).into_owned()).collect();
        let message = format!("{count} called `{}`, {why}", escape(word));
        return Err(PluginError::new(ErrorKind::Usage, message)
            .hint(format!("name it by its number, from 1: {}", known.join(", "))));
    };
    Ok(index)
}

/// The way that the bytes of a disk come.
pub(super) struct ChosenWay {
    pub way: Way,
    /// The plugin that carries it.
    pub plugin: String,
    pub transport: Arc<Stated>,
    /// The better ways and the preferred plugins that could not, each with the reason.
    pub refused: Vec<String>,
}

/// A disk whose image has its final name.
pub(super) struct FinalDisk<'a> {
    pub disk: &'a Disk,
    pub image: PathBuf,
    /// What this run copied, or found copied.
    pub copied: Option<CopyOutcome>,
}

impl Disk {
    /// Every file whose bytes are read.
    pub fn files(&self) -> Vec<String> {
        let mut files: Vec<String> = self.report.links.iter().flat_map(|link| link.files.iter().cloned()).collect();
        files.sort();
        files.dedup();
        files
    }

    /// The way that its bytes come, for people.
    pub fn way_record(&self) -> Option<WayRecord> {
        let way = self.way.as_ref()?;
        Some(WayRecord {
            disk: self.name.clone(),
            scheme: way.way.scheme.clone(),
            plugin: way.plugin.clone(),
            reason: way.way.reason.clone(),
            refused: way.refused.clone(),
        })
    }

    /// Virtual size of its image in bytes: whole sectors.
    pub fn size(&self) -> u64 {
        self.source.size().next_multiple_of(512)
    }

    /// A digest over the fingerprints of all its files as they are now: another digest is another content.
    pub fn fingerprint(&self) -> Result<String> {
        let mut digest = Sha256::new();
        digest.update(self.source.size().to_le_bytes());
        for file in self.files() {
            let way =
                self.way.as_ref().ok_or_else(|| PluginError::defect("a disk with files but without transport"))?;
            digest.update(way.transport.fingerprint(&file)?);
            digest.update([0]);
        }
        Ok(format!("{:x}", digest.finalize()))
    }

    /// Takes the state of every disk's files, before anything is copied.
    pub fn note_state(disks: &mut [Self]) -> Result<()> {
        disks.iter_mut().try_for_each(|disk| {
            disk.before = disk.fingerprint()?;
            Ok(())
        })
    }
}

//! A guest with one file, `/etc/fixed`. Writing it writes a megabyte of the disk, through the overlay, as an appliance would.
//! Its system is a Linux, or what `SLOW_SYSTEM` says: `unknown` or `sealed`.

use std::process::{Command, Stdio};
use std::sync::Mutex;

use vmdk2kvm_plugin_api::model::{Action, Applied, AppliedStatus, Change, FixerPlan, Inspection, OsFamily, OsInfo};
use vmdk2kvm_plugin_api::{Entry, FileKind, Guest, Opened, PluginError, Result, Stat};

use crate::SlowStages;

const FILE: &str = "/etc/fixed";

struct OneFile {
    slow: SlowStages,
    overlay: String,
    content: Mutex<Option<Vec<u8>>>,
}

/// Opens the guest.
pub(crate) fn open(slow: &SlowStages, overlay: &str) -> Opened {
    let guest = OneFile { slow: slow.clone(), overlay: overlay.to_owned(), content: Mutex::default() };
    let system = std::env::var("SLOW_SYSTEM").unwrap_or_default();
    let family = if system.is_empty() { OsFamily::Linux } else { OsFamily::Unknown };
    let inspection = Inspection::new(OsInfo::new(family)).with(|inspection| inspection.sealed = system == "sealed");
    Opened::new(guest, inspection)
}

/// The one change, unless it is made already.
pub(crate) fn plan(guest: &dyn Guest) -> Result<FixerPlan> {
    let change = Change::new(Action::write_file(None, "yes\n"), FILE, "fix the guest", "it is not fixed").critical();
    let changes = if guest.read(FILE, 100)?.is_none() { vec![change] } else { Vec::new() };
    Ok(FixerPlan::new(changes))
}

impl Guest for OneFile {
    fn stat(&self, path: &str) -> Result<Option<Stat>> {
        // The host resolves paths part by part.
        if ["/", "/etc"].contains(&path) {
            return Ok(Some(Stat::new(FileKind::Dir, 0, 0o755)));
        }
        let size = |content: &Vec<u8>| Stat::new(FileKind::File, content.len() as u64, 0o644);
        Ok(self.content.lock().unwrap().as_ref().filter(|_| path == FILE).map(size))
    }

    fn read(&self, path: &str, _: u64) -> Result<Option<Vec<u8>>> {
        Ok(self.content.lock().unwrap().clone().filter(|_| path == FILE))
    }

    fn list(&self, _: &str) -> Result<Option<Vec<Entry>>> {
        Ok(None)
    }

    fn read_link(&self, path: &str) -> Result<String> {
        Err(PluginError::unusable(format!("{path}: nothing is there")))
    }

    fn apply(&self, change: &Change) -> Result<Applied> {
        let written = Command::new("qemu-io")
            .args(["-f", "qcow2", "-c", "write -P 0x5a 1M 1M", &self.overlay])
            .stdin(Stdio::null())
            .output()
            .map_err(|error| PluginError::missing(format!("qemu-io (package qemu-utils): {error}")))?;
        if !written.status.success() {
            return Err(PluginError::io(format!("qemu-io failed: {}", String::from_utf8_lossy(&written.stderr))));
        }
        // The overlay is written and nothing is remembered yet: the worst moment to stop.
        self.slow.stop_in("fix")?;
        let Action::WriteFile { content, .. } = &change.action else { unreachable!("nothing else is planned") };
        *self.content.lock().unwrap() = Some(content.to_bytes()?);
        Ok(Applied::new(AppliedStatus::Done))
    }

    fn close(&self) -> Result<()> {
        Ok(())
    }
}

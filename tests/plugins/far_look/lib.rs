//! A reader of flat views that takes as long as a test likes, as one of a disk at a distance does.
//!
//! `LOOK_BEGUN` names a file that it makes when it is asked, `LOOK_GO` one that it waits for, `LOOK_STOPPED` one that it makes when it is told to
//! stop instead. Its guest is that of the plugin `slow-stages`, fixed already; `LOOK_BLOCKS` is why it cannot be moved. With `LOOK_OPENS` it also opens images, which does not end until it is
//! told to stop; the variable names a file that it makes then.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use vmdk2kvm_plugin_api::model::{Applied, Change, Finding, Inspection, OpenGuest, OsFamily, OsInfo, Severity};
use vmdk2kvm_plugin_api::{
    BlockSource, Entry, FileKind, Guest, Host, Inspector, Opened, Plugin, PluginError, Result, Stat,
};

const FILE: &str = "/etc/fixed";
const CONTENT: &[u8] = b"yes\n";

/// The plugin.
#[derive(Clone)]
pub struct FarLook {
    host: Host,
}

fn file(variable: &str) -> PathBuf {
    std::env::var_os(variable).unwrap().into()
}

impl Plugin for FarLook {
    fn new(host: Host) -> Result<Self> {
        Ok(Self { host })
    }

    fn inspector(&self) -> Option<Box<dyn Inspector>> {
        Some(Box::new(self.clone()))
    }
}

impl Inspector for FarLook {
    fn accepts(&self, _: &OpenGuest) -> Result<u32> {
        Ok(if std::env::var_os("LOOK_OPENS").is_some() { 200 } else { 0 })
    }

    fn open(&self, _: &OpenGuest) -> Result<Opened> {
        std::fs::write(file("LOOK_OPENS"), "").unwrap();
        loop {
            self.host.check_cancelled()?;
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn open_sources(&self, _: &OpenGuest, _: Vec<Arc<dyn BlockSource>>) -> Result<Opened> {
        std::fs::write(file("LOOK_BEGUN"), "").unwrap();
        self.host.progress("far look", 0, 0);
        while !file("LOOK_GO").exists() {
            if self.host.cancelled() {
                std::fs::write(file("LOOK_STOPPED"), "").unwrap();
                return Err(PluginError::interrupted());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let inspection = Inspection::new(OsInfo::new(OsFamily::Linux)).with(|inspection| {
            let why = std::env::var("LOOK_BLOCKS").ok();
            inspection.findings =
                why.map(|why| Finding::new("look-blocks", Severity::Block, why)).into_iter().collect();
        });
        Ok(Opened::new(Fixed, inspection))
    }
}

struct Fixed;

impl Guest for Fixed {
    fn stat(&self, path: &str) -> Result<Option<Stat>> {
        Ok(match path {
            "/" | "/etc" => Some(Stat::new(FileKind::Dir, 0, 0o755)),
            FILE => Some(Stat::new(FileKind::File, CONTENT.len() as u64, 0o644)),
            _ => None,
        })
    }

    fn read(&self, path: &str, _: u64) -> Result<Option<Vec<u8>>> {
        Ok((path == FILE).then(|| CONTENT.to_vec()))
    }

    fn list(&self, _: &str) -> Result<Option<Vec<Entry>>> {
        Ok(None)
    }

    fn read_link(&self, path: &str) -> Result<String> {
        Err(PluginError::unusable(format!("{path}: nothing is there")))
    }

    fn apply(&self, _: &Change) -> Result<Applied> {
        Err(PluginError::cannot("changing anything"))
    }

    fn close(&self) -> Result<()> {
        Ok(())
    }
}

vmdk2kvm_plugin_api::export_plugin! {
    plugin: FarLook,
    name: "far-look",
    summary: "Reads a guest as slowly as a test likes",
    kinds: ["inspector"],
    guests: ["linux"],
    capabilities: ["sources"],
}

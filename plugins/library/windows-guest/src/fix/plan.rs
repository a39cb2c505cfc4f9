//! What the concerns of a plan work on together.

use vmdk2kvm_plugin_api::model::{Action, Change, Finding, FixerPlan, PlanContext, Severity};
use vmdk2kvm_plugin_api::{Guest, Result};

use super::DriverPackages;
use super::minimal::Entries;
use crate::edits::Edits;
use crate::places::System;
use crate::registry::Hives;

/// Largest file of the guest that is read to see whether it is already as wanted, in bytes.
const LIMIT: u64 = 64 << 20;

/// A number of the registry to be put back at the first start: key, name, old number.
pub type PutBack = (String, String, Option<u32>);

/// A plan in the making.
pub struct Planning<'a> {
    /// The guest's files.
    pub guest: &'a dyn Guest,
    /// The machine and what its disks say.
    pub context: &'a PlanContext,
    /// Where the system is.
    pub place: &'a System,
    /// The hives as they are.
    pub hives: &'a Hives,
    /// Edits of `HKLM\SYSTEM`.
    pub system: Edits<'a>,
    /// Edits of `HKLM\SOFTWARE`.
    pub software: Edits<'a>,
    /// Services of VMware that are switched off, to be deleted at the first start.
    pub removed: Vec<String>,
    /// How boot drivers are made known.
    pub packages: DriverPackages,
    /// Entries of boot drivers that the first start takes away again.
    pub minimal: Vec<Entries>,
    /// What the first start puts back.
    pub put_back: Vec<PutBack>,
    /// Files and findings, and what the guest will drive and wants.
    pub plan: FixerPlan,
}

impl<'a> Planning<'a> {
    /// An empty plan.
    pub fn new(guest: &'a dyn Guest, context: &'a PlanContext, place: &'a System, hives: &'a Hives) -> Self {
        Self {
            guest,
            context,
            place,
            hives,
            system: Edits::new(&hives.system, "HKEY_LOCAL_MACHINE\\SYSTEM"),
            software: Edits::new(&hives.software, "HKEY_LOCAL_MACHINE\\SOFTWARE"),
            removed: Vec::new(),
            packages: DriverPackages::Whole,
            minimal: Vec::new(),
            put_back: Vec::new(),
            plan: FixerPlan::default(),
        }
    }

    /// Tells something.
    pub fn tell(&mut self, finding: Finding) {
        self.plan.findings.push(finding);
    }

    /// Writes a file of the guest, unless it has this content.
    pub fn write(&mut self, target: &str, content: &[u8], summary: &str, reason: &str) -> Result<()> {
        let old = self.guest.read(target, LIMIT)?;
        if old.as_deref() != Some(content) {
            let action = Action::write_file(old.as_deref(), content);
            self.plan.changes.push(Change::new(action, target, summary, reason).critical());
        }
        Ok(())
    }

    /// What the system would like of its machine.
    pub fn wishes(&mut self) {
        let clock = self.hives.current("Control\\TimeZoneInformation");
        let is_utc =
            self.hives.system.number(&clock, "RealTimeIsUniversal").is_ok_and(|set| set.is_some_and(|set| set != 0));
        self.plan.wants.extend((!is_utc).then(|| "clock-local".to_owned()));
        self.plan.wants.push("enlightenments".to_owned());
        let wants_tpm = self.context.inspection.os.product.starts_with("Windows 11");
        self.plan.wants.extend(wants_tpm.then(|| "tpm".to_owned()));
    }

    /// The whole plan: files before the hives that name them.
    pub fn finish(mut self) -> FixerPlan {
        self.plan.changes.extend(self.software.into_change());
        self.plan.changes.extend(self.system.into_change());
        self.plan.findings.extend(room(&self.plan.changes, self.context));
        self.plan
    }
}

/// What a system needs for its first start, in bytes.
const FOR_THE_START: u64 = 20 << 20;

/// A finding when the files do not fit on the system's drive.
fn room(changes: &[Change], context: &PlanContext) -> Option<Finding> {
    let drive = context.inspection.mounts.first()?;
    let free = drive.free_bytes?;
    let is_there = |change: &&Change| change.target.starts_with(&format!("{}/", drive.mountpoint));
    let bytes = |change: &Change| match &change.action {
        Action::CopyIn { bytes, .. } => *bytes,
        Action::WriteFile { content, .. } => content.to_bytes().map_or(0, |bytes| bytes.len() as u64),
        _ => 0,
    };
    let files: u64 = changes.iter().filter(is_there).map(bytes).sum();
    let needed = files + FOR_THE_START;
    (files > 0 && free < needed).then(|| {
        let message = format!(
            "the system's drive has {} MiB free, and {} MiB are needed for drivers and the first start",
            free >> 20,
            needed.div_ceil(1 << 20)
        );
        Finding::new("no-room-for-drivers", Severity::Block, message)
            .hint("free space on drive C: in the guest, and migrate again")
    })
}

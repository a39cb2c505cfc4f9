//! `/etc/fstab`: what is mounted from a device that had its name from its place gets the name of its filesystem.
//!
//! Column by column; comments, spacing, options and all lines that are right already stay byte for byte.

use std::collections::BTreeMap;
use std::ops::Range;

use vmdk2kvm_plugin_api::model::{
    Finding, FixerPlan, GuestBlockDevice, OsFamily, PlanContext, RemovableKind, Severity,
};
use vmdk2kvm_plugin_api::{Fixer, Guest, Result};

use crate::devices::{Devices, Reason, Reference};
use crate::textfile::{TextFile, Why, lines, words};

/// The fixer of `/etc/fstab`.
pub(super) struct Fstab;

impl Fixer for Fstab {
    fn name(&self) -> String {
        "linux-fstab".to_owned()
    }

    fn guests(&self) -> Vec<OsFamily> {
        vec![OsFamily::Linux]
    }

    fn order(&self) -> u32 {
        100
    }

    fn live(&self) -> bool {
        true
    }

    fn plan(&self, context: &PlanContext, guest: &dyn Guest) -> Result<FixerPlan> {
        let mut plan = FixerPlan::default();
        let Some(file) = TextFile::read(guest, "/etc/fstab", &mut plan.findings)? else { return Ok(plan) };
        let fixed = fix(&file.text, context, Devices::of(context, guest)?);
        plan.findings.extend(fixed.findings);
        let summary = fixed.summary.join("; ");
        let why = Why {
            summary: &summary,
            reason: "names by place and VMware's shares do not exist on KVM, and the boot waits for them or stops",
            critical: true,
        };
        plan.changes.extend(file.rewrite(&fixed.text, why));
        Ok(plan)
    }
}

/// A line of fstab: where its fields are, and what they say.
pub(crate) struct Entry<'a> {
    line: &'a str,
    fields: Vec<Range<usize>>,
}

impl<'a> Entry<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let fields = words(line);
        let first = &line[fields.first()?.clone()];
        (fields.len() >= 3 && !first.starts_with('#')).then_some(Self { line, fields })
    }

    fn field(&self, index: usize) -> &'a str {
        self.fields.get(index).map_or("", |range| &self.line[range.clone()])
    }

    /// The device or share, escapes decoded.
    pub fn spec(&self) -> String {
        unescape(self.field(0))
    }

    /// The mount point, with `\040` and its kin decoded.
    pub fn mountpoint(&self) -> String {
        unescape(self.field(1))
    }

    /// The filesystem type.
    pub fn fstype(&self) -> &'a str {
        self.field(2)
    }

    /// What it does with its device, for a sentence that begins with the file.
    pub fn what(&self) -> String {
        match self.fstype() {
            "swap" => format!("swaps to {}", self.spec()),
            _ => format!("mounts {} at {}", self.spec(), self.mountpoint()),
        }
    }

    /// Whether an option is set.
    pub fn has_option(&self, option: &str) -> bool {
        self.field(3).split(',').any(|own| own == option)
    }

    /// The line with another device.
    fn with_spec(&self, spec: &str) -> String {
        let range = &self.fields[0];
        format!("{}{spec}{}", &self.line[..range.start], &self.line[range.end..])
    }

    /// The line with `nofail` among its options.
    fn with_nofail(&self) -> String {
        match self.fields.get(3) {
            Some(range) => format!("{},nofail{}", &self.line[..range.end], &self.line[range.end..]),
            None => {
                let end = self.fields[2].end;
                format!("{} defaults,nofail{}", &self.line[..end], &self.line[end..])
            }
        }
    }
}

/// The entries of an fstab.
pub(crate) fn entries(text: &str) -> impl Iterator<Item = Entry<'_>> {
    lines(text).filter_map(|line| Entry::parse(line.body))
}

/// Decodes the octal escapes of fstab(5), which crypttab has, too.
pub(super) fn unescape(field: &str) -> String {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        match (byte, tail) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..]) => {
                out.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = tail;
            }
            _ => {
                out.push(*byte);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[derive(Default)]
struct Fixed {
    text: String,
    summary: Vec<String>,
    findings: Vec<Finding>,
}

fn fix<'a>(text: &str, context: &'a PlanContext, mut devices: Devices<'a>) -> Fixed {
    let root = context.inspection.root.as_deref();
    if let Some(root) = root {
        entries(text).filter(|entry| entry.mountpoint() == "/").for_each(|entry| devices.learn(&entry.spec(), root));
    }
    let proven = proven(text, &devices);
    let mut decider = Decider { devices, context, proven, claimed: BTreeMap::new(), out: Fixed::default() };
    for line in lines(text) {
        let new = Entry::parse(line.body).and_then(|entry| decider.decide(&entry));
        let fixed = new.as_deref().unwrap_or(line.body);
        decider.out.text.push_str(fixed);
        decider.out.text.push_str(line.ending);
    }
    decider.out
}

/// What letters in doubt surely mean, by device: the only filesystem of the right type that says it was last mounted there, or that is
/// labelled as the folder it is mounted at is called.
fn proven(text: &str, devices: &Devices<'_>) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for entry in entries(text).filter(|entry| devices.doubt(&entry.spec()).is_some()) {
        let (spec, mountpoint) = (entry.spec(), entry.mountpoint());
        let folder = mountpoint.rsplit('/').next().filter(|folder| !folder.is_empty());
        let candidates: Vec<&GuestBlockDevice> = devices
            .candidates(&spec)
            .into_iter()
            .filter(|device| fits(entry.fstype(), device.fstype.as_deref()))
            .collect();
        let only = |is_it: &dyn Fn(&GuestBlockDevice) -> bool| {
            let mut found = candidates.iter().filter(|device| is_it(device));
            found.next().filter(|_| found.next().is_none()).map(|device| device.device.clone())
        };
        let by_history = only(&|device| device.last_mounted.as_deref() == Some(mountpoint.as_str()));
        let device = by_history.or_else(|| only(&|device| folder.is_some() && device.label.as_deref() == folder));
        out.extend(device.map(|device| (spec, device)));
    }
    out
}

struct Decider<'a> {
    devices: Devices<'a>,
    context: &'a PlanContext,
    /// What letters in doubt surely mean.
    proven: BTreeMap<String, String>,
    /// Which name by place meant which device so far: two names never mean one device.
    claimed: BTreeMap<String, String>,
    out: Fixed,
}

impl Decider<'_> {
    /// The line that takes the entry's place; `None` when it stays.
    fn decide(&mut self, entry: &Entry<'_>) -> Option<String> {
        let spec = entry.spec();
        if spec.starts_with(".host:") || matches!(entry.fstype(), "vmhgfs" | "fuse.vmhgfs-fuse" | "fuse.vmhgfs") {
            self.out.summary.push(format!("VMware share {} commented out", entry.mountpoint()));
            return Some(format!("# vmdk2kvm: VMware share: {}", entry.line));
        }
        match self.devices.refer(&spec) {
            Reference::Stable | Reference::Other => None,
            Reference::Removable => self.removable(entry),
            Reference::Place(_) | Reference::Unknown => self.place(entry),
        }
    }

    fn removable(&mut self, entry: &Entry<'_>) -> Option<String> {
        let floppy = entry.spec().starts_with("/dev/f");
        let stays = self.context.vm.removable.iter().any(|drive| drive.kind == RemovableKind::Floppy);
        if floppy && !stays {
            self.out.summary.push(format!("floppy {} commented out", entry.spec()));
            return Some(format!("# vmdk2kvm: no floppy drive: {}", entry.line));
        }
        if entry.has_option("noauto") || entry.has_option("nofail") {
            return None;
        }
        self.out.summary.push(format!("{} gets nofail", entry.spec()));
        Some(entry.with_nofail())
    }

    fn place(&mut self, entry: &Entry<'_>) -> Option<String> {
        let spec = entry.spec();
        let mountpoint = entry.mountpoint();
        let mut found = match self.devices.refer(&spec) {
            Reference::Place(device) if fits(entry.fstype(), device.fstype.as_deref()) => Some(device),
            _ => None,
        };
        let mut doubt = self.devices.doubt(&spec).filter(|_| mountpoint != "/");
        if let Some(device) = self.proven.get(&spec) {
            (found, doubt) = (self.devices.by_name(device), None);
        } else if doubt.is_some() {
            // What another name surely means, this one does not; the only one that is left, it does.
            let left = |device: &&GuestBlockDevice| {
                fits(entry.fstype(), device.fstype.as_deref())
                    && self.context.inspection.root.as_ref() != Some(&device.device)
                    && !self.proven.values().any(|proven| *proven == device.device)
            };
            let left: Vec<&GuestBlockDevice> = self.devices.candidates(&spec).into_iter().filter(left).collect();
            match left[..] {
                [only] => (found, doubt) = (Some(only), None),
                _ => found = found.filter(|device| left.iter().any(|one| one.device == device.device)),
            }
        }
        // What the inspector mounted the system from is known, whatever the name seems to say.
        if mountpoint == "/" {
            found = self.context.inspection.root.as_deref().and_then(|root| self.devices.by_name(root)).or(found);
        }
        let taken = found.filter(|device| {
            self.claimed.iter().all(|(other, claimed)| *claimed != device.device || same_place(other, &spec))
        });
        if let Some((device, name)) = taken.and_then(|device| Some((device, self.devices.stable_name(device)?))) {
            self.out.findings.extend(doubt.map(|why| {
                let message = format!("/etc/fstab {}, taken for {}, {why}", entry.what(), device.device);
                Finding::new("fstab-guessed-device", Severity::Warn, message).hint(
                    "compare with the old machine what is mounted there (blkid), and correct the line in the guest",
                )
            }));
            self.claimed.insert(spec, device.device.clone());
            let what = match (mountpoint.as_str(), entry.fstype()) {
                ("/", _) => "root",
                (_, "swap") => "swap",
                _ => entry.field(1),
            };
            self.out.summary.push(format!("{what} by {}", tag(&name)));
            return Some(entry.with_spec(&name));
        }
        let severity = if mountpoint == "/" { Severity::Block } else { Severity::Warn };
        let reason = taken.map_or_else(Reason::unknown, |device| self.devices.why_nameless(device));
        let message = format!("/etc/fstab {}, {}", entry.what(), reason.why);
        self.out.findings.push(Finding::new("fstab-unknown-device", severity, message).hint(reason.hint));
        let waits = !(mountpoint == "/" || entry.has_option("nofail") || entry.has_option("noauto"));
        waits.then(|| {
            self.out.summary.push(format!("{} gets nofail: {spec} has no name on the new machine", entry.field(1)));
            entry.with_nofail()
        })
    }
}

/// Whether a filesystem of this type can be what the entry means.
fn fits(wanted: &str, there: Option<&str>) -> bool {
    let class = |fstype: &str| match fstype {
        "ext2" | "ext3" | "ext4" => "ext".to_owned(),
        "vfat" | "msdos" | "fat" | "umsdos" => "vfat".to_owned(),
        "ntfs" | "ntfs3" | "ntfs-3g" | "fuseblk" => "ntfs".to_owned(),
        other => other.to_owned(),
    };
    match there {
        None | Some("") => true,
        Some("LVM2_member" | "crypto_LUKS" | "linux_raid_member") => false,
        Some(there) => wanted.split(',').any(|wanted| wanted == "auto" || class(wanted) == class(there)),
    }
}

/// Two names may mean one device when they are of different kinds (`sda1` and a by-path) or the same.
fn same_place(a: &str, b: &str) -> bool {
    let by_path = |name: &str| name.starts_with("/dev/disk/by-path/");
    a == b || by_path(a) != by_path(b)
}

fn tag(name: &str) -> &str {
    name.split_once('=').map_or(name, |(tag, _)| tag)
}

#[cfg(test)]
mod tests;

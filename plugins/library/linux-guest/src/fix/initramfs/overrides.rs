//! What an old initramfs carries that still names the old machine, and what takes its place in the appended archive.

use vmdk2kvm_plugin_api::model::{Content, Finding};
use vmdk2kvm_plugin_api::{FileKind, Guest, Result};

use super::super::cmdline::arguments::Arguments;
use super::super::crypttab;
use super::super::driver_bans::without_bans;
use super::super::lvm::{by_identity, open_filters};
use super::super::md::by_uuid;
use super::super::network::place::is_pin;
use super::super::resume::stable_resume;
use crate::devices::Devices;
use crate::initramfs::Contents;
use crate::textfile::read;

/// Guest files that the initramfs should have as they are now.
pub(super) struct Wanted<'a> {
    devices: &'a Devices<'a>,
    /// Names and content of `.link` files that this project wrote.
    links: Vec<(String, Vec<u8>)>,
    /// Names and content of files whose rules name cards.
    rules: Vec<(String, Vec<u8>)>,
}

const LINKS: &str = "/etc/systemd/network";
const RULES: &str = "/etc/udev/rules.d";
const LIMIT: u64 = 1 << 20;

impl<'a> Wanted<'a> {
    /// Reads them.
    pub fn gather(guest: &dyn Guest, devices: &'a Devices<'a>, findings: &mut Vec<Finding>) -> Result<Self> {
        let mut pins = |folder: &str| -> Result<Vec<(String, Vec<u8>)>> {
            let mut files = Vec::new();
            let entries = guest.list(folder)?.into_iter().flatten();
            for entry in entries.filter(|entry| entry.kind == FileKind::File && is_pin(&entry.name)) {
                if let Some(data) = read(guest, &format!("{folder}/{}", entry.name), LIMIT, findings)? {
                    files.push((entry.name, data));
                }
            }
            Ok(files)
        };
        Ok(Self { devices, links: pins(LINKS)?, rules: pins(RULES)? })
    }

    /// The files that this initramfs lacks or has in an old state, by path inside of it.
    pub fn missing(&self, inside: &Contents, has_card: bool) -> Vec<(String, Content)> {
        let mut out: Vec<(String, Content)> = Vec::new();
        // initramfs-tools' resume device.
        for (path, data) in inside.files_below("conf") {
            let old = String::from_utf8_lossy(data);
            push(&mut out, path, data, stable_resume(&old, self.devices));
        }
        // dracut's command line of a host-only image.
        for (path, data) in inside.files_below("etc/cmdline.d") {
            let old = String::from_utf8_lossy(data);
            push(&mut out, path, data, Arguments::new(self.devices, false).rewrite(&old));
        }
        // What is opened on the way to the root: the copies of crypttab that dracut and initramfs-tools make.
        for path in ["etc/crypttab", "cryptroot/crypttab"] {
            let Some(data) = inside.file(path) else { continue };
            let old = String::from_utf8_lossy(data);
            push(&mut out, path, data, crypttab::by_uuid(&old, self.devices).0);
        }
        // A ban holds for the early udev too.
        for (path, data) in inside.files_below("etc/modprobe.d") {
            push(&mut out, path, data, without_bans(&String::from_utf8_lossy(data)));
        }
        // What LVM and md may look at, as their fixers have it.
        for (path, data) in inside.files_below("etc/lvm") {
            let old = String::from_utf8_lossy(data);
            let new = if path.ends_with(".devices") { by_identity(&old) } else { open_filters(&old) };
            push(&mut out, path, data, new);
        }
        for (path, data) in inside.files_ending("mdadm.conf") {
            let old = String::from_utf8_lossy(data);
            push(&mut out, path, data, by_uuid(&old, self.devices).text);
        }
        // An early udev names the card before the root's udev does, and older ones keep that name.
        let folder =
            inside.files_ending("systemd/network/99-default.link").next().and_then(|(path, _)| path.rsplit_once('/'));
        if let Some((folder, _)) = folder.filter(|_| has_card) {
            for (name, data) in &self.links {
                let path = format!("{folder}/{name}");
                if inside.file(&path) != Some(&data[..]) {
                    out.push((path, Content::from_bytes(data.clone())));
                }
            }
        }
        // Where names come from rules, an early udev has some of them too.
        let has_rules = inside.files_ending(".rules").any(|(path, _)| path.contains("rules.d/"));
        for (name, rules) in self.rules.iter().filter(|_| has_rules && has_card) {
            let path = format!("{}/{name}", &RULES[1..]);
            if inside.file(&path) != Some(&rules[..]) {
                out.push((path, Content::from_bytes(rules.clone())));
            }
        }
        out
    }
}

fn push(out: &mut Vec<(String, Content)>, path: &str, old: &[u8], new: String) {
    // What is not UTF-8 was not understood, so it stays.
    if new.as_bytes() != old && std::str::from_utf8(old).is_ok() {
        out.push((path.to_owned(), Content::Text(new)));
    }
}

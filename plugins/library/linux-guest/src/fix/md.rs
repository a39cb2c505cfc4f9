//! `mdadm.conf`: arrays are found by what their members say, not by the members' names.

use vmdk2kvm_plugin_api::model::{Finding, FixerPlan, OsFamily, PlanContext, Severity};
use vmdk2kvm_plugin_api::{Fixer, Guest, Result};

use crate::devices::{Devices, Reference};
use crate::textfile::{TextFile, Why, lines, words};

/// The fixer of `mdadm.conf`.
pub(super) struct Md;

impl Fixer for Md {
    fn name(&self) -> String {
        "linux-md".to_owned()
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
        let devices = Devices::of(context, guest)?;
        for path in ["/etc/mdadm/mdadm.conf", "/etc/mdadm.conf"] {
            let Some(file) = TextFile::read(guest, path, &mut plan.findings)? else { continue };
            let why = Why {
                summary: "arrays by UUID",
                reason: "the disks have other names on KVM, and the array would not be assembled",
                critical: true,
            };
            let fixed = by_uuid(&file.text, &devices);
            if fixed.unnamed {
                plan.findings.push(
                    Finding::new(
                        "md-array-by-name",
                        Severity::Warn,
                        format!("{path} has an array that is known by the names of its members alone"),
                    )
                    .hint("write the array's UUID into that file, as mdadm --detail --scan prints it"),
                );
            }
            plan.changes.extend(file.rewrite(&fixed.text, why));
        }
        Ok(plan)
    }
}

/// The arrays of `mdadm.conf` that have a UUID there: device and UUID.
pub fn md_arrays(guest: &dyn Guest) -> Result<Vec<(String, String)>> {
    let mut arrays = Vec::new();
    for path in ["/etc/mdadm/mdadm.conf", "/etc/mdadm.conf"] {
        let Some(file) = TextFile::read(guest, path, &mut Vec::new())? else { continue };
        // The device of the array whose lines these are.
        let mut device = None;
        for line in file.lines() {
            let mut words = line.body.split_whitespace();
            if !line.body.starts_with([' ', '\t']) {
                let is_array = words.next().is_some_and(|first| first.eq_ignore_ascii_case("array"));
                device = if is_array { words.next() } else { None };
            }
            let uuid = words.find_map(|word| word.split_once('=').filter(|(key, _)| key.eq_ignore_ascii_case("uuid")));
            if let (Some(device), Some((_, uuid))) = (device, uuid) {
                arrays.push((device.to_owned(), uuid.to_owned()));
            }
        }
    }
    Ok(arrays)
}

pub(super) struct Fixed {
    pub text: String,
    /// An array has nothing but the names of its members.
    unnamed: bool,
}

/// The text with `DEVICE` lines that name disks by place made general, and members by place taken out of arrays that have
/// another identity (mdadm.conf(5)).
pub(super) fn by_uuid(text: &str, devices: &Devices<'_>) -> Fixed {
    let by_place = |word: &str| {
        let names = word.split(',').map(|name| name.split(['*', '?', '[']).next().unwrap_or_default());
        names.clone().any(|name| {
            matches!(devices.refer(name), Reference::Place(_) | Reference::Unknown)
                || matches!(name, "/dev/sd" | "/dev/hd" | "/dev/disk/by-path/" | "/dev/disk/by-id/")
        })
    };
    let mut out = Fixed { text: String::with_capacity(text.len()), unnamed: false };
    let all: Vec<_> = lines(text).collect();
    let mut at = 0;
    while at < all.len() {
        // A line that begins with white space goes on with the one before.
        let more = all[at + 1..].iter().take_while(|line| line.body.starts_with([' ', '\t'])).count();
        let entry = &all[at..=at + more];
        at += more + 1;
        let first = entry[0].body.split_whitespace().next().unwrap_or_default();
        // Keywords may be shortened to three letters.
        let is = |keyword: &str| first.len() >= 3 && keyword.starts_with(&first.to_ascii_lowercase());
        let named = entry.iter().flat_map(|line| line.body.split_whitespace()).any(|word| {
            ["uuid=", "name=", "super-minor="].iter().any(|key| word.to_ascii_lowercase().starts_with(key))
        });
        for line in entry {
            let body = line.body;
            let stale = |word: &str| {
                let list = if is("device") { Some(word) } else { word.strip_prefix("devices=") };
                (is("device") || is("array")) && list.is_some_and(by_place)
            };
            let places: Vec<_> = words(body).into_iter().filter(|range| stale(&body[range.clone()])).collect();
            if places.is_empty() {
                out.text.push_str(body);
            } else if is("device") {
                let kept: Vec<&str> = body.split_whitespace().filter(|word| !stale(word)).collect();
                out.text.push_str(&kept.join(" "));
                out.text.push_str(" partitions");
            } else if named {
                let mut done = 0;
                for range in places {
                    out.text.push_str(body[done..range.start].trim_end());
                    done = range.end;
                }
                out.text.push_str(&body[done..]);
            } else {
                out.unnamed = true;
                out.text.push_str(body);
            }
            out.text.push_str(line.ending);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn arrays_with_a_uuid() {
        let text = "# ARRAY /dev/md9 UUID=9\nDEVICE partitions\nARRAY /dev/md0 metadata=1.2 UUID=a:b name=web:0\n\
                    array /dev/md/boot\n\tuuid=c:d\nARRAY /dev/md2 name=web:2\nMAILADDR UUID=e\n";
        let arrays = md_arrays(&fixture::MapGuest::new(&[("/etc/mdadm/mdadm.conf", text)])).unwrap();
        let arrays: Vec<(&str, &str)> = arrays.iter().map(|(device, uuid)| (device.as_str(), uuid.as_str())).collect();
        assert_eq!(arrays, [("/dev/md0", "a:b"), ("/dev/md/boot", "c:d")]);
    }

    #[test]
    fn lines_of_real_files() {
        let context = fixture::context();
        let devices = Devices::new(&context.inspection.disks, Some(&context.vm));
        for (old, new, unnamed) in [
            ("DEVICE /dev/sda1 /dev/sdb1\r\n", "DEVICE partitions\r\n", false),
            ("DEVICE /dev/sd*[0-9] containers\n", "DEVICE containers partitions\n", false),
            ("DEVICE partitions\nMAILADDR root\n", "DEVICE partitions\nMAILADDR root\n", false),
            (
                "ARRAY /dev/md0 level=raid1 devices=/dev/sda1,/dev/sdb1 UUID=1:2\n",
                "ARRAY /dev/md0 level=raid1 UUID=1:2\n",
                false,
            ),
            ("ARRAY /dev/md0 UUID=1:2\n   devices=/dev/sda1,/dev/sdb1\n", "ARRAY /dev/md0 UUID=1:2\n\n", false),
            ("ARRAY /dev/md0 devices=/dev/sda1,/dev/sdb1\n", "ARRAY /dev/md0 devices=/dev/sda1,/dev/sdb1\n", true),
            (
                "# DEVICE /dev/sda1\nARRAY <ignore> devices=/dev/dm-9 x\n",
                "# DEVICE /dev/sda1\nARRAY <ignore> devices=/dev/dm-9 x\n",
                true,
            ),
            (
                "ARRAY /dev/md/0 metadata=1.2 UUID=1:2 name=web:0\n",
                "ARRAY /dev/md/0 metadata=1.2 UUID=1:2 name=web:0\n",
                false,
            ),
        ] {
            let fixed = by_uuid(old, &devices);
            assert_eq!((fixed.text.as_str(), fixed.unnamed), (new, unnamed));
            assert_eq!(by_uuid(&fixed.text, &devices).text, new);
        }
    }
}

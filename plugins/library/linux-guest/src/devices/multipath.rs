//! Names that device-mapper-multipath gives: its configuration's aliases, and those that it has dealt out. A virtual disk has one path, but where
//! it tells its serial number multipath makes a map of it all the same, and the guest mounts that.

use vmdk2kvm_plugin_api::{Guest, Result};

use super::place::Place;
use crate::textfile::TextFile;

/// Every name (multipath.conf(5), "alias"; `/etc/multipath/bindings`).
pub(super) fn names(guest: &dyn Guest) -> Result<Vec<String>> {
    let mut names = Vec::new();
    if let Some(file) = TextFile::read(guest, "/etc/multipath.conf", &mut Vec::new())? {
        names.extend(file.text.lines().filter_map(|line| {
            let mut words = line.split_whitespace();
            words.next().filter(|word| *word == "alias").and_then(|_| words.next()).map(str::to_owned)
        }));
    }
    for path in ["/etc/multipath/bindings", "/var/lib/multipath/bindings"] {
        let Some(file) = TextFile::read(guest, path, &mut Vec::new())? else { continue };
        let lines = file.text.lines().filter(|line| !line.trim_start().starts_with('#'));
        names.extend(lines.filter_map(|line| line.split_whitespace().next()).map(str::to_owned));
    }
    names.iter_mut().for_each(|name| *name = name.trim_matches('"').to_owned());
    names.retain(|name| !name.is_empty());
    Ok(names)
}

/// What `/dev/mapper/NAME`, or a partition of it (`NAME1`, `NAMEp1`, `NAME-part1`), means.
pub(super) fn place(names: &[String], spec: &str) -> Option<Place> {
    let map = spec.strip_prefix("/dev/mapper/")?;
    names.iter().filter_map(|name| map.strip_prefix(name.as_str())).find_map(|rest| {
        let partition = rest.strip_prefix("-part").or_else(|| rest.strip_prefix('p')).unwrap_or(rest);
        let is_number = partition.len() <= 3 && partition.bytes().all(|byte| byte.is_ascii_digit());
        match (rest, is_number) {
            ("", _) => Some(Place::OnlyDisk { partition: 0 }),
            (_, true) => Some(Place::OnlyDisk { partition: partition.parse().ok()? }),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::MapGuest;

    #[test]
    fn aliases_and_bindings() {
        let guest = MapGuest::new(&[
            (
                "/etc/multipath.conf",
                "defaults {\n  user_friendly_names yes\n}\nmultipaths {\n  multipath {\n    wwid 36000c29a\n    alias \"system\"\n    # alias old\n  }\n}\n",
            ),
            ("/etc/multipath/bindings", "# Format:\n# alias wwid\ndisk0 36000c29a\n\n"),
        ]);
        let names = names(&guest).unwrap();
        assert_eq!(names, ["system", "disk0"]);
        for (spec, partition) in [
            ("/dev/mapper/system", Some(0)),
            ("/dev/mapper/system2", Some(2)),
            ("/dev/mapper/system-part2", Some(2)),
            ("/dev/mapper/disk0p3", Some(3)),
            ("/dev/mapper/systemp", None),
            ("/dev/mapper/system-root", None),
            ("/dev/mapper/vg-system", None),
            ("/dev/system", None),
        ] {
            assert_eq!(place(&names, spec).map(|place| place.partition()), partition, "{spec}");
        }
    }
}

//! LVM's description of a volume group as text (lvm2, `lib/format_text`): sections in braces, `key = value`, comments behind `#`.
//!
//! Owns what is asked of it when a volume is to grow, or to be read: extents, physical volumes, and what a logical volume is made of.

use std::collections::BTreeMap;

/// Bytes in a sector, the unit of sizes in the text.
const SECTOR: u64 = 512;

/// A volume group.
#[derive(Debug, PartialEq, Eq)]
pub struct VolumeGroup {
    /// Name.
    pub name: String,
    /// Number of this description: each change makes it larger.
    pub seqno: u64,
    /// What it is marked with.
    pub marks: Vec<String>,
    /// Physical volumes.
    pub physical: Vec<PhysicalVolume>,
    /// Logical volumes, hidden ones too.
    pub logical: Vec<LogicalVolume>,
    /// Size of an extent in bytes.
    pub extent_bytes: u64,
}

/// A physical volume of a group.
#[derive(Debug, PartialEq, Eq)]
pub struct PhysicalVolume {
    /// Name in this text.
    pub name: String,
    /// UUID, in groups.
    pub uuid: String,
    /// What it is marked with.
    pub marks: Vec<String>,
    /// Where its first extent begins, in bytes.
    pub start_bytes: u64,
    /// Bytes from the start of its device to the end of its last extent.
    pub used_bytes: u64,
}

/// A logical volume.
#[derive(Debug, PartialEq, Eq)]
pub struct LogicalVolume {
    /// Name.
    pub name: String,
    /// Extents in a row and nothing else, and no other volume is a snapshot of it.
    pub linear: bool,
    /// What it is marked with.
    pub marks: Vec<String>,
    /// What it is made of, in the order of its bytes.
    pub segments: Vec<Segment>,
}

/// A part of a logical volume.
#[derive(Debug, PartialEq, Eq)]
pub struct Segment {
    /// `striped` also where there is but one stripe.
    pub kind: String,
    /// Its first extent in the volume.
    pub start: u64,
    /// How many extents it has.
    pub count: u64,
    /// Bytes of each stripe in turn; 0 with one stripe.
    pub stripe_bytes: u64,
    /// Physical volumes by their names in this text, and the first extent on each.
    pub stripes: Vec<(String, u64)>,
}

/// Reads the description; `None` when it is none.
pub fn read(text: &str) -> Option<VolumeGroup> {
    let values = Values(values(text));
    let name = values.0.keys().find_map(|key| key.strip_suffix("/extent_size").filter(|group| !group.is_empty()))?;
    let extent_bytes = values.number(name, "extent_size")?.checked_mul(SECTOR)?;
    let physical = values.sections(name, "physical_volumes").map(|(at, name)| {
        let extents = values.number(&at, "pe_count")?.checked_mul(extent_bytes)?;
        let start_bytes = values.number(&at, "pe_start")?.checked_mul(SECTOR)?;
        let uuid = values.text(&at, "id")?.to_owned();
        let used_bytes = start_bytes.checked_add(extents)?;
        Some(PhysicalVolume { name, uuid, marks: values.marks(&at), start_bytes, used_bytes })
    });
    let mut logical: Vec<LogicalVolume> =
        values.sections(name, "logical_volumes").map(|(at, name)| values.volume(&at, name)).collect();
    let origins = values.0.iter().filter(|(path, _)| path.ends_with("/origin")).map(|(_, origin)| origin.as_str());
    unlink(&mut logical, &origins.collect::<Vec<_>>());
    Some(VolumeGroup {
        seqno: values.number(name, "seqno").unwrap_or(0),
        marks: values.marks(name),
        physical: physical.collect::<Option<_>>()?,
        logical,
        extent_bytes,
        name: name.to_owned(),
    })
}

/// A volume that another is a snapshot of is not a linear run of extents.
fn unlink(volumes: &mut [LogicalVolume], origins: &[&str]) {
    for volume in volumes {
        volume.linear &= !origins.contains(&volume.name.as_str());
    }
}

/// Values by the names of their sections and their key, with slashes between: no name has one.
struct Values(BTreeMap<String, String>);

impl Values {
    fn text(&self, at: &str, key: &str) -> Option<&str> {
        self.0.get(&[at, key].join("/")).map(String::as_str)
    }

    fn number(&self, at: &str, key: &str) -> Option<u64> {
        self.text(at, key)?.parse().ok()
    }

    /// The sections of a kind in a section, and their names.
    fn sections(&self, at: &str, kind: &str) -> impl Iterator<Item = (String, String)> {
        let prefix = format!("{at}/{kind}/");
        let below = self.0.range(prefix.clone()..).map(|(key, _)| key).take_while(|key| key.starts_with(&prefix));
        let mut names: Vec<String> =
            below.filter_map(|key| Some(key[prefix.len()..].split_once('/')?.0.to_owned())).collect();
        names.dedup();
        names.into_iter().map(move |name| (format!("{prefix}{name}"), name))
    }

    /// The words of `status` and `flags`.
    fn marks(&self, at: &str) -> Vec<String> {
        let words = |key| self.text(at, key).map(array).unwrap_or_default();
        words("status").into_iter().chain(words("flags")).collect()
    }

    fn volume(&self, at: &str, name: String) -> LogicalVolume {
        let own = format!("{at}/segment");
        let below = self.0.range(own.clone()..).map(|(key, _)| key).take_while(|key| key.starts_with(&own));
        let mut places: Vec<&str> = below.filter_map(|key| key.rsplit_once('/')).map(|(place, _)| place).collect();
        let is_segment = |place: &str| {
            let number = place.strip_prefix(own.as_str());
            number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
        };
        places.retain(|place| is_segment(place));
        places.dedup();
        let mut segments: Vec<Segment> = places.iter().map(|place| self.segment(place)).collect();
        segments.sort_by_key(|segment| segment.start);
        let plain = |segment: &&str| {
            self.text(segment, "type") == Some("striped") && self.text(segment, "stripe_count") == Some("1")
        };
        LogicalVolume { linear: places.iter().all(plain), marks: self.marks(at), segments, name }
    }

    fn segment(&self, at: &str) -> Segment {
        let stripes = self.text(at, "stripes").map(array).unwrap_or_default();
        let pairs = stripes.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].parse().unwrap_or(u64::MAX)));
        Segment {
            kind: self.text(at, "type").unwrap_or_default().to_owned(),
            start: self.number(at, "start_extent").unwrap_or(0),
            count: self.number(at, "extent_count").unwrap_or(0),
            stripe_bytes: self.number(at, "stripe_size").and_then(|size| size.checked_mul(SECTOR)).unwrap_or(0),
            stripes: pairs.collect(),
        }
    }
}

/// The elements of an array: no text in one has a comma.
fn array(value: &str) -> Vec<String> {
    let inside = value.trim_start_matches('[').trim_end_matches(']');
    inside.split(',').map(|word| word.trim().trim_matches('"').to_owned()).filter(|word| !word.is_empty()).collect()
}

fn values(text: &str) -> BTreeMap<String, String> {
    let (mut values, mut path) = (BTreeMap::new(), Vec::new());
    let mut lines = text.lines().map(str::trim);
    while let Some(line) = lines.next() {
        if let Some((key, value)) = line.split_once(" = ") {
            let value = match value.chars().next() {
                Some('"') => value[1..].split('"').next().unwrap_or_default().to_owned(),
                Some('[') => {
                    let mut all = value.to_owned();
                    while !all.contains(']') {
                        let Some(line) = lines.next() else { break };
                        all.push_str(line);
                    }
                    all.split_inclusive(']').next().unwrap_or_default().to_owned()
                }
                _ => value.split(['#', '\t']).next().unwrap_or_default().trim().to_owned(),
            };
            values.insert([path.join("/").as_str(), key].join("/"), value);
        } else if let Some(name) = line.split('#').next().and_then(|line| line.trim().strip_suffix('{')) {
            path.push(name.trim());
        } else if line.starts_with('}') {
            path.pop();
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `vgcfgbackup` of LVM 2.03.16, shortened, with a snapshot and a mirror added.
    const TEXT: &str = r#"# Generated by LVM2 version 2.03.16(2) (2022-05-18): Mon Nov 23 19:00:00 2026

contents = "Text Format Volume Group"
version = 1

description = "vgcfgbackup -f '/tmp/x' # { one"

creation_host = "(none)"	# Linux (none) 6.1.0

one-vg {
	id = "cRqGd0-MYG4-0Wgm-ObMr-wm2C-jcSQ-h1bVzK"
	seqno = 3
	status = ["RESIZEABLE", "READ", "WRITE"]
	flags = []
	extent_size = 8192		# 4 Megabytes
	max_lv = 0

	physical_volumes {

		pv0 {
			id = "ThD2vL-0ebM-lYcb-AxVb-MLfG-DBF0-H3XkOd"
			device = "/dev/sda3"	# Hint only

			status = ["ALLOCATABLE"]
			dev_size = 7335936	# 3.49805 Gigabytes
			pe_start = 2048
			pe_count = 895	# 3.49609 Gigabytes
		}
	}

	logical_volumes {

		root {
			id = "a"
			status = ["READ", "WRITE", "VISIBLE"]
			segment_count = 2

			segment1 {
				start_extent = 0
				extent_count = 600	# 2.4 Gigabytes

				type = "striped"
				stripe_count = 1	# linear

				stripes = [
					"pv0", 0
				]
			}
			segment2 {
				start_extent = 600
				type = "striped"
				stripe_count = 1	# linear
			}
		}

		old {
			segment1 {
				type = "striped"
				stripe_count = 1	# linear
			}
		}

		snapshot0 {
			segment1 {
				type = "snapshot"
				origin = "old"
				cow_store = "s"
			}
		}

		mixed {
			segment1 {
				type = "striped"
				stripe_count = 2
			}
		}
	}
}
"#;

    #[test]
    fn what_a_group_is_made_of() {
        let group = read(TEXT).unwrap();
        assert_eq!(group.extent_bytes, 4 << 20);
        assert_eq!((group.name.as_str(), group.seqno), ("one-vg", 3));
        assert_eq!(group.marks, ["RESIZEABLE", "READ", "WRITE"]);
        let uuid = "ThD2vL-0ebM-lYcb-AxVb-MLfG-DBF0-H3XkOd".to_owned();
        let (name, marks) = ("pv0".to_owned(), vec!["ALLOCATABLE".to_owned()]);
        let used_bytes = (1 << 20) + (895 * (4 << 20));
        assert_eq!(group.physical, [PhysicalVolume { name, uuid, marks, start_bytes: 1 << 20, used_bytes }]);
        let volumes: Vec<(&str, bool)> = group.logical.iter().map(|one| (one.name.as_str(), one.linear)).collect();
        assert_eq!(volumes, [("mixed", false), ("old", false), ("root", true), ("snapshot0", false)]);
        let root = &group.logical[2];
        assert_eq!(root.marks, ["READ", "WRITE", "VISIBLE"]);
        let (kind, stripes) = ("striped".to_owned(), vec![("pv0".to_owned(), 0)]);
        assert_eq!(root.segments[0], Segment { kind, start: 0, count: 600, stripe_bytes: 0, stripes });
        assert_eq!((root.segments.len(), root.segments[1].start), (2, 600));
    }

    #[test]
    fn what_is_no_description_is_none() {
        for text in ["", "}}}\n{", "vg {\nextent_size = 99999999999999999999\n}", "extent_size = 1\n"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}

//! What is looked for in a disk's descriptor before a byte of it is read: what kind of disk it is, how large, and what it is a snapshot of.
//! Reading the disk is a flattener's business, and so is whether the descriptor is right.

/// The longest descriptor that is looked at, in bytes. On a host each file that a VMX names is a descriptor, of a few hundred bytes.
pub const LONGEST: u64 = 1 << 20;

/// What a descriptor says.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// `vmfs`, `vmfsSparse`, `seSparse`, ...
    pub create_type: String,
    /// The sum of its extents, in bytes.
    pub capacity: u64,
    /// The file of its parent, as written: hostile.
    pub parent: Option<String>,
    /// The types and the names of its extents.
    pub extents: Vec<(String, String)>,
}

/// What stands in the way of reading a disk by its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// A raw device whose commands go through as they are.
    RawPhysical,
    /// A raw device behind a file that maps it.
    RawVirtual,
    /// An object of a storage that has no files.
    NoFile,
}

impl Descriptor {
    /// Reads one; `None`: the bytes are no descriptor.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes);
        let is_one =
            text.trim_start_matches('\u{feff}').trim_start().to_ascii_lowercase().starts_with("# disk descriptorfile");
        if !is_one {
            return None;
        }
        let mut found = Self::default();
        for line in text.lines().map(str::trim) {
            if let Some((key, value)) = line.split_once('=') {
                let value = value.trim().trim_matches('"');
                match key.trim().to_ascii_lowercase().as_str() {
                    "createtype" => value.clone_into(&mut found.create_type),
                    "parentfilenamehint" => found.parent = Some(value.to_owned()),
                    _ => {}
                }
                continue;
            }
            let mut words = line.splitn(4, ' ');
            if let (Some("RW" | "RDONLY"), Some(sectors), Some(kind), Some(rest)) =
                (words.next(), words.next(), words.next(), words.next())
            {
                let sectors: u64 = sectors.parse().unwrap_or_default();
                found.capacity = found.capacity.saturating_add(sectors.saturating_mul(512));
                let name = rest.split('"').nth(1).unwrap_or_default();
                found.extents.push((kind.to_ascii_uppercase(), name.to_owned()));
            }
        }
        Some(found)
    }

    /// What stands in the way.
    pub fn obstacle(&self) -> Option<Obstacle> {
        let kind = self.create_type.to_ascii_lowercase();
        if kind == "vmfspassthroughrawdevicemap" || self.extents.iter().any(|(kind, _)| kind == "VMFSRDMP") {
            return Some(Obstacle::RawPhysical);
        }
        if kind.contains("rawdevicemap")
            || kind == "fulldevice"
            || self.extents.iter().any(|(kind, _)| kind == "VMFSRDM")
        {
            return Some(Obstacle::RawVirtual);
        }
        let is_object = |(_, name): &(String, String)| name.contains("://");
        (kind.starts_with("vsan") || kind.starts_with("vvol") || self.extents.iter().any(is_object))
            .then_some(Obstacle::NoFile)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(create_type: &str, extent: &str) -> Descriptor {
        let text = format!(
            "# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType=\"{create_type}\"\n\n# Extent description\n{extent}\n\
             ddb.adapterType = \"lsilogic\"\n"
        );
        Descriptor::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn what_is_there_is_read() {
        let found =
            parse("vmfsSparse", "RW 2048 VMFSSPARSE \"a b-000001-delta.vmdk\"\nparentFileNameHint=\"a b.vmdk\"");
        assert_eq!((found.capacity, found.parent.as_deref()), (1 << 20, Some("a b.vmdk")));
        assert_eq!(found.extents, [("VMFSSPARSE".to_owned(), "a b-000001-delta.vmdk".to_owned())]);
        for no in [&b"KDMV"[..], b"", b"COWD\0", b"version=1"] {
            assert_eq!(Descriptor::parse(no), None);
        }
        assert_eq!(parse("vmfs", "RW 18446744073709551615 VMFS \"a\"\nRW x VMFS").capacity, u64::MAX);
    }

    #[test]
    fn what_has_no_file_is_seen() {
        for (create_type, extent, obstacle) in [
            ("vmfs", "RW 1 VMFS \"a-flat.vmdk\"", None),
            ("seSparse", "RW 1 SESPARSE \"a-000001-sesparse.vmdk\"", None),
            ("vmfsPassthroughRawDeviceMap", "RW 1 VMFSRDM \"a-rdmp.vmdk\"", Some(Obstacle::RawPhysical)),
            ("vmfsRawDeviceMap", "RW 1 VMFSRDM \"a-rdm.vmdk\"", Some(Obstacle::RawVirtual)),
            ("vmfs", "RW 1 VMFS \"vsan://4ae0\"", Some(Obstacle::NoFile)),
            ("vsanSparse", "RW 1 VSANSPARSE \"x\"", Some(Obstacle::NoFile)),
        ] {
            assert_eq!(parse(create_type, extent).obstacle(), obstacle, "{create_type} {extent}");
        }
    }
}

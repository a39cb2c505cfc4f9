//! The snapshots of a VM, by the list that the host keeps beside its VMX (`.vmsd`): names, numbers, and each disk's file from before.

use std::collections::BTreeMap;

use vmdk2kvm_plugin_api::Result;
use vmdk2kvm_vmx::Dictionary;
use vmdk2kvm_vmx::text::decode;

/// The longest list, in bytes.
pub const LONGEST: u64 = 4 << 20;
/// The most snapshots of a VM; VMware's own limit is 32 in a chain.
const MOST: u64 = 496;
/// The most disks of a snapshot.
const DISKS: u64 = 256;
/// What the names of our snapshots begin with.
pub const PREFIX: &str = "vmdk2kvm ";

/// A snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The host's number for it.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// The file that each disk had when it was made, as written, by the disk's place (`scsi0:0`).
    pub files: BTreeMap<String, String>,
}

impl Snapshot {
    /// Whether it was made by this program.
    pub fn is_ours(&self) -> bool {
        let run = self.name.strip_prefix(PREFIX);
        run.is_some_and(|run| run.len() >= 8 && run.bytes().all(|byte| byte.is_ascii_hexdigit()))
    }
}

/// The snapshots of a list.
pub fn parse(bytes: &[u8]) -> Result<Vec<Snapshot>> {
    let list = Dictionary::parse(&decode(bytes))?;
    let mut found = Vec::new();
    // Numbers of snapshots that were removed are given again, or not: the count is no bound for them.
    for number in 0..MOST {
        let get = |member: &str| list.text(&format!("snapshot{number}.{member}"));
        let (Some(id), Some(name)) = (get("uid").and_then(|id| id.parse().ok()), get("displayname")) else { continue };
        let disks = list.number(&format!("snapshot{number}.numdisks"), 0, DISKS)?.unwrap_or_default();
        let disk = |disk| {
            Some((get(&format!("disk{disk}.node"))?.to_lowercase(), get(&format!("disk{disk}.filename"))?.to_owned()))
        };
        found.push(Snapshot { id, name: name.to_owned(), files: (0..disks).filter_map(disk).collect() });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read() {
        let list = ".encoding = \"UTF-8\"\nsnapshot.lastUID = \"3\"\nsnapshot.current = \"3\"\nsnapshot.numSnapshots = \"2\"\n\
            snapshot0.uid = \"1\"\nsnapshot0.filename = \"web-Snapshot1.vmsn\"\nsnapshot0.displayName = \"before |22it|22\"\n\
            snapshot0.numDisks = \"2\"\nsnapshot0.disk0.fileName = \"web.vmdk\"\nsnapshot0.disk0.node = \"scsi0:0\"\n\
            snapshot0.disk1.fileName = \"/vmfs/volumes/5e/data.vmdk\"\nsnapshot0.disk1.node = \"SATA0:1\"\n\
            snapshot2.uid = \"3\"\nsnapshot2.displayName = \"vmdk2kvm 0123456789abcdef\"\n";
        let found = parse(list.as_bytes()).unwrap();
        assert_eq!((found.len(), found[0].id, found[0].name.as_str()), (2, 1, "before \"it\""));
        let files: Vec<_> = found[0].files.iter().map(|(place, file)| (place.as_str(), file.as_str())).collect();
        assert_eq!(files, [("sata0:1", "/vmfs/volumes/5e/data.vmdk"), ("scsi0:0", "web.vmdk")]);
        assert_eq!(found.iter().map(Snapshot::is_ours).collect::<Vec<_>>(), [false, true]);
        assert!(parse(b"").unwrap().is_empty());
    }
}

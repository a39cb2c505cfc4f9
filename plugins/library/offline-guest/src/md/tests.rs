//! Members made by hand: what the real tool makes is read in the tests of the plugin that reads without an appliance.

use vmdk2kvm_plugin_api::ErrorKind;

use super::*;

const DATA: u64 = 16;

struct Bytes(Vec<u8>);

impl BlockSource for Bytes {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        buffer.copy_from_slice(&self.0[offset as usize..][..buffer.len()]);
        Ok(buffer.len())
    }
}

/// A member of metadata 1.2 with `DATA` sectors of the letter, and these numbers changed.
fn member_of(letter: u8, role: u16, level: u32, changed: &[(usize, u64)]) -> Arc<dyn BlockSource> {
    let mut raw = vec![0; 4096];
    let mut put = |at: usize, bytes: &[u8]| raw[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, MAGIC);
    put(4, &1u32.to_le_bytes());
    put(16, &[7; 16]);
    put(32, b"host:one");
    put(72, &level.to_le_bytes());
    put(80, &DATA.to_le_bytes());
    put(92, &2u32.to_le_bytes());
    put(128, &32u64.to_le_bytes());
    put(136, &DATA.to_le_bytes());
    put(144, &8u64.to_le_bytes());
    put(160, &u32::from(role).to_le_bytes());
    put(200, &5u64.to_le_bytes());
    put(208, &u64::MAX.to_le_bytes());
    put(220, &2u32.to_le_bytes());
    put(258, &1u16.to_le_bytes());
    for (at, value) in changed {
        put(*at, &value.to_le_bytes());
    }
    let sum: u64 = raw[..260].chunks_exact(4).map(|word| u64::from(le32(word, 0).unwrap())).sum();
    raw[216..220].copy_from_slice(&u32::try_from((sum & 0xffff_ffff) + (sum >> 32)).unwrap().to_le_bytes());
    let mut disk = vec![0; 4096];
    disk.extend(raw);
    disk.resize(32 * 512, 0);
    disk.resize((32 + DATA as usize) * 512, letter);
    Arc::new(Bytes(disk))
}

fn assembled(members: [Arc<dyn BlockSource>; 2]) -> Result<Assembled> {
    let [one, two] = members;
    // Their order says nothing.
    Ok(arrays(&[("/dev/sdb", two), ("/dev/sda", one)])?.remove(0))
}

#[test]
fn a_row_and_a_mirror() {
    let row = assembled([member_of(b'a', 0, LINEAR, &[]), member_of(b'b', 1, LINEAR, &[])]).unwrap();
    let mut around = [0; 4];
    read_exact_at(row.source.as_ref(), DATA * 512 - 2, &mut around).unwrap();
    assert_eq!((&around, row.source.size()), (b"aabb", 2 * DATA * 512));
    assert_eq!((row.name.as_str(), row.uuid.as_str()), ("host:one", "07070707:07070707:07070707:07070707"));
    let mirror = assembled([member_of(b'a', 0, MIRROR, &[]), member_of(b'a', 1, MIRROR, &[])]).unwrap();
    assert_eq!(mirror.source.size(), DATA * 512);
}

#[test]
fn what_is_not_whole_and_clean_is_refused() {
    let whole = || member_of(b'a', 0, MIRROR, &[]);
    let other = |changed: &[(usize, u64)]| member_of(b'a', 1, MIRROR, changed);
    for (members, reason) in [
        ([whole(), other(&[(200, 6)])], "its members do not agree"),
        ([whole(), other(&[(208, 0)])], "it was being written to"),
        ([whole(), whole()], "a member is missing, or no part of it any more"),
        ([member_of(b'a', 0, 5, &[]), member_of(b'a', 1, 5, &[])], "it is neither a mirror nor linear"),
    ] {
        let error = assembled(members).err().unwrap();
        let message = format!("the array \"host:one\" cannot be read without an appliance: {reason}");
        assert_eq!((error.kind, error.message), (ErrorKind::Cannot, message));
    }
    let alone = arrays(&[("/dev/sda", whole())]).err().unwrap();
    assert_eq!(
        alone.message,
        "the array \"host:one\" cannot be read without an appliance: a member is missing, or no part of it any more"
    );
    let grown = arrays(&[("/dev/sda", other(&[(8, 4)]))]).err().unwrap();
    assert!(grown.message.contains("features that are not known (0x4)"), "{grown}");
}

//! The boot sector: how large everything is, and where the table of files begins.

use std::sync::Arc;

use vmdk2kvm_plugin_api::{BlockSource, Result};

use crate::bytes::{cannot, damaged, le16, le32, le64, read};

/// Largest cluster that Windows makes, in bytes.
const MAX_CLUSTER: u64 = 2 << 20;
/// What the boot sector and its copy have to agree in: sizes, places, the volume's serial number.
const VITAL: [std::ops::Range<usize>; 3] = [3..14, 40..69, 72..80];

/// The sizes and places of a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Boot {
    /// Bytes of a cluster.
    pub cluster: u64,
    /// Clusters of the volume.
    pub clusters: u64,
    /// Bytes of a record of the table of files.
    pub record: usize,
    /// Where that table begins, in bytes.
    pub table: u64,
    /// Where the copy of its first records is, in bytes.
    pub mirror: u64,
}

impl Boot {
    /// Reads the boot sector, and holds it against its copy where there is one.
    pub fn read(source: &Arc<dyn BlockSource>) -> Result<Self> {
        let raw = read(source, 0, 512)?;
        let boot = Self::of(&raw)?;
        let sector = u64::from(le16(&raw, 11));
        let size = le64(&raw, 40)
            .checked_mul(sector)
            .filter(|size| *size <= source.size())
            .ok_or_else(|| damaged("it is larger than its device"))?;
        // Behind the volume; a copy of another volume's is left behind by who changed the partition.
        if size + 512 <= source.size() {
            let copy = read(source, size, 512)?;
            let differs = VITAL.iter().any(|range| copy[range.clone()] != raw[range.clone()]);
            if Self::of(&copy).is_ok() && differs {
                return Err(damaged("its boot sector and the copy of it differ"));
            }
        }
        Ok(boot)
    }

    /// What a boot sector says.
    pub fn of(raw: &[u8]) -> Result<Self> {
        if raw.get(3..11) != Some(b"NTFS    ") || le16(raw, 510) != 0xaa55 {
            return Err(damaged("its boot sector is none of NTFS"));
        }
        // What only other filesystems have there.
        if le16(raw, 14) != 0
            || raw[16] != 0
            || le16(raw, 17) != 0
            || le16(raw, 19) != 0
            || le16(raw, 22) != 0
            || le32(raw, 32) != 0
        {
            return Err(damaged("its boot sector is damaged"));
        }
        let sector = u64::from(le16(raw, 11));
        if !(512..=4096).contains(&sector) || !sector.is_power_of_two() {
            return Err(cannot(format!("its sectors of {sector} bytes are not known")));
        }
        let per_cluster = raw[13];
        let cluster = match per_cluster {
            0 => 0,
            // From 256 sectors on it is the exponent.
            0xf4.. => sector << (256 - u32::from(per_cluster)),
            _ => sector * u64::from(per_cluster),
        };
        if !cluster.is_power_of_two() || cluster < sector || cluster > MAX_CLUSTER {
            return Err(cannot(format!("its clusters of {cluster} bytes are not known")));
        }
        let clusters = le64(raw, 40) / (cluster / sector);
        let record = record_size(raw[64], cluster).ok_or_else(|| cannot("its records are of an unknown size"))?;
        record_size(raw[68], cluster).ok_or_else(|| cannot("its folders are of an unknown size"))?;
        let place = |at: usize| {
            let number = le64(raw, at);
            if number == 0 || number >= clusters {
                return Err(damaged("its table of files lies outside of it"));
            }
            number.checked_mul(cluster).ok_or_else(|| damaged("its table of files lies outside of it"))
        };
        Ok(Self { cluster, clusters, record, table: place(48)?, mirror: place(56)? })
    }
}

/// The size of records, in clusters or, negative, as the exponent of bytes.
fn record_size(said: u8, cluster: u64) -> Option<usize> {
    let bytes = match i8::from_ne_bytes([said]) {
        negative @ -31..=-1 => 1u64 << negative.unsigned_abs(),
        positive @ 1.. => cluster * u64::from(positive.unsigned_abs()),
        _ => 0,
    };
    let is_known = bytes.is_power_of_two() && (512..=64 << 10).contains(&bytes);
    usize::try_from(bytes).ok().filter(|_| is_known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sector(bytes: u16, per_cluster: u8, record: u8) -> Vec<u8> {
        let mut raw = vec![0; 512];
        raw[3..11].copy_from_slice(b"NTFS    ");
        raw[11..13].copy_from_slice(&bytes.to_le_bytes());
        (raw[13], raw[64], raw[68]) = (per_cluster, record, 1);
        raw[40..48].copy_from_slice(&(1u64 << 24).to_le_bytes());
        (raw[48], raw[56]) = (4, 2);
        raw[510..].copy_from_slice(&[0x55, 0xaa]);
        raw
    }

    #[test]
    fn sizes_are_read_in_all_their_forms() {
        for (bytes, per_cluster, said, cluster, record) in [
            (512, 8, 0xf6, 4096, 1024),
            (512, 1, 2, 512, 1024),
            (4096, 1, 0xf4, 4096, 4096),
            (4096, 16, 0xf4, 65_536, 4096),
            (512, 128, 0xf6, 65_536, 1024),
            (512, 0xf8, 0xf6, 131_072, 1024),
        ] {
            let mut raw = sector(bytes, per_cluster, said);
            raw[68] = 0xf4;
            let boot = Boot::of(&raw).unwrap();
            assert_eq!(
                (boot.cluster, boot.record, boot.table),
                (cluster, record, 4 * cluster),
                "{bytes} {per_cluster}"
            );
        }
    }

    #[test]
    fn other_sizes_are_refused() {
        for (bytes, per_cluster, said) in [
            (256, 8, 0xf6),
            (513, 8, 0xf6),
            (512, 0, 0xf6),
            (512, 3, 0xf6),
            (512, 0xf0, 0xf6),
            (512, 8, 0),
            (512, 8, 0xff),
            (512, 8, 0xe0),
        ] {
            assert!(Boot::of(&sector(bytes, per_cluster, said)).is_err(), "{bytes} {per_cluster} {said}");
        }
    }
}

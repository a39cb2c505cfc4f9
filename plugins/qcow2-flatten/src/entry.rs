//! Table entries: what 64 bits of an L1 table, and 64 or 128 bits of an L2 table, mean (sections "L1 table entry", "L2 table
//! entry", "Standard Cluster Descriptor", "Compressed Clusters Descriptor", "Extended L2 Entries"). Pure.

use vmdk2kvm_plugin_api::Result;

use crate::header::bad;
use crate::run::Stored;

/// Bits 9 to 55: an offset of a cluster.
const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;
/// Bit 63: the reference count is exactly one. Says nothing about the content.
const COPIED: u64 = 1 << 63;
/// Bit 62 of an L2 entry: compressed.
const COMPRESSED: u64 = 1 << 62;
/// Bit 0 of an L2 entry: reads as zeros (version 3).
const ZERO: u64 = 1;
/// Subclusters of a cluster.
pub const SUBCLUSTERS: u32 = 32;
const SECTOR: u64 = 512;

/// The offset of an L2 table, `None` where none is allocated.
pub fn l1(entry: u64, cluster_bits: u32) -> Result<Option<u64>> {
    if entry & !(OFFSET | COPIED) != 0 {
        return Err(bad(format!("an L1 entry {entry:#018x} with reserved bits")));
    }
    let offset = entry & OFFSET;
    aligned(offset, cluster_bits, "an L2 table")?;
    Ok((offset != 0).then_some(offset))
}

/// Where a cluster is, by a standard L2 entry.
pub fn l2(entry: u64, cluster_bits: u32, version: u32) -> Result<Stored> {
    if entry & COMPRESSED != 0 {
        return Ok(compressed(entry, cluster_bits));
    }
    let zero = if version >= 3 { ZERO } else { 0 };
    if entry & !(OFFSET | COPIED | zero) != 0 {
        return Err(bad(format!("an L2 entry {entry:#018x} with reserved bits")));
    }
    let offset = entry & OFFSET;
    aligned(offset, cluster_bits, "a cluster")?;
    Ok(match (entry & zero != 0, offset) {
        (true, _) => Stored::Zero,
        (false, 0) => Stored::Nowhere,
        (false, offset) => Stored::Plain(offset),
    })
}

/// An extended L2 entry: the standard half, and the bitmap of its subclusters.
#[derive(Debug, Clone, Copy)]
pub enum Extended {
    /// The whole cluster is compressed.
    Compressed(Stored),
    /// Each subcluster has its own state.
    Subclusters {
        /// File offset of the cluster, 0 when there is none.
        offset: u64,
        /// Bit `n`: subcluster `n` is allocated; bit `32 + n`: it reads as zeros.
        bitmap: u64,
    },
}

/// Reads an extended L2 entry.
pub fn extended(entry: u64, bitmap: u64, cluster_bits: u32) -> Result<Extended> {
    if entry & COMPRESSED != 0 {
        if bitmap != 0 {
            return Err(bad(format!("a compressed cluster with subclusters {bitmap:#018x}")));
        }
        return Ok(Extended::Compressed(compressed(entry, cluster_bits)));
    }
    if entry & !(OFFSET | COPIED) != 0 {
        return Err(bad(format!("an L2 entry {entry:#018x} with reserved bits")));
    }
    let offset = entry & OFFSET;
    aligned(offset, cluster_bits, "a cluster")?;
    let (allocated, zero) = (bitmap as u32, (bitmap >> 32) as u32);
    if allocated & zero != 0 {
        return Err(bad(format!("subclusters {bitmap:#018x} that are allocated and zero at once")));
    }
    if allocated != 0 && offset == 0 {
        return Err(bad(format!("subclusters {bitmap:#018x} allocated in a cluster that is not")));
    }
    Ok(Extended::Subclusters { offset, bitmap })
}

/// Where subcluster `index` of a cluster is; `size` is a subcluster's.
pub fn subcluster(offset: u64, bitmap: u64, index: u32, size: u64) -> Stored {
    if bitmap >> index & 1 != 0 {
        Stored::Plain(offset + u64::from(index) * size)
    } else if bitmap >> (SUBCLUSTERS + index) & 1 != 0 {
        Stored::Zero
    } else {
        Stored::Nowhere
    }
}

/// With `x = 62 - (cluster_bits - 8)`: bits 0 to x-1 are the offset, bits x to 61 the number of further sectors it touches.
fn compressed(entry: u64, cluster_bits: u32) -> Stored {
    let x = 62 - (cluster_bits - 8);
    let offset = entry & ((1 << x) - 1);
    let sectors = (entry & (COMPRESSED - 1)) >> x;
    Stored::Compressed { offset, length: (sectors + 1) * SECTOR - offset % SECTOR }
}

fn aligned(offset: u64, cluster_bits: u32, what: &str) -> Result<()> {
    if offset % (1 << cluster_bits) == 0 {
        return Ok(());
    }
    Err(bad(format!("{what} at offset {offset}, which is not aligned to clusters")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_mean_what_the_specification_says() {
        assert_eq!(l1(0, 16), Ok(None));
        assert_eq!(l1(COPIED | 0x3_0000, 16), Ok(Some(0x3_0000)));
        for (entry, version, expected) in [
            (0, 3, Stored::Nowhere),
            (1, 3, Stored::Zero),
            (COPIED | 0x5_0001, 3, Stored::Zero),
            (COPIED | 0x5_0000, 2, Stored::Plain(0x5_0000)),
            // 64 KiB clusters: x = 54.
            (COMPRESSED | 3 << 54 | 0x1234, 3, Stored::Compressed { offset: 0x1234, length: 4 * 512 - 0x34 }),
        ] {
            assert_eq!(l2(entry, 16, version), Ok(expected), "{entry:#x}");
        }
        let Extended::Subclusters { offset, bitmap } = extended(0x5_0000, 1 << 33 | 1, 16).unwrap() else { panic!() };
        assert_eq!(subcluster(offset, bitmap, 0, 2048), Stored::Plain(0x5_0000));
        assert_eq!(subcluster(offset, bitmap, 1, 2048), Stored::Zero);
        assert_eq!(subcluster(offset, bitmap, 31, 2048), Stored::Nowhere);
    }

    #[test]
    fn what_it_forbids_is_refused() {
        for (error, expected) in [
            (l1(1, 16).unwrap_err(), "an L1 entry 0x0000000000000001 with reserved bits"),
            (l1(512, 16).unwrap_err(), "an L2 table at offset 512, which is not aligned to clusters"),
            (l2(1, 16, 2).unwrap_err(), "an L2 entry 0x0000000000000001 with reserved bits"),
            (l2(2, 16, 3).unwrap_err(), "an L2 entry 0x0000000000000002 with reserved bits"),
            (l2(1 << 56, 16, 3).unwrap_err(), "an L2 entry 0x0100000000000000 with reserved bits"),
            (l2(1024, 16, 3).unwrap_err(), "a cluster at offset 1024, which is not aligned to clusters"),
            (extended(1, 0, 16).unwrap_err(), "an L2 entry 0x0000000000000001 with reserved bits"),
            (
                extended(0x1_0000, 1 << 32 | 1, 16).unwrap_err(),
                "subclusters 0x0000000100000001 that are allocated and zero at once",
            ),
            (extended(0, 1, 16).unwrap_err(), "subclusters 0x0000000000000001 allocated in a cluster that is not"),
            (extended(COMPRESSED, 1, 16).unwrap_err(), "a compressed cluster with subclusters 0x0000000000000001"),
        ] {
            assert_eq!(error.message, expected);
        }
    }
}

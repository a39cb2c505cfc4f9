//! The numbers of the format: header, sizes, and where the refcounts go. Pure.

use super::super::tasks::CLUSTER;

/// Bytes of a cluster.
pub(super) const CLUSTER_BYTES: u64 = CLUSTER as u64;

/// Entries of an L2 table: 8 bytes each, one cluster of them.
pub(super) const L2_ENTRIES: u64 = CLUSTER_BYTES / 8;

/// Bytes of the disk that an L2 table maps (512 MiB).
pub(super) const L2_SPAN: u64 = L2_ENTRIES * CLUSTER_BYTES;

/// "Refcount is exactly one" in L1 and L2 entries (sections "Cluster mapping", bit 63): the cluster may be written in place.
pub(super) const COPIED: u64 = 1 << 63;

/// QEMU opens no image whose L1 table is longer than 32 MiB (section "Header", `size`).
const MAX_L1_ENTRIES: u64 = (32 << 20) / 8;

/// The largest disk in bytes (2 PiB).
pub(super) const MAX_VIRTUAL_SIZE: u64 = MAX_L1_ENTRIES * L2_SPAN;

/// Entries of a refcount block: 16 bits each, one cluster of them (section "Host cluster management").
pub(super) const REFCOUNTS_PER_BLOCK: u64 = CLUSTER_BYTES / 2;

/// Length of the version 3 header without additional fields; the end of the header extensions follows as 8 zero bytes.
const HEADER_LENGTH: u32 = 104;

/// What the header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub virtual_size: u64,
    pub l1_entries: u32,
    pub l1_offset: u64,
    pub refcount_table_offset: u64,
    pub refcount_table_clusters: u32,
}

impl Header {
    /// The first cluster's beginning; the rest of it is zero.
    pub(super) fn encode(&self) -> [u8; HEADER_LENGTH as usize] {
        let mut bytes = [0; HEADER_LENGTH as usize];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(0, b"QFI\xfb");
        put(4, &3u32.to_be_bytes());
        put(20, &CLUSTER_BYTES.trailing_zeros().to_be_bytes());
        put(24, &self.virtual_size.to_be_bytes());
        put(36, &self.l1_entries.to_be_bytes());
        put(40, &self.l1_offset.to_be_bytes());
        put(48, &self.refcount_table_offset.to_be_bytes());
        put(56, &self.refcount_table_clusters.to_be_bytes());
        // refcount_order: 2^4 bits.
        put(96, &4u32.to_be_bytes());
        put(100, &HEADER_LENGTH.to_be_bytes());
        bytes
    }
}

/// Where the refcounts lie behind `used` clusters. All numbers are clusters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refcounts {
    pub table: u64,
    pub table_clusters: u64,
    pub first_block: u64,
    pub blocks: u64,
    /// Clusters of the whole file.
    pub total: u64,
}

impl Refcounts {
    /// The refcounts count themselves: grow until they fit.
    pub(super) fn behind(used: u64) -> Self {
        let (mut blocks, mut table_clusters) = (1, 1);
        loop {
            let total = used + table_clusters + blocks;
            let needed = total.div_ceil(REFCOUNTS_PER_BLOCK);
            let needed_table = (needed * 8).div_ceil(CLUSTER_BYTES);
            if needed <= blocks && needed_table <= table_clusters {
                return Self { table: used, table_clusters, first_block: used + table_clusters, blocks, total };
            }
            (blocks, table_clusters) = (needed.max(blocks), needed_table.max(table_clusters));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn refcounts_count_themselves(used in 1u64..1 << 36) {
            let refcounts = Refcounts::behind(used);
            prop_assert_eq!(refcounts.total, used + refcounts.table_clusters + refcounts.blocks);
            prop_assert!(refcounts.blocks * REFCOUNTS_PER_BLOCK >= refcounts.total);
            prop_assert!((refcounts.blocks - 1) * REFCOUNTS_PER_BLOCK <= refcounts.total);
            prop_assert!(refcounts.table_clusters * CLUSTER_BYTES >= refcounts.blocks * 8);
        }
    }

    #[test]
    fn the_header_is_the_specification_s() {
        let header = Header {
            virtual_size: 0x1122_3344_5566_7788,
            l1_entries: 5,
            l1_offset: 0x10000,
            refcount_table_offset: 0x20000,
            refcount_table_clusters: 1,
        };
        let bytes = header.encode();
        assert_eq!(&bytes[..8], b"QFI\xfb\0\0\0\x03");
        assert_eq!(&bytes[20..40], b"\0\0\0\x10\x11\x22\x33\x44\x55\x66\x77\x88\0\0\0\0\0\0\0\x05");
        assert_eq!(&bytes[96..104], b"\0\0\0\x04\0\0\0\x68");
    }
}

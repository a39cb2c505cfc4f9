//! The L1 and L2 tables of an image that is filled in ascending order.
//!
//! Because spans are settled in the order of the disk, one L2 table is in memory at a time; it is handed out when the next one
//! begins. Pure: the writer finds it a cluster and writes it.

use super::layout::{CLUSTER_BYTES, COPIED, L2_ENTRIES, L2_SPAN};

/// L1, and the L2 table at hand.
pub(super) struct Tables {
    /// Offset of each L2 table with [`COPIED`], or 0.
    l1: Vec<u64>,
    current: Option<usize>,
    l2: Vec<u8>,
}

impl Tables {
    pub(super) fn new(virtual_size: u64) -> Self {
        Self {
            l1: vec![0; virtual_size.div_ceil(L2_SPAN) as usize],
            current: None,
            l2: vec![0; CLUSTER_BYTES as usize],
        }
    }

    /// Maps a guest cluster to an offset in the file. When that begins another L2 table, `full` gets the last one and returns
    /// where it was written.
    pub(super) fn map<E>(
        &mut self,
        guest_cluster: u64,
        host_offset: u64,
        full: impl FnOnce(&[u8]) -> Result<u64, E>,
    ) -> Result<(), E> {
        let index = (guest_cluster / L2_ENTRIES) as usize;
        if self.current != Some(index) {
            self.flush(full)?;
            self.current = Some(index);
        }
        let at = (guest_cluster % L2_ENTRIES) as usize * 8;
        self.l2[at..at + 8].copy_from_slice(&(host_offset | COPIED).to_be_bytes());
        Ok(())
    }

    /// Hands out the L2 table at hand, if there is one.
    pub(super) fn flush<E>(&mut self, full: impl FnOnce(&[u8]) -> Result<u64, E>) -> Result<(), E> {
        if let Some(index) = self.current.take() {
            debug_assert_eq!(self.l1[index], 0, "spans must be settled in ascending order");
            self.l1[index] = full(&self.l2)? | COPIED;
            self.l2.fill(0);
        }
        Ok(())
    }

    /// Number of L1 entries.
    pub(super) fn l1_entries(&self) -> usize {
        self.l1.len()
    }

    /// The L1 table by clusters: those that are not all zero, with their numbers.
    pub(super) fn l1_clusters(&self) -> impl Iterator<Item = (u64, Vec<u8>)> {
        let clusters = self.l1.chunks(L2_ENTRIES as usize).zip(0u64..);
        clusters
            .filter(|(entries, _)| entries.iter().any(|entry| *entry != 0))
            .map(|(entries, number)| (number, entries.iter().flat_map(|entry| entry.to_be_bytes()).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_table_at_a_time() {
        let mut tables = Tables::new(3 * L2_SPAN + 512);
        assert_eq!(tables.l1_entries(), 4);
        let none = |_: &[u8]| -> Result<u64, ()> { panic!("no table is full") };
        tables.map(1, 0x10000, none).unwrap();
        tables.map(2, 0x20000, none).unwrap();
        let mut first = Vec::new();
        tables
            .map(3 * L2_ENTRIES, 0x40000, |table| -> Result<u64, ()> {
                first = table.to_vec();
                Ok(0x30000)
            })
            .unwrap();
        assert_eq!(first[..24], *b"\0\0\0\0\0\0\0\0\x80\0\0\0\0\x01\0\0\x80\0\0\0\0\x02\0\0");
        tables
            .flush(|table| -> Result<u64, ()> {
                assert_eq!(table[..8], *b"\x80\0\0\0\0\x04\0\0");
                assert!(table[8..].iter().all(|byte| *byte == 0));
                Ok(0x50000)
            })
            .unwrap();
        let l1: Vec<_> = tables.l1_clusters().collect();
        let expected = [0x8000_0000_0003_0000u64, 0, 0, 0x8000_0000_0005_0000].map(u64::to_be_bytes).concat();
        assert_eq!(l1, [(0, expected)]);
    }
}

//! Data of a btrfs, held against the tree of its checksums.

use vmdk2kvm_plugin_api::Result;

use super::trees::{Key, Trees};
use crate::bytes::{crc32c, damaged, le32, read};

/// The tree of checksums, and the one object in it.
const CHECKSUM_TREE: u64 = 7;
const CHECKSUMS: u64 = 10u64.wrapping_neg();
const CHECKSUM: u8 = 128;

/// Reads whole sectors at an address: of two copies the first that is right.
pub fn read_sectors(trees: &Trees, address: u64, length: u64, is_summed: bool) -> Result<Vec<u8>> {
    let size = usize::try_from(length).map_err(|_| damaged("an extent is too long"))?;
    let sums = if is_summed { checksums(trees, address, length)? } else { Vec::new() };
    let sector = usize::try_from(trees.superblock.sector).unwrap_or(4096);
    for place in trees.chunks.places(address, length)? {
        let bytes = read(&trees.source, place, size)?;
        let is_right = |(sector, sum): (&[u8], &u32)| crc32c(&[sector]) == *sum;
        if !is_summed || bytes.chunks(sector).zip(&sums).all(is_right) {
            return Ok(bytes);
        }
    }
    Err(damaged(format!("the checksum of data at {address} is wrong")))
}

/// One for each sector.
fn checksums(trees: &Trees, address: u64, length: u64) -> Result<Vec<u32>> {
    let sector = trees.superblock.sector;
    let (tree, _) = trees.tree(CHECKSUM_TREE)?;
    let key = |offset| Key { object: CHECKSUMS, kind: CHECKSUM, offset };
    // An item has as many as fit into a node, and may begin before.
    let before = trees.superblock.node as u64 / 4 * sector;
    let items = trees.range(tree, key(address.saturating_sub(before)), key(address + length - 1), usize::MAX)?;
    let count = usize::try_from(length / sector).unwrap_or(0);
    let mut sums = vec![None; count];
    for (key, item) in &items {
        for (index, raw) in item.chunks_exact(4).enumerate() {
            let at = key.offset.saturating_add(index as u64 * sector);
            let place = at.checked_sub(address).and_then(|at| usize::try_from(at / sector).ok());
            if let Some(sum) = place.and_then(|place| sums.get_mut(place)) {
                *sum = Some(le32(raw, 0));
            }
        }
    }
    sums.into_iter().collect::<Option<_>>().ok_or_else(|| damaged(format!("data at {address} has no checksum")))
}

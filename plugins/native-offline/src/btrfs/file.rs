//! The content of a file of a btrfs: in an item, in extents, compressed or not.

use std::io::Read;

use flate2::read::ZlibDecoder;
use vmdk2kvm_plugin_api::Result;

use super::data::read_sectors;
use super::trees::{Key, Trees};
use super::{Inode, Node};
use crate::bytes::{cannot, damaged, le16, le64};
use crate::tree::MAX_FILE;

const EXTENT: u8 = 108;
/// Bytes before the data in an item, and of one that says where the data is.
const HEAD: usize = 21;
const ELSEWHERE: usize = 53;
/// Most extents of a file.
const MAX_EXTENTS: usize = 1 << 20;
/// Most bytes in one compressed extent.
const COMPRESSED: u64 = 128 << 10;
/// Longest extent.
const LONGEST: u64 = 1 << 30;
/// Its data has no checksums.
const NO_SUM: u64 = 1;

/// All of a file; what no extent covers is zero.
pub fn content(trees: &Trees, node: Node, inode: &Inode) -> Result<Vec<u8>> {
    let bad = || damaged(format!("the extents of inode {} are damaged", node.number));
    if inode.size > MAX_FILE {
        return Err(damaged(format!("inode {} has more than {MAX_FILE} bytes", node.number)));
    }
    let mut bytes = vec![0; usize::try_from(inode.size).map_err(|_| bad())?];
    let mut end = 0;
    for (key, item) in trees.items(node.root, node.number, EXTENT, MAX_EXTENTS)? {
        let Key { offset: start, .. } = key;
        if item.len() < HEAD || start < end {
            return Err(bad());
        }
        if item[17] != 0 || le16(&item, 18) != 0 {
            return Err(cannot("a file is encrypted or encoded"));
        }
        let (length, data) = extent(trees, inode, &item)?.ok_or_else(bad)?;
        end = start.checked_add(length).ok_or_else(bad)?;
        let Some(data) = data else { continue };
        // The last sector goes on behind the end of the file.
        let from = usize::try_from(start.min(inode.size)).map_err(|_| bad())?;
        let room = &mut bytes[from..];
        let count = room.len().min(data.len());
        room[..count].copy_from_slice(&data[..count]);
    }
    Ok(bytes)
}

/// How many bytes of the file an extent covers, and them, but for zeros. `None`: it is damaged.
fn extent(trees: &Trees, inode: &Inode, item: &[u8]) -> Result<Option<(u64, Option<Vec<u8>>)>> {
    let (memory, compression) = (le64(item, 8), item[16]);
    if item[20] == 0 {
        if memory > COMPRESSED {
            return Ok(None);
        }
        let data = expand(compression, item[HEAD..].to_vec(), memory)?;
        return Ok((data.len() as u64 == memory).then_some((memory, Some(data))));
    }
    if item.len() < ELSEWHERE || item[20] > 2 {
        return Ok(None);
    }
    let [address, stored, offset, length] = [21, 29, 37, 45].map(|at| le64(item, at));
    let sector = trees.superblock.sector;
    if address == 0 || item[20] == 2 {
        return Ok(Some((length, None)));
    }
    let fits = offset.checked_add(length).is_some_and(|end| end <= memory);
    let is_whole = [address, stored, offset, length].iter().all(|value| value % sector == 0);
    if !fits || !is_whole || length == 0 || stored == 0 || stored > LONGEST || memory > LONGEST {
        return Ok(None);
    }
    let is_summed = inode.flags & NO_SUM == 0;
    let data = if compression == 0 {
        if offset + length > stored {
            return Ok(None);
        }
        // A prefix of a large extent may be gone; no more is read than this file has of it.
        read_sectors(trees, address + offset, length, is_summed)?
    } else {
        if memory > COMPRESSED || stored > COMPRESSED {
            return Ok(None);
        }
        let data = expand(compression, read_sectors(trees, address, stored, is_summed)?, memory)?;
        let (from, to) = (usize::try_from(offset).unwrap_or(0), usize::try_from(offset + length).unwrap_or(0));
        let Some(part) = data.get(from..to) else { return Ok(None) };
        part.to_vec()
    };
    Ok(Some((length, Some(data))))
}

/// Compressed data as it was; short of its length it is filled up with zeros, as the kernel does.
fn expand(compression: u8, data: Vec<u8>, length: u64) -> Result<Vec<u8>> {
    let mut expanded = Vec::new();
    let done = match compression {
        0 => return Ok(data),
        1 => ZlibDecoder::new(data.as_slice()).take(length).read_to_end(&mut expanded),
        3 => zstd::Decoder::new(data.as_slice())
            .map(zstd::Decoder::single_frame)
            .and_then(|decoder| decoder.take(length).read_to_end(&mut expanded)),
        other => return Err(cannot(format!("a file is compressed in the unknown way {other}"))),
    };
    done.map_err(|error| damaged(format!("a file cannot be expanded: {error}")))?;
    expanded.resize(usize::try_from(length).unwrap_or(0), 0);
    Ok(expanded)
}

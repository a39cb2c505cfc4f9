//! kmod's binary index, of which an initramfs needs `modules.dep.bin`: kmod reads that file only, never the text.
//!
//! Format (kmod, libkmod/libkmod-index.h): all numbers big-endian; magic 0xB007F457, version 2.1, the offset of the root node; a
//! trie whose nodes are written before those that point to them. The upper bits of an offset say what its node holds: a prefix
//! (text with NUL), children (first and last letter, then an offset for each), values (count, then priority and text with NUL).

use std::collections::BTreeMap;

const MAGIC: u32 = 0xb007_f457;
const VERSION: u32 = 0x0002_0001;
const PREFIX: u32 = 0x8000_0000;
const VALUES: u32 = 0x4000_0000;
const CHILDREN: u32 = 0x2000_0000;
/// An offset has 28 bits: an index is smaller than this.
pub(super) const SIZE_LIMIT: usize = 0x0fff_ffff;

/// The index of these keys and values. Keys are ASCII: others are left out, as depmod refuses them.
pub(super) fn write(values: &BTreeMap<String, String>) -> Vec<u8> {
    let entries: Vec<(&[u8], &str)> =
        values.iter().filter(|(key, _)| key.is_ascii()).map(|(key, value)| (key.as_bytes(), value.as_str())).collect();
    let mut out = Vec::new();
    for word in [MAGIC, VERSION, 0] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    let root = node(&mut out, &entries, 0);
    out[8..12].copy_from_slice(&root.to_be_bytes());
    out
}

/// Writes the node of these entries, which are sorted and share their first `depth` letters; returns its offset and flags.
fn node(out: &mut Vec<u8>, entries: &[(&[u8], &str)], depth: usize) -> u32 {
    let shared = match (entries.first(), entries.last()) {
        (Some((first, _)), Some((last, _))) => {
            first[depth..].iter().zip(&last[depth..]).take_while(|(a, b)| a == b).count()
        }
        _ => 0,
    };
    let end = depth + shared;
    let own = entries.iter().take_while(|(key, _)| key.len() == end).count();
    let below = &entries[own..];
    let mut children: Vec<(u8, u32)> = Vec::new();
    let mut from = 0;
    while from < below.len() {
        let letter = below[from].0[end];
        let to = from + below[from..].iter().take_while(|(key, _)| key[end] == letter).count();
        children.push((letter, node(out, &below[from..to], end + 1)));
        from = to;
    }
    let mut offset = out.len() as u32;
    if shared > 0 {
        offset |= PREFIX;
        out.extend_from_slice(&entries[0].0[depth..end]);
        out.push(0);
    }
    if let (Some((first, _)), Some((last, _))) = (children.first(), children.last()) {
        offset |= CHILDREN;
        out.extend_from_slice(&[*first, *last]);
        for letter in *first..=*last {
            let child = children.iter().find(|(own, _)| *own == letter).map_or(0, |(_, child)| *child);
            out.extend_from_slice(&child.to_be_bytes());
        }
    }
    if own > 0 {
        offset |= VALUES;
        out.extend_from_slice(&(own as u32).to_be_bytes());
        for (_, value) in &entries[..own] {
            out.extend_from_slice(&0u32.to_be_bytes());
            out.extend_from_slice(value.as_bytes());
            out.push(0);
        }
    }
    offset
}

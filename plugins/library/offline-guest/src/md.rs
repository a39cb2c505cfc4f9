//! MD arrays as block sources: mirrors (RAID 1) and rows (linear), whole and clean (Linux, `include/uapi/linux/raid/md_p.h`).
//!
//! Everything else is refused by name: another level, a member that is missing or older than the others, an array that was being
//! written to.

use std::collections::BTreeMap;
use std::sync::Arc;

use vmdk2kvm_plugin_api::{BlockSource, ErrorKind, PluginError, Result, read_exact_at};

use crate::layout::bytes::{has, le16, le32, le64, text, uuid};
use crate::segments::Segments;
use crate::window::Window;

const MAGIC: &[u8] = &0xa92b_4efc_u32.to_le_bytes();
const SECTOR: u64 = 512;
/// Levels as the superblock says them.
const MIRROR: u32 = 1;
const LINEAR: u32 = u32::MAX;
/// What may be set among the features: an internal bitmap, which says nothing of a clean array.
const FEATURES: u32 = 0x1;
/// Most members.
const MAX_MEMBERS: u32 = 64;

/// An array.
pub struct Assembled {
    /// UUID, as mdadm prints it.
    pub uuid: String,
    /// Its name, with its host.
    pub name: String,
    /// Its bytes.
    pub source: Arc<dyn BlockSource>,
}

/// What a member says.
struct Member {
    uuid: String,
    name: String,
    level: u32,
    /// Devices of the whole array.
    count: u32,
    role: u16,
    events: u64,
    clean: bool,
    /// Bytes of the array that it has, and where on the device.
    start: u64,
    length: u64,
    /// Bytes of a mirror.
    size: u64,
    source: Arc<dyn BlockSource>,
}

/// The arrays on these devices, of which each is a member, in the order in which their first members stand.
pub fn arrays(devices: &[(&str, Arc<dyn BlockSource>)]) -> Result<Vec<Assembled>> {
    let mut order: Vec<String> = Vec::new();
    let mut members: BTreeMap<String, Vec<Member>> = BTreeMap::new();
    for (device, source) in devices {
        let member = member(source).map_err(|error| error.context(device))?;
        if !order.contains(&member.uuid) {
            order.push(member.uuid.clone());
        }
        members.entry(member.uuid.clone()).or_default().push(member);
    }
    order.iter().filter_map(|uuid| members.remove(uuid)).map(assemble).collect()
}

fn assemble(mut members: Vec<Member>) -> Result<Assembled> {
    members.sort_by_key(|member| member.role);
    let Some(first) = members.first() else { return Err(refused("", "it has no members")) };
    let named = |what| refused(&first.name, what);
    let agree = |one: &Member| {
        (one.level, one.count, one.events, one.size) == (first.level, first.count, first.events, first.size)
    };
    if !members.iter().all(agree) {
        return Err(named("its members do not agree"));
    }
    if !members.iter().all(|one| one.clean) {
        return Err(named("it was being written to"));
    }
    let roles = members.iter().map(|one| u32::from(one.role));
    if first.count > MAX_MEMBERS || !roles.eq(0..first.count) {
        return Err(named("a member is missing, or no part of it any more"));
    }
    let data = |one: &Member, length| Window::new(one.source.clone(), one.start, length);
    let source: Arc<dyn BlockSource> = match first.level {
        MIRROR if first.size > 0 && data(first, first.size).size() == first.size => Arc::new(data(first, first.size)),
        LINEAR => {
            let mut row = Segments::new();
            for one in &members {
                let part: Arc<dyn BlockSource> = Arc::new(data(one, one.length));
                row.push(one.length, 0, vec![(part, 0)]).ok_or_else(|| named("a member is shorter than it says"))?;
            }
            Arc::new(row)
        }
        MIRROR => return Err(named("a member is shorter than it says")),
        _ => return Err(named("it is neither a mirror nor linear")),
    };
    Ok(Assembled { uuid: first.uuid.clone(), name: first.name.clone(), source })
}

/// Reads a superblock of version 1.0 (at the end), 1.1 (at the start) or 1.2 (4 KiB from it). Of version 0.90, which no system of the
/// last ten years makes unasked, nothing is read.
fn member(source: &Arc<dyn BlockSource>) -> Result<Member> {
    let end = (source.size() / SECTOR).saturating_sub(16) & !7;
    for at in [8, 0, end] {
        let mut raw = vec![0; 4096];
        let place = at * SECTOR;
        if place.checked_add(4096).is_none_or(|end| end > source.size()) {
            continue;
        }
        read_exact_at(source.as_ref(), place, &mut raw)?;
        if has(&raw, 0, MAGIC) && le32(&raw, 4) == Some(1) && le64(&raw, 144) == Some(at) {
            return version_1(&raw, source).unwrap_or_else(|| Err(refused("", "a member's superblock is damaged")));
        }
    }
    Err(refused("", "a member's superblock is of a version that is not read"))
}

fn version_1(raw: &[u8], source: &Arc<dyn BlockSource>) -> Option<Result<Member>> {
    let features = le32(raw, 8)?;
    let name = text(raw, 32, 32).unwrap_or_default();
    if features & !FEATURES != 0 {
        return Some(Err(refused(&name, &format!("it has features that are not known ({features:#x})"))));
    }
    let roles = usize::try_from(le32(raw, 220)?).ok().filter(|roles| *roles <= 1920)?;
    // The sum of all words, with that of the sum as zero, its upper half added to its lower one.
    let words = raw.get(..256 + roles * 2)?;
    let mut sum: u64 =
        words.chunks_exact(4).map(|word| u64::from(u32::from_le_bytes([word[0], word[1], word[2], word[3]]))).sum();
    if let [low, high] = words.chunks_exact(4).remainder() {
        sum += u64::from(u16::from_le_bytes([*low, *high]));
    }
    let stated = le32(raw, 216)?;
    sum -= u64::from(stated);
    let folded = (sum & 0xffff_ffff) + (sum >> 32);
    if u32::try_from(folded & 0xffff_ffff).ok()? != stated {
        return None;
    }
    let number = usize::try_from(le32(raw, 160)?).ok().filter(|number| *number < roles)?;
    let bytes = |at| le64(raw, at).and_then(|sectors| sectors.checked_mul(SECTOR));
    Some(Ok(Member {
        uuid: mdadm_uuid(raw)?,
        level: le32(raw, 72)?,
        count: le32(raw, 92)?,
        role: le16(raw, 256 + number * 2)?,
        events: le64(raw, 200)?,
        // Where a resync would go on: at no place at all.
        clean: le64(raw, 208)? == u64::MAX,
        start: bytes(128)?,
        length: bytes(136)?,
        size: bytes(80)?,
        source: source.clone(),
        name,
    }))
}

/// Four words between colons.
fn mdadm_uuid(raw: &[u8]) -> Option<String> {
    let plain: String = uuid(raw, 16)?.chars().filter(|letter| *letter != '-').collect();
    let words: Vec<&str> = (0..4).filter_map(|word| plain.get(word * 8..word * 8 + 8)).collect();
    Some(words.join(":"))
}

fn refused(name: &str, what: &str) -> PluginError {
    PluginError::new(
        ErrorKind::Cannot,
        format!("the array \"{}\" cannot be read without an appliance: {what}", name.escape_debug()),
    )
}

#[cfg(test)]
mod tests;

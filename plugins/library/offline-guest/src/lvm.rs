//! LVM2 physical volumes as block sources of their logical volumes: labels and metadata areas (lvm2, `lib/format_text/layout.h`).
//!
//! Only what is read the same whoever reads it: whole groups of plain rows and stripes of extents. Everything else (a snapshot, a thin
//! pool, a cache, a mirror, a missing device, a change that was not finished) is refused by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use vmdk2kvm_plugin_api::{BlockSource, ErrorKind, PluginError, Result, read_exact_at};

use crate::layout::bytes::{crc32, has, le32, le64};
use crate::lvm_text::{self, LogicalVolume, PhysicalVolume, VolumeGroup};
use crate::segments::Segments;

const SECTOR: usize = 512;
/// Sectors in which a label may be.
const LABELS: usize = 4;
/// Largest description of a group, in bytes.
const MAX_TEXT: u64 = 16 << 20;
/// Most logical volumes.
const MAX_VOLUMES: usize = 4096;

/// A group whose devices are all there.
pub struct Group {
    /// Name.
    pub name: String,
    /// LVM's description of it.
    pub text: Vec<u8>,
    /// Its visible volumes by name.
    pub volumes: BTreeMap<String, Arc<dyn BlockSource>>,
}

/// A device with a label.
struct Physical<'a> {
    uuid: String,
    source: &'a Arc<dyn BlockSource>,
    texts: Vec<Vec<u8>>,
}

/// The groups on these devices, of which each has a label.
pub fn groups(devices: &[(&str, Arc<dyn BlockSource>)]) -> Result<Vec<Group>> {
    let mut physical = Vec::new();
    for (device, source) in devices {
        physical.push(label(source).map_err(|error| error.context(device))?);
    }
    let mut newest: BTreeMap<String, (VolumeGroup, Vec<u8>)> = BTreeMap::new();
    for text in physical.iter().flat_map(|one| &one.texts) {
        let group = lvm_text::read(&String::from_utf8_lossy(text))
            .ok_or_else(|| refused("a group's description that cannot be read"))?;
        match newest.get(&group.name) {
            Some((known, _)) if known.seqno == group.seqno => {}
            Some((known, _)) => {
                return Err(refused(&format!("the group {}, whose devices do not agree on what it is", known.name)));
            }
            None => {
                newest.insert(group.name.clone(), (group, text.clone()));
            }
        }
    }
    newest.into_values().map(|(group, text)| assemble(&group, text, &physical)).collect()
}

fn assemble(group: &VolumeGroup, text: Vec<u8>, physical: &[Physical<'_>]) -> Result<Group> {
    let named = |what: String| refused(&format!("the group {}: {what}", group.name));
    plain(&group.marks, &["RESIZEABLE", "READ", "WRITE"]).map_err(|mark| named(format!("it is {mark}")))?;
    let mut on: BTreeMap<&str, (&PhysicalVolume, &Arc<dyn BlockSource>)> = BTreeMap::new();
    for own in &group.physical {
        plain(&own.marks, &["ALLOCATABLE"]).map_err(|mark| named(format!("the device {} is {mark}", own.name)))?;
        let mut here = physical.iter().filter(|one| one.uuid == own.uuid);
        let (Some(found), None) = (here.next(), here.next()) else {
            return Err(named(format!("the device {} is missing, or there twice", own.uuid)));
        };
        on.insert(&own.name, (own, found.source));
    }
    let mut volumes = BTreeMap::new();
    for volume in &group.logical {
        let own = |what: &str| named(format!("the volume {} {what}", volume.name));
        plain(&volume.marks, &["READ", "WRITE", "VISIBLE"]).map_err(|mark| own(&format!("is {mark}")))?;
        if !volume.marks.iter().any(|mark| mark == "VISIBLE") {
            return Err(own("is part of another one"));
        }
        let source = rows(volume, group.extent_bytes, &on).ok_or_else(|| own("is not a linear run of extents"))?;
        volumes.insert(volume.name.clone(), Arc::new(source) as Arc<dyn BlockSource>);
    }
    if volumes.len() > MAX_VOLUMES {
        return Err(named(format!("more than {MAX_VOLUMES} volumes")));
    }
    Ok(Group { name: group.name.clone(), text, volumes })
}

fn rows(
    volume: &LogicalVolume,
    extent: u64,
    on: &BTreeMap<&str, (&PhysicalVolume, &Arc<dyn BlockSource>)>,
) -> Option<Segments> {
    let mut row = Segments::new();
    for segment in &volume.segments {
        if segment.kind != "striped" || segment.start.checked_mul(extent)? != row.size() {
            return None;
        }
        let mut stripes = Vec::new();
        for (name, first) in &segment.stripes {
            let (own, source) = on.get(name.as_str())?;
            let begin = own.start_bytes.checked_add(first.checked_mul(extent)?)?;
            stripes.push(((*source).clone(), begin));
        }
        row.push(segment.count.checked_mul(extent)?, segment.stripe_bytes, stripes)?;
    }
    (row.size() > 0).then_some(row)
}

/// The first mark that is none of the known ones, and may mean anything.
fn plain(marks: &[String], known: &[&str]) -> Result<(), String> {
    marks
        .iter()
        .find(|mark| !known.contains(&mark.as_str()))
        .map_or(Ok(()), |mark| Err(mark.escape_debug().to_string()))
}

/// Reads a device's label and the descriptions in its metadata areas.
fn label(source: &Arc<dyn BlockSource>) -> Result<Physical<'_>> {
    let start = read(source, 0, (LABELS * SECTOR) as u64)?;
    let is_label = |at: &usize| has(&start, *at, b"LABELONE") && has(&start, at + 24, b"LVM2 001");
    let at =
        (0..LABELS).map(|sector| sector * SECTOR).find(is_label).ok_or_else(|| refused("a device without a label"))?;
    let sector = &start[at..at + SECTOR];
    if le32(sector, 16) != Some(checksum(&sector[20..])) {
        return Err(refused("a label whose checksum is wrong"));
    }
    let cut = || refused("a label that is cut off");
    let header = le32(sector, 20).and_then(|offset| usize::try_from(offset).ok()).ok_or_else(cut)?;
    let uuid = sector.get(header..header + 32).and_then(|raw| std::str::from_utf8(raw).ok()).ok_or_else(cut)?;
    let uuid =
        [0..6, 6..10, 10..14, 14..18, 18..22, 22..26, 26..32].map(|part| uuid.get(part).unwrap_or_default()).join("-");
    // Two lists of places, of data and of metadata, each with an empty one at its end.
    let mut places = header + 40;
    let mut lists = [Vec::new(), Vec::new()];
    for list in &mut lists {
        loop {
            let (begin, length) = le64(sector, places).zip(le64(sector, places + 8)).ok_or_else(cut)?;
            places += 16;
            if begin == 0 {
                break;
            }
            list.push((begin, length));
        }
    }
    let mut texts = Vec::new();
    for (begin, length) in &lists[1] {
        texts.extend(area(source, *begin, *length)?);
    }
    Ok(Physical { uuid, source, texts })
}

/// The description in a metadata area, which is a ring behind its header; `None` where there is none.
fn area(source: &Arc<dyn BlockSource>, begin: u64, length: u64) -> Result<Option<Vec<u8>>> {
    let header = read(source, begin, SECTOR as u64)?;
    if le32(&header, 0) != Some(checksum(&header[4..])) || !has(&header, 4, b" LVM2 x[5A%r0N*>") {
        return Err(refused("a metadata area whose checksum is wrong"));
    }
    let place = |at| le64(&header, at).unwrap_or(0);
    let (offset, size, flags) = (place(40), place(48), le32(&header, 60).unwrap_or(0));
    if offset == 0 || flags & 1 != 0 {
        return Ok(None);
    }
    if size > MAX_TEXT || offset < SECTOR as u64 || offset >= length || size > length - SECTOR as u64 {
        return Err(refused("a metadata area that ends outside of itself"));
    }
    let first = size.min(length - offset);
    let at = begin.checked_add(offset).ok_or_else(|| refused("a metadata area that lies nowhere"))?;
    let mut text = read(source, at, first)?;
    text.extend(read(source, begin + SECTOR as u64, size - first)?);
    if le32(&header, 56) != Some(checksum(&text)) {
        return Err(refused("a group's description whose checksum is wrong"));
    }
    while text.last() == Some(&0) {
        text.pop();
    }
    Ok(Some(text))
}

fn read(source: &Arc<dyn BlockSource>, at: u64, length: u64) -> Result<Vec<u8>> {
    if at.checked_add(length).is_none_or(|end| end > source.size()) {
        return Err(refused("a place outside of its device"));
    }
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    read_exact_at(source.as_ref(), at, &mut bytes)?;
    Ok(bytes)
}

/// CRC-32 without its last step, from a start of LVM's own.
fn checksum(bytes: &[u8]) -> u32 {
    crc32(0xf597_a6cf, bytes)
}

fn refused(what: &str) -> PluginError {
    PluginError::new(ErrorKind::Cannot, format!("LVM cannot be read without an appliance: {what}"))
}

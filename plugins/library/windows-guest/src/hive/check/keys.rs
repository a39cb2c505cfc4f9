//! The tree of keys and their values: all of it is walked once, and what it holds is kept for comparing.

use std::cmp::Ordering;
use std::ops::Range;

use super::super::upcase::upcase;
use super::Faults;
use super::cells::{Cells, u16_in, u32_in};

/// Windows allows no more.
const DEEPEST: u16 = 512;
const NOTHING: u32 = 0xffff_ffff;
/// Data of one segment of big data, and the longest that is none.
const SEGMENT: usize = 16_344;

/// What a hive holds. Keys lie in it level by level, those below one key side by side and in order.
pub struct Contents<'a>(Vec<Node<'a>>);

/// A key.
pub struct Node<'a> {
    pub cell: u32,
    pub name: Name<'a>,
    pub class: &'a [u8],
    pub security: &'a [u8],
    pub security_cell: u32,
    pub values: Vec<Stored<'a>>,
    children: Range<usize>,
    depth: u16,
}

/// A value.
pub struct Stored<'a> {
    pub name: Name<'a>,
    pub type_number: u32,
    pub data: Data<'a>,
}

/// A name as it is stored.
#[derive(Clone, Copy)]
pub struct Name<'a> {
    bytes: &'a [u8],
    one_byte: bool,
}

/// A value's data: in one piece, or in segments.
#[derive(PartialEq, Eq)]
pub enum Data<'a> {
    Plain(&'a [u8]),
    Big(Vec<&'a [u8]>),
}

impl Data<'_> {
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Plain(bytes) => bytes.to_vec(),
            Self::Big(segments) => segments.concat(),
        }
    }
}

impl<'a> Name<'a> {
    pub fn units(self) -> impl Iterator<Item = u16> + Clone + 'a {
        let step = if self.one_byte { 1 } else { 2 };
        self.bytes
            .chunks_exact(step)
            .map(|unit| if let [low, high] = *unit { u16::from_le_bytes([low, high]) } else { unit[0].into() })
    }

    pub fn order(self, other: Name<'_>) -> Ordering {
        self.units().map(upcase).cmp(other.units().map(upcase))
    }

    pub fn text(self) -> String {
        String::from_utf16_lossy(&self.units().collect::<Vec<u16>>())
    }

    /// In bytes of UTF-16.
    fn length(self) -> usize {
        self.bytes.len() * if self.one_byte { 2 } else { 1 }
    }
}

impl<'a> Contents<'a> {
    pub fn nodes(&self) -> &[Node<'a>] {
        &self.0
    }

    pub fn root(&self) -> Option<&Node<'a>> {
        self.0.first()
    }

    pub fn below(&self, node: &Node<'a>) -> &[Node<'a>] {
        &self.0[node.children.clone()]
    }
}

pub fn walk<'a>(cells: &mut Cells<'a>, faults: &mut Faults) -> Contents<'a> {
    let mut nodes = Vec::new();
    let root = cells.root;
    nodes.extend(key(cells, root, None, 0, faults).map(|(node, _)| node));
    let mut index = 0;
    while index < nodes.len() {
        let (at, depth) = (nodes[index].cell, nodes[index].depth);
        let start = nodes.len();
        // It was claimed, so it is there.
        if let Some(cell) = cells.look(at, faults) {
            below(cells, at, cell, depth, &mut nodes, faults);
            nodes[index].values = values(cells, at, cell, faults).unwrap_or_default();
        }
        nodes[index].children = start..nodes.len();
        index += 1;
    }
    Contents(nodes)
}

/// A key without what is below it, and its cell.
fn key<'a>(
    cells: &mut Cells<'a>,
    at: u32,
    parent: Option<u32>,
    depth: u16,
    faults: &mut Faults,
) -> Option<(Node<'a>, &'a [u8])> {
    let cell = cells.claim_as(at, b"nk", 76, faults)?;
    let bytes = cell.get(76..76 + usize::from(u16_in(cell, 72)?));
    let bytes = faults.expect(bytes, at, "a key's name is longer than its cell")?;
    let name = Name { bytes, one_byte: u16_in(cell, 2)? & 0x20 != 0 };
    if bytes.is_empty() || (!name.one_byte && bytes.len() % 2 != 0) {
        faults.add(at, "a key has no name, or half a letter");
    }
    if parent.is_some_and(|parent| u32_in(cell, 16) != Some(parent)) {
        faults.add(at, "a key names another one as that above it");
    }
    if depth > DEEPEST {
        faults.add(at, format!("a key lies more than {DEEPEST} deep"));
        return None;
    }
    let class = match (u32_in(cell, 48)?, u16_in(cell, 74)?) {
        (_, 0) | (NOTHING, _) => &[][..],
        (place, length) => {
            let class = cells.claim(place, faults)?.get(..length.into());
            faults.expect(class, at, "a key's class is longer than its cell")?
        }
    };
    let security_cell = u32_in(cell, 44)?;
    let descriptor = cells.look(security_cell, faults)?;
    let security = u32_in(descriptor, 16).and_then(|length| descriptor.get(20..)?.get(..length as usize));
    let security = faults.expect(security, security_cell, "a security descriptor is longer than its cell")?;
    let node = Node { cell: at, name, class, security, security_cell, values: Vec::new(), children: 0..0, depth };
    Some((node, cell))
}

/// Adds the keys below one.
fn below<'a>(
    cells: &mut Cells<'a>,
    at: u32,
    cell: &'a [u8],
    depth: u16,
    nodes: &mut Vec<Node<'a>>,
    faults: &mut Faults,
) -> Option<()> {
    let start = nodes.len();
    let (count, list) = (u32_in(cell, 20)?, u32_in(cell, 28)?);
    if count == 0 {
        // A list that is left over would be found to be lost.
        return Some(());
    }
    let head = cells.claim(list, faults)?;
    let leaves = if head.starts_with(b"ri") {
        let leaves: Vec<u32> = rows(list, head, 1, faults)?.map(|row| row[0]).collect();
        let mut claimed = Vec::new();
        for leaf in leaves {
            claimed.push((leaf, cells.claim(leaf, faults)?));
        }
        claimed
    } else {
        vec![(list, head)]
    };
    let (mut listed, mut longest, mut longest_class) = (0, 0, 0);
    for (place, leaf) in leaves {
        let words = match leaf.get(..2) {
            Some(b"lf" | b"lh") => 2,
            Some(b"li") => 1,
            _ => {
                faults.add(place, "this cell should be a list of keys");
                return None;
            }
        };
        for row in rows(place, leaf, words, faults)? {
            listed += 1;
            let Some((node, child)) = key(cells, row[0], Some(at), depth + 1, faults) else { continue };
            hint(node.name, leaf, row[1], place, faults);
            longest = longest.max(node.name.length());
            longest_class = longest_class.max(usize::from(u16_in(child, 74)?));
            if nodes[start..].last().is_some_and(|last| last.name.order(node.name) != Ordering::Less) {
                faults.add(node.cell, "a key is not behind the one before it in the order of their names");
            }
            nodes.push(node);
        }
    }
    if listed != count {
        faults.add(at, format!("a key says that {count} are below it, but {listed} are"));
    }
    // The upper half holds flags.
    if longest > usize::from(u16_in(cell, 52)?) || longest_class > u32_in(cell, 56)? as usize {
        faults.add(at, "a key below has a longer name or class than this one says");
    }
    Some(())
}

/// The hash or the beginning of a name that stands beside it.
fn hint(name: Name<'_>, leaf: &[u8], hint: u32, place: u32, faults: &mut Faults) {
    let holds = if leaf.starts_with(b"lh") {
        let add = |hash: u32, unit: u16| hash.wrapping_mul(37).wrapping_add(u32::from(upcase(unit)));
        hint == name.units().fold(0, add)
    } else if leaf.starts_with(b"lf") {
        let first = name.units().chain([0; 4]).take(4);
        // Windows stores no hint for other letters.
        first.clone().any(|unit| unit > 0x7f)
            || first.zip(hint.to_le_bytes()).all(|(unit, byte)| unit == u16::from(byte))
    } else {
        true
    };
    if !holds {
        faults.add(place, format!("the hash beside the key \"{}\" is not that of its name", name.text()));
    }
}

fn values<'a>(cells: &mut Cells<'a>, at: u32, cell: &'a [u8], faults: &mut Faults) -> Option<Vec<Stored<'a>>> {
    let count = u32_in(cell, 36)? as usize;
    // A key that stands for one that Windows makes up has another number there.
    if count == 0 || u16_in(cell, 2)? & 0x40 != 0 {
        return Some(Vec::new());
    }
    let list = cells.claim(u32_in(cell, 40)?, faults)?.get(..count.checked_mul(4)?);
    let list = faults.expect(list, at, "a key has more values than its list has room for")?;
    let (mut values, mut names) = (Vec::with_capacity(count), Vec::with_capacity(count));
    let (mut longest_name, mut longest_data) = (0, 0);
    for place in list.chunks_exact(4) {
        let place = u32_in(place, 0)?;
        let Some((value, length)) = value(cells, place, faults) else { continue };
        longest_name = longest_name.max(value.name.length());
        longest_data = longest_data.max(length);
        names.push(value.name);
        values.push(value);
    }
    names.sort_unstable_by(|a: &Name<'_>, b| a.order(*b));
    if let Some(pair) = names.windows(2).find(|pair| pair[0].order(pair[1]) == Ordering::Equal) {
        faults.add(at, format!("two values are named \"{}\"", pair[0].text()));
    }
    if longest_name > u32_in(cell, 60)? as usize || longest_data > u32_in(cell, 64)? as usize {
        faults.add(at, "a value has a longer name or longer data than its key says");
    }
    Some(values)
}

/// A value, and the length of its data.
fn value<'a>(cells: &mut Cells<'a>, at: u32, faults: &mut Faults) -> Option<(Stored<'a>, usize)> {
    let cell = cells.claim_as(at, b"vk", 20, faults)?;
    let bytes = cell.get(20..20 + usize::from(u16_in(cell, 2)?));
    let bytes = faults.expect(bytes, at, "a value's name is longer than its cell")?;
    let name = Name { bytes, one_byte: u16_in(cell, 16)? & 1 != 0 };
    let (stated, place) = (u32_in(cell, 4)?, u32_in(cell, 8)?);
    let length = (stated & 0x7fff_ffff) as usize;
    let data = if stated & 0x8000_0000 != 0 {
        let inside = cell.get(8..12).and_then(|word| word.get(..length));
        Data::Plain(faults.expect(inside, at, "a value says that more than four bytes are inside of it")?)
    } else if length == 0 {
        Data::Plain(&[])
    } else if length > SEGMENT && cells.minor > 3 {
        Data::Big(segments(cells, place, length, faults)?)
    } else {
        let data = cells.claim(place, faults)?.get(..length);
        Data::Plain(faults.expect(data, at, "a value's data is longer than its cell")?)
    };
    Some((Stored { name, type_number: u32_in(cell, 12)?, data }, length))
}

/// Data in segments, each full but the last.
fn segments<'a>(cells: &mut Cells<'a>, at: u32, length: usize, faults: &mut Faults) -> Option<Vec<&'a [u8]>> {
    let record = cells.claim_as(at, b"db", 8, faults)?;
    let count = usize::from(u16_in(record, 2)?);
    if count != length.div_ceil(SEGMENT) {
        faults.add(at, format!("{length} bytes are in {count} segments"));
        return None;
    }
    let list = cells.claim(u32_in(record, 4)?, faults)?.get(..count * 4);
    let list = faults.expect(list, at, "big data has more segments than its list has room for")?;
    let mut segments = Vec::with_capacity(count);
    for (index, place) in list.chunks_exact(4).enumerate() {
        let place = u32_in(place, 0)?;
        let segment = cells.claim(place, faults)?.get(..SEGMENT.min(length - index * SEGMENT));
        segments.push(faults.expect(segment, place, "a segment of big data is longer than its cell")?);
    }
    Some(segments)
}

/// The rows of a list that begins with its kind and their number; of one word the second is zero.
fn rows<'a>(at: u32, list: &'a [u8], words: usize, faults: &mut Faults) -> Option<impl Iterator<Item = [u32; 2]> + 'a> {
    let rows = u16_in(list, 2).and_then(|count| list.get(4..4 + usize::from(count) * words * 4));
    let rows = faults.expect(rows, at, "a list has more entries than room")?;
    let row = |row: &[u8]| [u32_in(row, 0).unwrap_or_default(), u32_in(row, 4).unwrap_or_default()];
    Some(rows.chunks_exact(words * 4).map(row))
}

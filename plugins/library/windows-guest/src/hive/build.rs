//! Makes hives: an empty one, and one that holds what a text says. For tests and for made-up Windows disks.
//!
//! The text is like what Windows exports, with texts in the place of UTF-16 in hexadecimal digits:
//!
//! ```text
//! [ControlSet001\Services\Example]
//! "ImagePath"=expand:"System32\\drivers\\example.sys"
//! "DependOnService"=multi:"one","two"
//! "Start"=dword:00000003
//! "Owners"=hex(3):01,ff,00,00
//! @="the default value"
//! ```
//!
//! Keys are made with those above them. Lines that are empty or begin with `;` say nothing. In quotes, `\\` and `\"` stand for `\` and `"`.

use std::fmt;

use vmdk2kvm_plugin_api::model::{RegistryEdit, RegistryValue};

use super::base::{self, BIN, BIN_HEADER, put_u16, put_u32};
use super::layout::{NOTHING, key, security};
use super::{EditError, edit, text_data, texts_data};

/// Why a text makes no hive.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// A line that is none of the above, by its number from 1.
    Line(usize),
    /// What it says fits no hive.
    Edit(EditError),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(number) => write!(f, "line {number} is neither a key nor a value"),
            Self::Edit(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for BuildError {}

/// Keys alone are made by this value, which goes again.
const HELD_BY: &str = "held";

/// A hive that holds what a text says.
pub fn build(text: &str) -> Result<Vec<u8>, BuildError> {
    let mut edits = Vec::new();
    let mut holders = Vec::new();
    let mut key = "";
    for (index, line) in text.lines().map(str::trim).enumerate() {
        if let Some(path) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            key = path;
            let held = Some(RegistryValue::new(0, &[]));
            edits.push(RegistryEdit::new(key, HELD_BY, None, held.clone()));
            holders.push(RegistryEdit::new(key, HELD_BY, held, None));
        } else if !line.is_empty() && !line.starts_with(';') {
            let (name, value) = value(line).ok_or(BuildError::Line(index + 1))?;
            edits.push(RegistryEdit::new(key, name, None, Some(value)));
        }
    }
    let held = edit(empty(), &edits).map_err(BuildError::Edit)?;
    edit(held, &holders).map_err(BuildError::Edit)
}

/// A line `name=value`.
fn value(line: &str) -> Option<(String, RegistryValue)> {
    let (name, rest) = match line.strip_prefix('@') {
        Some(rest) => (String::new(), rest),
        None => quoted(line)?,
    };
    let rest = rest.strip_prefix('=')?;
    let whole = |(text, rest): (String, &str)| rest.is_empty().then_some(text);
    let value = if let Some(text) = rest.strip_prefix("expand:") {
        RegistryValue::new(2, &text_data(&whole(quoted(text)?)?))
    } else if let Some(mut rest) = rest.strip_prefix("multi:") {
        let mut texts = Vec::new();
        while !rest.is_empty() {
            let (text, behind) = quoted(rest)?;
            texts.push(text);
            rest = if behind.is_empty() { behind } else { behind.strip_prefix(',')? };
        }
        RegistryValue::new(7, &texts_data(texts.iter().map(String::as_str)))
    } else if let Some(number) = rest.strip_prefix("dword:") {
        RegistryValue::new(4, &u32::from_str_radix(number, 16).ok()?.to_le_bytes())
    } else if let Some(rest) = rest.strip_prefix("hex") {
        let (type_number, bytes) = match rest.strip_prefix('(') {
            Some(rest) => rest
                .split_once("):")
                .and_then(|(number, bytes)| Some((u32::from_str_radix(number, 16).ok()?, bytes)))?,
            None => (3, rest.strip_prefix(':')?),
        };
        let bytes = bytes.split(',').filter(|byte| !byte.is_empty()).map(|byte| u8::from_str_radix(byte, 16).ok());
        RegistryValue::new(type_number, &bytes.collect::<Option<Vec<u8>>>()?)
    } else {
        RegistryValue::new(1, &text_data(&whole(quoted(rest)?)?))
    };
    Some((name, value))
}

/// A text in quotes, and what is behind it.
fn quoted(line: &str) -> Option<(String, &str)> {
    let mut text = String::new();
    let mut letters = line.strip_prefix('"')?.chars();
    loop {
        match letters.next()? {
            '"' => return Some((text, letters.as_str())),
            '\\' => text.push(letters.next()?),
            letter => text.push(letter),
        }
    }
}

/// A hive of version 1.5 with a root and its security descriptor: SYSTEM and the administrators may do everything.
pub fn empty() -> Vec<u8> {
    const ROOT: usize = BIN_HEADER;
    const NAME: &[u8] = b"ROOT";
    let descriptor = descriptor();
    let root_length = (4 + key::NAME + NAME.len()).next_multiple_of(8);
    let security = ROOT + root_length;
    let security_length = (4 + 20 + descriptor.len()).next_multiple_of(8);
    let mut hive = vec![0; base::LENGTH + BIN];
    hive[..4].copy_from_slice(b"regf");
    // Version 1.5, bins as they are in memory, one sector at a time.
    for (at, number) in [(20, 1), (24, 5), (32, 1), (36, ROOT as u32), (44, 1)] {
        put_u32(&mut hive, at, number);
    }
    let bin = &mut hive[base::LENGTH..];
    bin[..4].copy_from_slice(b"hbin");
    put_u32(bin, 8, BIN as u32);
    for (at, length) in [(ROOT, root_length), (security, security_length)] {
        put_u32(bin, at, (length as u32).wrapping_neg());
    }
    let free = security + security_length;
    put_u32(bin, free, (BIN - free) as u32);
    let root = &mut bin[ROOT + 4..];
    root[..2].copy_from_slice(b"nk");
    // The root of a hive, which cannot be deleted, with one byte a letter.
    put_u16(root, key::FLAGS, 0x2c);
    for nothing in [key::PARENT, key::LIST, key::VOLATILE_LIST, key::VALUE_LIST, key::CLASS] {
        put_u32(root, nothing, NOTHING);
    }
    put_u32(root, key::SECURITY, security as u32);
    put_u16(root, key::NAME_LENGTH, NAME.len() as u16);
    root[key::NAME..key::NAME + NAME.len()].copy_from_slice(NAME);
    let ring = &mut bin[security + 4..];
    ring[..2].copy_from_slice(b"sk");
    for (at, number) in [(security::NEXT, security as u32), (security::LAST, security as u32), (security::USERS, 1)] {
        put_u32(ring, at, number);
    }
    put_u32(ring, 16, descriptor.len() as u32);
    ring[20..20 + descriptor.len()].copy_from_slice(&descriptor);
    base::seal(&mut hive, BIN as u32, 1);
    hive
}

/// A security descriptor: owner and group, and a list with an entry for each of them.
fn descriptor() -> Vec<u8> {
    const SYSTEM: &[u8] = &[1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0];
    const ADMINISTRATORS: &[u8] = &[1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 32, 2, 0, 0];
    // Allows everything, to keys below as well.
    let entry = |who: &[u8]| [&[0, 2, who.len() as u8 + 8, 0, 0x3f, 0, 0x0f, 0], who].concat();
    let entries = [entry(SYSTEM), entry(ADMINISTRATORS)].concat();
    let list = [&[2, 0, entries.len() as u8 + 8, 0, 2, 0, 0, 0], entries.as_slice()].concat();
    let (owner, group) = (20 + list.len() as u8, 20 + (list.len() + ADMINISTRATORS.len()) as u8);
    let head = [1, 0, 4, 0x80, owner, 0, 0, 0, group, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0];
    [&head, list.as_slice(), ADMINISTRATORS, SYSTEM].concat()
}

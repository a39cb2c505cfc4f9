//! What an `AddReg` section writes.

use super::Reading;
use super::number::number;
use super::sections::Line;

/// Where a value's key begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Root {
    /// `HKR`: the key that the section is for: a service, a device, a driver.
    Relative,
    /// `HKLM`.
    LocalMachine,
    /// `HKCR`.
    Classes,
    /// `HKCU`.
    CurrentUser,
    /// `HKU`.
    Users,
}

/// A value's data, by its type.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Data {
    /// Only the key is made.
    KeyOnly,
    /// The value is removed.
    Delete,
    /// `REG_SZ`.
    Text(String),
    /// `REG_EXPAND_SZ`.
    Expandable(String),
    /// `REG_MULTI_SZ`.
    List(Vec<String>),
    /// `REG_DWORD`.
    Number(u32),
    /// Bytes of this type: `REG_BINARY` is 3.
    Bytes(u32, Vec<u8>),
}

impl Data {
    /// Type and bytes as a hive stores them; nothing for what writes no value.
    pub fn stored(&self) -> Option<(u32, Vec<u8>)> {
        let wide = |text: &str| text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        match self {
            Self::KeyOnly | Self::Delete => None,
            Self::Text(text) => Some((1, wide(text))),
            Self::Expandable(text) => Some((2, wide(text))),
            Self::List(list) => Some((7, list.iter().flat_map(|text| wide(text)).chain([0, 0]).collect())),
            Self::Number(number) => Some((4, number.to_le_bytes().to_vec())),
            Self::Bytes(kind, bytes) => Some((*kind, bytes.clone())),
        }
    }
}

/// One line of an `AddReg` section.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RegistryValue {
    /// Where the key begins.
    pub root: Root,
    /// The key below it, with backslashes; empty for the root itself.
    pub key: String,
    /// The value's name; empty for the key's default value.
    pub name: String,
    /// Type and data.
    pub data: Data,
    /// A value that is there stays (`FLG_ADDREG_NOCLOBBER`).
    pub keeps: bool,
    /// Its strings are added to those that are there (`FLG_ADDREG_APPEND`).
    pub appends: bool,
}

const BINARY: u32 = 0x1;
const NO_CLOBBER: u32 = 0x2;
const DELETE: u32 = 0x4;
const APPEND: u32 = 0x8;
const KEY_ONLY: u32 = 0x10;

pub(super) fn values(inf: &Reading, section: &str) -> Result<Vec<RegistryValue>, String> {
    inf.section(section)?.iter().map(|line| value(inf, line).map_err(|why| format!("[{section}]: {why}"))).collect()
}

fn value(inf: &Reading, line: &Line) -> Result<RegistryValue, String> {
    let field = |index| inf.expand(line.field(index));
    let root = match line.key.as_ref().map_or_else(|| field(0), |key| format!("{key}=")).to_ascii_uppercase().as_str() {
        "HKR" => Root::Relative,
        "HKLM" => Root::LocalMachine,
        "HKCR" => Root::Classes,
        "HKCU" => Root::CurrentUser,
        "HKU" => Root::Users,
        other => return Err(format!("\"{other}\" is no root of the registry")),
    };
    let flags = match field(3) {
        flags if flags.is_empty() => 0,
        flags => number(&flags).ok_or_else(|| format!("\"{flags}\" are no flags of a registry value"))?,
    };
    let data = line.fields.get(4..).unwrap_or(&[]);
    Ok(RegistryValue {
        root,
        key: field(1).trim_matches('\\').to_owned(),
        name: field(2),
        data: if flags & DELETE != 0 {
            Data::Delete
        } else if flags & KEY_ONLY != 0 {
            Data::KeyOnly
        } else {
            typed(inf, flags, data)?
        },
        keeps: flags & NO_CLOBBER != 0,
        appends: flags & APPEND != 0,
    })
}

fn typed(inf: &Reading, flags: u32, fields: &[String]) -> Result<Data, String> {
    let first = || inf.expand(fields.first().map_or("", String::as_str));
    Ok(match (flags & BINARY, flags >> 16) {
        (0, 0) => Data::Text(first()),
        (0, 1) => Data::List(fields.iter().map(|field| inf.expand(field)).collect()),
        (0, 2) => Data::Expandable(first()),
        (_, 1) if fields.len() == 4 => Data::Number(u32::from_le_bytes(
            bytes(inf, fields)?.try_into().map_err(|_| "a number of four bytes lacks some".to_owned())?,
        )),
        (_, 1) => match first() {
            text if text.is_empty() => Data::Number(0),
            text => Data::Number(number(&text).ok_or_else(|| format!("\"{text}\" is no number of 32 bits"))?),
        },
        (0, other) => return Err(format!("a value of type {other} has no known form")),
        // REG_NONE has a number of its own, since a type of zero says "binary".
        (_, 0) => Data::Bytes(3, bytes(inf, fields)?),
        (_, 2) => Data::Bytes(0, bytes(inf, fields)?),
        (_, kind) => Data::Bytes(kind, bytes(inf, fields)?),
    })
}

fn bytes(inf: &Reading, fields: &[String]) -> Result<Vec<u8>, String> {
    let fields = fields.iter().map(|field| inf.expand(field)).filter(|field| !field.is_empty());
    fields
        .map(|field| {
            let digits = field.trim_start_matches("0x").trim_start_matches("0X");
            u8::from_str_radix(digits, 16).map_err(|_| format!("\"{field}\" is no byte"))
        })
        .collect()
}

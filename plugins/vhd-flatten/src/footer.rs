//! The footer: what kind of image it is and how large its disk ("Hard Disk Footer Format").

use vmdk2kvm_plugin_api::{BlockSource, PluginError, Result, read_exact_at};

use crate::bytes::{checksum, id_at, u32_at, u64_at};

/// Length in bytes.
pub const LENGTH: u64 = 512;
const COOKIE: &[u8] = b"conectix";
const CHECKSUM: usize = 64;

/// The kind of image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The disk's bytes, then the footer.
    Fixed,
    /// Blocks where something was written.
    Dynamic,
    /// Blocks that differ from a parent's.
    Differencing,
}

impl Kind {
    /// The word for reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::Dynamic => "dynamic",
            Self::Differencing => "differencing",
        }
    }
}

/// A checked footer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Footer {
    /// Kind.
    pub kind: Kind,
    /// Where the dynamic header is, in bytes; meaningless in a fixed image.
    pub header: u64,
    /// Capacity of the disk in bytes.
    pub capacity: u64,
    /// Unique id.
    pub id: [u8; 16],
    /// The machine was suspended.
    pub saved_state: bool,
    /// It stands at the end of the file; else only its copy at the beginning is whole.
    pub at_end: bool,
}

impl Footer {
    /// Reads the footer at the end of `file`, or its copy at the beginning when that at the end is damaged. The text is a warning.
    pub fn read(file: &dyn BlockSource) -> Result<(Self, Option<&'static str>)> {
        let size = file.size();
        if size < LENGTH {
            return Err(bad(format!("it has {size} bytes, fewer than the footer of a VHD")));
        }
        let (mut first, mut last) = ([0; LENGTH as usize], [0; LENGTH as usize]);
        read_exact_at(file, 0, &mut first)?;
        read_exact_at(file, size - LENGTH, &mut last)?;
        match (whole(&first), whole(&last)) {
            (copy, true) => {
                let footer = Self::parse(&last)?;
                let lost = footer.kind != Kind::Fixed && !copy;
                Ok((
                    footer,
                    lost.then_some("the copy of its footer at the beginning is damaged; that at the end is used"),
                ))
            }
            (true, false) => {
                let footer = Self { at_end: false, ..Self::parse(&first)? };
                if footer.kind == Kind::Fixed {
                    return Err(bad("its footer is damaged".to_owned()));
                }
                Ok((footer, Some("its footer is damaged or cut off; the copy at the beginning is used")))
            }
            (false, false) if last.starts_with(COOKIE) || first.starts_with(COOKIE) => {
                Err(bad("its footer is damaged: the checksum is wrong".to_owned()))
            }
            (false, false) => Err(bad("it has no footer of a VHD; it may be cut off".to_owned())),
        }
    }

    fn parse(block: &[u8]) -> Result<Self> {
        let version = u32_at(block, 12);
        if version >> 16 != 1 {
            return Err(bad(format!("it is of version {}.{}; version 1 is read", version >> 16, version & 0xffff)));
        }
        let kind = match u32_at(block, 60) {
            2 => Kind::Fixed,
            3 => Kind::Dynamic,
            4 => Kind::Differencing,
            other => {
                return Err(bad(format!(
                    "it is of type {other}; fixed (2), dynamic (3) and differencing (4) are read"
                )));
            }
        };
        let capacity = u64_at(block, 48);
        if capacity == 0 || capacity % 512 != 0 {
            return Err(bad(format!("its capacity of {capacity} bytes is not a number of sectors")));
        }
        Ok(Self {
            kind,
            header: u64_at(block, 16),
            capacity,
            id: id_at(block, 68),
            saved_state: block[84] != 0,
            at_end: true,
        })
    }
}

fn whole(block: &[u8]) -> bool {
    block.starts_with(COOKIE) && checksum(block, CHECKSUM) == u32_at(block, CHECKSUM)
}

/// An image that cannot be used.
pub fn bad(what: String) -> PluginError {
    PluginError::unusable(what).hint("copy the image again")
}

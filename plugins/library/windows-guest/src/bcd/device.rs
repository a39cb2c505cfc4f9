//! The device of an element: which partition, by ids that no bus changes.

/// Where something lies.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Device {
    /// A partition of a disk.
    Partition(Partition),
    /// The partition that the firmware started from.
    Boot,
    /// A disk in memory, made from an image: recovery environments.
    Memory,
    /// Of this type, or of a known one in a form that is not understood.
    Other(u32),
}

/// A partition, by how its disk is divided.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Partition {
    /// By GUIDs, in lower case without braces.
    Gpt {
        /// The partition's own.
        partition: String,
        /// The disk's.
        disk: String,
    },
    /// By what the boot record says.
    Mbr {
        /// Where the partition begins, in bytes.
        offset: u64,
        /// The disk's signature.
        signature: u32,
    },
}

/// GUID of options, type, flags, length.
const HEADER: usize = 32;

impl Device {
    /// Reads the data of a device element.
    pub(super) fn parse(data: &[u8]) -> Self {
        let word = |at: usize| Some(u32::from_le_bytes(data.get(at..at + 4)?.try_into().ok()?));
        let Some(kind) = word(16) else { return Self::Other(u32::MAX) };
        match (kind, data.get(HEADER..)) {
            (5, _) => Self::Boot,
            // Something else holds blocks: 3 is memory.
            (0, Some(_)) if word(HEADER) == Some(3) => Self::Memory,
            (6, Some(body)) => partition(body).map_or(Self::Other(kind), Self::Partition),
            _ => Self::Other(kind),
        }
    }
}

/// Partition (16 bytes), medium, style, disk (16 bytes).
fn partition(body: &[u8]) -> Option<Partition> {
    let (partition, rest) = body.split_first_chunk::<16>()?;
    let (medium, rest) = rest.split_first_chunk::<4>()?;
    let (style, rest) = rest.split_first_chunk::<4>()?;
    let disk = rest.first_chunk::<16>()?;
    match (u32::from_le_bytes(*medium), u32::from_le_bytes(*style)) {
        (0, 0) => Some(Partition::Gpt { partition: guid(partition), disk: guid(disk) }),
        (0, 1) => Some(Partition::Mbr {
            offset: u64::from_le_bytes(*partition.first_chunk()?),
            signature: u32::from_le_bytes(*disk.first_chunk()?),
        }),
        _ => None,
    }
}

/// A GUID as it is written: the first three parts are numbers.
fn guid(bytes: &[u8; 16]) -> String {
    let [a, b, c, d, e, f, g, h, rest @ ..] = bytes;
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let parts = [&[*d, *c, *b, *a][..], &[*f, *e], &[*h, *g], &rest[..2], &rest[2..]];
    parts.map(hex).join("-")
}

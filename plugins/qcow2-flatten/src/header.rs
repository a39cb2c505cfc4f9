//! An image's header: read once, checked, and kept as numbers that may be relied on (section "Header").
//!
//! After [`Header::read`] every offset and length in it lies inside the file, and products of them do not overflow.

use vmdk2kvm_plugin_api::{BlockSource, PluginError, Result, read_exact_at};

use crate::extensions::{self, Extensions};

/// `QFI` and 0xfb.
const MAGIC: [u8; 4] = *b"QFI\xfb";
const V2_LENGTH: usize = 72;
const V3_LENGTH: usize = 104;
/// The largest L1 table that QEMU makes or opens: 32 MiB.
const MAX_L1_BYTES: u64 = 32 << 20;
/// The longest backing file name.
const MAX_BACKING: u64 = 1023;

/// Bits of `incompatible_features`.
const DIRTY: u64 = 1;
const CORRUPT: u64 = 1 << 1;
const DATA_FILE: u64 = 1 << 2;
const COMPRESSION: u64 = 1 << 3;
const EXTENDED_L2: u64 = 1 << 4;
const KNOWN: u64 = DIRTY | CORRUPT | DATA_FILE | COMPRESSION | EXTENDED_L2;

/// How compressed clusters are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Raw deflate.
    Deflate,
    /// Zstandard frames.
    Zstd,
}

/// A checked header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// 2 or 3.
    pub version: u32,
    /// Virtual size in bytes, never 0.
    pub size: u64,
    /// Cluster size as a power of two: 9 to 21.
    pub cluster_bits: u32,
    /// L2 entries have 16 bytes, with a bitmap of 32 subclusters.
    pub extended_l2: bool,
    /// File offset of the L1 table.
    pub l1_offset: u64,
    /// Compression of compressed clusters.
    pub compression: Compression,
    /// Name and stated format of the backing file.
    pub backing: Option<Backing>,
    /// Reference counts may be stale; the mapping is not.
    pub dirty: bool,
    /// Number of internal snapshots.
    pub snapshots: u32,
}

/// What an image says of its backing file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backing {
    /// The name: hostile.
    pub name: String,
    /// The stated format; `None` when the image leaves it to probing.
    pub format: Option<String>,
}

impl Header {
    /// Reads and checks the header of `file`. Errors do not name the file; the caller does.
    pub fn read(file: &dyn BlockSource) -> Result<Self> {
        let mut start = vec![0; file.size().min(V3_LENGTH as u64 + 8) as usize];
        read_exact_at(file, 0, &mut start)?;
        if start.get(..4) != Some(&MAGIC) {
            return Err(bad("it does not begin like a QCOW2 image"));
        }
        let fixed = Fixed::new(&start)?;
        let version = fixed.u32(4);
        if version != 2 && version != 3 {
            return Err(bad(format!("QCOW version {version}; versions 2 and 3 are read"))
                .hint("convert it with 'qemu-img convert -f qcow -O qcow2'"));
        }
        let cluster_bits = fixed.u32(20);
        if !(9..=21).contains(&cluster_bits) {
            return Err(bad(format!("clusters of 2^{cluster_bits} bytes; the format allows 2^9 to 2^21")));
        }
        let encryption = fixed.u32(32);
        if encryption != 0 {
            return Err(bad("the image is encrypted")
                .hint("decrypt it first: qemu-img convert with the image's key, to an image without encryption"));
        }
        let (features, length) = fixed.version_3(version, file.size(), cluster_bits)?;
        let (extensions, backing_name) = Self::first_cluster(file, &fixed, length, cluster_bits)?;
        refuse_features(features, &extensions)?;
        let compression = match (features & COMPRESSION != 0, fixed.compression(length)) {
            (false, 0) => Compression::Deflate,
            (true, 1) => Compression::Zstd,
            (false, other) => return Err(bad(format!("compression type {other} without its feature bit"))),
            (true, other) => return Err(bad(format!("compression type {other}; deflate (0) and zstd (1) are read"))),
        };
        let extended_l2 = features & EXTENDED_L2 != 0;
        if extended_l2 && cluster_bits < 14 {
            return Err(bad(format!("subclusters in clusters of 2^{cluster_bits} bytes; they need 2^14")));
        }
        let header = Self {
            version,
            size: fixed.u64(24),
            cluster_bits,
            extended_l2,
            l1_offset: fixed.u64(40),
            compression,
            backing: backing_name.map(|name| Backing { name, format: extensions.backing_format }),
            dirty: features & DIRTY != 0,
            snapshots: fixed.u32(60),
        };
        header.check_l1(fixed.u32(36), file.size())?;
        Ok(header)
    }

    /// Cluster size in bytes.
    pub fn cluster(&self) -> u64 {
        1 << self.cluster_bits
    }

    /// Bytes of an L2 entry.
    pub fn entry_size(&self) -> u64 {
        if self.extended_l2 { 16 } else { 8 }
    }

    /// Guest bytes that one L2 table maps.
    pub fn l2_span(&self) -> u64 {
        self.cluster() / self.entry_size() * self.cluster()
    }

    /// The L1 table must map the whole disk and lie in the file.
    fn check_l1(&self, entries: u32, file_size: u64) -> Result<()> {
        if self.size == 0 {
            return Err(bad("its virtual size is 0"));
        }
        let needed = self.size.div_ceil(self.l2_span());
        if u64::from(entries) < needed {
            return Err(bad(format!("an L1 table of {entries} entries for a disk that needs {needed}")));
        }
        if u64::from(entries) * 8 > MAX_L1_BYTES {
            return Err(bad(format!("an L1 table of {entries} entries; the limit is {}", MAX_L1_BYTES / 8)));
        }
        if self.l1_offset == 0 || self.l1_offset % self.cluster() != 0 {
            return Err(bad(format!("an L1 table at offset {}, which is not aligned to clusters", self.l1_offset)));
        }
        match self.l1_offset.checked_add(u64::from(entries) * 8) {
            Some(end) if end <= file_size => Ok(()),
            _ => Err(bad(format!(
                "an L1 table of {entries} entries at offset {} in a file of {file_size} bytes",
                self.l1_offset
            ))),
        }
    }

    /// What the first cluster holds behind the fixed fields: the extensions, and the backing file's name.
    fn first_cluster(
        file: &dyn BlockSource,
        fixed: &Fixed<'_>,
        length: usize,
        cluster_bits: u32,
    ) -> Result<(Extensions, Option<String>)> {
        let cluster = (1u64 << cluster_bits).min(file.size());
        let mut bytes = vec![0; cluster as usize];
        read_exact_at(file, 0, &mut bytes)?;
        let (at, size) = (fixed.u64(8), u64::from(fixed.u32(16)));
        if at == 0 {
            return Ok((extensions::parse(bytes.get(length..).unwrap_or_default())?, None));
        }
        if size == 0 || size > MAX_BACKING {
            return Err(bad(format!("a backing file name of {size} bytes; the format allows 1 to {MAX_BACKING}")));
        }
        let end = at.checked_add(size).filter(|end| at >= length as u64 && *end <= cluster).ok_or_else(|| {
            bad(format!("a backing file name at offset {at}, {size} bytes long, outside of the first cluster"))
        })?;
        let name = std::str::from_utf8(&bytes[at as usize..end as usize])
            .map_err(|_| bad("the backing file's name is not UTF-8"))?
            .to_owned();
        Ok((extensions::parse(&bytes[length..at as usize])?, Some(name)))
    }
}

fn refuse_features(features: u64, extensions: &Extensions) -> Result<()> {
    if features & CORRUPT != 0 {
        return Err(bad("the image is marked corrupt")
            .hint("repair a copy of it with 'qemu-img check -r all', and look at what that says"));
    }
    if features & DATA_FILE != 0 {
        return Err(bad("the image keeps its data in another file, which is not supported")
            .hint("convert it with 'qemu-img convert -O qcow2' on a machine that you trust it on"));
    }
    let unknown = features & !KNOWN;
    if unknown != 0 {
        let bit = unknown.trailing_zeros();
        let name =
            extensions.incompatible.get(&bit).map(|name| format!(" ({})", name.escape_debug())).unwrap_or_default();
        return Err(bad(format!("the image needs feature {bit}{name}, which is not known"))
            .hint("convert it with the program that made it, to a QCOW2 without this feature"));
    }
    Ok(())
}

/// A damaged or unsupported image.
pub fn bad(what: impl Into<String>) -> PluginError {
    PluginError::unusable(what.into()).hint("copy the image again; `qemu-img check` says what else is wrong with it")
}

/// The fixed fields.
struct Fixed<'a>(&'a [u8]);

impl<'a> Fixed<'a> {
    fn new(bytes: &'a [u8]) -> Result<Self> {
        if bytes.len() < V2_LENGTH {
            return Err(bad(format!("a header of {} bytes; the file is cut off", bytes.len())));
        }
        Ok(Self(bytes))
    }

    /// The big-endian number at `at`, 0 past the end: version 2 has no fields there.
    fn u32(&self, at: usize) -> u32 {
        self.0.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_be_bytes)
    }

    fn u64(&self, at: usize) -> u64 {
        u64::from(self.u32(at)) << 32 | u64::from(self.u32(at + 4))
    }

    /// The incompatible features and the header's length.
    fn version_3(&self, version: u32, file_size: u64, cluster_bits: u32) -> Result<(u64, usize)> {
        if version == 2 {
            return Ok((0, V2_LENGTH));
        }
        let length = self.u32(100) as usize;
        let most = file_size.min(1 << cluster_bits);
        if length < V3_LENGTH || length % 8 != 0 || length as u64 > most {
            return Err(bad(format!(
                "a header length of {length} bytes; it must be a multiple of 8 from {V3_LENGTH} to {most}"
            )));
        }
        Ok((self.u64(72), length))
    }

    fn compression(&self, length: usize) -> u8 {
        if length > V3_LENGTH { self.0.get(V3_LENGTH).copied().unwrap_or(0) } else { 0 }
    }
}

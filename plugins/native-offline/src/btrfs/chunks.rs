//! Where the addresses of a btrfs are on its device.

use vmdk2kvm_plugin_api::Result;

use crate::bytes::{cannot, damaged, le16, le64};

/// Kinds of data, metadata and system; two copies on the device. Anything else is spread over devices.
const KINDS: u64 = 0x1 | 0x2 | 0x4 | 0x20;
/// Bytes before the places of a chunk, and of each place.
const CHUNK: usize = 48;
const STRIPE: usize = 32;
/// Bytes of a key.
const KEY: usize = 17;
/// Most chunks.
const MAX_CHUNKS: usize = 1 << 17;

/// Chunks in the order of their addresses.
#[derive(Default)]
pub struct Chunks(Vec<Chunk>);

struct Chunk {
    address: u64,
    length: u64,
    /// Where it is on the device, once for each copy.
    places: Vec<u64>,
}

impl Chunks {
    /// Those in a superblock.
    pub fn of_superblock(raw: &[u8], device: u64) -> Result<Self> {
        let mut found = Self::default();
        let mut rest = raw;
        while !rest.is_empty() {
            let item = rest.get(KEY..).unwrap_or_default();
            let length = CHUNK + usize::from(le16(item, 44)) * STRIPE;
            if item.len() < length {
                return Err(damaged("a chunk in its superblock is damaged"));
            }
            found.add(le64(rest, 9), item, device)?;
            rest = &item[length..];
        }
        Ok(found)
    }

    /// Adds one; one that is known already stays.
    pub fn add(&mut self, address: u64, item: &[u8], device: u64) -> Result<()> {
        let bad = || damaged(format!("the chunk at {address} is damaged"));
        let (length, kind, copies) = (le64(item, 0), le64(item, 24), usize::from(le16(item, 44)));
        if kind & !KINDS != 0 {
            return Err(cannot("its chunks are spread over stripes"));
        }
        if !(1..=2).contains(&copies) || item.len() < CHUNK + copies * STRIPE || self.0.len() >= MAX_CHUNKS {
            return Err(bad());
        }
        let stripes = || (0..copies).map(|copy| CHUNK + copy * STRIPE);
        if stripes().any(|at| le64(item, at) != device) {
            return Err(cannot("a chunk is on another device"));
        }
        let places: Vec<u64> = stripes().map(|at| le64(item, at + 8)).collect();
        let end = address.checked_add(length).ok_or_else(bad)?;
        if length == 0 || places.iter().any(|place| place.checked_add(length).is_none()) {
            return Err(bad());
        }
        let at = self.0.partition_point(|known| known.address < address);
        if self.0.get(at).is_some_and(|known| known.address == address) {
            return Ok(());
        }
        let before = at.checked_sub(1).map(|before| &self.0[before]);
        if before.is_some_and(|known| known.address + known.length > address)
            || self.0.get(at).is_some_and(|next| next.address < end)
        {
            return Err(bad());
        }
        self.0.insert(at, Chunk { address, length, places });
        Ok(())
    }

    /// Where a range is: once for each copy.
    pub fn places(&self, address: u64, length: u64) -> Result<Vec<u64>> {
        let at = self.0.partition_point(|chunk| chunk.address <= address);
        let chunk = at.checked_sub(1).map(|at| &self.0[at]);
        let inside =
            |chunk: &&Chunk| address.checked_add(length).is_some_and(|end| end <= chunk.address + chunk.length);
        let chunk =
            chunk.filter(inside).ok_or_else(|| damaged(format!("{length} bytes at {address} are in no chunk")))?;
        Ok(chunk.places.iter().map(|place| place + (address - chunk.address)).collect())
    }
}

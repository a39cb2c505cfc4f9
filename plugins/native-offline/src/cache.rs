//! One bounded cache of blocks under all readers of a guest, and what ends a reader that asks for too much.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use vmdk2kvm_plugin_api::{BlockSource, ErrorKind, Extent, Hints, Host, PluginError, Result, read_exact_at};

/// Bytes of a block: one grain of a VMDK.
const BLOCK: u64 = 64 << 10;
/// Most blocks that are kept: 32 MiB.
const KEPT: usize = 512;
/// Bytes that are read at once past the cache: a large file would push out all else, and be in memory twice.
const LARGE: usize = 1 << 20;
/// Longest reading of one guest; a larger one is the appliance's.
const TIME: Duration = Duration::from_secs(600);
/// Most bytes that are read of one guest.
const BYTES: u64 = 8 << 30;

/// Blocks of all disks of a guest.
pub struct Cache {
    blocks: Mutex<Blocks>,
    read: AtomicU64,
    begin: Instant,
    host: Host,
}

#[derive(Default)]
struct Blocks {
    /// By disk and number.
    kept: HashMap<(usize, u64), Kept>,
    clock: u64,
}

struct Kept {
    used: u64,
    bytes: Arc<[u8]>,
}

impl Cache {
    /// An empty one.
    pub fn new(host: Host) -> Arc<Self> {
        Arc::new(Self { blocks: Mutex::default(), read: AtomicU64::new(0), begin: Instant::now(), host })
    }

    /// A disk, read through the cache.
    pub fn disk(self: &Arc<Self>, number: usize, source: Arc<dyn BlockSource>) -> Arc<dyn BlockSource> {
        Arc::new(CachedDisk { cache: self.clone(), number, source })
    }

    /// Counts what is read now, and ends a reader that asks for too much.
    fn count(&self, length: u64) -> Result<()> {
        self.host.check_cancelled()?;
        let too_much = |what: &str| {
            PluginError::new(ErrorKind::Cannot, format!("the guest takes too {what} to read without an appliance"))
        };
        if self.begin.elapsed() > TIME {
            return Err(too_much("long"));
        }
        if self.read.fetch_add(length, Ordering::Relaxed) > BYTES {
            return Err(too_much("much"));
        }
        Ok(())
    }

    fn block(&self, disk: &CachedDisk, number: u64) -> Result<Arc<[u8]>> {
        let key = (disk.number, number);
        {
            let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
            blocks.clock += 1;
            let now = blocks.clock;
            if let Some(kept) = blocks.kept.get_mut(&key) {
                kept.used = now;
                return Ok(kept.bytes.clone());
            }
        }
        let start = number * BLOCK;
        let length = BLOCK.min(disk.source.size() - start);
        self.count(length)?;
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        read_exact_at(disk.source.as_ref(), start, &mut bytes)?;
        let bytes: Arc<[u8]> = bytes.into();
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        if blocks.kept.len() >= KEPT {
            // The older half at once, so that no reader pays for each block.
            let mut ages: Vec<u64> = blocks.kept.values().map(|kept| kept.used).collect();
            let (_, middle, _) = ages.select_nth_unstable(KEPT / 2);
            let middle = *middle;
            blocks.kept.retain(|_, kept| kept.used > middle);
        }
        let now = blocks.clock;
        blocks.kept.insert(key, Kept { used: now, bytes: bytes.clone() });
        Ok(bytes)
    }
}

struct CachedDisk {
    cache: Arc<Cache>,
    number: usize,
    source: Arc<dyn BlockSource>,
}

impl BlockSource for CachedDisk {
    fn size(&self) -> u64 {
        self.source.size()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let end = offset.checked_add(buffer.len() as u64).filter(|end| *end <= self.size());
        if end.is_none() {
            return Err(PluginError::unusable(format!("{} bytes at {offset} lie outside of the disk", buffer.len())));
        }
        if buffer.is_empty() {
            return Ok(0);
        }
        if let Some(large) = buffer.get_mut(..LARGE).filter(|_| offset % BLOCK == 0) {
            self.cache.count(LARGE as u64)?;
            read_exact_at(self.source.as_ref(), offset, large)?;
            return Ok(LARGE);
        }
        let block = self.cache.block(self, offset / BLOCK)?;
        let within = usize::try_from(offset % BLOCK).unwrap_or(0);
        let length = buffer.len().min(block.len() - within);
        buffer[..length].copy_from_slice(&block[within..within + length]);
        Ok(length)
    }

    fn extents(&self, offset: u64, length: u64) -> Result<Vec<Extent>> {
        self.source.extents(offset, length)
    }

    fn hints(&self) -> Hints {
        self.source.hints()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use vmdk2kvm_plugin_testing::FakeHost;

    struct Counted(AtomicUsize);

    impl BlockSource for Counted {
        fn size(&self) -> u64 {
            BLOCK * 2 * KEPT as u64 + 5
        }

        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
            self.0.fetch_add(1, Ordering::Relaxed);
            buffer.fill((offset / BLOCK) as u8);
            Ok(buffer.len())
        }
    }

    #[test]
    fn blocks_are_read_once_and_their_number_is_bounded() {
        let source = Arc::new(Counted(AtomicUsize::new(0)));
        let cache = Cache::new(FakeHost::new().without_settings());
        let disk = cache.disk(0, source.clone());
        let mut bytes = [0; 300];
        for _ in 0..3 {
            read_exact_at(disk.as_ref(), 2 * BLOCK - 100, &mut bytes).unwrap();
        }
        assert!(bytes[..100].iter().all(|byte| *byte == 1) && bytes[100..].iter().all(|byte| *byte == 2));
        assert_eq!(source.0.load(Ordering::Relaxed), 2);
        let mut last = [0; 5];
        read_exact_at(disk.as_ref(), disk.size() - 5, &mut last).unwrap();
        assert!(disk.read_at(disk.size() - 4, &mut last).is_err());
        for number in 0..2 * KEPT as u64 {
            disk.read_at(number * BLOCK, &mut last).unwrap();
        }
        assert!(cache.blocks.lock().unwrap().kept.len() <= KEPT);
    }

    #[test]
    fn what_is_large_passes_by_the_cache_and_counts() {
        let cache = Cache::new(FakeHost::new().without_settings());
        let disk = cache.disk(0, Arc::new(Counted(AtomicUsize::new(0))));
        let mut bytes = vec![0; 2 * LARGE + 5];
        read_exact_at(disk.as_ref(), BLOCK - 5, &mut bytes).unwrap();
        assert_eq!((bytes[4], bytes[5]), (0, 1));
        // The block where it begins is kept, and nothing else.
        assert_eq!(cache.blocks.lock().unwrap().kept.len(), 1);
        assert_eq!(cache.read.load(Ordering::Relaxed), 2 * LARGE as u64 + BLOCK);
    }
}

use sha2::{Digest, Sha256};

use super::*;

/// Bytes that do not repeat, the middle third a hole; counts what is transferred.
struct Counted {
    bytes: Vec<u8>,
    hole: std::ops::Range<u64>,
    read: AtomicU64,
}

impl BlockSource for Counted {
    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let from = offset as usize;
        buffer.copy_from_slice(&self.bytes[from..from + buffer.len()]);
        self.read.fetch_add(buffer.len() as u64, Ordering::Relaxed);
        Ok(buffer.len())
    }

    fn extents(&self, offset: u64, length: u64) -> Result<Vec<Extent>> {
        let mut extents = Vec::new();
        let mut at = offset;
        for (end, kind) in
            [(self.hole.start, ExtentKind::Data), (self.hole.end, ExtentKind::Hole), (u64::MAX, ExtentKind::Data)]
        {
            let end = end.min(offset + length);
            if end > at {
                extents.push(Extent::new(at, end - at, kind));
                at = end;
            }
        }
        Ok(extents)
    }
}

const MIB: u64 = 1 << 20;

fn source(mib: u64, hole: std::ops::Range<u64>) -> (Arc<Counted>, String) {
    let mut bytes = vec![0u8; (mib * MIB) as usize];
    let mut state = 1u64;
    for (at, word) in bytes.chunks_mut(8).enumerate() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        if !hole.contains(&(at as u64 * 8)) {
            word.copy_from_slice(&state.to_le_bytes()[..word.len()]);
        }
    }
    let digest = format!("{:x}", Sha256::digest(&bytes));
    (Arc::new(Counted { bytes, hole, read: AtomicU64::new(0) }), digest)
}

fn digested(source: &Arc<Counted>) -> Digested {
    let source: Arc<dyn BlockSource> = source.clone();
    let pass = DigestPass::new(Arc::clone(&source), vec![Box::new(Sha256::new())], Kept::default());
    Digested { source, pass: Arc::new(pass) }
}

fn read(source: &Digested, offset: u64, length: u64) {
    read_exact_at(source, offset, &mut vec![0; length as usize]).unwrap();
}

/// At most 1.05 of the file's size.
fn assert_one_pass(source: &Counted) {
    let (read, size) = (source.read.load(Ordering::Relaxed), source.size());
    assert!(read * 100 <= size * 105, "{read} bytes were read of {size}");
}

#[test]
fn a_copy_by_several_threads_is_the_only_transfer() {
    let (counted, expected) = source(96, 0..0);
    let digested = digested(&counted);
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(MIB, Ordering::Relaxed);
                    if at >= counted.size() {
                        return;
                    }
                    // Tasks of a copy, some of which last longer.
                    read(&digested, at, MIB / 2);
                    read(&digested, at + MIB / 2, MIB / 2);
                }
            });
        }
    });
    assert_eq!(digested.pass.finish(&|| false).unwrap(), [expected]);
    // A thread that does not run while the others read 64 MiB has its range read for it.
    assert_one_pass(&counted);
}

#[test]
fn what_a_copy_leaves_out_is_read_once() {
    // Nobody reads the hole, nor 512 bytes behind each 64 KiB, as between the grains of a stream.
    let (counted, expected) = source(240, 80 * MIB..160 * MIB);
    let digested = digested(&counted);
    read(&digested, counted.size() - MIB, MIB);
    for at in (0..counted.size()).step_by(64 << 10).filter(|at| !counted.hole.contains(at)) {
        read(&digested, at, (64 << 10) - 512);
    }
    assert_eq!(digested.pass.finish(&|| false).unwrap(), [expected]);
    assert_one_pass(&counted);
    assert_eq!(digested.pass.kept.0.load(Ordering::Relaxed), 0);
}

#[test]
fn no_order_of_reading_changes_the_digest_or_takes_more_memory() {
    let (counted, expected) = source(160, 0..0);
    let digested = digested(&counted);
    for at in (0..counted.size()).step_by(MIB as usize).collect::<Vec<_>>().into_iter().rev() {
        read(&digested, at, MIB);
        assert!(digested.pass.kept.0.load(Ordering::Relaxed) <= AHEAD);
    }
    // And some again, as an appliance does beside the copy.
    read(&digested, 5 * MIB + 3, 77);
    assert_eq!(digested.pass.finish(&|| false).unwrap(), [expected]);
}

#[test]
fn a_changed_byte_changes_the_digest_and_a_stop_stops() {
    let (counted, expected) = source(3, 0..0);
    let other = digested(&counted);
    read(&other, 0, MIB);
    other.pass.saw(MIB, &vec![0; MIB as usize]);
    assert_ne!(other.pass.finish(&|| false).unwrap(), [expected]);
    let error = digested(&counted).pass.finish(&|| true).unwrap_err();
    assert_eq!(error.kind, vmdk2kvm_plugin_api::ErrorKind::Interrupted);
}

//! What every `BlockSource` promises: stable bytes, an honest map, and errors past its end.

use vmdk2kvm_plugin_api::{BlockSource, ExtentKind, check_map, read_exact_at};

use crate::{Checks, Report, Why, failed};

/// Bytes read at one place.
const PIECE: u64 = 64 << 10;
/// So many places are looked at, spread over the disk.
const PLACES: u64 = 64;

/// Checks a disk. Reads a few MiB of it, spread over its whole length; `name` stands in the report.
pub fn source(name: &str, source: &dyn BlockSource) -> Report {
    let mut checks = Checks::of(format!("source {name}"));
    let size = source.size();
    checks.check("its size stays the same", || {
        if source.size() == size { Ok(()) } else { failed(format!("{size} bytes at first, then {}", source.size())) }
    });
    checks.check("a read past the end fails", || past_the_end(source, size));
    checks.check("its hints are usable", || match source.hints() {
        hints if hints.alignment == 0 || hints.request == 0 => failed(format!("{hints:?} has a zero")),
        _ => Ok(()),
    });
    let places: Vec<(u64, u64)> = places(size).collect();
    let read = |(at, length): (u64, u64)| -> Result<Vec<u8>, Why> {
        let mut bytes = vec![0xa5; length as usize];
        read_exact_at(source, at, &mut bytes)?;
        Ok(bytes)
    };
    let first = checks
        .check("every place can be read", || places.iter().map(|place| read(*place)).collect::<Result<Vec<_>, _>>());
    let Some(first) = first else { return checks.report };
    checks.check("the same range reads the same, in pieces as well", || {
        for ((at, length), bytes) in places.iter().zip(&first) {
            let middle = length / 3;
            let again = [read((*at, middle))?, read((at + middle, length - middle))?].concat();
            if again != *bytes {
                return failed(format!("{length} bytes at {at} read otherwise the second time"));
            }
        }
        Ok(())
    });
    checks.check("many threads read the same at once", || {
        let all = || places.iter().rev().map(|place| read(*place)).collect::<Result<Vec<_>, _>>();
        let answers: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(all)).collect();
            threads.into_iter().map(std::thread::ScopedJoinHandle::join).collect()
        });
        for answer in answers {
            let Ok(answer) = answer else { return failed("a thread panicked") };
            if !answer?.iter().rev().eq(first.iter()) {
                return failed("a thread read other bytes");
            }
        }
        Ok(())
    });
    checks.check("its map covers what is asked, and holes read as zeros", || map(source, size, &places, &first));
    checks.report
}

/// Places spread over a disk, its beginning and end among them.
fn places(size: u64) -> impl Iterator<Item = (u64, u64)> {
    let length = PIECE.min(size);
    let room = size - length;
    let count = if room == 0 { u64::from(size > 0) } else { PLACES.min(room) };
    // The first is at 0 and the last at the end; those between are at odd offsets.
    (0..count).map(move |n| ((u128::from(room) * u128::from(n) / u128::from((count - 1).max(1))) as u64, length))
}

fn past_the_end(source: &dyn BlockSource, size: u64) -> Result<(), Why> {
    for (offset, length) in [(size, 1), (size.saturating_sub(1), 2), (size.saturating_add(1 << 40), 512), (u64::MAX, 1)]
    {
        match source.read_at(offset, &mut vec![0; length]) {
            Ok(read) => return failed(format!("a read of {length} bytes at {offset} of {size} gave {read} bytes")),
            Err(error) if error.message.starts_with("panicked") => return failed(error.message),
            Err(_) => {}
        }
    }
    Ok(())
}

fn map(source: &dyn BlockSource, size: u64, places: &[(u64, u64)], first: &[Vec<u8>]) -> Result<(), Why> {
    let extents = source.extents(0, size)?;
    check_map(&extents, 0, size)?;
    for ((at, length), bytes) in places.iter().zip(first) {
        let part = source.extents(*at, *length)?;
        check_map(&part, *at, *length)?;
        for extent in part.iter().filter(|extent| extent.kind != ExtentKind::Data) {
            let start = (extent.offset - at) as usize;
            if bytes[start..start + extent.length as usize].iter().any(|byte| *byte != 0) {
                return failed(format!("{extent:?} has bytes that are not zero"));
            }
        }
    }
    for extent in extents.iter().filter(|extent| extent.kind != ExtentKind::Data).take(PLACES as usize) {
        let mut bytes = vec![0xa5; extent.length.min(PIECE) as usize];
        read_exact_at(source, extent.offset, &mut bytes)?;
        if bytes.iter().any(|byte| *byte != 0) {
            return failed(format!("{extent:?} has bytes that are not zero"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use vmdk2kvm_plugin_api::{Extent, PluginError, Result};

    use super::*;
    use crate::{Check, MemorySource};

    #[test]
    fn an_honest_source_passes() {
        let bytes: Vec<u8> = (0..200_000u32).map(|n| n as u8).collect();
        for size in [0, 1, 511, 65_536, 65_537, 200_000] {
            source("memory", &MemorySource::new(&bytes[..size]).with_hole(100..4096).with_short_reads(1000)).assert();
        }
    }

    /// A source that lies in one way.
    struct Liar(&'static str, MemorySource);

    impl BlockSource for Liar {
        fn size(&self) -> u64 {
            self.1.size()
        }
        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
            match (self.0, self.1.read_at(offset, buffer)) {
                ("zeros past the end", Err(_)) => Ok(buffer.len()),
                ("changes", Ok(read)) => {
                    buffer[0] = self.1.reads() as u8;
                    Ok(read)
                }
                (_, answer) => answer,
            }
        }
        fn extents(&self, offset: u64, length: u64) -> Result<Vec<Extent>> {
            let kind = if self.0 == "hides data" { ExtentKind::Hole } else { ExtentKind::Data };
            let length = if self.0 == "leaves a gap" { length / 2 } else { length };
            Ok(vec![Extent::new(offset, length, kind)])
        }
    }

    #[test]
    fn a_liar_is_found_out() {
        for (lie, promise) in [
            ("zeros past the end", "a read past the end fails"),
            ("changes", "the same range reads the same, in pieces as well"),
            ("hides data", "its map covers what is asked, and holes read as zeros"),
            ("leaves a gap", "its map covers what is asked, and holes read as zeros"),
        ] {
            let report = source("liar", &Liar(lie, MemorySource::new(vec![7; 100_000])));
            assert!(report.failures().any(|check| check.promise == promise), "{lie}: {report:#?}");
        }
        let torn = MemorySource::new(vec![7; 100_000]).failing(0..1, PluginError::io("torn"));
        let report = source("torn", &torn);
        let said: Vec<_> = report.failures().map(Check::to_string).collect();
        assert_eq!(said, ["failed: source torn: every place can be read: torn"]);
    }
}

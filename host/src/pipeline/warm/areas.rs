//! Changed areas, page by page as a source tells them, made into fewer and longer ones.

use std::ops::Range;

use vmdk2kvm_plugin_api::model::Changed;
use vmdk2kvm_plugin_api::{PluginError, Result};

/// Areas nearer to each other than this become one, in bytes: reading what lies between takes no longer than another request.
const NEAR: u64 = 1 << 20;

/// What changed of a disk.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Areas {
    /// Ascending, inside of the disk, none near another.
    pub ranges: Vec<Range<u64>>,
    /// Bytes that the source called changed.
    pub changed: u64,
}

impl Areas {
    fn add(&mut self, area: Range<u64>) {
        self.changed += area.end - area.start;
        match self.ranges.last_mut() {
            Some(last) if area.start - last.end < NEAR => last.end = area.end,
            _ => self.ranges.push(area),
        }
    }
}

/// Asks for page after page until the end of the disk. `page` is asked from a byte on, never at the disk's end.
pub(super) fn collect(capacity: u64, mut page: impl FnMut(u64) -> Result<Changed>) -> Result<Areas> {
    let (mut all, mut from, mut last) = (Areas::default(), 0, 0);
    while from < capacity {
        let Changed { areas, next, .. } = page(from)?;
        for (start, length) in areas {
            let end = start.checked_add(length).filter(|end| start >= last && length > 0 && *end <= capacity);
            let end =
                end.ok_or_else(|| senseless(&format!("the area {start}+{length} of a disk of {capacity} bytes")))?;
            all.add(start..end);
            last = end;
        }
        match next {
            Some(next) if next <= from => return Err(senseless(&format!("a page that begins at {next} after {from}"))),
            next => from = next.unwrap_or(capacity),
        }
    }
    Ok(all)
}

fn senseless(what: &str) -> PluginError {
    PluginError::io(format!("the source lists its changes by {what}, which makes no sense"))
        .hint("run the same command again; if it stays so, migrate the machine in one go, without --warm")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn page(areas: &[(u64, u64)], next: Option<u64>) -> Changed {
        Changed::new(areas.to_vec()).with(|page| page.next = next)
    }

    #[test]
    fn pages_are_asked_for_until_the_end_and_near_areas_become_one() {
        let pages = [
            (0, page(&[(0, 10), (MIB, 5)], Some(4 * MIB))),
            (4 * MIB, page(&[], Some(6 * MIB))),
            (6 * MIB, page(&[(6 * MIB, MIB)], Some(8 * MIB))),
            (8 * MIB, page(&[(8 * MIB, MIB)], None)),
        ];
        let mut asked = pages.iter();
        let found = collect(100 * MIB, |from| {
            let (at, page) = asked.next().unwrap();
            assert_eq!(from, *at);
            Ok(page.clone())
        });
        let found = found.unwrap();
        assert_eq!(found.ranges, [0..MIB + 5, 6 * MIB..7 * MIB, 8 * MIB..9 * MIB]);
        assert_eq!(found.changed, 15 + 2 * MIB, "what lies between has not changed");
        assert!(asked.next().is_none(), "a page without areas is no end by itself");
    }

    #[test]
    fn a_disk_is_not_asked_for_at_its_end() {
        let mut times = 0;
        collect(10, |_| {
            times += 1;
            Ok(page(&[], Some(10)))
        })
        .unwrap();
        assert_eq!(times, 1);
    }

    #[test]
    fn answers_that_would_lose_data_or_never_end_are_errors() {
        for answer in [
            page(&[(5, 0)], None),
            page(&[(5, 6)], None),
            page(&[(u64::MAX, 2)], None),
            page(&[(4, 2), (5, 1)], None),
            page(&[], Some(0)),
        ] {
            let error = collect(10, |_| Ok(answer.clone())).unwrap_err();
            assert!(error.message.ends_with("which makes no sense"), "{answer:?}: {error}");
        }
    }
}

//! A file of a host as a `BlockSource`. A command takes a while to start, however little it reads: so what is read in order is read ahead, in ranges, over several
//! connections. A range counts when its command has ended well: nobody is given a byte of it before.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use vmdk2kvm_plugin_api::{BlockSource, Hints, PluginError, Result};

use super::place::Place;
use super::server::{Server, UNIT};

/// Units of a range that is read ahead. So much is in memory for each connection, and lost when one breaks.
const RANGE: u64 = 16;
/// The most units that one command reads.
const MOST: u64 = 64;
/// A read of so many units is large enough for a command of its own.
const LARGE: u64 = 8;
/// So many ranges are read ahead beyond those that are on their way at once, so that no connection waits for who reads.
const BEYOND: u64 = 2;
/// So many units are kept of a file beside those that are read ahead: threads that read side by side are in two ranges.
const KEPT: u64 = 2 * RANGE;
/// Bytes of a whole range.
const WHOLE: usize = (RANGE * UNIT) as usize;
/// So much memory of whole ranges waits to be used again: one comes for one that goes.
const SPARE: usize = 2;
/// So many of the units that were asked for last are remembered, and so many of those of a range's length before a unit make it one that is read in
/// order: several threads read pieces of a few units side by side.
const REMEMBERED: usize = 64;
const IN_ORDER: usize = 2;

/// A file.
pub struct RemoteFile {
    inner: Arc<Inner>,
    ahead: Mutex<Vec<JoinHandle<()>>>,
}

struct Inner {
    server: Arc<Server>,
    place: Place,
    size: u64,
    units: Mutex<Units>,
    came: Condvar,
}

/// Units in a row that came together.
struct Range {
    first: u64,
    bytes: Arc<Vec<u8>>,
    /// It was read to its end.
    is_done: bool,
}

impl Range {
    fn count(&self) -> u64 {
        (self.bytes.len() as u64).div_ceil(UNIT)
    }

    fn holds(&self, number: u64) -> bool {
        (self.first..self.first + self.count()).contains(&number)
    }
}

#[derive(Default)]
struct Units {
    /// Those that came, the range used last at the end.
    kept: VecDeque<Range>,
    /// Ranges of units that somebody reads: the first one, and the one behind the last.
    coming: Vec<(u64, u64)>,
    /// The numbers of those that were asked for.
    asked: VecDeque<u64>,
    /// Memory of whole ranges that are kept no more: given back and asked for again, it would be taken twice and more.
    spare: Vec<Vec<u8>>,
    /// Nobody wants any more.
    closed: bool,
}

impl Units {
    /// The range that holds a unit, and where in it the unit begins. So many bytes from there on are read now.
    fn find(&mut self, number: u64, length: usize) -> Option<(Arc<Vec<u8>>, usize)> {
        let at = self.kept.iter().position(|range| range.holds(number))?;
        let mut range = self.kept.remove(at)?;
        let found = (Arc::clone(&range.bytes), ((number - range.first) * UNIT) as usize);
        range.is_done |= found.1 + length >= range.bytes.len();
        self.kept.push_back(range);
        Some(found)
    }

    /// Keeps a range, and of the others at most so many units. Those that were read to their end go first: what was read ahead and not used
    /// yet was not used for longest, too, and would have to be read again.
    fn keep(&mut self, range: Range, most: u64) {
        self.kept.push_back(range);
        while self.kept.len() > 1 && self.kept.iter().map(Range::count).sum::<u64>() > most {
            let done = self.kept.iter().position(|range| range.is_done);
            let gone = self.kept.remove(done.unwrap_or(0));
            // Where somebody still reads it, it goes when that has ended.
            let bytes = gone.and_then(|range| Arc::try_unwrap(range.bytes).ok());
            self.spare.extend(bytes.filter(|bytes| bytes.len() == WHOLE));
            self.spare.truncate(SPARE);
        }
    }

    fn is_coming(&self, number: u64) -> bool {
        self.coming.iter().any(|(first, end)| (*first..*end).contains(&number))
    }

    fn is_there(&self, number: u64) -> bool {
        self.is_coming(number) || self.kept.iter().any(|range| range.holds(number))
    }

    /// Remembers that a unit was asked for; whether those before it were.
    fn ask(&mut self, number: u64) -> bool {
        if !self.asked.contains(&number) {
            self.asked.push_back(number);
        }
        if self.asked.len() > REMEMBERED {
            self.asked.pop_front();
        }
        let before = (1..=RANGE).filter_map(|back| number.checked_sub(back));
        before.filter(|unit| self.asked.contains(unit)).count() >= IN_ORDER
    }
}

impl Inner {
    fn units(&self) -> MutexGuard<'_, Units> {
        self.units.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self) -> u64 {
        self.size.div_ceil(UNIT)
    }

    /// Reads a range that is noted as coming, and keeps its units.
    fn bring(&self, first: u64, end: u64, kept: u64) -> Result<()> {
        let length = (end * UNIT).min(self.size) - first * UNIT;
        // A smaller range would hold more memory than it is counted for.
        let spare = if length == WHOLE as u64 { self.units().spare.pop() } else { None };
        let mut bytes = spare.unwrap_or_else(|| vec![0; length as usize]);
        let read = self.server.range(&self.place, first * UNIT, &mut bytes);
        let mut units = self.units();
        units.coming.retain(|range| *range != (first, end));
        if read.is_ok() {
            let coming: u64 = units.coming.iter().map(|(first, end)| end - first).sum();
            units.keep(Range { first, bytes: Arc::new(bytes), is_done: false }, kept.saturating_sub(coming));
        }
        drop(units);
        self.came.notify_all();
        read
    }

    /// The range from a unit on, up to one that is there, or to the end of its round number of units.
    fn range_from(&self, units: &Units, first: u64) -> (u64, u64) {
        let round = (first / RANGE + 1) * RANGE;
        let end = round.min(self.count());
        (first, (first + 1..end).find(|unit| units.is_there(*unit)).unwrap_or(end))
    }
}

impl RemoteFile {
    /// A file of a size.
    pub fn new(server: Arc<Server>, place: Place, size: u64) -> Self {
        let inner = Inner { server, place, size, units: Mutex::default(), came: Condvar::new() };
        Self { inner: Arc::new(inner), ahead: Mutex::default() }
    }

    /// Ranges that are read ahead at most.
    fn ahead(&self) -> u64 {
        u64::from(self.inner.server.sessions()) + BEYOND
    }

    /// Units that are kept or coming at most: beside some those that are read before anybody asks.
    fn kept(&self) -> u64 {
        KEPT + self.ahead() * RANGE
    }

    /// The range that holds a unit, and where in it the unit begins; it is fetched where it is not there. So many bytes from there on are read now.
    fn unit(&self, number: u64, length: usize) -> Result<(Arc<Vec<u8>>, usize)> {
        let inner = &self.inner;
        let mut units = inner.units();
        let in_order = units.ask(number);
        loop {
            let found = units.find(number, length);
            // Who asks comes before what is read ahead: that may take every connection.
            let own = (found.is_none() && !units.is_coming(number)).then(|| match in_order {
                true => inner.range_from(&units, number),
                false => (number, number + 1),
            });
            units.coming.extend(own);
            if in_order {
                self.read_ahead(&mut units, number);
            }
            if let Some(found) = found {
                return Ok(found);
            }
            units = match own {
                Some((first, end)) => {
                    drop(units);
                    inner.bring(first, end, self.kept())?;
                    inner.units()
                }
                None => inner.came.wait(units).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Begins to read the ranges behind that of a unit, as many at once as there are connections.
    fn read_ahead(&self, units: &mut Units, number: u64) {
        let inner = &self.inner;
        let mut next = (number / RANGE + 1) * RANGE;
        for _ in 0..self.ahead() {
            if next >= inner.count() || units.coming.len() >= inner.server.sessions() as usize {
                return;
            }
            if !units.is_there(next) {
                let range = inner.range_from(units, next);
                let (reader, kept) = (Arc::clone(inner), self.kept());
                let work = move || {
                    // Who needs it reads it again, and is told why that fails.
                    let is_wanted = !reader.units().closed;
                    if !is_wanted || reader.bring(range.0, range.1, kept).is_err() {
                        reader.units().coming.retain(|other| *other != range);
                        reader.came.notify_all();
                    }
                };
                units.coming.push(range);
                match std::thread::Builder::new().name("ssh-ahead".to_owned()).spawn(work) {
                    Ok(thread) => {
                        let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
                        ahead.retain(|thread| !thread.is_finished());
                        ahead.push(thread);
                    }
                    Err(_) => units.coming.retain(|other| *other != range),
                }
            }
            next += RANGE;
        }
    }
}

impl BlockSource for RemoteFile {
    fn size(&self) -> u64 {
        self.inner.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let (size, place) = (self.inner.size, &self.inner.place);
        let end = offset.checked_add(buffer.len() as u64).filter(|end| *end <= size);
        let Some(end) = end else {
            let length = buffer.len();
            let message = format!("{place}: {length} bytes at offset {offset} lie past its end at {size}");
            return Err(PluginError::unusable(message));
        };
        if buffer.is_empty() {
            return Ok(0);
        }
        let length = (end - offset).min(MOST * UNIT);
        if offset % UNIT == 0 && length >= LARGE * UNIT {
            let whole = (length - length % UNIT) as usize;
            self.inner.server.range(place, offset, &mut buffer[..whole])?;
            return Ok(whole);
        }
        let (range, unit) = self.unit(offset / UNIT, (offset % UNIT) as usize + buffer.len())?;
        let begin = unit + (offset % UNIT) as usize;
        let count = buffer.len().min(range.len() - begin);
        buffer[..count].copy_from_slice(&range[begin..begin + count]);
        Ok(count)
    }

    fn hints(&self) -> Hints {
        Hints::default().with(|it| {
            it.alignment = UNIT as u32;
            it.request = (MOST * UNIT) as u32;
            it.parallelism = self.inner.server.sessions() as u16;
        })
    }
}

impl Drop for RemoteFile {
    fn drop(&mut self) {
        self.inner.units().closed = true;
        // What they run is this library's.
        for thread in self.ahead.get_mut().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_in_order_is_seen_although_threads_overtake_each_other() {
        let mut units = Units::default();
        let seen: Vec<bool> = [0, 2, 1, 3, 5, 4, 100, 101, 200, 102].into_iter().map(|unit| units.ask(unit)).collect();
        assert_eq!(seen, [false, false, false, true, true, true, false, false, false, true]);
    }

    #[test]
    fn what_was_used_last_goes_last() {
        let mut units = Units::default();
        [range(0, 1), range(4, 2), range(9, 1)].into_iter().for_each(|range| units.keep(range, 4));
        let (bytes, at) = units.find(4, 1).unwrap();
        assert_eq!((bytes[at], at), (4, 0));
        units.keep(range(12, 1), 4);
        assert_eq!(firsts(&units), [9, 4, 12]);
        // What is larger than the limit is kept all the same: somebody waits for it.
        units.keep(range(20, 8), 4);
        assert_eq!(firsts(&units), [20]);
        units.coming.push((8, 16));
        assert!(units.is_coming(8) && units.is_there(27) && !units.is_coming(16) && units.find(9, 1).is_none());
    }

    #[test]
    fn what_was_read_to_its_end_goes_before_what_was_not_used_yet() {
        let mut units = Units::default();
        [range(0, 2), range(2, 2), range(4, 2)].into_iter().for_each(|range| units.keep(range, 6));
        units.find(2, UNIT as usize).unwrap();
        units.find(0, UNIT as usize).unwrap();
        units.find(1, UNIT as usize).unwrap();
        units.keep(range(6, 2), 6);
        assert_eq!(firsts(&units), [4, 2, 6]);
    }

    fn range(first: u64, count: u64) -> Range {
        Range { first, bytes: vec![first as u8; (count * UNIT) as usize].into(), is_done: false }
    }

    fn firsts(units: &Units) -> Vec<u64> {
        units.kept.iter().map(|range| range.first).collect()
    }
}

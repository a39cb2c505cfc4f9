//! A file of a host as a `BlockSource`: each read is a `dd` of whole units. Reads that are smaller share units, which are kept for a while.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use vmdk2kvm_plugin_api::{BlockSource, Hints, PluginError, Result};

use super::place::Place;
use super::server::{Server, UNIT};

/// The most that one command reads, in bytes: so much is lost when a connection breaks.
const RANGE: u64 = 64 << 20;
/// So many units are kept of a file.
const KEPT: usize = 32;

/// A file.
pub struct RemoteFile {
    server: Arc<Server>,
    place: Place,
    size: u64,
    units: Mutex<Units>,
    came: Condvar,
}

/// Units that are kept, and those that somebody is reading.
#[derive(Default)]
struct Units {
    kept: VecDeque<(u64, Arc<[u8]>)>,
    coming: Vec<u64>,
}

impl RemoteFile {
    /// A file of a size.
    pub fn new(server: Arc<Server>, place: Place, size: u64) -> Self {
        Self { server, place, size, units: Mutex::default(), came: Condvar::new() }
    }

    /// A unit, by its number.
    fn unit(&self, number: u64) -> Result<Arc<[u8]>> {
        let mut units = self.units.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(at) = units.kept.iter().position(|(kept, _)| *kept == number) {
                // What was used last goes last.
                let found = units.kept.remove(at);
                units.kept.extend(found.clone());
                if let Some((_, bytes)) = found {
                    return Ok(bytes);
                }
            }
            if !units.coming.contains(&number) {
                break;
            }
            units = self.came.wait(units).unwrap_or_else(PoisonError::into_inner);
        }
        units.coming.push(number);
        drop(units);
        let mut bytes = vec![0; UNIT.min(self.size - number * UNIT) as usize];
        let read = self.server.range(&self.place, number * UNIT, &mut bytes);
        let bytes: Arc<[u8]> = bytes.into();
        let mut units = self.units.lock().unwrap_or_else(PoisonError::into_inner);
        units.coming.retain(|coming| *coming != number);
        if read.is_ok() {
            units.kept.push_back((number, Arc::clone(&bytes)));
            if units.kept.len() > KEPT {
                units.kept.pop_front();
            }
        }
        drop(units);
        self.came.notify_all();
        read.map(|()| bytes)
    }
}

impl BlockSource for RemoteFile {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let end = offset.checked_add(buffer.len() as u64).filter(|end| *end <= self.size);
        let Some(end) = end else {
            let (length, size) = (buffer.len(), self.size);
            let message = format!("{}: {length} bytes at offset {offset} lie past its end at {size}", self.place);
            return Err(PluginError::unusable(message));
        };
        if buffer.is_empty() {
            return Ok(0);
        }
        // Whole units, or all up to the end: right into the buffer, as far as one command may go.
        let length = (end - offset).min(RANGE);
        let whole = if offset + length == self.size { length } else { length - length % UNIT };
        if offset % UNIT == 0 && whole > 0 {
            let whole = whole as usize;
            self.server.range(&self.place, offset, &mut buffer[..whole])?;
            return Ok(whole);
        }
        let unit = self.unit(offset / UNIT)?;
        let begin = (offset % UNIT) as usize;
        let count = buffer.len().min(unit.len() - begin);
        buffer[..count].copy_from_slice(&unit[begin..begin + count]);
        Ok(count)
    }

    fn hints(&self) -> Hints {
        Hints::default().with(|it| {
            it.alignment = UNIT as u32;
            it.request = RANGE as u32;
            it.parallelism = self.server.sessions() as u16;
        })
    }
}

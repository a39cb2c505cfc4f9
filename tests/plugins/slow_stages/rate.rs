//! A source that serves a set number of bytes a second to all that read of one place, as a host does: with `SLOW_RATE` (bytes a second) and
//! `SLOW_PLACES` (a folder), the place of a disk is the name of the folder it lies in.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Waits until the place of `disk` has served so many bytes more.
pub(crate) fn serve(disk: &Path, bytes: usize) {
    let (Ok(rate), Some(places)) = (std::env::var("SLOW_RATE"), std::env::var_os("SLOW_PLACES")) else { return };
    let place = disk.parent().and_then(Path::file_name).unwrap();
    let takes = Duration::from_secs_f64(bytes as f64 / rate.parse::<f64>().unwrap());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let end = reserve(&PathBuf::from(places).join(place), now, takes);
    std::thread::sleep(end.saturating_sub(now));
}

/// The moment at which the place has served this, after all that was asked of it before.
fn reserve(place: &Path, now: Duration, takes: Duration) -> Duration {
    let mut file = File::options().read(true).write(true).create(true).truncate(false).open(place).unwrap();
    rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    let free = Duration::from_nanos(text.trim().parse().unwrap_or(0));
    let end = free.max(now) + takes;
    file.rewind().unwrap();
    file.write_all(format!("{:>20}", end.as_nanos()).as_bytes()).unwrap();
    end
}

//! A turn at the machine: a real guest, in the appliance or booted, takes a processor and a gigabyte or two, so only so many tests have one at
//! once, in whichever process and checkout they run. Owns the locks, which go with the process that holds them.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::process::nice;

/// Memory that a turn stands for, in KiB: what the appliance and a booted guest take at most, with the page cache for their disks.
const MEMORY_KIB: usize = 2 << 20;
/// By how much the priority of a test with a turn is raised.
const AHEAD: i32 = -5;
/// How often a place is looked for: of several locks none can be waited for alone.
const LOOK: Duration = Duration::from_millis(200);

/// The right to use a guest of the lab; given back when dropped. A test that takes a second one may wait for itself.
#[derive(Debug)]
pub struct Turn(#[expect(dead_code, reason = "held for its lock")] File);

impl Turn {
    /// Waits for a turn among those who use this folder.
    pub fn take(folder: &Path) -> Self {
        let places: Vec<File> =
            (0..turns()).map(|number| File::create(folder.join(format!("turn-{number}.lock"))).unwrap()).collect();
        loop {
            for place in &places {
                // A copy of the descriptor shares its lock, so the rest may be closed.
                if flock(place, FlockOperation::NonBlockingLockExclusive).is_ok() {
                    // What this thread starts from now on comes before tests without a turn: a guest that they slow down gives up its own disks. Where it may
                    // not be done it is slower, and no more.
                    let _ = nice(AHEAD);
                    return Self(place.try_clone().unwrap());
                }
            }
            std::thread::sleep(LOOK);
        }
    }
}

/// How many at once: emulation keeps about one processor busy for each. `VMDK2KVM_TEST_TURNS` says it for a machine that has other things to
/// do: a guest that gets a fifth of a processor gives up its own disks after 90 s.
fn turns() -> usize {
    if let Some(turns) = std::env::var("VMDK2KVM_TEST_TURNS").ok().filter(|turns| !turns.is_empty()) {
        return turns.parse::<usize>().expect("VMDK2KVM_TEST_TURNS is a number").max(1);
    }
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap();
    let total = memory.lines().find_map(|line| line.strip_prefix("MemTotal:")).unwrap();
    let total: usize = total.trim().trim_end_matches(" kB").parse().unwrap();
    processors.min(total / MEMORY_KIB).max(1)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{RecvTimeoutError, channel};

    use super::*;

    #[test]
    fn one_more_than_there_are_waits_until_one_is_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut taken: Vec<Turn> = (0..turns()).map(|_| Turn::take(folder.path())).collect();
        let (tell, told) = channel();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let _turn = Turn::take(folder.path());
                tell.send(()).unwrap();
            });
            assert_eq!(told.recv_timeout(LOOK * 5), Err(RecvTimeoutError::Timeout));
            taken.pop();
            told.recv().unwrap();
        });
    }
}

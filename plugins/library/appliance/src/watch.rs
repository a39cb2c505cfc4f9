//! Ending what takes too long: libguestfs cannot end a running call, but a call ends when its hypervisor does.
//!
//! Killing the appliance loses nothing: everything written so far is in overlays that are thrown away when a run fails.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use vmdk2kvm_plugin_api::Host;

/// How often a long call looks whether it should stop.
const LOOK: Duration = Duration::from_millis(50);

/// Why a call was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// It was not.
    No,
    /// The user asked to stop.
    Cancelled,
    /// It took longer than its limit.
    Late,
}

/// Runs `call`; when the run is cancelled, or `limit` has passed, runs `kill` once, which makes `call` end.
pub fn watched<T>(host: &Host, limit: Duration, kill: impl Fn() + Sync, call: impl FnOnce() -> T) -> (T, Stopped) {
    let finished = AtomicBool::new(false);
    let why = AtomicU8::new(0);
    let result = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let begin = Instant::now();
            while !finished.load(Ordering::Acquire) {
                let stop = if host.cancelled() { 1 } else { 2 * u8::from(begin.elapsed() > limit) };
                if stop != 0 {
                    why.store(stop, Ordering::Release);
                    kill();
                    return;
                }
                std::thread::park_timeout(LOOK);
            }
        });
        let result = call();
        finished.store(true, Ordering::Release);
        watcher.thread().unpark();
        result
    });
    let stopped = match why.load(Ordering::Acquire) {
        0 => Stopped::No,
        1 => Stopped::Cancelled,
        _ => Stopped::Late,
    };
    (result, stopped)
}

/// Kills a child of this process.
pub fn kill(pid: i32) {
    if let Some(pid) = Pid::from_raw(pid).filter(|_| pid > 1) {
        // It may have ended by itself just now; nobody but the watched call reaps it, so the number is still its own.
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// Kills the children of this process that were started with `argument` as part of their arguments. For an appliance that is
/// being started: the library tells its process only when it is up.
pub fn kill_children_with(argument: &str) {
    let me = std::process::id();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    for pid in processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok()) {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // proc(5): the name stands in parentheses and may hold any of them; state and parent follow the last one.
        let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)?.parse::<u32>().ok());
        let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        if parent == Some(me) && arguments.windows(argument.len()).any(|part| part == argument.as_bytes()) {
            kill(pid);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;
    use vmdk2kvm_plugin_testing::FakeHost;

    fn sleep_watched(cancelled: bool, limit: Duration) -> (bool, Stopped) {
        let fake = FakeHost::new();
        if cancelled {
            fake.cancel();
        }
        let host = fake.without_settings();
        let mark = format!("60.{}{}", std::process::id(), u8::from(cancelled));
        watched(
            &host,
            limit,
            || kill_children_with(&mark),
            || Command::new("sleep").arg(&mark).status().unwrap().success(),
        )
    }

    #[test]
    fn what_is_late_or_cancelled_is_killed_and_said_to_be_so() {
        assert_eq!(sleep_watched(false, Duration::from_millis(200)), (false, Stopped::Late));
        let host = FakeHost::new().without_settings();
        assert_eq!(watched(&host, Duration::from_secs(9), || panic!("nothing to kill"), || 7), (7, Stopped::No));
    }
}

//! What is run at once: a binary, one test of a binary, or the documentation's tests; with its log, its outcome and its seconds.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use crate::built::Binary;

/// Clock ticks in a second of /proc/PID/stat: Linux gives them so on every machine.
const TICKS: f64 = 100.0;

/// Something to run.
#[derive(Debug)]
pub struct Job {
    /// The binary that its line is of.
    pub binary: String,
    /// The test, when it is one.
    pub test: Option<String>,
    command: Command,
}

/// How many tests ended in which way.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    pub passed: u64,
    pub failed: u64,
    pub ignored: u64,
}

/// A job that has ended.
#[derive(Debug)]
pub struct Done {
    pub binary: String,
    pub test: Option<String>,
    pub counts: Counts,
    pub seconds: f64,
    /// Of all its processes that were waited for.
    pub cpu_seconds: f64,
    pub log: PathBuf,
}

impl Job {
    /// The tests of a binary with one of these parts in their names, one after the other.
    pub fn binary(binary: &Binary, filters: &[String]) -> Self {
        let mut command = binary.command();
        command.args(filters).arg("--test-threads=1");
        Self { binary: binary.name.clone(), test: None, command }
    }

    /// One test.
    pub fn test(binary: &Binary, test: &str) -> Self {
        let mut command = binary.command();
        command.args(["--exact", test, "--nocapture"]);
        Self { binary: binary.name.clone(), test: Some(test.to_owned()), command }
    }

    /// The examples in the documentation of all crates.
    pub fn documentation(filters: &[String]) -> Self {
        let mut command = Command::new("cargo");
        command.args(["test", "--workspace", "--doc", "--quiet", "--"]).args(filters);
        Self { binary: "documentation".to_owned(), test: None, command }
    }

    /// Its name, by which it is found again in the next run.
    pub fn name(&self) -> String {
        name(&self.binary, self.test.as_deref())
    }

    /// Runs it to its end. What it says goes to a file of its own below `target`.
    pub fn run(mut self, target: &Path) -> Result<Done> {
        let log = target.join("test-logs").join(format!("{}.log", self.name().replace(['/', ':'], "-")));
        let file = File::create(&log).with_context(|| log.display().to_string())?;
        let begin = Instant::now();
        let command = self.command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let mut child = command.spawn().with_context(|| format!("{command:?}"))?;
        // While it is not reaped its times can be read.
        let id = Pid::from_child(&child);
        let ended = || waitid(WaitId::Pid(id), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
        while ended().is_err_and(|error| error == rustix::io::Errno::INTR) {}
        let cpu_seconds = cpu_seconds(&format!("/proc/{}/stat", child.id())).unwrap_or_default();
        let status = child.wait()?;
        let mut counts = counts(&String::from_utf8_lossy(&std::fs::read(&log)?));
        if !status.success() && counts.failed == 0 {
            // It ended before it could count: a signal, an abort, a build that failed.
            counts.failed = 1;
        }
        let seconds = begin.elapsed().as_secs_f64();
        Ok(Done { binary: self.binary, test: self.test, counts, seconds, cpu_seconds, log })
    }
}

impl Done {
    pub fn name(&self) -> String {
        name(&self.binary, self.test.as_deref())
    }
}

fn name(binary: &str, test: Option<&str>) -> String {
    test.map_or_else(|| binary.to_owned(), |test| format!("{binary}::{test}"))
}

/// User and system time of a process and of its children that it waited for, from `/proc/PID/stat`.
pub fn cpu_seconds(stat: &str) -> Option<f64> {
    let text = std::fs::read_to_string(stat).ok()?;
    // Behind the program's name, which may hold anything, the state is the third field and the four times begin at the 14th.
    let fields = text.rsplit_once(')')?.1.split_whitespace();
    let ticks: Vec<f64> = fields.skip(11).take(4).map(str::parse).collect::<Result<_, _>>().ok()?;
    Some(ticks.iter().sum::<f64>() / TICKS)
}

/// The sum of what its lines `test result: ...` say.
fn counts(log: &str) -> Counts {
    let mut sum = Counts::default();
    for result in log.lines().filter_map(|line| line.strip_prefix("test result: ")) {
        for part in result.split([';', '.']) {
            let Some((number, how)) = part.trim().split_once(' ') else { continue };
            let Ok(number) = number.parse::<u64>() else { continue };
            match how {
                "passed" => sum.passed += number,
                "failed" => sum.failed += number,
                "ignored" => sum.ignored += number,
                _ => {}
            }
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_summed() {
        let log = "test a ... ok\ntest result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.10s\n\
                   test result: FAILED. 12 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.50s\n";
        assert_eq!(counts(log), Counts { passed: 15, failed: 2, ignored: 1 });
        assert_eq!(counts("Segmentation fault"), Counts::default());
    }
}

//! What is said of the jobs: a line for each binary that is through, the whole log of what failed, the slowest, the sum; and the seconds in
//! `test-times.json`, by which the next run begins with the longest.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::job::{Counts, Done, Job, cpu_seconds};

const FILE: &str = "test-times.json";
/// The longest, for a first run: these open and boot guests.
const LONG: [&str; 4] = ["tests/interrupt_guest", "tests/migrate", "tests/plan_apply", "tests/grow"];
/// How many are printed.
const SLOWEST: usize = 10;

/// The seconds of a former run, by the jobs' names.
pub struct Times(Value);

impl Times {
    /// None are known when there was none.
    pub fn read(target: &Path) -> Self {
        let text = std::fs::read(target.join(FILE)).unwrap_or_default();
        Self(serde_json::from_slice(&text).unwrap_or_default())
    }

    /// The seconds of a job; a guess where it is not known.
    pub fn of(&self, job: &Job) -> f64 {
        let known = self.0["tests"][job.name()].as_f64().or_else(|| self.0["binaries"][job.name()].as_f64());
        let guess = || match LONG.iter().position(|long| *long == job.binary) {
            Some(rank) => 1000.0 - rank as f64,
            None => 30.0,
        };
        known.unwrap_or_else(guess)
    }
}

/// A binary that has begun or is to begin.
#[derive(Default)]
struct Line {
    jobs_left: usize,
    counts: Counts,
    seconds: f64,
    cpu_seconds: f64,
}

/// What has ended so far.
pub struct Report {
    file: PathBuf,
    begin: Instant,
    before: Times,
    lines: BTreeMap<String, Line>,
    done: Vec<Done>,
}

impl Report {
    pub fn new(target: &Path, jobs: &[Job], before: Times) -> Result<Self> {
        let logs = target.join("test-logs");
        std::fs::create_dir_all(&logs).with_context(|| logs.display().to_string())?;
        let mut lines: BTreeMap<String, Line> = BTreeMap::new();
        for job in jobs {
            lines.entry(job.binary.clone()).or_default().jobs_left += 1;
        }
        Ok(Self { file: target.join(FILE), begin: Instant::now(), before, lines, done: Vec::new() })
    }

    /// Takes a job, and says what is to be said at once.
    pub fn add(&mut self, done: Done) -> Result<()> {
        let mut out = std::io::stdout().lock();
        if done.counts.failed > 0 {
            writeln!(out, "\n---- {} failed, {}", done.name(), done.log.display())?;
            out.write_all(&std::fs::read(&done.log)?)?;
            writeln!(out, "----\n")?;
        }
        let line = self.lines.entry(done.binary.clone()).or_default();
        line.counts = line.counts.and(done.counts);
        line.seconds += done.seconds;
        line.cpu_seconds += done.cpu_seconds;
        line.jobs_left = line.jobs_left.saturating_sub(1);
        if line.jobs_left == 0 {
            writeln!(out, "{:8.1} s  {}: {}", line.seconds, done.binary, line.counts)?;
        }
        self.done.push(done);
        Ok(())
    }

    /// The slowest, the file, and the sum. Whether all passed.
    pub fn end(mut self) -> Result<bool> {
        let seconds = self.begin.elapsed().as_secs_f64();
        let sum = self.done.iter().fold(Counts::default(), |sum, done| sum.and(done.counts));
        let own = cpu_seconds("/proc/self/stat").unwrap_or_default();
        self.done.sort_by(|one, other| other.seconds.total_cmp(&one.seconds));
        let mut out = std::io::stdout().lock();
        writeln!(out, "\nthe slowest:")?;
        for done in self.done.iter().take(SLOWEST) {
            writeln!(out, "{:8.1} s  {} ({:.1} s of a processor)", done.seconds, done.name(), done.cpu_seconds)?;
        }
        let round = |seconds: f64| json!((seconds * 10.0).round() / 10.0);
        // What was not run this time keeps its seconds.
        let mut times = match self.before.0 {
            Value::Object(times) => Value::Object(times),
            _ => json!({}),
        };
        times["seconds"] = round(seconds);
        times["cpu_seconds"] = round(own);
        for (name, line) in &self.lines {
            times["binaries"][name] = round(line.seconds);
            times["cpu_of_binaries"][name] = round(line.cpu_seconds);
        }
        for done in self.done.iter().filter(|done| done.test.is_some()) {
            times["tests"][done.name()] = round(done.seconds);
            times["cpu_of_tests"][done.name()] = round(done.cpu_seconds);
        }
        std::fs::write(&self.file, format!("{times:#}\n")).with_context(|| self.file.display().to_string())?;
        writeln!(out, "\n{sum} in {seconds:.0} s ({own:.0} s of a processor)")?;
        Ok(sum.failed == 0)
    }
}

impl Counts {
    fn and(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            ignored: self.ignored + other.ignored,
        }
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(to, "{} passed, {} failed", self.passed, self.failed)?;
        if self.ignored > 0 {
            write!(to, ", {} skipped", self.ignored)?;
        }
        Ok(())
    }
}

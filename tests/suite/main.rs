//! Runs test binaries and judges them: `suite BUILT [--test NAME]... [FILTER]...`, where BUILT is what cargo said of a build, in JSON.
//!
//! The crates' own tests run by the binary, the whole ones (crate vmdk2kvm-tests) by the test: these take seconds to minutes each. There are
//! two more at a time than there are processors, since some wait; tests that use a guest of the lab await their turn by themselves. Those that
//! build crates run one after the other beside them, with what is left of the processors: of two, one would only wait for cargo's lock.

mod built;
mod job;
mod report;

use std::collections::VecDeque;
use std::io::{BufReader, Write};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::mpsc::channel;

use anyhow::{Context, Result, bail};

use built::Binary;
use job::{Done, Job};
use report::{Report, Times};

/// Whole tests that build crates into one folder: by the binary, so that what several of them use is built once.
const BUILDERS: [&str; 3] = ["tests/contract_growth", "tests/plugin_new", "tests/examples"];

/// What the user asked for.
#[derive(Debug, Default)]
struct Wanted {
    built: String,
    /// Names of binaries; every one when there is none.
    tests: Vec<String>,
    /// Parts of tests' names; every test when there is none.
    filters: Vec<String>,
}

fn main() -> ExitCode {
    match arguments().and_then(|wanted| run(&wanted)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "suite: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn arguments() -> Result<Wanted> {
    let mut words = std::env::args().skip(1);
    let mut wanted = Wanted { built: words.next().context("the build to test is not named")?, ..Wanted::default() };
    while let Some(word) = words.next() {
        match word.strip_prefix("--test") {
            Some("") => wanted.tests.push(words.next().context("--test wants the name of a binary")?),
            Some(name) if name.starts_with('=') => wanted.tests.push(name[1..].to_owned()),
            _ if word.starts_with('-') => bail!("{word} is not known: --test NAME, or parts of tests' names"),
            _ => wanted.filters.push(word),
        }
    }
    Ok(wanted)
}

/// Whether all passed.
fn run(wanted: &Wanted) -> Result<bool> {
    let file = std::fs::File::open(&wanted.built).with_context(|| wanted.built.clone())?;
    let mut binaries = built::binaries(BufReader::new(file))?;
    let folder = built::target(&binaries)?;
    for name in &wanted.tests {
        if !binaries.iter().any(|binary| binary.target == *name) {
            bail!("there is no test binary {name}");
        }
    }
    binaries.retain(|binary| wanted.tests.is_empty() || wanted.tests.contains(&binary.target));
    let before = Times::read(&folder);
    let mut jobs = Vec::new();
    for binary in &binaries {
        jobs.extend(jobs_of(binary, &wanted.filters)?);
    }
    if wanted.tests.is_empty() {
        jobs.push(Job::documentation(&wanted.filters));
    }
    // The longest first, so that no processor waits at the end.
    jobs.sort_by(|one, other| before.of(other).total_cmp(&before.of(one)));

    let mut report = Report::new(&folder, &jobs, before)?;
    let slots = std::thread::available_parallelism().map_or(1, usize::from) + 2;
    let (building, jobs): (Vec<Job>, Vec<Job>) =
        jobs.into_iter().partition(|job| BUILDERS.contains(&job.binary.as_str()));
    let (building, queue) = (Mutex::new(VecDeque::from(building)), Mutex::new(VecDeque::from(jobs)));
    let (tell, told) = channel::<Result<Done>>();
    std::thread::scope(|scope| {
        for queue in std::iter::once(&building).chain(std::iter::repeat_n(&queue, slots)) {
            let (tell, folder) = (tell.clone(), &folder);
            scope.spawn(move || {
                while let Some(job) = queue.lock().ok().and_then(|mut queue| queue.pop_front()) {
                    if tell.send(job.run(folder)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(tell);
        for done in told {
            report.add(done?)?;
        }
        report.end()
    })
}

/// The tests of a binary that are wanted, as they are run.
fn jobs_of(binary: &Binary, filters: &[String]) -> Result<Vec<Job>> {
    let tests = binary.tests(filters)?;
    if tests.is_empty() {
        return Ok(Vec::new());
    }
    if binary.is_whole() && !BUILDERS.contains(&binary.name.as_str()) {
        return Ok(tests.iter().map(|test| Job::test(binary, test)).collect());
    }
    Ok(vec![Job::binary(binary, filters)])
}

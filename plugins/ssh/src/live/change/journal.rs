//! What became of runs in the guest: read from their folders, and what was left half done is taken back before anybody looks at the guest.

use std::time::Duration;

use vmdk2kvm_plugin_api::model::{LeftAlone, RolledBack};
use vmdk2kvm_plugin_api::{ErrorKind, Host, PluginError, Result};

use super::script::{LOCK, RUNS, folder};
use crate::live::shell::{Shell, quoted};

/// Journals and lists of paths are short, in bytes.
const LIMIT: usize = 8 << 20;
/// A boot archive that a tool makes takes minutes on a slow guest.
const LONGEST: Duration = Duration::from_secs(1800);

/// A script that was started and says nothing for so long will not begin.
const BEGINNING: Duration = Duration::from_secs(20);

/// Why a place is not as before when nobody has changed it.
const NOT_WRITTEN: &str = "it could not be written";

/// For each run, the newest last: its name, whether its script was started, whether that still runs, and the last line of its journal. Who has
/// noted something has said before who it is; what a script notes last is there when it is gone.
const LIST: &str = r#"cd "$runs" || exit 0
for run in [0-9]*-*; do
[ -d "$run" ] || continue
started=no alive=no
[ -e "$run/started" ] && started=yes
noted=$(tail -n 1 "$run/journal")
by=$(cat "$run/by")
pid=${by%%:*}; rest=${by#*:}; since=${rest%%:*}; rest=${rest#*:}; boot=${rest%%:*}
if [ -n "$pid" ] && [ "$boot" = "$(cat /proc/sys/kernel/random/boot_id)" ] && [ "$since" = "$(cut -d' ' -f22 "/proc/$pid/stat")" ]; then alive=yes; fi
[ -n "$noted" ] && noted=$(tail -n 1 "$run/journal")
echo "$run $started $alive $noted"
done"#;

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing of it was begun: its folder is not even whole.
    NotStarted,
    /// It was started, and has not said anything yet.
    Started,
    /// It is at work.
    Running,
    /// It died in the middle: some steps are made, others not.
    Dead,
    Finished,
    /// It took itself back.
    Undone,
    /// The user had it taken back.
    RolledBack,
}

/// A run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Run {
    pub name: String,
    pub state: State,
}

/// The runs that the guest has, the newest last.
pub(super) fn runs(shell: &Shell) -> Result<Vec<Run>> {
    let text = shell.ask(&format!("runs={}\n{LIST}", quoted(RUNS)), LIMIT)?.text();
    let mut runs: Vec<Run> = text.lines().filter_map(run).collect();
    runs.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(runs)
}

/// `NAME yes|no yes|no LAST LINE`.
fn run(line: &str) -> Option<Run> {
    let mut words = line.splitn(4, ' ');
    let (name, started, alive, last) = (words.next()?, words.next()?, words.next()?, words.next().unwrap_or_default());
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let state = match (last, alive, started) {
        ("finished", ..) => State::Finished,
        ("undone", ..) => State::Undone,
        ("rolled-back", ..) => State::RolledBack,
        (_, "yes", _) => State::Running,
        ("", _, "yes") => State::Started,
        (_, _, "yes") => State::Dead,
        _ => State::NotStarted,
    };
    is_name.then(|| Run { name: name.to_owned(), state })
}

/// Brings what a former run left to an end: one that is at work is waited for, one that died is taken back, one that never began goes.
pub(super) fn settle(shell: &Shell, host: &Host) -> Result<()> {
    for run in runs(shell)? {
        match run.state {
            State::Started | State::Running | State::Dead => {
                host.progress("wait for the guest", 0, 0);
                if wait(shell, host, &run.name)? == State::Dead {
                    host.warn(format!("the run {} died in the guest: what it had done is taken back", run.name));
                    whole(shell, take_back(shell, &run.name, "undone")?)?;
                }
            }
            State::NotStarted => {
                // Whoever is still sending has the lock.
                let script = format!(
                    "case $(readlink {lock}) in *:{name}) ;; *) rm -rf {folder};; esac",
                    lock = quoted(LOCK),
                    name = run.name,
                    folder = quoted(&folder(&run.name))
                );
                shell.ask(&script, LIMIT)?;
            }
            State::Finished | State::Undone | State::RolledBack => {}
        }
    }
    Ok(())
}

/// Refuses to go on in a guest that is half changed.
pub(super) fn whole(shell: &Shell, taken_back: RolledBack) -> Result<()> {
    let run = taken_back.run.unwrap_or_default();
    let Some(left) = taken_back.left.iter().find(|left| left.reason == NOT_WRITTEN) else { return Ok(()) };
    let message = format!("{}: {} could not be put back as it was before the run {run}", shell.address(), left.path);
    Err(PluginError::io(message)
        .hint(format!("its copy is in {} of the guest; run the same command again", folder(&run))))
}

/// Waits until a run has ended, well or not.
pub(super) fn wait(shell: &Shell, host: &Host, name: &str) -> Result<State> {
    let begin = std::time::Instant::now();
    loop {
        host.check_cancelled()?;
        let found = runs(shell)?.into_iter().find(|run| run.name == name);
        match found.map(|run| run.state) {
            Some(State::Running) => {}
            Some(State::Started) if begin.elapsed() < BEGINNING => {}
            Some(State::Started) => return Ok(State::Dead),
            Some(state) => return Ok(state),
            None => return Err(PluginError::io(format!("{}: the run {name} is gone from the guest", shell.address()))),
        }
        if begin.elapsed() > LONGEST {
            let message = format!("{}: the run {name} is still at work", shell.address());
            return Err(
                PluginError::new(ErrorKind::Temporary, message).hint("run the same command again: it waits for it")
            );
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// The lines of a run's journal.
pub(super) fn journal(shell: &Shell, name: &str) -> Result<Vec<String>> {
    let text = shell.ask(&format!("cat {}/journal", quoted(&folder(name))), LIMIT)?.text();
    Ok(text.lines().map(str::to_owned).collect())
}

/// Takes a run back, as far as its places are as it left them, and notes that with a word.
pub(super) fn take_back(shell: &Shell, name: &str, word: &str) -> Result<RolledBack> {
    let dir = quoted(&folder(name));
    // Twice is no harm, so a connection that is cut is none either. One that was started and has not begun yet does not any more.
    // What could not be written is tried again the next time.
    let note = format!("grep -q ^failed {dir}/undone || {{ echo {word} >>{dir}/journal && sync -f {dir} || sync; }}");
    let script = format!("mkdir {dir}/begun; sh {dir}/undo >{dir}/undone && cat {dir}/undone && {{ {note}; }}");
    let answer = shell.ask_patiently(&script, LIMIT, LONGEST)?;
    if answer.status != 0 {
        return Err(PluginError::io(format!("{}: the run {name} cannot be taken back", shell.address()))
            .hint(format!("the old files are in {} of the guest", folder(name))));
    }
    let paths = paths(shell, name)?;
    let mut found = RolledBack::default().with(|it| it.run = Some(name.to_owned()));
    for line in answer.text().lines() {
        let Some((word, number)) = line.split_once(' ') else { continue };
        let Some(path) = number.parse::<usize>().ok().and_then(|number| paths.get(number.checked_sub(1)?)) else {
            continue;
        };
        match word {
            "as-before" => found.restored.push(path.clone()),
            "left" => found.left.push(LeftAlone::new(path, "it was changed since")),
            _ => found.left.push(LeftAlone::new(path, NOT_WRITTEN)),
        }
    }
    Ok(found)
}

/// The paths of a run's steps.
fn paths(shell: &Shell, name: &str) -> Result<Vec<String>> {
    let bytes = shell.ask(&format!("cat {}/paths", quoted(&folder(name))), LIMIT)?.bytes;
    let names = bytes.split(|byte| *byte == 0).map(|name| String::from_utf8_lossy(name).into_owned());
    Ok(names.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_run_stands() {
        for (line, state) in [
            ("17-a no no ", Some(State::NotStarted)),
            ("17-a yes no ", Some(State::Started)),
            ("17-a yes no begin 3", Some(State::Dead)),
            ("17-a yes yes begin 3", Some(State::Running)),
            ("17-a yes yes finished", Some(State::Finished)),
            ("17-a yes no undone", Some(State::Undone)),
            ("17-a yes no rolled-back", Some(State::RolledBack)),
            ("17-$(x) yes no finished", None),
            ("17-a yes", None),
        ] {
            assert_eq!(run(line).map(|run| run.state), state, "{line}");
        }
    }
}

//! Bringing a run into the guest: its lock, its folder, its files, and its start.

use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use vmdk2kvm_plugin_api::{ErrorKind, Host, PluginError, Result};

use super::script::{LOCK, RUNS, folder, making, numbered, preparing, taking_back, who};
use super::steps::{Bytes, NOTHING, Step, Wanted};
use crate::live::shell::{Shell, quoted};

/// So much is sent at a time, in bytes: a shell holds it in memory.
const PIECE: usize = 384 << 10;
const LIMIT: usize = 64 << 10;
/// A guest that writes much for others may take its time to write for us.
const LONGEST: Duration = Duration::from_secs(900);
/// The end of what stands in a script as data. No line of base64 is this.
const END: &str = "=end=";

/// What must be there to change anything, beside what reading needs.
const TOOLS: &str = "for tool in base64 sha256sum cp mv sync cat chmod cut sed ln mkdir; do command -v $tool >/dev/null || echo $tool; done";
/// Takes the lock, of one who is gone if need be; one who is on its way out is waited for.
const TAKE: &str = r#"tries=0
until ln -s "$who" "$lock"; do
other=$(readlink "$lock")
pid=${other%%:*}; rest=${other#*:}; since=${rest%%:*}; rest=${rest#*:}; boot=${rest%%:*}
if [ "$boot" = "$(cat /proc/sys/kernel/random/boot_id)" ] && [ "$since" = "$(cut -d' ' -f22 "/proc/$pid/stat")" ]; then
tries=$((tries + 1)); [ $tries -gt 20 ] && exit 3; sleep 1
else rm -f "$lock"; fi
done
exit 0"#;
/// By the service manager where there is one: what a session leaves may end with it.
const START: &str = r#": >"$dir/started" && sync "$dir/started"
if [ -d /run/systemd/system ] && systemd-run --quiet --unit="vmdk2kvm-$run" sh "$dir/make"; then exit 0; fi
if command -v setsid >/dev/null; then setsid sh "$dir/make" </dev/null >/dev/null 2>&1 &
else nohup sh "$dir/make" </dev/null >/dev/null 2>&1 & fi"#;

/// A name for a run, behind those of all runs before.
pub(super) fn name() -> Result<String> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.map_err(|_| PluginError::defect("the clock is before 1970"))?;
    Ok(format!("{:010}{:09}-{:08x}", now.as_secs(), now.subsec_nanos(), std::process::id()))
}

/// Keeps other runs out of the guest.
pub(super) fn lock(shell: &Shell, run: &str) -> Result<()> {
    let missing = shell.ask(TOOLS, LIMIT)?.text();
    if !missing.trim().is_empty() {
        let missing = missing.split_whitespace().collect::<Vec<_>>().join(", ");
        return Err(PluginError::unusable(format!("the guest lacks {missing}"))
            .hint("install GNU coreutils in it, or migrate its disks and fix them there"));
    }
    let script = format!("lock={}\n{}{TAKE}", quoted(LOCK), who(run));
    match shell.ask(&script, LIMIT)?.status {
        0 => Ok(()),
        _ => Err(PluginError::new(
            ErrorKind::Temporary,
            format!("{}: another run is at work in the guest", shell.address()),
        )
        .hint("wait for it, and run the same command again")),
    }
}

/// Lets others in.
pub(super) fn unlock(shell: &Shell, run: &str) -> Result<()> {
    shell.ask(&format!("case $(readlink {lock}) in *:{run}) rm -f {lock};; esac", lock = quoted(LOCK)), LIMIT).map(drop)
}

/// Removes a run that has not begun, and lets others in.
pub(super) fn forget(shell: &Shell, run: &str) -> Result<()> {
    shell.ask(&format!("rm -rf {}", quoted(&folder(run))), LIMIT)?;
    unlock(shell, run)
}

/// Brings everything that a run needs, copies what will change, and looks at the digests.
pub(super) fn send(shell: &Shell, host: &Host, run: &str, steps: &[Step]) -> Result<()> {
    let dir = folder(run);
    let made = format!("mkdir -p {RUNS} && chmod 700 {RUNS} && mkdir {0} {0}/new", quoted(&dir));
    all_well(shell.ask(&made, LIMIT)?.status, shell)?;
    let mut files: Vec<(String, Vec<u8>)> = vec![
        ("make".to_owned(), making(run, steps).into_bytes()),
        ("undo".to_owned(), taking_back(run, steps).into_bytes()),
        ("paths".to_owned(), steps.iter().flat_map(|step| [step.path.as_bytes(), b"\0"].concat()).collect()),
    ];
    for (number, step) in numbered(steps) {
        if let Wanted::File { content: Bytes::Whole(bytes) | Bytes::More(bytes), .. } = &step.wanted {
            files.push((format!("new/{number}"), bytes.clone()));
        }
    }
    let total: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
    let (mut script, mut done) = (String::new(), 0);
    for (name, bytes) in &files {
        let path = quoted(&format!("{dir}/{name}"));
        script.push_str(&format!(": >{path} || exit 1\n"));
        for piece in bytes.chunks(PIECE) {
            script.push_str(&format!("base64 -d >>{path} <<'{END}' || exit 1\n{}\n{END}\n", in_lines(piece)));
            done += piece.len();
            if script.len() >= PIECE {
                all_well(shell.ask(&std::mem::take(&mut script), LIMIT)?.status, shell)?;
                host.progress("send", done as u64, total as u64);
            }
        }
    }
    all_well(shell.ask(&script, LIMIT)?.status, shell)?;
    // The copies are on the disk before anything is changed, which takes as long as it takes there.
    match shell.ask_patiently(&preparing(run, steps), LIMIT, LONGEST)?.status {
        0 => Ok(()),
        2 => Err(PluginError::io("the data that arrived in the guest differs from the data that was sent")
            .hint("run the same command again")),
        _ => Err(no_room(shell)),
    }
}

fn all_well(status: i32, shell: &Shell) -> Result<()> {
    if status == 0 { Ok(()) } else { Err(no_room(shell)) }
}

fn no_room(shell: &Shell) -> PluginError {
    PluginError::output(format!(
        "{}: what is needed for the changes cannot be written to {RUNS} of the guest",
        shell.address()
    ))
    .hint("free space on its root filesystem: old and new versions of all files are kept there")
}

/// Base64 in lines that every decoder takes (RFC 2045).
fn in_lines(bytes: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(bytes);
    let lines: Vec<&str> = (0..text.len()).step_by(76).map(|at| &text[at..text.len().min(at + 76)]).collect();
    lines.join("\n")
}

/// Starts the script, which from now on needs nobody.
pub(super) fn start(shell: &Shell, run: &str) -> Result<()> {
    let script = format!("run={} dir={}\n{START}", quoted(run), quoted(&folder(run)));
    shell.ask(&script, LIMIT).map(drop)
}

/// What was said of a step that failed: by the guest's tool, or by the script.
pub(super) fn errors(shell: &Shell, run: &str, number: &str) -> Result<String> {
    let number = if number.bytes().all(|byte| byte.is_ascii_digit()) { number } else { NOTHING };
    let script = format!("cd {} && tail -n 3 errors tool-{number}", quoted(&folder(run)));
    let text = shell.ask(&script, LIMIT)?.text();
    let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty() && !line.starts_with("==> ")).collect();
    Ok(lines.join("; ").chars().take(500).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_base64_are_short_and_whole() {
        let bytes: Vec<u8> = (0..=255).cycle().take(1000).collect();
        let text = in_lines(&bytes);
        assert!(text.lines().all(|line| line.len() <= 76 && line != END));
        assert_eq!(BASE64_STANDARD.decode(text.replace('\n', "")).unwrap(), bytes);
    }

    #[test]
    fn a_later_run_has_a_later_name() {
        let (first, second) = (name().unwrap(), name().unwrap());
        assert!(first < second && first.len() == second.len(), "{first} {second}");
    }
}

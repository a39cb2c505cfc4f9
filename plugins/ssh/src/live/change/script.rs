//! What the guest runs for a plan: a script that makes the steps, one that takes them back, and the pieces that both have. Made of texts of
//! ours and of quoted words; nothing of it is ever written by the guest.

use super::steps::{Bytes, HERE, NOTHING, Step, Wanted};
use crate::live::shell::quoted;

/// Where runs are kept: on the root filesystem, since `/tmp` may be cleaned, in memory, or another one for each service.
pub(super) const RUNS: &str = "/var/lib/vmdk2kvm";
/// Says who is at work: a symlink, which is made in one go with what it says, and gone after a restart.
pub(super) const LOCK: &str = "/run/vmdk2kvm.lock";

/// The pieces. `$run` is the run's name, `$dir` its folder.
const PIECES: &str = r#"LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive
export LC_ALL PATH DEBIAN_FRONTEND
umask 077
flush() { sync "$1" || sync; }
note() { echo "$*" >>"$dir/journal"; flush "$dir/journal"; }
# A digest, or a word, for what is at a path.
state() {
if [ -L "$1" ]; then printf 'link-'; readlink -n -- "$1" | sha256sum | cut -c1-64
elif [ -f "$1" ]; then sha256sum <"$1" | cut -c1-64
elif [ -e "$1" ]; then echo other
else echo -; fi
}
beside() { new=${2%/*}/.vmdk2kvm-$run-$1; rm -f -- "$new"; }
# The whole of a new file or link into its place.
promote() { mv -fT -- "$new" "$1" && flush "${1%/*}/"; }
attributes() { cp --attributes-only --preserve=all -- "$1" "$new" || { chmod --reference="$1" -- "$new" && chown --reference="$1" -- "$new"; }; }
label() { if command -v restorecon && [ -d /sys/fs/selinux ]; then restorecon -- "$1"; fi; :; }
"#;

/// The verbs of making: number, path, old state, and what it takes.
const MAKING: &str = r#"folder() { mkdir -m 755 -- "$2" && label "$2" && flush "${2%/*}/"; }
file() {
beside "$1" "$2" || return
if [ "$3" = - ]; then cat -- "$dir/new/$1" >"$new" && chmod 644 -- "$new"
else cp -a -- "$2" "$new" && cat -- "$dir/new/$1" >"$new" && attributes "$2" && touch -- "$new"; fi || return
if [ "$5" != - ]; then chmod "$5" -- "$new" || return; fi
flush "$new" && [ "$(state "$new")" = "$4" ] && promote "$2" || return
if [ "$3" = - ]; then label "$2"; fi
}
symlink() { beside "$1" "$2" && ln -s -- "$4" "$new" && promote "$2" && label "$2"; }
gone() { rm -f -- "$2" && flush "${2%/*}/"; }
made() {
beside "$1" "$2" || return
number=$1 path=$2 old=$3
shift 3
"$@" >"$dir/tool-$number" 2>&1 || return
[ -s "$new" ] || return
if [ "$old" != - ]; then attributes "$path" || return; else chmod 600 -- "$new" || return; fi
touch -- "$new"
flush "$new"
note made "$number" "$(state "$new")"
promote "$path" && label "$path"
}
release() { [ "$(readlink "$lock")" = "$mine" ] && rm -f "$lock"; }
stop() { note failed "$@"; sh "$dir/undo" >"$dir/undone" 2>>"$dir/errors"; note undone; release; exit 0; }
expect() { [ "$(state "$2")" = "$3" ] || stop "$1" changed; }
step() { verb=$1; shift; note begin "$1"; "$verb" "$@" || stop "$1" cannot; note done "$1"; }
"#;

/// The verb of taking back: number, path, old state, new state. Prints what became of it.
const TAKING_BACK: &str = r#"back() {
beside "$1" "$2"
now=$(state "$2")
if [ "$now" = "$3" ]; then echo "as-before $1"; return; fi
if [ "$now" != "$4" ]; then echo "left $1"; return; fi
if [ "$3" = - ]; then rm -f -- "$2" && flush "${2%/*}/"
else cp -a -- "$dir/backup/$1" "$new" && flush "$new" && promote "$2"; fi && echo "as-before $1" || echo "failed $1"
}
unmade() { back "$1" "$2" "$3" "$(sed -n "s/^made $1 //p" "$dir/journal")"; }
unfolder() { rmdir -- "$2"; if [ -e "$2" ]; then echo "left $1"; else echo "as-before $1"; fi; }
"#;

fn head(run: &str) -> String {
    format!("#!/bin/sh\nrun={} dir={}\n", quoted(run), quoted(&folder(run)))
}

/// The folder of a run.
pub(super) fn folder(run: &str) -> String {
    format!("{RUNS}/{run}")
}

/// The script that makes all steps, or none: after one that fails it takes back those before. Its journal is flushed after each line.
pub(super) fn making(run: &str, steps: &[Step]) -> String {
    let mut text = head(run) + PIECES + MAKING;
    text.push_str("mkdir \"$dir/begun\" || exit 0\ntrap '' HUP INT TERM PIPE\n");
    text.push_str(&format!("lock={}\n{}mine=$who\n", quoted(LOCK), who(run)));
    text.push_str("ln -sfn \"$mine\" \"$lock\"\necho \"$mine\" >\"$dir/by\"\nexec 2>>\"$dir/errors\"\nnote start\n");
    // What somebody has changed since it was planned is found before anything is.
    for (number, step) in numbered(steps) {
        text.push_str(&format!("expect {number} {} {}\n", quoted(&step.path), quoted(&step.old)));
    }
    for (number, step) in numbered(steps) {
        let (path, old) = (quoted(&step.path), quoted(&step.old));
        text.push_str(&match &step.wanted {
            Wanted::Folder => format!("step folder {number} {path} {old}\n"),
            Wanted::File { digest, mode, .. } => {
                let mode = mode.map_or_else(|| NOTHING.to_owned(), |mode| format!("{mode:o}"));
                format!("step file {number} {path} {old} {} {mode}\n", quoted(digest))
            }
            Wanted::Link(to) => format!("step symlink {number} {path} {old} {}\n", quoted(to)),
            Wanted::Gone => format!("step gone {number} {path} {old}\n"),
            Wanted::Made(command) => {
                let word = |word: &String| if word == HERE { beside(run, number, &step.path) } else { quoted(word) };
                let words: Vec<String> = command.iter().map(word).collect();
                format!("step made {number} {path} {old} {}\n", words.join(" "))
            }
        });
    }
    text.push_str("note finished\nrelease\nexit 0\n");
    text
}

/// The name of what a tool makes, as the guest's `beside` has it.
fn beside(run: &str, number: usize, path: &str) -> String {
    quoted(&format!("{}/.vmdk2kvm-{run}-{number}", path.rsplit_once('/').map_or("", |(folder, _)| folder)))
}

/// The script that takes all steps back, the last first.
pub(super) fn taking_back(run: &str, steps: &[Step]) -> String {
    let mut text = head(run) + PIECES + TAKING_BACK;
    for (number, step) in numbered(steps).rev() {
        let (path, old) = (quoted(&step.path), quoted(&step.old));
        text.push_str(&match &step.wanted {
            Wanted::Folder => format!("unfolder {number} {path}\n"),
            Wanted::File { digest, .. } => format!("back {number} {path} {old} {}\n", quoted(digest)),
            Wanted::Link(to) => format!("back {number} {path} {old} {}\n", quoted(&super::steps::link_state(to))),
            Wanted::Gone => format!("back {number} {path} {old} {}\n", quoted(NOTHING)),
            Wanted::Made(_) => format!("unmade {number} {path} {old}\n"),
        });
    }
    text.push_str("flush \"$dir/\"\n");
    text
}

/// The copies of what will change, and what grows in its new length: all before the first step.
pub(super) fn preparing(run: &str, steps: &[Step]) -> String {
    let mut text = head(run);
    text.push_str("mkdir \"$dir/backup\" || exit 1\n");
    for (number, step) in numbered(steps) {
        let path = quoted(&step.path);
        if step.old != NOTHING {
            text.push_str(&format!("cp -a -- {path} \"$dir/backup/{number}\" || exit 1\n"));
        }
        if let Wanted::File { content, digest, .. } = &step.wanted {
            if matches!(content, Bytes::More(_)) {
                let new = format!("\"$dir/new/{number}\"");
                text.push_str(&format!("cat -- {path} {new} >{new}-whole && mv -f {new}-whole {new} || exit 1\n"));
            }
            let is_right = format!("[ \"$(sha256sum <\"$dir/new/{number}\" | cut -c1-64)\" = {} ]", quoted(digest));
            text.push_str(&format!("{is_right} || exit 2\n"));
        }
    }
    text.push_str("sync -f \"$dir\" || sync\n");
    text
}

/// `$who`: this shell by its number and its time of starting, this start of the guest, this run.
pub(super) fn who(run: &str) -> String {
    format!("who=$$:$(cut -d' ' -f22 /proc/$$/stat):$(cat /proc/sys/kernel/random/boot_id):{}\n", quoted(run))
}

/// The steps by their numbers, from 1.
pub(super) fn numbered(steps: &[Step]) -> impl DoubleEndedIterator<Item = (usize, &Step)> {
    (0..steps.len()).map(move |index| (index + 1, &steps[index]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps() -> Vec<Step> {
        let step = |path: &str, old: &str, wanted| Step { path: path.to_owned(), old: old.to_owned(), wanted };
        let file = |content, mode| Wanted::File { content, digest: "d1".to_owned(), mode };
        vec![
            step("/etc/it's $(new)", NOTHING, Wanted::Folder),
            step("/etc/it's $(new)/`a` \"b\"", NOTHING, file(Bytes::Whole(b"x".to_vec()), Some(0o640))),
            step("/boot/initrd.img-6.1", "d0", file(Bytes::More(b"x".to_vec()), None)),
            step("/etc/link\nfeed", "d0", Wanted::Link("../a; rm -rf /".to_owned())),
            step("/etc/old", "d0", Wanted::Gone),
            step(
                "/boot/initrd.img-6.2",
                "d0",
                Wanted::Made(["mkinitramfs", "-o", HERE, "6.2"].map(str::to_owned).into()),
            ),
        ]
    }

    #[test]
    fn scripts_are_whole_whatever_a_path_is() {
        for text in [making("17-a", &steps()), taking_back("17-a", &steps()), preparing("17-a", &steps())] {
            let mut shell = std::process::Command::new("sh");
            let checked = shell.args(["-n", "-c", &text]).output().unwrap();
            assert!(
                checked.status.success() && checked.stderr.is_empty(),
                "{}",
                String::from_utf8_lossy(&checked.stderr)
            );
        }
        let text = making("17-a", &steps());
        for line in [
            "expect 5 '/etc/old' 'd0'",
            "step file 3 '/boot/initrd.img-6.1' 'd0' 'd1' -",
            "step symlink 4 '/etc/link\nfeed' 'd0' '../a; rm -rf /'",
            "step made 6 '/boot/initrd.img-6.2' 'd0' 'mkinitramfs' '-o' '/boot/.vmdk2kvm-17-a-6' '6.2'",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        let back = taking_back("17-a", &steps());
        let at = |line: &str| back.find(line).unwrap_or_else(|| panic!("{line}\n{back}"));
        assert!(at("unmade 6 ") < at("back 5 '/etc/old' 'd0' '-'") && at("back 2 ") < at("unfolder 1 "));
    }
}

//! What must not be in the way of a change, looked for before the first one: a package manager at work, files that nobody may change, files with
//! several names.

use vmdk2kvm_plugin_api::{ErrorKind, PluginError, Result};

use super::steps::{NOTHING, Step};
use crate::live::shell::{Shell, parameters};

const LIMIT: usize = 4 << 20;

/// Who holds a lock of a package manager: by the kernel's list of locks, by a number in a file, or by a file that is there.
const MANAGERS: &str = r#"for lock in /var/lib/dpkg/lock-frontend /var/lib/dpkg/lock /var/lib/apt/lists/lock /var/cache/apt/archives/lock \
/var/lib/rpm/.rpm.lock /usr/lib/sysimage/rpm/.rpm.lock /lib/apk/db/lock; do
[ -e "$lock" ] || continue
inode=$(stat -c %i -- "$lock") || continue
grep -q ":$inode [0-9]" /proc/locks && echo "$lock"
done
for lock in /run/yum.pid /var/run/yum.pid /run/zypp.pid /var/run/zypp.pid; do
pid=$(cat "$lock") || continue
[ -n "$pid" ] && [ -d "/proc/$pid" ] && echo "$lock"
done
[ -e /var/lib/pacman/db.lck ] && echo /var/lib/pacman/db.lck
:"#;
/// For each path its number of names and its flags, and the flags of the folder that it is in.
const FLAGS: &str = r#"for f do
names=1
if [ -f "$f" ] && [ ! -L "$f" ]; then names=$(stat -c %h -- "$f"); flags=$(lsattr -d -- "$f"); else flags=; fi
above=${f%/*}; above=$(lsattr -d -- "${above:-/}")
echo "$names ${flags%% *}. ${above%% *}."
done"#;

/// Refuses what is in the way.
pub(super) fn look(shell: &Shell, steps: &[Step]) -> Result<()> {
    let held = shell.ask(MANAGERS, LIMIT)?.text();
    if let Some(lock) = held.lines().next() {
        let message = format!("{}: a package manager is at work in the guest ({lock} is held)", shell.address());
        return Err(
            PluginError::new(ErrorKind::Temporary, message).hint("run the same command again when it has ended")
        );
    }
    let blocked = |message: String, hint: &str| PluginError::new(ErrorKind::Blocked, message).hint(hint);
    let script = parameters(steps.iter().map(|step| step.path.as_str()))? + FLAGS;
    let said = shell.ask(&script, LIMIT)?.text();
    for (step, line) in steps.iter().zip(said.lines()) {
        let path = &step.path;
        let mut words = line.split(' ');
        let (names, flags, above) = (words.next(), words.next().unwrap_or_default(), words.next().unwrap_or_default());
        // Immutable, or only to be appended to (chattr(1)).
        if flags.contains(['i', 'a']) || above.contains(['i', 'a']) {
            let which = if flags.contains(['i', 'a']) { path } else { "the folder above it" };
            return Err(blocked(
                format!("{path}: {which} may not be changed by anybody (chattr)"),
                "nothing is changed; take the flag off in the guest (chattr -i -a), if it is not there for a reason",
            ));
        }
        if step.old != NOTHING && names.is_some_and(|names| !matches!(names, "1" | "")) {
            return Err(blocked(
                format!("{path}: the file has several names (hard links), and would lose the others"),
                "nothing is changed; make it a file of its own in the guest",
            ));
        }
    }
    Ok(())
}

//! libvirt's driver inside of this process: its folder, and who ends its machine when this process dies.
//!
//! No daemon takes part, no domain of the system's is seen. The machine is a process of its own, in a session of its own, and nobody's child:
//! it would outlive a crash. So a guard is started first, which waits for this process's end, however that comes, and ends the machine. The
//! driver opens one folder in a process, once, and keeps it: further tests use the same.

use std::fs;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use vmdk2kvm_libvirt::trial::PREFIX;
use vmdk2kvm_plugin_api::{PluginError, Result};

/// The driver's sockets have up to this many bytes behind the folder's path, of the 107 that unix(7) allows.
const LONGEST_ROOT: usize = 50;

/// Nothing is given to another user, nothing of the machine's is kept, nobody else is asked.
const SETTINGS: &str = "stdio_handler = \"file\"\nsecurity_driver = \"none\"\nuser = \"+USER\"\ngroup = \"+GROUP\"\n\
                        dynamic_ownership = 0\nremember_owner = 0\nnamespaces = []\ncgroup_controllers = []\n";

/// Waits for the end of whoever holds its standard input, then ends the machines of the driver's folder whose names begin so, and removes it.
/// What still comes up meanwhile is waited for.
const GUARD: &str = r#"
cat >/dev/null
for again in 1 2 3; do
    for file in "$1"/run/qemu/*.pid; do
        [ -r "$file" ] || continue
        read -r process <"$file" || [ -n "$process" ] || continue
        grep -qa "guest=$2" "/proc/$process/cmdline" 2>/dev/null && kill -KILL "$process"
    done
    [ "$again" = 3 ] || sleep 0.2
done
rm -rf -- "$1"
"#;

/// The URI of this process's driver, whose folder lies below the one for sockets.
pub fn uri(sockets: &Path) -> Result<String> {
    static OPEN: Mutex<Option<Embedded>> = Mutex::new(None);
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(open) = &*open {
        return Ok(open.uri());
    }
    let embedded = Embedded::prepare(sockets, &format!("{PREFIX}{}-", std::process::id()))?;
    let uri = embedded.uri();
    *open = Some(embedded);
    Ok(uri)
}

/// The folder of a driver inside of this process, guarded. Dropped, both are gone.
struct Embedded {
    root: PathBuf,
    guard: Child,
}

impl Embedded {
    /// Makes the folder below the one for sockets, and starts the guard of the machines whose names begin so.
    fn prepare(sockets: &Path, names: &str) -> Result<Self> {
        let root = sockets.join("lv");
        if root.as_os_str().len() > LONGEST_ROOT {
            let message = format!("{}: the path is too long for the sockets of libvirt's driver", root.display());
            return Err(PluginError::output(message).hint("set TMPDIR to a folder with a short name"));
        }
        let io = |error: std::io::Error| PluginError::from_io(root.display(), &error);
        let make = |folder: &Path| fs::DirBuilder::new().mode(0o700).create(folder);
        make(&root).and_then(|()| make(&root.join("etc"))).map_err(io)?;
        let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let settings = SETTINGS.replace("USER", &user.to_string()).replace("GROUP", &group.to_string());
        fs::File::create_new(root.join("etc/qemu.conf"))
            .and_then(|mut file| file.write_all(settings.as_bytes()))
            .map_err(io)?;
        let mut guard = Command::new("sh");
        guard.args(["-c", GUARD, "sh"]).arg(&root).arg(names);
        guard.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // SAFETY: between fork and exec one async-signal-safe system call is made, and nothing is allocated or locked.
        unsafe {
            // Out of the group that is killed with this process.
            guard.pre_exec(|| Ok(rustix::process::setsid().map(|_| ())?));
        }
        let guard = guard.spawn().map_err(|error| PluginError::from_io("sh", &error))?;
        Ok(Self { root, guard })
    }

    fn uri(&self) -> String {
        format!("qemu:///embed?root={}", self.root.display())
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        // Whatever it says, what is left lies in the run's own folder.
        let _ = self.guard.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn the_guard_ends_the_machine_and_no_other_process() {
        let folder = tempfile::Builder::new().prefix("g").tempdir().unwrap();
        let embedded = Embedded::prepare(folder.path(), "vmdk2kvm-test-1-").unwrap();
        assert_eq!(embedded.uri(), format!("qemu:///embed?root={}/lv", folder.path().display()));
        // Stand-ins: processes with these words among their arguments.
        let start = |word: &str| {
            Command::new("sh").args(["-c", "while :; do sleep 1; done", "x", &format!("guest={word}")]).spawn().unwrap()
        };
        let (mut machine, mut other) = (start("vmdk2kvm-test-1-a"), start("somebody"));
        fs::create_dir_all(embedded.root.join("run/qemu")).unwrap();
        for (name, process) in [("a", &machine), ("b", &other)] {
            fs::write(embedded.root.join(format!("run/qemu/{name}.pid")), process.id().to_string()).unwrap();
        }
        drop(embedded);
        let began = Instant::now();
        while machine.try_wait().unwrap().is_none() {
            assert!(began.elapsed() < Duration::from_secs(60), "the machine lives");
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(other.try_wait().unwrap().is_none(), "another process was ended");
        let _ = other.kill();
        let _ = other.wait();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_path_that_is_too_long_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("x".repeat(60));
        fs::create_dir(&deep).unwrap();
        let refused = Embedded::prepare(&deep, "vmdk2kvm-test-1-").err().unwrap();
        assert!(refused.message.ends_with("the path is too long for the sockets of libvirt's driver"));
    }
}

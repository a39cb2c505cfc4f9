//! Running a program of the guest, with the tree as its root: for package managers and initramfs tools, which know what no
//! outsider does. Only root can do that.

use std::process::Command;
use std::time::Duration;

use vmdk2kvm_child::{Failure, Limits, Tail};
use vmdk2kvm_linux_guest::program::{self, ENVIRONMENT, RELABEL_ORDER, SERVICE_VETO, SERVICE_VETO_SCRIPT};
use vmdk2kvm_plugin_api::model::{Applied, PackageManager};
use vmdk2kvm_plugin_api::{ErrorKind, Guest, PluginError, Result};

use super::done;
use super::files::{remove, replace, sha256_hex};
use crate::guest::DirGuest;
use crate::tree::host_path;

/// The slowest tool needs a minute.
const TIME_LIMIT: Duration = Duration::from_secs(900);
/// Of what a program says the end is kept, in bytes.
const SAID: usize = 4096;
/// What `chroot` and `env` say when there is no such program (POSIX, "env").
const NO_PROGRAM: i32 = 127;

/// Removes packages.
pub(super) fn remove_packages(guest: &DirGuest, manager: PackageManager, packages: &[String]) -> Result<Applied> {
    let command = program::remove_packages(manager, packages)?;
    let said = if manager == PackageManager::Dpkg { with_veto(guest, &command)? } else { run(guest, &command)? };
    Ok(done(format!("{said}{}", restore_labels(guest)?)))
}

/// Runs a program while no service may be started or stopped: a tree may share this machine's processes, and a script of a package
/// would stop the service of the same name here.
fn with_veto(guest: &DirGuest, command: &[String]) -> Result<String> {
    if guest.stat(SERVICE_VETO)?.is_some() || guest.list("/usr/sbin")?.is_none() {
        return run(guest, command);
    }
    replace(&guest.tree, SERVICE_VETO, SERVICE_VETO_SCRIPT, Some(0o755))?;
    let result = run(guest, command);
    remove(&guest.tree, SERVICE_VETO, Some(&sha256_hex(SERVICE_VETO_SCRIPT)))?;
    result
}

/// Gives labels to what the package manager touched; where that fails, orders the system to do it.
fn restore_labels(guest: &DirGuest) -> Result<&'static str> {
    if !program::wants_labels(guest)? {
        return Ok("");
    }
    let Some(command) = program::restore_labels(guest)? else { return Ok("") };
    if run(guest, &command).is_ok() {
        return Ok("; SELinux labels restored");
    }
    replace(&guest.tree, RELABEL_ORDER, b"", None)?;
    Ok("; SELinux relabels the files at the first boot")
}

/// Runs a program of the guest and returns the end of what it said.
pub(super) fn run(guest: &DirGuest, command: &[String]) -> Result<String> {
    let program = command.first().map(String::as_str).unwrap_or_default();
    if !rustix::process::geteuid().is_root() {
        return Err(PluginError::new(ErrorKind::Auth, format!("{program} of the guest can only be run by root"))
            .hint("run vmdk2kvm as root, or make this change by hand"));
    }
    let mut chroot = Command::new("chroot");
    chroot.arg("--").arg(host_path(&guest.path)?).args(command).env_clear().envs(ENVIRONMENT).current_dir("/");
    let mut said = Tail::new(SAID);
    let limits = Limits { time: Some(TIME_LIMIT), stop: &|| false };
    let ended =
        vmdk2kvm_child::run(&mut chroot, &limits, |_, bytes| said.push(bytes)).map_err(|failure| match failure {
            Failure::Start(error) if error.kind() == std::io::ErrorKind::NotFound => {
                PluginError::missing("the program chroot is missing").hint("install the package coreutils")
            }
            Failure::Start(error) => PluginError::from_io("chroot", &error),
            Failure::Streams(error) => PluginError::from_io(program, &error),
            Failure::Late(time) => PluginError::unusable(format!("{program} did not end within {} s", time.as_secs())),
            Failure::Stopped => PluginError::interrupted(),
        })?;
    let (said, status) = (last_lines(&said.text()), ended.status);
    if status.success() {
        Ok(said)
    } else if status.code() == Some(NO_PROGRAM) {
        Err(PluginError::unusable(format!("{program} is missing in the guest")).hint("make this change by hand"))
    } else {
        Err(PluginError::unusable(format!("{program} failed ({status}): {}", said.replace('\n', "; "))))
    }
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(5)..].join("\n")
}

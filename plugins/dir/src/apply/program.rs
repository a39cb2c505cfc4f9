//! Running a program of the guest, with the tree as its root: for package managers and initramfs tools, which know what no
//! outsider does. Only root can do that.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use vmdk2kvm_plugin_api::model::{Applied, InitramfsTool, PackageManager};
use vmdk2kvm_plugin_api::{ErrorKind, Guest, PluginError, Result};

use super::done;
use super::files::{remove, replace, sha256_hex};
use crate::guest::DirGuest;
use crate::tree::host_path;

/// Debian's veto: `invoke-rc.d` and `deb-systemd-invoke` ask it before they touch a service; 101 forbids.
const VETO: &str = "/usr/sbin/policy-rc.d";
const VETO_SCRIPT: &[u8] = b"#!/bin/sh\nexit 101\n";

/// The slowest tool needs a minute.
const TIME_LIMIT: Duration = Duration::from_secs(900);

/// Removes packages.
pub(super) fn remove_packages(guest: &DirGuest, manager: PackageManager, packages: &[String]) -> Result<Applied> {
    let (program, arguments): (&str, &[&str]) = match manager {
        PackageManager::Dpkg => ("/usr/bin/dpkg", &["--purge"]),
        PackageManager::Rpm => ("/usr/bin/rpm", &["--erase"]),
        PackageManager::Apk => ("/sbin/apk", &["--no-network", "del"]),
        PackageManager::Pacman => ("/usr/bin/pacman", &["--remove", "--noconfirm"]),
        _ => return Err(PluginError::unusable("this plugin does not know the package manager of the change")),
    };
    let mut words: Vec<&str> = arguments.to_vec();
    for package in packages {
        words.push(word(package)?);
    }
    if manager != PackageManager::Dpkg || guest.stat(VETO)?.is_some() || guest.list("/usr/sbin")?.is_none() {
        return run(guest, program, &words).map(done);
    }
    // A tree may share this machine's processes: no script of a package may stop a service of the same name here.
    replace(&guest.tree, VETO, VETO_SCRIPT, Some(0o755))?;
    let result = run(guest, program, &words);
    remove(&guest.tree, VETO, Some(&sha256_hex(VETO_SCRIPT)))?;
    result.map(done)
}

/// Makes the initramfs of a kernel at `path`.
pub(super) fn initramfs(
    guest: &DirGuest,
    path: &str,
    kernel: &str,
    tool: InitramfsTool,
    drivers: &[String],
    exists: bool,
) -> Result<String> {
    let kernel = word(kernel)?;
    let drivers = drivers.iter().map(|driver| word(driver)).collect::<Result<Vec<_>>>()?.join(" ");
    let (program, arguments): (&str, Vec<&str>) = match tool {
        InitramfsTool::InitramfsTools => {
            ("/usr/sbin/update-initramfs", vec![if exists { "-u" } else { "-c" }, "-k", kernel])
        }
        InitramfsTool::Dracut => ("/usr/bin/dracut", vec!["--force", "--add-drivers", &drivers, path, kernel]),
        InitramfsTool::Mkinitcpio => ("/usr/bin/mkinitcpio", vec!["-P"]),
        InitramfsTool::Mkinitfs => ("/sbin/mkinitfs", vec!["-o", path, kernel]),
        InitramfsTool::Mkinitrd => ("/sbin/mkinitrd", vec!["-f", path, kernel]),
        _ => return Err(PluginError::unusable("this plugin does not know the initramfs tool of the change")),
    };
    run(guest, program, &arguments)
}

/// A guest's word that becomes an argument: never an option.
fn word(text: &str) -> Result<&str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'+' | b'_' | b':' | b'~');
    if text.is_empty() || text.starts_with('-') || !text.bytes().all(plain) {
        return Err(PluginError::unusable(format!(
            "\"{}\" is no name of a package, kernel or driver",
            text.escape_default()
        )));
    }
    Ok(text)
}

/// Runs a program of the guest and returns the end of what it said.
fn run(guest: &DirGuest, program: &str, arguments: &[&str]) -> Result<String> {
    if !rustix::process::geteuid().is_root() {
        return Err(PluginError::new(ErrorKind::Auth, format!("{program} of the guest can only be run by root"))
            .hint("run vmdk2kvm as root, or make this change by hand"));
    }
    if guest.stat(program)?.is_none() {
        return Err(
            PluginError::unusable(format!("{program} is missing in the guest")).hint("make this change by hand")
        );
    }
    let output = tempfile()?;
    let both = |error: std::io::Error| PluginError::from_io(program, &error);
    let mut child = Command::new("chroot")
        .arg("--")
        .arg(host_path(&guest.path)?)
        .arg(program)
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LC_ALL", "C")
        .env("DEBIAN_FRONTEND", "noninteractive")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(output.try_clone().map_err(both)?)
        .stderr(output.try_clone().map_err(both)?)
        .spawn()
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                PluginError::missing("the program chroot is missing").hint("install the package coreutils")
            }
            _ => PluginError::from_io("chroot", &error),
        })?;
    let begin = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().map_err(both)? {
            break status;
        }
        if begin.elapsed() > TIME_LIMIT {
            child.kill().map_err(both)?;
            child.wait().map_err(both)?;
            return Err(PluginError::unusable(format!("{program} did not end within {} s", TIME_LIMIT.as_secs())));
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let said = last_lines(output).map_err(both)?;
    if status.success() {
        Ok(said)
    } else {
        Err(PluginError::unusable(format!("{program} failed ({status}): {}", said.replace('\n', "; "))))
    }
}

fn tempfile() -> Result<std::fs::File> {
    let fd = rustix::fs::memfd_create("guest-output", rustix::fs::MemfdFlags::CLOEXEC)
        .map_err(|error| PluginError::from_io("memfd_create", &std::io::Error::from(error)))?;
    Ok(std::fs::File::from(fd))
}

fn last_lines(mut output: std::fs::File) -> std::io::Result<String> {
    use std::io::{Read, Seek, SeekFrom};
    let size = output.seek(SeekFrom::End(0))?;
    output.seek(SeekFrom::Start(size.saturating_sub(4096)))?;
    let mut bytes = Vec::new();
    output.take(4096).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    Ok(lines[lines.len().saturating_sub(5)..].join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_no_options() {
        assert!(word("open-vm-tools").is_ok() && word("6.1.0-37-amd64").is_ok());
        for bad in ["", "-x", "a b", "a;b", "a\n"] {
            assert!(word(bad).is_err(), "{bad}");
        }
    }
}

//! What only a running Windows can do, done once by a service of its own without a foreign program: scripts of `cmd` and PowerShell in a
//! folder that only administrators can write to.

use std::fmt::Write;

use vmdk2kvm_plugin_api::Result;
use vmdk2kvm_plugin_api::model::Action;

use super::drivers::Planned;
use super::plan::Planning;
use crate::edits::{EXPAND_SZ, SZ, number, text};

const START: &str = include_str!("first_boot/start.cmd");
const FIRST_BOOT: &str = include_str!("first_boot/firstboot.cmd");
/// The folder below the Windows folder. Its parent lets nobody but administrators write.
pub const FOLDER: &str = "vmdk2kvm";
/// Name of the service.
const SERVICE: &str = "vmdk2kvm";
/// A program of its own, started by itself.
const OWN_PROCESS: u32 = 0x10;
const AUTOMATIC: u32 = 2;

/// A file for the first start.
pub struct Staged {
    /// Its path below the folder.
    pub name: String,
    /// Its content; lines end as Windows' programs want them.
    pub content: Vec<u8>,
    /// What it is for.
    pub reason: String,
}

impl Staged {
    /// A script.
    pub fn script(name: impl Into<String>, text: &str, reason: impl Into<String>) -> Self {
        Self { name: name.into(), content: crlf(text), reason: reason.into() }
    }
}

/// Lines that end with a carriage return and a line feed, whatever they ended with.
pub fn crlf(text: &str) -> Vec<u8> {
    text.lines().flat_map(|line| line.bytes().chain(*b"\r\n")).collect()
}

/// Plans the files and the service that runs them; nothing when there is nothing to do.
pub fn plan(planning: &mut Planning<'_>, planned: Planned) -> Result<()> {
    let Planned { mut staged, first_start } = planned;
    staged.extend(tools(planning));
    staged.extend(restore(planning)?);
    staged.extend(secure(planning)?);
    if staged.is_empty() && !first_start {
        return Ok(());
    }
    staged.push(Staged::script("firstboot.cmd", FIRST_BOOT, "the first start does what cannot be done offline"));
    staged.push(Staged::script("start.cmd", START, "the first start does what cannot be done offline"));
    for file in staged {
        let target = planning.place.path(&format!("{FOLDER}/{}", file.name));
        planning.write(&target, &file.content, &format!("stage {} for the first start", file.name), &file.reason)?;
    }
    let key = planning.hives.service(SERVICE);
    let program = format!("%SystemRoot%\\System32\\cmd.exe /c %SystemRoot%\\{FOLDER}\\start.cmd");
    planning.system.concern("a service does at the first start what cannot be done offline");
    planning.system.set(&key, "Type", number(OWN_PROCESS))?;
    planning.system.set(&key, "Start", number(AUTOMATIC))?;
    planning.system.set(&key, "ErrorControl", number(0))?;
    planning.system.set(&key, "ImagePath", text(EXPAND_SZ, &program))?;
    planning.system.set(&key, "DisplayName", text(SZ, "First start after the migration"))?;
    planning.system.set(&key, "ObjectName", text(SZ, "LocalSystem"))
}

/// Has every file that was copied in inherit its security from its folder: the driver that writes NTFS lets everybody write it. A script
/// that is there already knows what was new then.
fn secure(planning: &Planning<'_>) -> Result<Option<Staged>> {
    const REASON: &str = "only the system and administrators may change what the system runs";
    if let Some(content) = planning.guest.read(&planning.place.path(&format!("{FOLDER}/secure.cmd")), 1 << 20)? {
        return Ok(Some(Staged { name: "secure.cmd".to_owned(), content, reason: REASON.to_owned() }));
    }
    let windows = planning.place.path("");
    let is_plain = |text: &&str| text.chars().all(|one| one.is_ascii_alphanumeric() || "/._-{}".contains(one));
    let copied = planning.plan.changes.iter().filter(|change| matches!(change.action, Action::CopyIn { .. }));
    let mut lines: Vec<String> = Vec::new();
    for below in copied.filter_map(|change| change.target.strip_prefix(&windows)).filter(is_plain) {
        let store = below.strip_prefix("System32/DriverStore/FileRepository/").and_then(|rest| rest.split('/').next());
        let line = match store {
            // The folder is new as well.
            Some(package) => {
                format!("icacls \"%SystemRoot%\\System32\\DriverStore\\FileRepository\\{package}\" /reset /t /q")
            }
            None if below.starts_with(FOLDER) => format!("icacls \"%SystemRoot%\\{FOLDER}\" /reset /t /q"),
            None => format!("icacls \"%SystemRoot%\\{}\" /reset /q", below.replace('/', "\\")),
        };
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    if lines.is_empty() {
        return Ok(None);
    }
    Ok(Some(Staged::script("secure.cmd", &format!("@echo off\n{}\n", lines.join("\n")), REASON)))
}

/// Deletes what was switched off.
fn tools(planning: &Planning<'_>) -> Option<Staged> {
    if planning.removed.is_empty() {
        return None;
    }
    let mut script = String::from("@echo off\nif not exist \"%OUT%\\removed\" mkdir \"%OUT%\\removed\"\n");
    for service in &planning.removed {
        let key = format!("HKLM\\SYSTEM\\CurrentControlSet\\Services\\{service}");
        let _ = writeln!(script, "reg export \"{key}\" \"%OUT%\\removed\\{service}.reg\"");
        let _ = writeln!(script, "sc delete \"{service}\"");
    }
    script.push_str(
        "if exist \"%ProgramFiles%\\VMware\\VMware Tools\" rd /s /q \"%ProgramFiles%\\VMware\\VMware Tools\"\n",
    );
    // Some are in use until the next restart, and nothing depends on their deletion.
    script.push_str("exit /b 0\n");
    Some(Staged::script("tools.cmd", &script, "VMware Tools are of no use on the new machine"))
}

/// Puts back what was changed for the first start alone. A script that is there already knows what there was before.
fn restore(planning: &Planning<'_>) -> Result<Option<Staged>> {
    let target = planning.place.path(&format!("{FOLDER}/restore.cmd"));
    let reason = "changes for the first start alone are put back";
    if let Some(kept) = planning.guest.read(&target, 1 << 20)? {
        return Ok(Some(Staged { name: "restore.cmd".to_owned(), content: kept, reason: reason.to_owned() }));
    }
    if planning.put_back.is_empty() {
        return Ok(None);
    }
    let mut script = String::from("@echo off\n");
    for (key, name, old) in &planning.put_back {
        let key = format!("HKLM\\SYSTEM\\{key}");
        let _ = match old {
            Some(old) => writeln!(script, "reg add \"{key}\" /v {name} /t REG_DWORD /d {old} /f"),
            None => writeln!(script, "reg delete \"{key}\" /v {name} /f"),
        };
    }
    Ok(Some(Staged::script("restore.cmd", &script, reason)))
}

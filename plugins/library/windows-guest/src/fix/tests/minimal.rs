//! Drivers made known with what the start needs and no more, and what the first start does about it.

use super::windows::{Windows, edits_of, system};
use crate::fix::DriverPackages;

#[test]
fn minimal_entries_are_taken_away_by_the_first_start() {
    let mut windows = Windows::made(&system("ServerNT", "AMD64", true), 20348).with_recent(&["2k22"]);
    windows.settings.driver_packages = DriverPackages::Minimal;
    let plan = windows.fix();
    let script = windows.drive.text("/C:/Windows/vmdk2kvm/minimal.cmd");
    // Everything that was added to the database is taken away again.
    for edit in edits_of(&plan, "SYSTEM").iter().filter(|edit| edit.key.starts_with("DriverDatabase")) {
        let key = format!("reg delete \"HKLM\\SYSTEM\\{}", edit.key);
        let is_taken = script.lines().any(|line| {
            let deleted = line.strip_prefix("reg delete \"").and_then(|rest| rest.split('"').next());
            deleted.is_some_and(|deleted| key["reg delete \"".len()..].starts_with(deleted))
        });
        assert!(is_taken, "{}\n{script}", edit.key);
    }
    assert!(script.contains("if not exist \"%HERE%\\done\\installed-viostor\" goto after_viostor\r\n"), "{script}");
    assert!(script.ends_with("exit /b 0\r\n"));
    let first = windows.drive.text("/C:/Windows/vmdk2kvm/firstboot.cmd");
    assert!(first.contains("call :step minimal \"%HERE%\\minimal.cmd\""));

    let secure = windows.drive.text("/C:/Windows/vmdk2kvm/secure.cmd");
    for line in [
        "icacls \"%SystemRoot%\\System32\\drivers\\viostor.sys\" /reset /q\r\n",
        "icacls \"%SystemRoot%\\vmdk2kvm\" /reset /t /q\r\n",
    ] {
        assert!(secure.contains(line), "{secure}");
    }

    let whole = Windows::made(&system("ServerNT", "AMD64", true), 20348).with_recent(&["2k22"]);
    assert!(whole.fix().changes.iter().all(|change| !change.target.ends_with("minimal.cmd")));
}

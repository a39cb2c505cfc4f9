//! Removing packages with the guest's own package manager, in the guest's root, without network, without touching services.

use vmdk2kvm_linux_guest::program;
use vmdk2kvm_plugin_api::model::{Applied, PackageManager};
use vmdk2kvm_plugin_api::{PluginError, Result, tracing};

use super::{done, files, run, unchanged};
use crate::files::Place;
use crate::guest::ApplianceGuest;

/// dpkg's own record.
const STATUS: &str = "/var/lib/dpkg/status";
/// No real one is half as large.
const STATUS_LIMIT: u64 = 128 << 20;

/// Removes packages with their configuration.
pub fn remove(guest: &ApplianceGuest, manager: PackageManager, packages: &[String]) -> Result<Applied> {
    let command = program::remove_packages(manager, packages)?;
    let packages: Vec<&str> = packages.iter().map(String::as_str).collect();
    if manager == PackageManager::Dpkg && packages_known(guest, &packages)?.is_empty() {
        return Ok(unchanged());
    }
    let result = match manager {
        PackageManager::Dpkg => with_veto(guest, || run(guest, &command)),
        _ => run(guest, &command),
    };
    // The package manager may have touched anything, also when it failed.
    guest.files.cache().anything_changed();
    let output = result.map_err(|error| match manager {
        // dpkg looks at what depends on a package before it touches it.
        PackageManager::Dpkg => error.hint(
            "remove the packages in the running VM, or keep them with --set plugin.linux-fixes.remove_vmware_tools=false",
        ),
        _ => error,
    })?;
    if manager == PackageManager::Dpkg {
        let left = packages_known(guest, &packages)?;
        if !left.is_empty() {
            return Err(PluginError::unusable(format!("dpkg ended well, but {} is still there", left.join(", "))));
        }
    }
    Ok(done(format!("{}{}", last_lines(&output), restore_labels(guest)?)))
}

/// Gives labels to what the package manager touched; where that fails, orders the system to do it at its first boot.
fn restore_labels(guest: &ApplianceGuest) -> Result<&'static str> {
    if !program::wants_labels(guest)? {
        return Ok("");
    }
    let Some(command) = program::restore_labels(guest)? else { return Ok("") };
    let restored = run(guest, &command);
    guest.files.cache().anything_changed();
    match restored {
        Ok(_) => Ok("; SELinux labels restored"),
        Err(error) => {
            tracing::warn!(error = error.message, "SELinux labels cannot be restored");
            files::write(guest, program::RELABEL_ORDER, b"", None, None)?;
            Ok("; SELinux relabels the files at the first boot")
        }
    }
}

/// Which of the packages dpkg knows as more than a memory.
fn packages_known<'a>(guest: &ApplianceGuest, packages: &[&'a str]) -> Result<Vec<&'a str>> {
    let Place::Found { path, stat } = guest.files.resolve(STATUS, true)? else {
        return Err(PluginError::unusable(format!("{STATUS}: not there, so dpkg does not manage this guest")));
    };
    let status = guest.files.content(&path, &stat, STATUS_LIMIT)?;
    Ok(installed(&String::from_utf8_lossy(&status), packages))
}

fn installed<'a>(status: &str, packages: &[&'a str]) -> Vec<&'a str> {
    let mut found = Vec::new();
    for paragraph in status.split("\n\n") {
        let field = |name: &str| paragraph.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let (Some(package), Some(state)) = (field("Package:"), field("Status:")) else { continue };
        let wanted = packages.iter().find(|wanted| wanted.split(':').next() == Some(package));
        if let Some(wanted) = wanted.filter(|_| !state.ends_with("not-installed")) {
            found.push(*wanted);
        }
    }
    found
}

/// Runs `action` while no service of the guest may be started or stopped.
fn with_veto<T>(guest: &ApplianceGuest, action: impl FnOnce() -> Result<T>) -> Result<T> {
    let files = guest.files.as_ref();
    let Place::Vacant { path } = files.resolve(program::SERVICE_VETO, false)? else {
        // The guest has its own veto, or no folder for one and so nobody to ask.
        return action();
    };
    let put = files.appliance.call(|handle| {
        handle.write(&path, program::SERVICE_VETO_SCRIPT)?;
        handle.chmod(&path, 0o755)
    });
    let result = put.map_err(PluginError::from).and_then(|()| action());
    if let Err(error) = files.appliance.call(|handle| handle.rm(&path)) {
        tracing::debug!(error = error.message, "the veto is gone already");
    }
    result
}

fn last_lines(output: &str) -> String {
    let lines: Vec<&str> = output.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(5)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dpkg_status_is_read_by_paragraph() {
        let status = "Package: open-vm-tools\nStatus: install ok installed\n\nPackage: zerofree\nStatus: deinstall ok config-files\n\n\
                      Package: other\nStatus: purge ok not-installed\n";
        assert_eq!(
            installed(status, &["open-vm-tools:amd64", "zerofree", "other"]),
            ["open-vm-tools:amd64", "zerofree"]
        );
        assert!(installed("", &["a"]).is_empty());
    }

    #[test]
    fn only_the_end_of_an_output_is_kept() {
        assert_eq!(last_lines("1\n\n2\n3\n4\n5\n6\n"), "2\n3\n4\n5\n6");
        assert_eq!(last_lines(""), "");
    }
}

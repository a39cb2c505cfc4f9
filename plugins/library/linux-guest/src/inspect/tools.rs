//! VMware Tools in the guest: which packages of which package manager, or an installation from VMware's archive.

use vmdk2kvm_plugin_api::model::{PackageManager, ToolsInfo};
use vmdk2kvm_plugin_api::{Guest, Result};

use crate::textfile::read;

/// A package database is text of some megabytes at most.
const DATABASE_LIMIT: u64 = 64 << 20;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tools {
    /// The package manager and its packages.
    pub packages: Option<(PackageManager, Vec<String>)>,
    /// Packages that others need and that stay for that reason, with one that needs them.
    pub needed: Vec<(String, String)>,
    /// Version of the first package.
    pub version: Option<String>,
    /// Installed by VMware's own script.
    pub tarball: bool,
}

impl Tools {
    /// Looks for them.
    pub fn find(guest: &dyn Guest) -> Result<Self> {
        let mut out = Self::default();
        let database = |path: &str| -> Result<Option<String>> {
            let bytes = read(guest, path, DATABASE_LIMIT, &mut Vec::new())?;
            Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
        };
        if let Some(status) = database("/var/lib/dpkg/status")? {
            out.dpkg(&status);
        } else if let Some(installed) = database("/lib/apk/db/installed")? {
            out.apk(&installed);
        } else if let Some(folders) = guest.list("/var/lib/pacman/local")? {
            let names = folders.iter().filter(|folder| folder.name.starts_with("open-vm-tools-"));
            let names: Vec<String> = names.map(|_| "open-vm-tools".to_owned()).take(1).collect();
            out.packages = (!names.is_empty()).then_some((PackageManager::Pacman, names));
        } else {
            // RPM's database is binary and large; the daemon's file says as much.
            let rpm = ["/var/lib/rpm", "/usr/lib/sysimage/rpm"];
            let has_rpm =
                rpm.into_iter().map(|path| guest.list(path)).collect::<Result<Vec<_>>>()?.iter().any(Option::is_some);
            if has_rpm
                && guest.stat("/usr/bin/vmtoolsd")?.is_some()
                && guest.stat("/etc/vmware-tools/locations")?.is_none()
            {
                let mut names = vec!["open-vm-tools".to_owned()];
                if guest.stat("/usr/bin/vmware-user-suid-wrapper")?.is_some() {
                    names.insert(0, "open-vm-tools-desktop".to_owned());
                }
                out.packages = Some((PackageManager::Rpm, names));
            }
        }
        if out.packages.is_none() {
            out.tarball = guest.stat("/etc/vmware-tools/locations")?.is_some();
        }
        Ok(out)
    }

    /// What the inspection says.
    pub fn info(&self) -> ToolsInfo {
        let packages = self.packages.clone().map(|(_, names)| names).unwrap_or_default();
        let kind = if !packages.is_empty() {
            "package"
        } else if self.tarball {
            "tarball"
        } else {
            ""
        };
        ToolsInfo::default().with(|it| {
            it.installed = !kind.is_empty();
            it.kind = kind.to_owned();
            it.packages = packages;
            it.version = self.version.clone();
        })
    }

    fn dpkg(&mut self, status: &str) {
        let mut ours = Vec::new();
        let mut others: Vec<(&str, &str)> = Vec::new();
        for paragraph in status.split("\n\n") {
            let field = |name: &str| {
                paragraph.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
            };
            if !field("Status").is_some_and(|status| status.ends_with(" installed")) {
                continue;
            }
            let Some(package) = field("Package") else { continue };
            if is_ours(package) {
                self.version = self.version.take().or_else(|| field("Version").map(str::to_owned));
                ours.push(package.to_owned());
            }
            others.extend(["Depends", "Pre-Depends"].into_iter().filter_map(field).map(|needs| (package, needs)));
        }
        // dpkg refuses to remove what another package needs; what is needed by what stays, stays too.
        loop {
            let kept = ours.iter().position(|name| {
                others.iter().any(|(package, needs)| !ours.iter().any(|own| own == package) && requires(needs, name))
            });
            let Some(at) = kept else { break };
            let name = ours.remove(at);
            let by =
                others.iter().find(|(package, needs)| !ours.iter().any(|own| own == package) && requires(needs, &name));
            let by = by.map_or("", |(package, _)| package).to_owned();
            self.needed.push((name, by));
        }
        self.packages = (!ours.is_empty()).then_some((PackageManager::Dpkg, ours));
    }

    fn apk(&mut self, installed: &str) {
        let names: Vec<String> = installed
            .lines()
            .filter_map(|line| line.strip_prefix("P:"))
            .filter(|name| is_ours(name))
            .map(str::to_owned)
            .collect();
        self.packages = (!names.is_empty()).then_some((PackageManager::Apk, names));
    }
}

fn is_ours(package: &str) -> bool {
    // Names go into a command line of the package manager.
    package.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'+' | b'_'))
        && ["open-vm-tools", "vmware-tools-", "kmod-vmware-tools", "open-vm-dkms"]
            .iter()
            .any(|prefix| package.starts_with(prefix))
}

/// Whether a dependency field cannot be fulfilled without the package.
fn requires(field: &str, package: &str) -> bool {
    field
        .split(',')
        .any(|one| !one.contains('|') && one.trim().split([' ', '(', ':']).next().is_some_and(|name| name == package))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::MapGuest;

    #[test]
    fn debian() {
        let status = "Package: open-vm-tools\nStatus: install ok installed\nVersion: 2:12.2.0-1\n\n\
            Package: open-vm-tools-desktop\nStatus: install ok installed\nDepends: open-vm-tools (= 2:12.2.0-1)\n\n\
            Package: open-vm-tools-dev\nStatus: deinstall ok config-files\n\nPackage: bash\nStatus: install ok installed\nDepends: x | open-vm-tools\n";
        let tools = Tools::find(&MapGuest::new(&[("/var/lib/dpkg/status", status)])).unwrap();
        assert_eq!(tools.info().packages, ["open-vm-tools", "open-vm-tools-desktop"]);
        assert_eq!(tools.version.as_deref(), Some("2:12.2.0-1"));
        let meta =
            format!("{status}\nPackage: our-base\nStatus: install ok installed\nDepends: open-vm-tools (>= 1)\n");
        let tools = Tools::find(&MapGuest::new(&[("/var/lib/dpkg/status", &meta)])).unwrap();
        assert_eq!(tools.info().packages, ["open-vm-tools-desktop"]);
        assert_eq!(tools.needed, [("open-vm-tools".to_owned(), "our-base".to_owned())]);
    }

    #[test]
    fn others() {
        let find = |files: &[(&str, &str)]| Tools::find(&MapGuest::new(files)).unwrap();
        assert!(!find(&[]).info().installed);
        assert_eq!(
            find(&[("/lib/apk/db/installed", "P:open-vm-tools\nV:1\n\nP:bash\n")]).packages.unwrap().0,
            PackageManager::Apk
        );
        let rpm = find(&[("/var/lib/rpm/rpmdb.sqlite", ""), ("/usr/bin/vmtoolsd", "")]);
        assert_eq!(rpm.packages, Some((PackageManager::Rpm, vec!["open-vm-tools".to_owned()])));
        let tarball =
            find(&[("/var/lib/rpm/Packages", ""), ("/usr/bin/vmtoolsd", ""), ("/etc/vmware-tools/locations", "")]);
        assert_eq!(tarball.info().kind, "tarball");
    }
}

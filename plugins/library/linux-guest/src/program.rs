//! The guest's own programs that carry out a change: which one, with which arguments. Runs nothing: the plugins that open
//! guests do that, each in its own way.

use vmdk2kvm_plugin_api::model::{InitramfsTool, PackageManager};
use vmdk2kvm_plugin_api::{FileKind, Guest, PluginError, Result};

use crate::textfile::TextFile;

/// What the programs find in their environment, besides nothing: no language, and no question that nobody answers.
pub const ENVIRONMENT: [(&str, &str); 4] = [
    ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
    ("LC_ALL", "C"),
    ("DEBIAN_FRONTEND", "noninteractive"),
    ("DEBCONF_NONINTERACTIVE_SEEN", "true"),
];

/// Debian's veto: `invoke-rc.d` and `deb-systemd-invoke` ask this program before they touch a service.
pub const SERVICE_VETO: &str = "/usr/sbin/policy-rc.d";
/// What forbids everything: exit code 101 (Debian's invoke-rc.d policy).
pub const SERVICE_VETO_SCRIPT: &[u8] = b"#!/bin/sh\nexit 101\n";

/// The command that makes the initramfs of `kernel` at `path`, where none is at the moment.
pub fn make_initramfs(
    guest: &dyn Guest,
    tool: InitramfsTool,
    path: &str,
    kernel: &str,
    drivers: &[String],
) -> Result<Vec<String>> {
    word("kernel release", kernel)?;
    for driver in drivers {
        word("driver", driver)?;
    }
    let listed = drivers.join(" ");
    let command: Vec<&str> = match tool {
        InitramfsTool::InitramfsTools => vec!["update-initramfs", "-c", "-k", kernel],
        InitramfsTool::Dracut => vec!["dracut", "--force", "--add-drivers", &listed, path, kernel],
        InitramfsTool::Mkinitcpio => vec!["mkinitcpio", "-k", kernel, "-g", path],
        InitramfsTool::Mkinitfs => vec!["mkinitfs", "-o", path, kernel],
        // Red Hat's old `mkinitrd` and SUSE's share a name and nothing else.
        InitramfsTool::Mkinitrd if guest.stat("/etc/redhat-release")?.is_some() => {
            let with = drivers.iter().map(|driver| format!("--with={driver}"));
            let command = ["mkinitrd", "-f"].map(str::to_owned).into_iter().chain(with);
            return Ok(command.chain([path.to_owned(), kernel.to_owned()]).collect());
        }
        InitramfsTool::Mkinitrd => {
            let image = format!("vmlinuz-{kernel}");
            let name = path.rsplit('/').next().unwrap_or(path);
            return Ok(["mkinitrd", "-k", &image, "-i", name, "-m", &listed].map(str::to_owned).into());
        }
        _ => return Err(PluginError::unusable("this plugin does not know the initramfs tool of the change")),
    };
    Ok(command.into_iter().map(str::to_owned).collect())
}

/// The command that removes packages with their configuration, without network.
pub fn remove_packages(manager: PackageManager, packages: &[String]) -> Result<Vec<String>> {
    let command: &[&str] = match manager {
        PackageManager::Dpkg => &["dpkg", "--purge"],
        PackageManager::Rpm => &["rpm", "--erase"],
        PackageManager::Apk => &["apk", "--no-network", "del"],
        PackageManager::Pacman => &["pacman", "--remove", "--noconfirm"],
        _ => return Err(PluginError::unusable("this plugin does not know the package manager of the change")),
    };
    let mut command: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
    for package in packages {
        command.push(word("package", package)?.to_owned());
    }
    Ok(command)
}

/// What SELinux's own service looks for: a system that finds it gives every file its label anew when it starts, and restarts.
pub const RELABEL_ORDER: &str = "/.autorelabel";

/// Whether the guest's SELinux is on, and so wants a label on every file.
pub fn wants_labels(guest: &dyn Guest) -> Result<bool> {
    Ok(selinux_setting(guest, "SELINUX=")?.is_some_and(|mode| matches!(mode.as_str(), "enforcing" | "permissive")))
}

/// The command that gives labels to what a package manager touches, for a guest that wants them; `None` where the guest has no means
/// to do that. A package manager that runs without the guest's policy leaves files without labels, of which an enforcing system
/// refuses to read some (`ld.so.cache`).
pub fn restore_labels(guest: &dyn Guest) -> Result<Option<Vec<String>>> {
    const TOUCHED: [&str; 8] = [
        "/etc",
        "/var/lib/rpm",
        "/usr/lib/sysimage/rpm",
        "/var/lib/dpkg",
        "/var/cache/debconf",
        "/var/lib/systemd",
        "/var/cache/ldconfig",
        "/var/log",
    ];
    let policy = selinux_setting(guest, "SELINUXTYPE=")?.unwrap_or_else(|| "targeted".to_owned());
    let contexts = format!("/etc/selinux/{policy}/contexts/files/file_contexts");
    let has_program = guest.stat("/usr/sbin/setfiles")?.is_some() || guest.stat("/sbin/setfiles")?.is_some();
    if !has_program || word("policy", &policy).is_err() || guest.stat(&contexts)?.is_none() {
        return Ok(None);
    }
    let mut command = vec!["setfiles".to_owned(), contexts];
    for path in TOUCHED {
        // Each has to be there, and a link would be followed out of what was meant.
        if guest.stat(path)?.is_some_and(|stat| stat.kind == FileKind::Dir) {
            command.push(path.to_owned());
        }
    }
    Ok(Some(command))
}

fn selinux_setting(guest: &dyn Guest, key: &str) -> Result<Option<String>> {
    let file = TextFile::read(guest, "/etc/selinux/config", &mut Vec::new())?;
    let value =
        file.and_then(|file| file.text.lines().find_map(|line| line.trim().strip_prefix(key).map(str::to_owned)));
    Ok(value.map(|value| value.trim().to_owned()))
}

/// A word of the guest (a package, a kernel release, a driver) that becomes an argument of a program: never an option, never
/// anything that a program would take apart.
pub fn word<'a>(what: &str, word: &'a str) -> Result<&'a str> {
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"._+~:-@".contains(&byte);
    let first = word.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if first && word.len() <= 255 && word.bytes().all(fine) {
        Ok(word)
    } else {
        Err(PluginError::unusable(format!("\"{}\" is no name of a {what}", word.escape_debug())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::MapGuest;

    #[test]
    fn words_are_never_options_or_more_than_one() {
        for fine in ["open-vm-tools", "6.1.0-56-amd64", "virtio_blk", "libc6:amd64", "2.6.32-754.el6.x86_64+debug"] {
            assert_eq!(word("package", fine).unwrap(), fine);
        }
        for bad in ["", "-r", "--root=/", "a b", "a;b", "../x", "a/b", "a\nb", "$(x)"] {
            let error = word("package", bad).unwrap_err();
            assert!(error.message.ends_with("is no name of a package"), "{bad}");
        }
    }

    #[test]
    fn every_tool_makes_one_kernels_archive() {
        let drivers = ["virtio_pci".to_owned(), "virtio_blk".to_owned()];
        let red_hat = [("/etc/redhat-release", "CentOS release 5.11 (Final)\n")];
        for (tool, files, want) in [
            (InitramfsTool::InitramfsTools, &[][..], "update-initramfs -c -k 6.1"),
            (InitramfsTool::Dracut, &[], "dracut --force --add-drivers virtio_pci virtio_blk /boot/i 6.1"),
            (InitramfsTool::Mkinitcpio, &[], "mkinitcpio -k 6.1 -g /boot/i"),
            (InitramfsTool::Mkinitfs, &[], "mkinitfs -o /boot/i 6.1"),
            (InitramfsTool::Mkinitrd, &red_hat, "mkinitrd -f --with=virtio_pci --with=virtio_blk /boot/i 6.1"),
            (InitramfsTool::Mkinitrd, &[], "mkinitrd -k vmlinuz-6.1 -i i -m virtio_pci virtio_blk"),
        ] {
            let command = make_initramfs(&MapGuest::new(files), tool, "/boot/i", "6.1", &drivers).unwrap();
            assert_eq!(command.join(" "), want);
        }
        let evil = make_initramfs(&MapGuest::new(&[]), InitramfsTool::Dracut, "/boot/i", "--version", &drivers);
        assert_eq!(evil.unwrap_err().message, "\"--version\" is no name of a kernel release");
    }

    #[test]
    fn labels_of_what_was_touched() {
        let off = [("/etc/selinux/config", "SELINUX=disabled\n")];
        assert!(!wants_labels(&MapGuest::new(&off)).unwrap() && !wants_labels(&MapGuest::new(&[])).unwrap());
        let on = [
            ("/etc/selinux/config", "# SELINUX= can take\nSELINUX=enforcing\nSELINUXTYPE=minimum \n"),
            ("/usr/sbin/setfiles", "x"),
            ("/var/lib/rpm/rpmdb.sqlite", "x"),
        ];
        assert!(wants_labels(&MapGuest::new(&on)).unwrap());
        assert_eq!(restore_labels(&MapGuest::new(&on)).unwrap(), None);
        let contexts = ("/etc/selinux/minimum/contexts/files/file_contexts", "/.* system_u:object_r:default_t:s0\n");
        let command = restore_labels(&MapGuest::new(&[&on[..], &[contexts]].concat())).unwrap().unwrap();
        assert_eq!(command.join(" "), format!("setfiles {} /etc /var/lib/rpm", contexts.0));
        let evil = [("/etc/selinux/config", "SELINUX=enforcing\nSELINUXTYPE=../x\n"), on[1]];
        let contexts = ("/etc/selinux/../x/contexts/files/file_contexts", "");
        assert_eq!(restore_labels(&MapGuest::new(&[&evil[..], &[contexts]].concat())).unwrap(), None);
    }

    #[test]
    fn packages_go_without_network() {
        let command = remove_packages(PackageManager::Apk, &["open-vm-tools".to_owned()]).unwrap();
        assert_eq!(command, ["apk", "--no-network", "del", "open-vm-tools"]);
        assert!(remove_packages(PackageManager::Rpm, &["-x".to_owned()]).is_err());
    }
}

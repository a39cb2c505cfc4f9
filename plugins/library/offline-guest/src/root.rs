//! Which filesystem is the root, and what is mounted on it.
//!
//! A root is recognised by what it holds, never by its place. Data disks, the guest's other filesystems and snapshots are not
//! further systems: what the chosen root's fstab mounts is not even looked at.

use std::cmp::Reverse;

use vmdk2kvm_linux_guest::{crypttab_devices, fstab_mounts, md_arrays};
use vmdk2kvm_plugin_api::model::{Finding, GuestDiskInfo, MountInfo, OpenGuest, Severity};
use vmdk2kvm_plugin_api::{ErrorKind, FileKind, Guest, Host, PluginError, Result, tracing};

use crate::mounter::Mounter;
use crate::volumes::{Volume, Volumes};

/// A filesystem that holds a system.
struct Candidate<'a> {
    volume: &'a Volume,
    options: String,
    fstab: Vec<MountInfo>,
    /// Its fstab says that it is the root.
    says_so: bool,
    has_modules: bool,
}

/// Subvolumes that distributions put their root into, when it is not the default subvolume: openSUSE's and Ubuntu's, Fedora's,
/// Debian's.
const SUBVOLUMES: [&str; 4] = ["", "@", "root", "@rootfs"];

/// Finds the root, mounts it and what belongs to it; what was noticed. Nothing is mounted when there is no root.
pub fn mount(mounts: &mut dyn Mounter, volumes: &Volumes, request: &OpenGuest, host: &Host) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let Some(root) = find(mounts, volumes, request, host, &mut findings)? else { return Ok(findings) };
    mounts.take_root(root.volume, &root.options)?;
    let mut taken = vec![(root.volume, "/")];
    let fstab_text = fstab_text(mounts.files().as_ref())?;
    let mut wanted: Vec<&MountInfo> = root.fstab.iter().filter(|mount| is_needed(&mount.mountpoint)).collect();
    wanted.sort_by_key(|mount| depth(&mount.mountpoint));
    for mount in wanted {
        let found = volumes.by_name(&mount.device).or_else(|| volumes.behind_link(&mount.device));
        let Some(volume) = found else {
            let message = format!("{}: {} is on no disk of this VM", mount.mountpoint, mount.device);
            findings.push(not_mounted(&mount.mountpoint, message));
            continue;
        };
        let subvolume = subvolume(&fstab_text, &mount.mountpoint).filter(|_| volume.fstype == "btrfs");
        let extra = subvolume.map_or_else(String::new, |name| format!("subvol={name}"));
        match mounts.mount(volume, &mount.mountpoint, &extra) {
            Ok(()) => taken.push((volume, mount.mountpoint.as_str())),
            Err(error) => findings.push(not_mounted(&mount.mountpoint, format!("{}: {error}", mount.mountpoint))),
        }
    }
    let esp = volumes.volumes.iter().find(|volume| volume.esp && volume.fstype == "vfat");
    if let Some(esp) = esp.filter(|esp| taken.iter().all(|(volume, _)| volume != esp)) {
        let is_taken = |at: &str| taken.iter().any(|(_, own)| *own == at) || fstab_line(&fstab_text, at).is_some();
        mount_esp(mounts, esp, is_taken, &mut findings)?;
    }
    Ok(findings)
}

/// Looks at one filesystem after the other, the largest first: it most likely is the root, and then its fstab says what the
/// others are.
fn find<'a>(
    mounts: &mut dyn Mounter,
    volumes: &'a Volumes,
    request: &OpenGuest,
    host: &Host,
    findings: &mut Vec<Finding>,
) -> Result<Option<Candidate<'a>>> {
    let is_meant = |volume: &Volume| request.root.as_deref().is_none_or(|chosen| volume.is(chosen));
    let mut left: Vec<&Volume> =
        volumes.volumes.iter().filter(|volume| may_hold_linux(&volume.fstype) && is_meant(volume)).collect();
    if left.is_empty() {
        volumes.check_choice(request)?;
    }
    left.sort_by(|a, b| b.length.cmp(&a.length).then_with(|| a.device.cmp(&b.device)));
    let mut found: Vec<Candidate<'a>> = Vec::new();
    for volume in left {
        host.check_cancelled()?;
        let belongs = |candidate: &Candidate<'_>| {
            candidate
                .fstab
                .iter()
                .any(|mount| mount.device == volume.device || volumes.behind_link(&mount.device) == Some(volume))
        };
        if found.iter().any(belongs) {
            continue;
        }
        // Its own failure is none of this volume, and nothing else could be looked at.
        mounts.look_away()?;
        match look_into(mounts, volume, volumes, request, findings) {
            Ok(candidate) => found.extend(candidate),
            Err(error) => {
                let message = format!("{} cannot be mounted: {error}", volume.device);
                let hint = "if this is the system's disk, start the VM once, let it check its disk, and shut it down";
                findings.push(Finding::new("filesystem-unreadable", Severity::Warn, message).hint(hint));
            }
        }
    }
    // Of two whole systems that of the first disk is the one that the firmware starts; a logical volume may be on any disk.
    let places = request.vm.boot_places();
    let disk = |one: &Candidate<'_>| {
        let is_here = |disk: &&GuestDiskInfo| disk.devices.iter().any(|device| device.device == one.volume.device);
        let index = volumes.disks.iter().find(is_here).map(|disk| disk.index);
        Reverse(index.and_then(|index| places.get(index as usize).copied()).unwrap_or(0))
    };
    let rank = |one: &Candidate<'_>| (one.says_so, one.has_modules, disk(one), one.volume.length);
    let Some(best) = (0..found.len()).max_by_key(|index| rank(&found[*index])) else {
        mounts.look_away()?;
        return Ok(None);
    };
    let root = found.swap_remove(best);
    for other in &found {
        let message = format!("{} holds a system as well; {} was taken", other.volume.device, root.volume.device);
        findings.push(
            Finding::new("several-systems", Severity::Warn, message)
                .hint("its files are left as they are; --root chooses another"),
        );
    }
    Ok(Some(root))
}

/// Looks at a filesystem, and goes on looking at it when it holds a system.
fn look_into<'a>(
    mounts: &mut dyn Mounter,
    volume: &'a Volume,
    volumes: &Volumes,
    request: &OpenGuest,
    findings: &mut Vec<Finding>,
) -> Result<Option<Candidate<'a>>> {
    let tries = if volume.fstype == "btrfs" { &SUBVOLUMES[..] } else { &SUBVOLUMES[..1] };
    for subvolume in tries {
        let extra = if subvolume.is_empty() { String::new() } else { format!("subvol={subvolume}") };
        if let Err(error) = mounts.look(volume, &extra) {
            // No such subvolume.
            if extra.is_empty() || error.kind == ErrorKind::Interrupted {
                return Err(error);
            }
            continue;
        }
        let files = mounts.files();
        let guest = files.as_ref();
        if let Some(finding) = ostree(guest, &volume.device)? {
            findings.push(finding);
            break;
        }
        if holds_system(guest)? {
            let fstab = fstab(guest, volumes, request).unwrap_or_else(|error| {
                tracing::warn!(device = volume.device, %error, "its fstab cannot be read");
                Vec::new()
            });
            let is_this =
                |mount: &MountInfo| mount.device == volume.device || volumes.behind_link(&mount.device) == Some(volume);
            return Ok(Some(Candidate {
                volume,
                options: extra,
                says_so: fstab.iter().any(|mount| mount.mountpoint == "/" && is_this(mount)),
                has_modules: guest.list("/lib/modules")?.is_some_and(|kernels| !kernels.is_empty()),
                fstab,
            }));
        }
    }
    mounts.look_away()?;
    Ok(None)
}

/// A finding when what is looked at is the top of an ostree: the system's files are in its deployments.
fn ostree(guest: &dyn Guest, device: &str) -> Result<Option<Finding>> {
    if guest.stat("/ostree/repo")?.is_none() {
        return Ok(None);
    }
    let message = format!(
        "{device} holds an ostree system (Fedora CoreOS, Silverblue and their kin), whose deployments are not changed from outside"
    );
    Ok(Some(
        Finding::new("ostree-system", Severity::Warn, message)
            .hint("move it as it is with --skip fix; its makers have an image for this hypervisor, to set it up again"),
    ))
}

/// What the fstab mounts. Arrays, and what crypttab opened, have other names in the guest than here.
fn fstab(guest: &dyn Guest, volumes: &Volumes, request: &OpenGuest) -> Result<Vec<MountInfo>> {
    let mut mounts = fstab_mounts(guest, &volumes.disks, Some(&request.vm))?;
    let opened = crypttab_devices(guest, &volumes.disks, Some(&request.vm))?;
    let arrays = md_arrays(guest)?;
    for mount in &mut mounts {
        let own = mount.device.strip_prefix("/dev/mapper/").and_then(|name| opened.iter().find(|(own, _)| own == name));
        let volume = match own {
            Some((_, container)) => volumes.opened_from(container),
            None => volumes.array(&mount.device, &arrays),
        };
        if let Some(volume) = volume {
            mount.device.clone_from(&volume.device);
        }
    }
    Ok(mounts)
}

/// Whether what is mounted as the root looks like one: a word on what it is, and programs (or their folder, for a `/usr` of its
/// own).
fn holds_system(guest: &dyn Guest) -> Result<bool> {
    let there = |path: &str| Ok::<bool, PluginError>(guest.stat(path)?.is_some());
    Ok(there("/etc")?
        && (there("/etc/os-release")? || there("/etc/fstab")? || there("/usr/lib/os-release")?)
        && (there("/usr")? || there("/bin")?))
}

/// An EFI system partition that fstab does not name is mounted by systemd where it finds a folder for it, and so is it here:
/// what boots the guest lies on it.
fn mount_esp(
    mounts: &mut dyn Mounter,
    esp: &Volume,
    is_taken: impl Fn(&str) -> bool,
    findings: &mut Vec<Finding>,
) -> Result<()> {
    let guest = mounts.files();
    for mountpoint in ["/boot/efi", "/efi", "/boot"] {
        let is_folder = guest.stat(mountpoint)?.is_some_and(|found| found.kind == FileKind::Dir);
        if is_taken(mountpoint) || !is_folder || guest.list(mountpoint)?.is_none_or(|entries| !entries.is_empty()) {
            continue;
        }
        if let Err(error) = mounts.mount(esp, mountpoint, "") {
            findings.push(not_mounted(mountpoint, format!("{mountpoint}: {error}")));
        }
        break;
    }
    Ok(())
}

fn may_hold_linux(fstype: &str) -> bool {
    matches!(fstype, "ext2" | "ext3" | "ext4" | "xfs" | "btrfs" | "f2fs" | "reiserfs" | "jfs")
}

/// What a fixer may read or write. Anything else (home, srv, data) stays untouched.
fn is_needed(mountpoint: &str) -> bool {
    matches!(mountpoint, "/boot" | "/efi" | "/usr" | "/var" | "/var/lib" | "/var/tmp" | "/etc")
        || mountpoint.starts_with("/boot/")
}

fn not_mounted(mountpoint: &str, message: String) -> Finding {
    // Without these the kernels, their boot archives or the package database are out of sight.
    let severity =
        if matches!(mountpoint, "/boot" | "/usr" | "/var" | "/var/lib") { Severity::Block } else { Severity::Warn };
    Finding::new("not-mounted", severity, message)
        .hint("give all disks of the VM, and the keys of its encrypted volumes")
}

fn fstab_text(guest: &dyn Guest) -> Result<String> {
    let bytes = guest.read("/etc/fstab", 1 << 20)?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn depth(mountpoint: &str) -> usize {
    mountpoint.split('/').filter(|part| !part.is_empty()).count()
}

/// The fields of fstab's line for a mount point.
fn fstab_line<'a>(fstab: &'a str, mountpoint: &str) -> Option<Vec<&'a str>> {
    fstab
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .find(|fields| fields.get(1) == Some(&mountpoint) && !fields[0].starts_with('#'))
}

/// The subvolume that fstab mounts there.
fn subvolume(fstab: &str, mountpoint: &str) -> Option<String> {
    let fields = fstab_line(fstab, mountpoint)?;
    // A comma would begin another mount option; it cannot be part of this one.
    fields.get(3)?.split(',').find_map(|option| option.strip_prefix("subvol=")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subvolume_is_what_fstab_says() {
        let fstab = "# UUID=1 /var btrfs subvol=@old 0 0\nUUID=1 / btrfs defaults 0 0\nUUID=1 /var btrfs noatime,subvol=@/var 0 0\n";
        assert_eq!(subvolume(fstab, "/var").as_deref(), Some("@/var"));
        assert_eq!(subvolume(fstab, "/"), None);
    }

    #[test]
    fn only_what_a_fixer_needs_is_mounted() {
        for needed in ["/boot", "/boot/efi", "/usr", "/var"] {
            assert!(is_needed(needed), "{needed}");
        }
        for other in ["/", "/home", "/srv/data", "/bootleg", "/var/log"] {
            assert!(!is_needed(other), "{other}");
        }
    }
}

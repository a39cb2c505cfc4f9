//! Families that are no lab guests, as trees with their real files' syntax: what the fixers plan for each, that it boots on what
//! the plan says (drivers inside, stable names everywhere), and that planning again gives nothing.

mod others;
mod red_hat;

use std::fs;

use crate::support::{Tree, kinds};
use vmdk2kvm_linux_guest::initramfs::{contents, has_driver};
use vmdk2kvm_plugin_api::model::{Firmware, GuestDiskInfo};

/// The rule that makes udev read `.link` files.
const LINKS: (&str, &str) = ("usr/lib/udev/rules.d/80-net-setup-link.rules", "x");
const LINK: &str = "linux-network write_file /etc/systemd/network/10-vmdk2kvm-ens192.link";

/// A guest of a family.
struct Family<'a> {
    firmware: Firmware,
    root: &'a str,
    disk: GuestDiskInfo,
    files: &'a [(&'a str, &'a str)],
    /// Symlinks, and what they point to.
    links: &'a [(&'a str, &'a str)],
    /// Release, image where the family names it otherwise, boot archive.
    kernel: (&'a str, Option<&'a str>, &'a str),
    /// Files inside of the boot archive, besides a module.
    inside: &'a [(&'a str, &'a str)],
    plan: &'a [&'a str],
    /// Files afterwards, and what they hold.
    after: &'a [(&'a str, &'a str)],
    inside_after: &'a [(&'a str, &'a str)],
}

fn check(family: &Family<'_>) {
    let tree = Tree::new(family.firmware, Some(family.root), vec![family.disk.clone()]);
    for (path, text) in family.files {
        tree.write(path, text);
    }
    for (path, to) in family.links {
        std::os::unix::fs::symlink(to, tree.path(path)).unwrap();
    }
    let (release, image, archive) = family.kernel;
    match image {
        Some(image) => {
            tree.write(image, "image");
            tree.modules(release);
        }
        None => tree.kernel(release),
    }
    let module = format!("usr/lib/modules/{release}/kernel/ext4.ko.xz");
    tree.initramfs(archive, &[&[(module.as_str(), "ext4")], family.inside].concat());
    let plan = tree.plan();
    assert_eq!(kinds(&plan), family.plan);
    assert!(plan.findings.is_empty(), "{:?}", plan.findings);
    tree.apply(&plan);
    assert_eq!(kinds(&tree.plan()), [""; 0]);
    for (path, want) in family.after {
        let text = fs::read_to_string(tree.path(path)).unwrap();
        assert!(text.contains(want), "{path}: {text}");
    }
    let inside = contents(&fs::read(tree.path(archive)).unwrap()).unwrap();
    for driver in ["virtio_blk", "virtio_pci", "virtio_scsi", "virtio_net", "virtio", "virtio_ring", "ext4"] {
        assert!(has_driver(&inside, release, driver), "{driver}");
    }
    for (path, want) in family.inside_after {
        assert_eq!(inside.file(path).map(String::from_utf8_lossy).as_deref(), Some(*want), "{path}");
    }
    assert!(tree.inspection().findings.is_empty(), "{:?}", tree.inspection().findings);
}

//! What VMware leaves in real guests.

use vmdk2kvm_plugin_api::model::PackageManager;

use super::*;
use crate::fixture::{self, MapGuest};

fn plan(files: &[(&str, &str)]) -> Vec<(String, Action)> {
    let plan = VmwareTools.plan(&fixture::context(), &MapGuest::new(files)).unwrap();
    plan.changes.into_iter().map(|change| (change.target, change.action)).collect()
}

fn text(action: &Action) -> String {
    let Action::WriteFile { content, .. } = action else { panic!("{action:?}") };
    String::from_utf8(content.to_bytes().unwrap()).unwrap()
}

#[test]
fn the_lab_guest() {
    let changes = plan(&[
        (
            "/etc/modprobe.d/vmware.conf",
            "alias scsi_hostadapter vmw_pvscsi\nalias eth0 vmxnet3\nblacklist virtio_balloon\n",
        ),
        ("/etc/modprobe.d/other.conf", "options snd_hda_intel x=1\n"),
        ("/etc/modules", "# /etc/modules\nloop\nvmxnet3\n"),
        ("/etc/udev/rules.d/99-vmware-scsi-timeout.rules", "ACTION==\"add\", ATTRS{vendor}==\"VMware*\", RUN+=\"x\"\n"),
        ("/etc/cron.d/vmware-time", "17 * * * * root /usr/bin/vmware-toolbox-cmd timesync status >/dev/null 2>&1\n"),
        ("/etc/cron.d/e2scrub", "30 3 * * 0 root test -e /run/systemd/system\n"),
        ("/var/lib/dpkg/status", "Package: open-vm-tools\nStatus: install ok installed\nVersion: 1\n"),
    ]);
    let kinds: Vec<(&str, &str)> = changes.iter().map(|(target, action)| (target.as_str(), action.kind())).collect();
    assert_eq!(
        kinds,
        [
            ("/etc/modprobe.d/vmware.conf", "remove"),
            ("/etc/modules", "write_file"),
            ("/etc/udev/rules.d/99-vmware-scsi-timeout.rules", "remove"),
            ("/etc/cron.d/vmware-time", "remove"),
            ("open-vm-tools", "remove_packages"),
        ]
    );
    assert_eq!(text(&changes[1].1), "# /etc/modules\nloop\n");
    let Action::RemovePackages { manager, .. } = &changes[4].1 else { panic!() };
    assert_eq!(*manager, PackageManager::Dpkg);
}

#[test]
fn other_lines_stay() {
    let changes = plan(&[
        ("/etc/modprobe.d/a.conf", "# alias eth0 vmxnet3\nalias eth0 vmxnet3\r\noptions loop max_loop=8\r\n"),
        ("/etc/modprobe.d/b.conf", "blacklist vmwgfx\nblacklist pcspkr\n"),
        ("/etc/cron.d/mixed", "MAILTO=x\n1 * * * * root vmware-toolbox-cmd x\n2 * * * * root backup\n"),
    ]);
    assert_eq!(changes.len(), 2);
    assert_eq!(text(&changes[0].1), "# alias eth0 vmxnet3\noptions loop max_loop=8\r\n");
    assert_eq!(text(&changes[1].1), "MAILTO=x\n2 * * * * root backup\n");
}

#[test]
fn a_tarball_is_disabled() {
    let changes = plan(&[("/etc/vmware-tools/locations", "x"), ("/etc/init.d/vmware-tools", "#!/bin/sh\n")]);
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].0, "/etc/init.d/vmware-tools");
}

#[test]
fn package_sources_and_displays() {
    let changes = plan(&[
        (
            "/etc/yum.repos.d/vmware-tools.repo",
            "[vmware-tools]\nbaseurl=http://packages.vmware.com/tools/esx/6.0/rhel6/x86_64\n",
        ),
        ("/etc/yum.repos.d/photon.repo", "[photon]\nbaseurl=https://packages.vmware.com/photon/5.0\n"),
        ("/etc/apt/sources.list.d/vmware.list", "deb http://packages.vmware.com/tools/esx/6.5 xenial main\n"),
        ("/etc/apt/sources.list.d/ours.list", "deb http://deb.example stable main\n"),
        ("/etc/X11/xorg.conf", "Section \"Device\"\n\tDriver      \"vmware\"\n\tVendorName \"vmware\"\nEndSection\n"),
        ("/etc/X11/xorg.conf.d/20-input.conf", "Driver \"evdev\"\n"),
    ]);
    let kinds: Vec<(&str, &str)> = changes.iter().map(|(target, action)| (target.as_str(), action.kind())).collect();
    assert_eq!(
        kinds,
        [
            ("/etc/apt/sources.list.d/vmware.list", "remove"),
            ("/etc/yum.repos.d/vmware-tools.repo", "remove"),
            ("/etc/X11/xorg.conf", "write_file"),
        ]
    );
    assert_eq!(
        text(&changes[2].1),
        "Section \"Device\"\n\tDriver      \"modesetting\"\n\tVendorName \"vmware\"\nEndSection\n"
    );
}

#[test]
fn labels_are_given_anew_only_where_a_package_manager_ran() {
    let rpm =
        [("/var/lib/rpm/rpmdb.sqlite", ""), ("/usr/bin/vmtoolsd", ""), ("/etc/selinux/config", "SELINUX=enforcing\n")];
    assert_eq!(plan(&rpm)[1].0, "/.autorelabel");
    let status = "Package: open-vm-tools\nStatus: install ok installed\nVersion: 2\n\n";
    let dpkg = [("/var/lib/dpkg/status", status), ("/etc/selinux/config", "SELINUX=permissive\n")];
    assert_eq!(plan(&dpkg)[1].0, "/.autorelabel");
    for other in [
        &[rpm[0], rpm[1], ("/etc/selinux/config", "# SELINUX=enforcing\nSELINUX=disabled\n")][..],
        &[rpm[0], rpm[1], rpm[2], ("/.autorelabel", "")],
        &rpm[2..],
    ] {
        assert!(plan(other).iter().all(|(target, _)| target != "/.autorelabel"), "{other:?}");
    }
}

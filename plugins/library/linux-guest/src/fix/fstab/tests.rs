//! Real fstabs, line by line.

use vmdk2kvm_plugin_api::model::Controller;

use super::*;
use crate::fixture;

fn fix(text: &str, context: &PlanContext) -> Fixed {
    super::fix(text, context, Devices::new(&context.inspection.disks, Some(&context.vm)))
}

fn fixed(line: &str) -> String {
    fix(line, &fixture::context()).text
}

#[test]
fn the_lab_guest() {
    let text = "# /etc/fstab: static file system information.\n\
        /dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:0:0-part1 /               ext4    errors=remount-ro 0       1\n\
        /dev/sda5\tnone\tswap\tsw\t0\t0\n\
        /dev/sr0        /media/cdrom0   udf,iso9660 user,noauto     0       0\n\
        .host:/ /mnt/hgfs fuse.vmhgfs-fuse defaults,allow_other 0 0\n";
    let out = fix(text, &fixture::context());
    assert_eq!(
        out.text,
        "# /etc/fstab: static file system information.\n\
        UUID=uuid-0-1 /               ext4    errors=remount-ro 0       1\n\
        UUID=uuid-0-5\tnone\tswap\tsw\t0\t0\n\
        /dev/sr0        /media/cdrom0   udf,iso9660 user,noauto     0       0\n\
        # vmdk2kvm: VMware share: .host:/ /mnt/hgfs fuse.vmhgfs-fuse defaults,allow_other 0 0\n"
    );
    assert!(out.findings.is_empty(), "{:?}", out.findings);
    let again = fix(&out.text, &fixture::context());
    assert_eq!(again.text, out.text);
}

#[test]
fn keeps_what_is_right() {
    for line in [
        "UUID=0a-b /srv ext4 defaults 0 2",
        "PARTLABEL=\"my data\" /srv ext4 defaults",
        "/dev/mapper/vg-root / xfs defaults 0 0",
        "/dev/vg/home /home btrfs subvol=@home,compress=zstd 0 0",
        "/srv/a /srv/b none bind 0 0",
        "nas:/export\\040one /mnt/my\\040nas nfs4 _netdev 0 0",
        "//nas/x /mnt/x cifs credentials=/root/c 0 0",
        "tmpfs /tmp tmpfs size=1g 0 0",
        "/swapfile none swap sw 0 0",
        "/dev/cdrom /cd iso9660 ro,noauto 0 0",
        "# /dev/sda1 / ext4",
        "   ",
        "short line",
        "/dev/md0 /r ext4 defaults 0 0",
    ] {
        assert_eq!(fixed(line), line);
    }
}

#[test]
fn names_by_place() {
    for (line, want) in [
        ("/dev\\057sda5 none swap sw 0 0", "UUID=uuid-0-5 none swap sw 0 0"),
        ("/dev/sda1 / ext4 defaults 0 1\r\n", "UUID=uuid-0-1 / ext4 defaults 0 1\r\n"),
        ("  /dev/sda1 /my\\040x auto defaults", "  UUID=uuid-0-1 /my\\040x auto defaults"),
        // Whatever the name seems to say, the root is where the inspector found it.
        ("/dev/hda3 / ext4 defaults 0 1", "UUID=uuid-0-1 / ext4 defaults 0 1"),
        // The type says that this is not the device that is meant.
        ("/dev/sda5 /data xfs defaults 0 2", "/dev/sda5 /data xfs defaults,nofail 0 2"),
        ("/dev/sdb1 /data xfs defaults 0 2", "/dev/sdb1 /data xfs defaults,nofail 0 2"),
        ("/dev/sdb1 /data xfs", "/dev/sdb1 /data xfs defaults,nofail"),
        ("/dev/sdb1 /data xfs noauto", "/dev/sdb1 /data xfs noauto"),
        (
            "/dev/fd0 /floppy auto rw,user,noauto 0 0",
            "# vmdk2kvm: no floppy drive: /dev/fd0 /floppy auto rw,user,noauto 0 0",
        ),
        ("/dev/sr0 /cd iso9660 ro 0 0", "/dev/sr0 /cd iso9660 ro,nofail 0 0"),
    ] {
        assert_eq!(fixed(line), want);
    }
}

#[test]
fn another_disks_path_is_never_the_root_disk() {
    for other in ["pci-0000:0b:00.0-scsi-0:0:0:0-part1", "pci-0000:03:00.0-scsi-0:0:1:0-part1"] {
        let text = format!(
            "/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:0:0-part1 / ext4 defaults 0 1\n\
             /dev/disk/by-path/{other} /data ext4 defaults 0 2\n"
        );
        let out = fix(&text, &fixture::context());
        assert_eq!(
            out.text,
            format!("UUID=uuid-0-1 / ext4 defaults 0 1\n/dev/disk/by-path/{other} /data ext4 defaults,nofail 0 2\n")
        );
        assert_eq!(out.findings.len(), 1);
        assert_eq!(
            out.findings[0].message,
            format!(
                "/etc/fstab mounts /dev/disk/by-path/{other} at /data, and no disk of this VM is known to be that device"
            )
        );
    }
    let out = fix("/dev/sdz3 none swap sw 0 0\n", &fixture::context());
    let expected = "/etc/fstab swaps to /dev/sdz3, and no disk of this VM is known to be that device";
    assert_eq!(out.findings[0].message, expected);
    // The root is not known by a path here, and the second name still does not get its device.
    let text = "/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:0:0-part1 /a ext4 defaults 0 1\n\
                /dev/disk/by-path/pci-0000:13:00.0-scsi-0:0:0:0-part1 /data ext4 defaults 0 2\n";
    assert!(fix(text, &fixture::context()).text.contains("/data ext4 defaults,nofail"));
}

#[test]
fn letters_over_controllers_of_different_kinds_are_proven_or_told() {
    let text = "/dev/sdb1 /data ext4 defaults 0 2\n/dev/sdc1 /archive ext4 defaults 0 2\n";
    let plan = |mark: &dyn Fn(&mut GuestBlockDevice, &mut GuestBlockDevice)| {
        let mut context = fixture::context();
        let (mut second, mut third) = (fixture::disk(1, &[(1, "ext4")]), fixture::disk(2, &[(1, "ext4")]));
        mark(&mut second.devices[1], &mut third.devices[1]);
        context.inspection.disks.extend([second, third]);
        context.vm = fixture::vm(3);
        context.vm.disks[2].controller = Controller::Sata;
        let out = fix(text, &context);
        (out.text, out.findings.iter().map(|finding| finding.code.clone()).collect::<Vec<_>>())
    };
    let straight = "UUID=uuid-1-1 /data ext4 defaults 0 2\nUUID=uuid-2-1 /archive ext4 defaults 0 2\n";
    let crossed = "UUID=uuid-2-1 /data ext4 defaults 0 2\nUUID=uuid-1-1 /archive ext4 defaults 0 2\n";
    let guess = ["fstab-guessed-device"; 2];
    assert_eq!(plan(&|_, _| ()), (straight.to_owned(), guess.map(str::to_owned).to_vec()));
    // One is proven by its history or its label, and the other is what is left.
    assert_eq!(plan(&|second, _| second.last_mounted = Some("/archive".to_owned())), (crossed.to_owned(), vec![]));
    assert_eq!(plan(&|_, third| third.label = Some("data".to_owned())), (crossed.to_owned(), vec![]));
    assert_eq!(plan(&|second, _| second.last_mounted = Some("/data".to_owned())), (straight.to_owned(), vec![]));
    let both = |second: &mut GuestBlockDevice, third: &mut GuestBlockDevice| {
        (second.label, third.label) = (Some("data".to_owned()), Some("data".to_owned()));
    };
    assert_eq!(plan(&both).1, guess);
}

#[test]
fn an_unknown_root_blocks() {
    let mut context = fixture::context();
    context.inspection.root = None;
    let out = fix("/dev/sdc1 / ext4 defaults 0 1\n", &context);
    assert_eq!(out.text, "/dev/sdc1 / ext4 defaults 0 1\n");
    assert_eq!(out.findings[0].severity, Severity::Block);
}

#[test]
fn decodes_escapes() {
    assert_eq!(unescape("/a\\040b\\011c\\x"), "/a b\tc\\x");
}

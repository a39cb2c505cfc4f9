//! Kernels of real guests and what their archives lack. Whole trees are in the `dir` plugin's tests.

use vmdk2kvm_plugin_api::model::VirtioDrivers;

use super::*;
use crate::fixture::{self, MapGuest};
use crate::initramfs::tests::archive;

const ALL: [&str; 6] = ["virtio", "virtio_ring", "virtio_pci", "virtio_blk", "virtio_scsi", "virtio_net"];
const OLD: &[(&str, &str)] =
    &[("lib/modules/6.1.0-37-amd64/kernel/ext4.ko", "x"), ("conf/conf.d/resume", "RESUME=/dev/sda5\n")];

fn kernel(version: &str, in_kernel: &[&str], built_in: &[&str], initramfs: Option<&str>) -> KernelInfo {
    let texts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    KernelInfo::new(version.to_owned()).with(|it| {
        it.initramfs = initramfs.map(str::to_owned);
        it.virtio = VirtioDrivers::default().with(|it| {
            it.in_kernel = texts(in_kernel);
            it.built_in = texts(built_in);
        });
    })
}

fn plan(
    mode: InitramfsMode,
    kernels: Vec<KernelInfo>,
    files: &[(&str, &str)],
    images: &[(&str, Vec<u8>)],
) -> FixerPlan {
    let mut context = fixture::context();
    context.inspection.kernels = kernels;
    let mut guest = MapGuest::new(files);
    for (path, image) in images {
        guest.0.insert((*path).to_owned(), image.clone());
    }
    Initramfs { mode }.plan(&context, &guest).unwrap()
}

fn kinds(plan: &FixerPlan) -> Vec<(&str, &str)> {
    plan.changes.iter().map(|change| (change.action.kind(), change.target.as_str())).collect()
}

const DEBIAN: [(&str, &str); 3] = [
    ("/etc/initramfs-tools/initramfs.conf", "MODULES=list\n"),
    ("/etc/initramfs-tools/modules", "# list\nvmxnet3\next4"),
    ("/usr/sbin/update-initramfs", ""),
];
const PATH: &str = "/boot/initrd.img-6.1.0-37-amd64";

#[test]
fn appends_for_every_kernel() {
    let second = "/boot/initrd.img-6.1.0-9-amd64";
    let kernels = vec![
        kernel("6.1.0-37-amd64", &ALL, &[], Some(PATH)),
        kernel("6.1.0-9-amd64", &ALL, &["virtio_pci"], Some(second)),
    ];
    let images = [(PATH, archive(OLD)), (second, archive(OLD))];
    let plan = plan(InitramfsMode::Auto, kernels, &DEBIAN, &images);
    assert_eq!(
        kinds(&plan),
        [("write_file", "/etc/initramfs-tools/modules"), ("extend_initramfs", PATH), ("extend_initramfs", second)]
    );
    let Action::WriteFile { content, .. } = &plan.changes[0].action else { panic!() };
    assert_eq!(
        content.to_bytes().unwrap(),
        b"# list\nvmxnet3\next4\nvirtio_pci\nvirtio_blk\nvirtio_scsi\nvirtio_net\n"
    );
    let Action::ExtendInitramfs { drivers, files, .. } = &plan.changes[1].action else { panic!() };
    assert_eq!(drivers, &DRIVERS);
    assert_eq!(files, &[("conf/conf.d/resume".to_owned(), Content::Text("RESUME=UUID=uuid-0-5\n".to_owned()))]);
    let Action::ExtendInitramfs { drivers, .. } = &plan.changes[2].action else { panic!() };
    assert_eq!(drivers, &DRIVERS[1..]);
}

#[test]
fn what_is_there_stays() {
    let names: Vec<String> = ALL.iter().map(|name| format!("lib/modules/6.1.0-37-amd64/kernel/{name}.ko.xz")).collect();
    let files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "x")).collect();
    let all = vec![kernel("6.1.0-37-amd64", &ALL, &[], Some(PATH))];
    assert!(plan(InitramfsMode::Auto, all, &DEBIAN[2..], &[(PATH, archive(&files))]).changes.is_empty());
    let built_in = vec![kernel("6.1.0-37-amd64", &ALL, &ALL, Some(PATH)), kernel("5.10.0", &ALL, &ALL, None)];
    assert!(plan(InitramfsMode::Auto, built_in, &DEBIAN[2..], &[(PATH, archive(&[("init", "x")]))]).changes.is_empty());
    // The card's driver alone is loaded from the root filesystem.
    let without_card: Vec<(&str, &str)> = files.iter().copied().filter(|(name, _)| !name.contains("net")).collect();
    let all = vec![kernel("6.1.0-37-amd64", &ALL, &[], Some(PATH))];
    assert!(plan(InitramfsMode::Auto, all, &DEBIAN[2..], &[(PATH, archive(&without_card))]).changes.is_empty());
}

#[test]
fn an_early_udev_gets_the_names_too() {
    let link = ("/etc/systemd/network/10-vmdk2kvm-ens192.link", "[Match]\n");
    let inside = [("usr/lib/systemd/network/99-default.link", "x"), ("lib/modules/6.1.0-37-amd64/kernel/ext4.ko", "x")];
    let all = vec![kernel("6.1.0-37-amd64", &ALL, &[], Some(PATH))];
    let plan = plan(InitramfsMode::Append, all, &[link], &[(PATH, archive(&inside))]);
    let Action::ExtendInitramfs { files, .. } = &plan.changes[0].action else { panic!() };
    assert_eq!(files[0].0, "usr/lib/systemd/network/10-vmdk2kvm-ens192.link");
}

#[test]
fn what_is_opened_early_is_found() {
    let all = || vec![kernel("6.1.0-37-amd64", &ALL, &[], Some(PATH))];
    for (path, old, new) in [
        // dracut copies the lines of its host, and so does initramfs-tools with a by-path.
        ("etc/crypttab", "root /dev/sda5 none luks\n", "root PARTUUID=part-0-5 none luks\n"),
        (
            "cryptroot/crypttab",
            "root UUID=a none luks\nsafe /dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:0:0-part5 none luks\n",
            "root UUID=a none luks\nsafe PARTUUID=part-0-5 none luks\n",
        ),
    ] {
        let inside = [(path, old), ("lib/modules/6.1.0-37-amd64/kernel/ext4.ko", "x")];
        let plan = plan(InitramfsMode::Auto, all(), &[], &[(PATH, archive(&inside))]);
        let Action::ExtendInitramfs { files, .. } = &plan.changes[0].action else { panic!() };
        assert_eq!(files, &[(path.to_owned(), Content::Text(new.to_owned()))]);
    }
}

#[test]
fn what_a_rebuild_left_out_is_not_asked_for_again() {
    let names: Vec<String> = ALL.iter().map(|name| format!("lib/modules/6.1.0-37-amd64/kernel/{name}.ko")).collect();
    let mut inside: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "x")).collect();
    inside.extend([
        ("usr/lib/udev/rules.d/80-net-setup-link.rules", "x"),
        ("usr/lib/systemd/network/99-default.link", "x"),
    ]);
    let files = [
        DEBIAN[2],
        ("/etc/initramfs-tools/initramfs.conf", "MODULES=most\n"),
        ("/etc/udev/rules.d/70-persistent-net.rules", "x"),
        ("/etc/systemd/network/10-vmdk2kvm-ens192.link", "x"),
    ];
    let all = || vec![kernel("6.1.0-37-amd64", &ALL, &[], Some(PATH))];
    assert!(plan(InitramfsMode::Rebuild, all(), &files, &[(PATH, archive(&inside))]).changes.is_empty());
    let appended = plan(InitramfsMode::Auto, all(), &files, &[(PATH, archive(&inside))]);
    let Action::ExtendInitramfs { drivers, files, .. } = &appended.changes[0].action else { panic!() };
    assert!(drivers.is_empty());
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["usr/lib/systemd/network/10-vmdk2kvm-ens192.link", "etc/udev/rules.d/70-persistent-net.rules"]);
}

#[test]
fn rebuilds_what_cannot_be_appended_to() {
    let dracut = [("/usr/bin/dracut", ""), ("/etc/dracut.conf", "")];
    let all = |path| vec![kernel("5.4.0-150-generic", &ALL, &[], path)];
    let drop_in = "/etc/dracut.conf.d/90-vmdk2kvm.conf";
    let found = plan(InitramfsMode::Auto, all(None), &dracut, &[]);
    assert_eq!(
        kinds(&found),
        [("write_file", drop_in), ("rebuild_initramfs", "/boot/initramfs-5.4.0-150-generic.img")]
    );
    let broken = plan(InitramfsMode::Auto, all(Some(PATH)), &dracut, &[(PATH, b"nonsense".to_vec())]);
    assert_eq!(kinds(&broken)[1], ("rebuild_initramfs", PATH));
    assert_eq!(broken.findings[0].code, "initramfs-unreadable");
    // LZ4 on a kernel that stumbles over what follows.
    let mut lz4 = vec![0x02, 0x21, 0x4c, 0x18];
    let block = lz4_flex::block::compress(&archive(OLD));
    lz4.extend_from_slice(&(block.len() as u32).to_le_bytes());
    lz4.extend_from_slice(&block);
    assert_eq!(
        kinds(&plan(InitramfsMode::Auto, all(Some(PATH)), &dracut, &[(PATH, lz4.clone())]))[1].0,
        "rebuild_initramfs"
    );
    let forced = plan(InitramfsMode::Append, all(Some(PATH)), &dracut, &[(PATH, lz4)]);
    assert_eq!(forced.findings[0].code, "initramfs-cannot-be-extended");
    let hint = "let the guest rebuild it: --set plugin.linux-fixes.initramfs=rebuild";
    assert_eq!(forced.findings[0].hint, hint);
    let told = plan(InitramfsMode::Rebuild, all(Some(PATH)), &dracut, &[(PATH, archive(OLD))]);
    assert_eq!(kinds(&told)[1], ("rebuild_initramfs", PATH));
    let no_tool = plan(InitramfsMode::Auto, all(None), &[], &[]);
    assert_eq!(
        (no_tool.findings[0].code.as_str(), no_tool.findings[0].severity),
        ("initramfs-without-tool", Severity::Block)
    );
}

#[test]
fn a_kernel_without_virtio_is_a_finding() {
    let found = plan(InitramfsMode::Auto, vec![kernel("2.6.18", &[], &[], None)], &[], &[]);
    assert!(found.changes.is_empty());
    assert_eq!(found.findings[0].code, "kernel-without-virtio");
}

//! A real guest as an OVA: looked at, flattened with its digests verified, and refused when a digest differs.
//! Requires tar (Debian: tar) and qemu-img (qemu-utils).
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use vmdk2kvm_tests::{LabGuest, digest, lab_files, outcome, plugin_folder, run};

/// The guest's stream-optimized disk in an OVA, with this digest of the disk in its manifest.
fn ova(guest: &LabGuest, folder: &Path, name: &str, disk_digest: &str) -> PathBuf {
    let disk = format!("{}.vmdk", guest.name);
    let size = std::fs::metadata(guest.folder.join("stream").join(&disk)).unwrap().len();
    let item = |kind: u32, id: u32, rest: &str| {
        format!(
            "<Item><rasd:InstanceID>{id}</rasd:InstanceID><rasd:ResourceType>{kind}</rasd:ResourceType>{rest}</Item>"
        )
    };
    let hardware = [
        item(3, 1, "<rasd:VirtualQuantity>2</rasd:VirtualQuantity>"),
        item(
            4,
            2,
            "<rasd:AllocationUnits>byte * 2^20</rasd:AllocationUnits><rasd:VirtualQuantity>1024</rasd:VirtualQuantity>",
        ),
        item(6, 3, "<rasd:Address>0</rasd:Address><rasd:ResourceSubType>VirtualSCSI</rasd:ResourceSubType>"),
        item(
            17,
            4,
            "<rasd:AddressOnParent>0</rasd:AddressOnParent><rasd:HostResource>ovf:/disk/d</rasd:HostResource><rasd:Parent>3</rasd:Parent>",
        ),
        item(
            10,
            5,
            "<rasd:AddressOnParent>7</rasd:AddressOnParent><rasd:Address>00:50:56:AA:BB:01</rasd:Address>\
             <rasd:Connection>VM Network</rasd:Connection><rasd:ResourceSubType>VmxNet3</rasd:ResourceSubType>",
        ),
    ];
    let ovf = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Envelope xmlns=\"http://schemas.dmtf.org/ovf/envelope/1\" xmlns:ovf=\"http://schemas.dmtf.org/ovf/envelope/1\" \
         xmlns:rasd=\"http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData\" xmlns:vmw=\"http://www.vmware.com/schema/ovf\">\
         <References><File ovf:id=\"f\" ovf:href=\"{disk}\" ovf:size=\"{size}\"/></References>\
         <DiskSection><Info/><Disk ovf:diskId=\"d\" ovf:fileRef=\"f\" ovf:capacity=\"{}\" \
         ovf:format=\"http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized\"/></DiskSection>\
         <VirtualSystem ovf:id=\"vm\"><Info/><Name>lab guest</Name><VirtualHardwareSection>{}\
         <vmw:Config vmw:key=\"firmware\" vmw:value=\"bios\"/></VirtualHardwareSection></VirtualSystem></Envelope>\n",
        capacity(guest),
        hardware.concat()
    );
    std::fs::write(folder.join("guest.ovf"), ovf).unwrap();
    let manifest = format!("SHA256(guest.ovf)= {}\nSHA256({disk})= {disk_digest}\n", digest(&folder.join("guest.ovf")));
    std::fs::write(folder.join("guest.mf"), manifest).unwrap();
    let archive = folder.join(name);
    let packed = Command::new("tar")
        .arg("-cf")
        .arg(&archive)
        .arg("-C")
        .arg(folder)
        .args(["guest.ovf", "guest.mf", "-C"])
        .arg(guest.folder.join("stream"))
        .arg(&disk)
        .status()
        .expect("tar (package tar)");
    assert!(packed.success());
    archive
}

fn capacity(guest: &LabGuest) -> u64 {
    std::fs::metadata(guest.folder.join("disk.raw")).unwrap().len()
}

#[test]
fn an_ova_is_looked_at_flattened_and_verified() {
    let guest = lab_files("bookworm-bios");
    let folder = tempfile::tempdir().unwrap();
    let right = digest(&guest.folder.join(format!("stream/{}.vmdk", guest.name)));
    let ova_path = ova(&guest, folder.path(), "guest.ova", &right);
    let archive = ova_path.to_str().unwrap();
    let before = digest(&ova_path);

    let vms = run(&["inventory", archive]).expect(0).json;
    let vm = &vms["vms"][0];
    assert_eq!((vm["name"].as_str(), vm["memory_bytes"].as_u64()), (Some("lab guest"), Some(1 << 30)));
    assert_eq!(vm["nics"][0]["mac"], "00:50:56:aa:bb:01");
    assert_eq!(vm["guessed"].as_array().unwrap().len(), 0);
    let disk = &vm["disks"][0];
    assert_eq!((disk["controller"].as_str(), disk["format"].as_str()), (Some("scsi"), Some("vmdk")));
    assert_eq!(disk["capacity_bytes"], capacity(&guest));
    assert_eq!(disk["path"], format!("{archive}/{}.vmdk", guest.name));

    let output = folder.path().join("out");
    let report = run(&["flatten", archive, "-o", output.to_str().unwrap()]).expect(0).json;
    let compared = Command::new("qemu-img")
        .args(["compare", "-f", "raw", "-F", "qcow2"])
        .arg(guest.folder.join("disk.raw"))
        .arg(output.join(report["images"][0]["path"].as_str().unwrap()))
        .status()
        .expect("qemu-img (package qemu-utils)");
    assert!(compared.success(), "the flattened disk is another");
    assert_eq!(report["source"]["disks"][0]["verified"], true);
    assert_eq!(digest(&ova_path), before, "the source changed");
}

#[test]
fn an_ova_whose_digest_differs_leaves_nothing() {
    let guest = lab_files("bookworm-bios");
    let folder = tempfile::tempdir().unwrap();
    let wrong = "0".repeat(64);
    let right = digest(&guest.folder.join(format!("stream/{}.vmdk", guest.name)));
    let archive = ova(&guest, folder.path(), "guest.ova", &wrong);
    let output = folder.path().join("out");
    // A second time, too: nothing of the first run counts.
    for _ in 0..2 {
        let outcome = run(&["flatten", archive.to_str().unwrap(), "-o", output.to_str().unwrap()]).expect(65);
        let expected =
            format!("{}/{}.vmdk: its SHA256 is {right}, and the manifest says {wrong}", archive.display(), guest.name);
        assert_eq!((outcome.message(), outcome.json["error"]["stage"].as_str()), (expected.as_str(), Some("flatten")));
        let left = std::fs::read_dir(&output)
            .map_or(Vec::new(), |entries| entries.map(|entry| entry.unwrap().file_name()).collect());
        let images = left.iter().filter(|name| !name.to_string_lossy().starts_with('.')).count();
        assert_eq!(images, 0, "{left:?}");
    }
}

/// A root with the program, its plugins and the libraries that it is linked with, `/proc`, `/dev/null` and `/tmp`.
fn bare_root() -> tempfile::TempDir {
    let root = tempfile::Builder::new().permissions(PermissionsExt::from_mode(0o755)).tempdir().unwrap();
    let make = |name: &str| std::fs::create_dir_all(root.path().join(name)).unwrap();
    ["opt", "proc", "dev", "tmp"].into_iter().for_each(make);
    std::fs::set_permissions(root.path().join("tmp"), PermissionsExt::from_mode(0o1777)).unwrap();
    std::fs::write(root.path().join("dev/null"), "").unwrap();
    let bundle = plugin_folder(&[]);
    let files: Vec<_> = std::fs::read_dir(bundle.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    let linked = Command::new("ldd").args(&files).output().expect("ldd (package libc-bin)");
    for word in String::from_utf8(linked.stdout).unwrap().split_whitespace() {
        let (name, path) = (word.rsplit('/').next().unwrap(), Path::new(word));
        if path.is_absolute() && name.contains(".so") && !path.starts_with(bundle.path()) {
            let place = root.path().join(path.strip_prefix("/").unwrap());
            std::fs::create_dir_all(place.parent().unwrap()).unwrap();
            std::fs::copy(path, place).unwrap();
        }
    }
    for file in files {
        std::fs::copy(&file, root.path().join("opt").join(file.file_name().unwrap())).unwrap();
    }
    root
}

#[test]
fn an_ova_is_planned_by_nobody_where_nothing_else_is() {
    let guest = lab_files("bookworm-bios");
    let root = bare_root();
    let folder = tempfile::tempdir().unwrap();
    let disk = digest(&guest.folder.join("stream").join(format!("{}.vmdk", guest.name)));
    let archive = ova(&guest, folder.path(), "guest.ova", &disk);
    std::fs::copy(&archive, root.path().join("opt/guest.ova")).unwrap();
    let script = "mount -t proc proc \"$1/proc\" && mount --bind /dev/null \"$1/dev/null\" && \
                  exec env -i /usr/sbin/chroot --userspec=65534:65534 \"$1\" /opt/vmdk2kvm --json plan /opt/guest.ova";
    let mut nobody = Command::new("unshare");
    nobody.args(["--mount", "sh", "-c", script, "sh"]).arg(root.path());
    let plan = outcome(&nobody.output().expect("unshare (package util-linux)")).expect(0).json;
    let as_root = run(&["plan", archive.to_str().unwrap()]).expect(0).json;
    assert_eq!(plan["changes"], as_root["changes"]);
    assert!(plan["changes"].as_array().unwrap().len() > 5, "{plan:#}");
}

//! Choices from fake sources in every layout.

use std::fs;
use std::os::unix::fs::FileExt;

use super::*;
use crate::testing::{Layout, OLDER, RECENT, SignedBy, catalogue, iso, source};
use crate::version::ProductType;

fn client(build: u32, architecture: Architecture) -> Wanted {
    Wanted { windows: Windows::new(build, ProductType::Client, architecture), secure_boot: false }
}

fn server(build: u32) -> Wanted {
    Wanted { windows: Windows::new(build, ProductType::Server, Architecture::Amd64), secure_boot: false }
}

fn fake(layout: Layout, releases: &[crate::testing::Release]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    source(folder.path(), layout, releases);
    folder
}

fn chosen(source: &DriverSource, wanted: &Wanted) -> Vec<String> {
    source.choose(wanted).packages.iter().map(|package| format!("{:?} {}", package.device, package.folder)).collect()
}

fn releases(os: &[&str]) -> Vec<crate::testing::Release> {
    RECENT.into_iter().filter(|release| os.contains(&release.os)).collect()
}

#[test]
fn the_best_folder_of_every_driver_from_an_iso() {
    let folder = fake(Layout::Iso, &RECENT);
    let file = folder.path().join("virtio-win.iso");
    let out = tempfile::tempdir().unwrap();
    let image = out.path().join("virtio-win.iso");
    iso(folder.path(), &image);
    assert!(!file.exists());
    let source = DriverSource::open(&image).unwrap();
    let drivers = ["balloon", "netkvm", "pvpanic", "qemupciserial", "smbus", "vioscsi", "vioser", "viostor"];
    assert_eq!(source.drivers(), drivers);
    let expected = [
        "Block viostor/w11/amd64",
        "Scsi vioscsi/w11/amd64",
        "Network NetKVM/w11/amd64",
        "Balloon Balloon/w11/amd64",
        "Serial vioserial/w11/amd64",
        "Panic pvpanic/w11/amd64",
        "SmBus smbus/w11/amd64",
        "PciSerial qemupciserial/w11/amd64",
    ];
    assert_eq!(chosen(&source, &client(22631, Architecture::Amd64)), expected);
    for (wanted, os, arch) in [
        (client(7601, Architecture::Amd64), "w7", "amd64"),
        (client(7601, Architecture::X86), "w7", "x86"),
        (server(7601), "2k8R2", "amd64"),
        (client(19045, Architecture::Amd64), "w10", "amd64"),
        (client(19045, Architecture::Arm64), "w10", "ARM64"),
        (client(22631, Architecture::Arm64), "w10", "ARM64"),
        (server(14393), "2k16", "amd64"),
        (server(17763), "2k19", "amd64"),
        (server(20348), "2k22", "amd64"),
        (server(26100), "2k25", "amd64"),
    ] {
        let selection = source.choose(&wanted);
        let package =
            selection.of(Device::Block).unwrap_or_else(|| panic!("{}: {:?}", wanted.windows, selection.missing));
        assert_eq!(package.folder, format!("viostor/{os}/{arch}"), "{}", wanted.windows);
        assert_eq!((selection.packages.len(), package.doubts.as_slice(), &package.needs), (8, &[][..], &None));
    }
    // Reading and extracting give the same bytes.
    let selection = source.choose(&client(19045, Architecture::Amd64));
    let package = selection.of(Device::Network).unwrap();
    let names: Vec<_> = package.all_files().map(SourceFile::name).collect();
    assert_eq!(names, ["netkvm.inf", "netkvm.cat", "netkvm.sys", "netkvmco.dll"]);
    for file in package.all_files() {
        let (path, offset) = source.on_this_machine(file).unwrap();
        assert_eq!(path, image);
        let mut bytes = vec![0; usize::try_from(file.size()).unwrap()];
        fs::File::open(path).unwrap().read_exact_at(&mut bytes, offset).unwrap();
        assert_eq!(bytes, source.read(file).unwrap());
        assert_eq!(source.read(file).unwrap(), fs::read(folder.path().join(file.path())).unwrap());
    }
    assert_eq!(source.guest_agent(Architecture::Amd64).unwrap().path(), "guest-agent/qemu-ga-x86_64.msi");
    assert_eq!(source.guest_agent(Architecture::X86).unwrap().path(), "guest-agent/qemu-ga-i386.msi");
    assert!(source.guest_agent(Architecture::Arm64).is_none());
}

#[test]
fn a_driver_that_does_not_load_is_never_chosen() {
    let recent = fake(Layout::ByDriver, &releases(&["w8.1", "2k12R2", "w10"]));
    let source = DriverSource::open(recent.path()).unwrap();
    for (wanted, folder) in [(client(9600, Architecture::Amd64), "w8.1"), (server(9600), "2k12R2")] {
        let selection = source.choose(&wanted);
        assert!(selection.packages.is_empty());
        let missing = selection.missing.iter().find(|missing| missing.driver == "viostor").unwrap();
        let reason = "its signature by Red Hat, Inc. is self-signed: Windows would stop with 0xC0000428";
        assert_eq!(missing.rejected[0].folder, format!("drivers/by-driver/viostor/{folder}/amd64"));
        assert_eq!((missing.rejected[0].reason.as_str(), missing.rejected.len()), (reason, 1));
        assert_eq!(missing.has, ["2k12R2", "w10", "w8.1"]);
    }
    let older = fake(Layout::ByOs, &OLDER);
    let source = DriverSource::open(older.path()).unwrap();
    let selection = source.choose(&client(9600, Architecture::Amd64));
    assert_eq!(selection.of(Device::Scsi).unwrap().folder, "drivers/by-os/amd64/w8.1");
    assert_eq!(selection.packages.len(), 8);
    let with_secure_boot = Wanted { secure_boot: true, ..client(19045, Architecture::Amd64) };
    assert!(source.choose(&with_secure_boot).packages.is_empty());
}

#[test]
fn what_is_for_no_such_windows_is_missing_with_what_there_is() {
    let folder = fake(Layout::Short, &releases(&["w10"]));
    let source = DriverSource::open(folder.path()).unwrap();
    assert_eq!(source.choose(&client(19045, Architecture::X86)).of(Device::Block).unwrap().folder, "i386/w10");
    for wanted in [client(2600, Architecture::X86), client(7601, Architecture::X86), server(9200)] {
        let selection = source.choose(&wanted);
        assert!(selection.packages.is_empty(), "{}", wanted.windows);
        assert!(selection.missing.iter().all(|missing| missing.rejected.is_empty() && missing.has == ["w10"]));
    }
}

#[test]
fn a_later_folder_stands_in_for_a_broken_one() {
    let folder = fake(Layout::Iso, &releases(&["w10", "w11"]));
    let place = |driver: &str, file: &str| folder.path().join(driver).join("w11/amd64").join(file);
    let wanted = client(22631, Architecture::Amd64);
    let rejected = |driver: &str| {
        let selection = DriverSource::open(folder.path()).unwrap().choose(&wanted);
        let package = selection.packages.into_iter().find(|package| package.driver == driver.to_lowercase()).unwrap();
        assert_eq!(package.os, "w10", "{driver}");
        package.rejected.into_iter().next().unwrap().reason
    };
    fs::remove_file(place("viostor", "viostor.sys")).unwrap();
    assert_eq!(rejected("viostor"), "viostor.sys is missing beside viostor.inf");
    fs::write(place("vioscsi", "vioscsi.inf"), "no INF").unwrap();
    assert_eq!(
        rejected("vioscsi"),
        "the INF vioscsi.inf cannot be used: it has no [Version] section with a signature of Windows"
    );
    fs::write(place("NetKVM", "netkvm.cat"), "no catalogue").unwrap();
    assert!(rejected("netkvm").starts_with("the catalogue netkvm.cat cannot be used: "));
    fs::remove_file(place("pvpanic", "pvpanic.cat")).unwrap();
    assert_eq!(rejected("pvpanic"), "pvpanic.cat is missing beside pvpanic.inf");
    for other in [Architecture::Arm64, Architecture::X86] {
        fs::write(place("vioserial", "vioser.sys"), crate::testing::program(other, b"x")).unwrap();
        assert_eq!(rejected("vioser"), format!("vioser.sys is a program for {other}"));
    }
    let newer = crate::testing::infs::BALLOON.inf("amd64.10.0...30000");
    fs::write(place("Balloon", "balloon.inf"), newer).unwrap();
    assert_eq!(rejected("balloon"), "balloon.inf is for NTamd64.10.0...30000, not for Windows 11 (build 22631, amd64)");
    // And of the folders behind the chosen one is said that it was better.
    let selection = DriverSource::open(folder.path()).unwrap().choose(&wanted);
    let sound = selection.packages.iter().find(|package| package.driver == "smbus").unwrap();
    assert_eq!(
        (sound.rejected[0].folder.as_str(), sound.rejected[0].reason.as_str()),
        ("smbus/w10/amd64", "w11 fits better")
    );
    assert_eq!(
        sound.why(),
        "smbus/w11/amd64 is the best folder of this driver that this Windows can have, signed in the name of Microsoft Windows \
         Hardware Compatibility Publisher"
    );
}

#[test]
fn a_changed_file_and_an_empty_catalogue_are_doubts() {
    let folder = fake(Layout::Iso, &releases(&["w10"]));
    let place = |driver: &str, file: &str| folder.path().join(driver).join("w10/amd64").join(file);
    fs::write(place("viostor", "viostor.sys"), crate::testing::program(Architecture::Amd64, b"changed")).unwrap();
    let empty = catalogue(SignedBy::Microsoft, crate::catalogue::DigestAlgorithm::Sha256, "2:10.0", &[]);
    fs::write(place("vioscsi", "vioscsi.cat"), empty).unwrap();
    let selection = DriverSource::open(folder.path()).unwrap().choose(&client(19045, Architecture::Amd64));
    let doubts = |device| selection.of(device).unwrap().doubts.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(doubts(Device::Block), ["its catalogue does not cover viostor.sys"]);
    assert_eq!(doubts(Device::Scsi), ["its catalogue lists no files"]);
    // 32 bits take a package without any.
    fs::remove_file(folder.path().join("viostor/w10/x86/viostor.cat")).unwrap();
    let selection = DriverSource::open(folder.path()).unwrap().choose(&client(19045, Architecture::X86));
    assert_eq!(selection.of(Device::Block).unwrap().doubts, [Doubt::NoCatalogue]);
}

#[test]
fn windows_7_is_told_what_it_needs() {
    let mut release = releases(&["w7"])[1];
    assert_eq!(release.architecture, Architecture::Amd64);
    release.algorithm = crate::catalogue::DigestAlgorithm::Sha256;
    let folder = fake(Layout::Iso, &[release]);
    let selection = DriverSource::open(folder.path()).unwrap().choose(&client(7601, Architecture::Amd64));
    let needs = selection.of(Device::Block).unwrap().needs.as_deref();
    assert_eq!(needs, Some("the update KB3033929, since its catalogue is signed with SHA-256"));
}

#[test]
fn two_drivers_of_one_device_are_one() {
    let folder = fake(Layout::Iso, &releases(&["w10"]));
    let place = |driver: &str| folder.path().join(driver).join("w10/amd64");
    // A package that only names the panic device, under a name that sorts first.
    let text = crate::testing::infs::SMBUS
        .inf("amd64.10.0")
        .replace(r"PCI\VEN_8086&DEV_2930&SUBSYS_11001AF4", r"ACPI\QEMU0001");
    fs::write(place("smbus").join("aaa.inf"), text).unwrap();
    let selection = DriverSource::open(folder.path()).unwrap().choose(&client(19045, Architecture::Amd64));
    assert_eq!(selection.of(Device::Panic).unwrap().driver, "pvpanic");
    let missing = selection.missing.iter().find(|missing| missing.driver == "aaa").unwrap();
    assert_eq!(missing.rejected[0].reason, "pvpanic drives the same device");
}

#[test]
fn a_link_is_followed_as_far_as_the_source_goes() {
    let folder = fake(Layout::ByDriver, &releases(&["w10"]));
    let elsewhere = fake(Layout::Iso, &releases(&["w11"]));
    let link = |to: &Path, at: &str| {
        let at = folder.path().join(at);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(to, at).unwrap();
    };
    link(&elsewhere.path().join("viostor"), "viostor");
    link(&folder.path().join("drivers/by-driver/vioscsi/w10/amd64"), "linked/w11/amd64");
    link(folder.path(), "drivers/loop");
    let source = DriverSource::open(folder.path()).unwrap();
    let selection = source.choose(&client(22631, Architecture::Amd64));
    assert_eq!(selection.of(Device::Block).unwrap().os, "w10");
    assert_eq!(selection.of(Device::Scsi).unwrap().folder, "linked/w11/amd64");
}

#[test]
fn a_source_without_drivers_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let error = |path: &Path| DriverSource::open(path).err().unwrap().message;
    assert!(error(folder.path()).ends_with(" holds no virtio drivers for Windows"));
    assert!(error(&folder.path().join("x.iso")).contains("cannot be read: No such file"));
    let file = folder.path().join("text.iso");
    fs::write(&file, "text").unwrap();
    assert!(error(&file).ends_with("cannot be read as an ISO image: it has no ISO 9660 descriptor"));
}

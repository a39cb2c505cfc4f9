//! INF files in the syntax of the public drivers, through the public functions.

use super::*;
use crate::testing::infs;
use crate::version::ProductType;

const W7: Windows = Windows::new(7601, ProductType::Client, Architecture::Amd64);
const W81: Windows = Windows::new(9600, ProductType::Client, Architecture::Amd64);
const W10: Windows = Windows::new(19045, ProductType::Client, Architecture::Amd64);
const W7X86: Windows = Windows::new(7601, ProductType::Client, Architecture::X86);

fn parse(driver: infs::FakeDriver, target: &str) -> Inf {
    Inf::parse(driver.stem, driver.inf(target).as_bytes()).unwrap()
}

/// The first model's section.
fn installed(driver: infs::FakeDriver, target: &str, windows: &Windows) -> Install {
    let inf = parse(driver, target);
    let model = inf.models(windows).unwrap().remove(0);
    inf.install(&model.install, windows).unwrap()
}

fn lines(values: &[RegistryValue]) -> Vec<String> {
    values.iter().map(|it| format!("{}\\{}={:?}", it.key, it.name, it.data)).collect()
}

fn copied(install: &Install) -> Vec<String> {
    let place = |copy: &FileCopy| format!("{} -> {:?}\\{}", copy.source, copy.directory, copy.name);
    install.copies.iter().map(place).collect()
}

#[test]
fn a_package_says_what_it_is() {
    let inf = parse(infs::VIOSTOR, "amd64.6.1");
    assert_eq!((inf.class().as_str(), inf.name()), ("SCSIAdapter", "viostor"));
    assert_eq!(inf.class_guid(), "{4D36E97B-E325-11CE-BFC1-08002BE10318}");
    assert_eq!((inf.provider().written.as_str(), inf.provider().text.as_str()), ("%VENDOR%", "Red Hat, Inc."));
    assert_eq!(inf.driver_version().unwrap().to_string(), "61.73.104.12000 of 2016-06-21");
    assert_eq!(inf.catalogue(Architecture::Amd64).as_deref(), Some("viostor.cat"));
    assert_eq!(inf.strings()["block.name"], "VirtIO block controller (fake)");
    assert_eq!(inf.targets(), ["NTamd64.6.1"]);
}

#[test]
fn a_catalogue_may_be_named_for_an_architecture() {
    let text = "[Version]\nSignature=$Chicago$\nCatalogFile=a.cat\nCatalogFile.NT=b.cat\nCatalogFile.NTamd64=c.cat\n";
    let inf = Inf::parse("x.inf", text.as_bytes()).unwrap();
    assert_eq!(inf.catalogue(Architecture::Amd64).as_deref(), Some("c.cat"));
    assert_eq!(inf.catalogue(Architecture::X86).as_deref(), Some("b.cat"));
}

#[test]
fn models_are_those_for_this_windows() {
    for (target, windows, accepted) in [
        ("amd64.6.1", W7, true),
        ("amd64.6.1", W10, true),
        ("amd64.6.3", W7, false),
        ("amd64.6.3", W81, true),
        ("amd64.10.0", W81, false),
        ("amd64.10.0...16299", W10, true),
        ("x86.6.1", W7, false),
        ("x86.6.1", W7X86, true),
        ("amd64.6.1", W7X86, false),
        ("arm64.10.0", W10, false),
    ] {
        let models = parse(infs::VIOSTOR, target).models(&windows).unwrap();
        assert_eq!(!models.is_empty(), accepted, "{target} on {windows}");
    }
    let models = parse(infs::VIOSTOR, "amd64.6.1").models(&W7).unwrap();
    let ids: Vec<_> = models.iter().flat_map(|model| &model.ids).collect();
    assert_eq!(
        ids,
        [
            "PCI\\VEN_1AF4&DEV_1001&SUBSYS_00021AF4&REV_00",
            "PCI\\VEN_1AF4&DEV_1001",
            "PCI\\VEN_1AF4&DEV_1042&SUBSYS_11001AF4&REV_01",
            "PCI\\VEN_1AF4&DEV_1042"
        ]
    );
    assert_eq!(models[0].description.written, "%Block.Name%");
    assert_eq!((models[0].manufacturer.text.as_str(), models[0].install.as_str()), ("Red Hat, Inc.", "block_inst"));
}

#[test]
fn a_continued_line_and_an_undecorated_section() {
    let ids = |windows| parse(infs::VIOSER, "amd64.6.1").models(&windows).unwrap().remove(0).ids;
    assert_eq!(ids(W7), ["PCI\\VEN_1AF4&DEV_1003&SUBSYS_00031AF4&REV_00", "PCI\\VEN_1AF4&DEV_1003"]);
    // Without a decoration for it, x86 takes the plain section, and no other architecture does.
    assert_eq!(ids(W7X86), ["PCI\\VEN_1AF4&DEV_1003&SUBSYS_00031AF4"]);
    assert!(parse(infs::VIOSER, "x86.6.1").models(&W7).unwrap().is_empty());
}

#[test]
fn an_inf_may_exclude_a_windows_by_a_section_that_is_not_there() {
    let text = "[Version]\nSignature=$Windows NT$\n[Manufacturer]\n%x%=M,NTamd64.6.1,NTamd64.10.0\n[M.NTamd64.6.1]\n\"a\"=i,PCI\\1\n";
    let inf = Inf::parse("x.inf", text.as_bytes()).unwrap();
    assert_eq!((inf.models(&W81).unwrap().len(), inf.models(&W10).unwrap().len()), (1, 0));
}

#[test]
fn a_boot_driver_with_its_values() {
    let install = installed(infs::VIOSTOR, "amd64.6.1", &W7);
    assert_eq!(install.section, "block_inst");
    assert_eq!(copied(&install), ["viostor.sys -> Drivers\\viostor.sys"]);
    let service = install.function().unwrap();
    assert_eq!((service.name.as_str(), service.load_order_group.as_deref()), ("viostor", Some("SCSI miniport")));
    assert_eq!((service.service_type, service.start_type, service.error_control), (1, 0, 1));
    assert_eq!((service.directory, service.binary.as_str()), (Directory::Drivers, "viostor.sys"));
    assert_eq!(lines(&service.registry), ["Parameters\\PnpInterface\\5=Number(1)", "Parameters\\BusType=Number(1)"]);
    assert_eq!(
        lines(&install.hardware),
        [
            "Interrupt Management\\=KeyOnly",
            "Interrupt Management\\MessageSignaledInterruptProperties\\=KeyOnly",
            "Interrupt Management\\MessageSignaledInterruptProperties\\MSISupported=Number(1)",
            "Interrupt Management\\MessageSignaledInterruptProperties\\MessageNumberLimit=Number(257)",
            "Interrupt Management\\Affinity Policy\\=KeyOnly",
            "Interrupt Management\\Affinity Policy\\DevicePolicy=Number(5)",
        ]
    );
    // The INF of Windows 11 names the driver store; System32\drivers is a folder of Windows, the store is not.
    let newer = installed(infs::VIOSTOR, "amd64.10.0...16299", &W10);
    let directory = newer.function().unwrap().directory;
    assert_eq!((directory, directory.in_windows()), (Directory::DriverStore, None));
    assert_eq!(Directory::Drivers.in_windows(), Some("System32\\drivers"));
}

#[test]
fn the_bus_of_the_other_disk_driver() {
    let install = installed(infs::VIOSCSI, "amd64.6.3", &W81);
    assert_eq!(copied(&install), ["vioscsi.sys -> Drivers\\vioscsi.sys"]);
    assert_eq!(
        lines(&install.function().unwrap().registry),
        [
            "Parameters\\PnpInterface\\5=Number(1)",
            "Parameters\\BusType=Number(10)",
            "Parameters\\DmaRemappingCompatible=Number(0)"
        ]
    );
}

#[test]
fn a_card_with_its_settings_and_its_helper() {
    let install = installed(infs::NETKVM, "amd64.6.3", &W81);
    assert_eq!(copied(&install), ["netkvm.sys -> Drivers\\netkvm.sys", "netkvmco.dll -> System32\\netkvmco.dll"]);
    let settings: Vec<_> = install.settings.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(settings, ["Characteristics=0x84", "BusType=5", "*IfType=6", "*MediaType=0"]);
    assert_eq!(
        lines(&install.registry),
        [
            "\\BusNumber=Text(\"0\")",
            "Ndi\\Service=Text(\"netkvm\")",
            "Ndi\\Interfaces\\UpperRange=Text(\"ndis5\")",
            "Ndi\\Params\\*RSS\\ParamDesc=Text(\"Receive side scaling\")",
            "Ndi\\params\\*RSS\\enum\\0=Text(\"Disabled\")"
        ]
    );
    let service = install.function().unwrap();
    assert_eq!(lines(&service.registry), ["\\TextModeFlags=Number(1)", "Parameters\\DisableMSI=Text(\"0\")"]);
    assert_eq!((service.start_type, service.load_order_group.as_deref()), (3, Some("NDIS")));
    assert_eq!(parse(infs::NETKVM, "amd64.6.3").files(&W81).unwrap(), ["netkvm.sys", "netkvmco.dll"]);
}

#[test]
fn sections_for_nt_and_co_installers() {
    for (driver, section, program) in
        [(infs::BALLOON, "Balloon_Device.NT", "balloon.sys"), (infs::VIOSER, "Serial_Device.NT", "vioser.sys")]
    {
        let install = installed(driver, "amd64.6.1", &W7);
        assert_eq!(install.section, section);
        assert_eq!(
            copied(&install),
            [
                format!("{program} -> Drivers\\{program}"),
                "WdfCoInstaller01009.dll -> System32\\WdfCoInstaller01009.dll".to_owned()
            ]
        );
    }
}

#[test]
fn packages_without_a_service() {
    let null = installed(infs::SMBUS, "amd64.10.0", &W10);
    assert!(null.services.is_empty() && null.copies.is_empty());
    let borrowed = installed(infs::PCISERIAL, "amd64.10.0", &W10);
    assert_eq!((borrowed.includes, borrowed.needs), (vec!["mf.inf".to_owned()], vec!["MFINSTALL.mf".to_owned()]));
    assert_eq!(
        lines(&borrowed.hardware),
        [
            "Child0000\\HardwareID=Text(\"*PNP0501\")",
            "Child0000\\VaryingResourceMap=Bytes(3, [0, 0, 0, 0, 0, 8, 0, 0, 0])",
            "Child0000\\ResourceMap=Bytes(3, [2])"
        ]
    );
}

#[test]
fn every_kind_of_value_as_a_hive_stores_it() {
    let value = |line: &str| {
        let text = format!("[Version]\nSignature=$Windows NT$\n[i]\nAddReg=r\n[r]\n{line}\n");
        let inf = Inf::parse("x.inf", text.as_bytes()).unwrap();
        inf.install("i", &W10).map(|mut install| install.registry.remove(0))
    };
    for (line, stored) in [
        ("HKR,,v,,a", Some((1, b"a\0\0\0".to_vec()))),
        ("HKR,,v,0x00020000,\"%%a%%\"", Some((2, b"%\0a\0%\0\0\0".to_vec()))),
        ("HKR,,v,0x10000,a,b", Some((7, b"a\0\0\0b\0\0\0\0\0".to_vec()))),
        ("HKR,,v,0x10001,0x102", Some((4, vec![2, 1, 0, 0]))),
        ("HKR,,v,0x10001,-1", Some((4, vec![255; 4]))),
        ("HKR,,v,0x10001,1,2,0,ff", Some((4, vec![1, 2, 0, 255]))),
        ("HKR,,v,0x10001", Some((4, vec![0; 4]))),
        ("HKR,,v,1,0a,FF,", Some((3, vec![10, 255]))),
        ("HKR,,v,0x20001,1", Some((0, vec![1]))),
        ("HKR,,v,0xb0001,1,0,0,0,0,0,0,0", Some((11, vec![1, 0, 0, 0, 0, 0, 0, 0]))),
        ("HKR,k,,0x10", None),
        ("HKR,,v,0x4", None),
    ] {
        assert_eq!(value(line).unwrap().data.stored(), stored, "{line}");
    }
    let flagged = value("hklm,\\A\\B\\,v,0x1000a,a").unwrap();
    assert_eq!((flagged.root, flagged.key.as_str()), (Root::LocalMachine, "A\\B"));
    assert!(flagged.keeps && flagged.appends);
    for (line, why) in [
        ("HKXX,,v,,a", "\"HKXX\" is no root of the registry"),
        ("HKR,,v,often,a", "\"often\" are no flags of a registry value"),
        ("HKR,,v,0x10001,many", "\"many\" is no number of 32 bits"),
        ("HKR,,v,1,123", "\"123\" is no byte"),
    ] {
        let error = value(line).unwrap_err().message;
        assert!(error.starts_with("the INF x.inf cannot be used: [r]: ") && error.ends_with(why), "{error}");
    }
}

#[test]
fn where_a_file_lies_in_its_package() {
    let text = "[Version]\nSignature=$Windows NT$\n[SourceDisksNames]\n1=d,,,\\top\n[SourceDisksNames.amd64]\n1=d,,,.\\x64\n\
        [SourceDisksFiles]\na.sys=1,sub\\deep\n[SourceDisksFiles.x86]\na.sys=1\n[DestinationDirs]\nc=10,sub\n\
        [i]\nCopyFiles=c,@b.dll\n[c]\nnew.sys,a.sys\n";
    let inf = Inf::parse("x.inf", text.as_bytes()).unwrap();
    let copies = |windows| inf.install("i", &windows).unwrap().copies;
    let sources = |windows| copies(windows).into_iter().map(|copy| copy.source).collect::<Vec<_>>();
    assert_eq!(sources(W10), ["x64/sub/deep/a.sys", "b.dll"]);
    assert_eq!(sources(W7X86), ["top/a.sys", "b.dll"]);
    let copies = copies(W10);
    assert_eq!((copies[0].directory, copies[0].subfolder.as_str()), (Directory::Windows, "sub"));
    assert_eq!((copies[0].name.as_str(), copies[1].directory), ("new.sys", Directory::System32));
}

#[test]
fn what_cannot_be_used_is_told() {
    let install = |text: &str| {
        let text = format!("[Version]\nSignature=$Windows NT$\n{text}");
        Inf::parse("x.inf", text.as_bytes()).unwrap().install("i", &W10).unwrap_err().message
    };
    for (text, why) in [
        ("", "it names an install section [i] that it does not have"),
        ("[i]\nCopyFiles=c", "it names a section [c] that it does not have"),
        ("[i]\nCopyFiles=@..\\..\\evil.sys", "\"..\\..\\evil.sys\" leads out of the package"),
        ("[i]\nCopyFiles=@c:evil.sys", "\"c:evil.sys\" leads out of the package"),
        ("[i]\n[i.Services]\nAddService=s,2,t\n[t]\n", "[t]: the service s has no ServiceBinary"),
        ("[i]\n[i.Services]\nAddService=s,2,t\n[t]\nServiceBinary=a.sys", "which names no folder by its number"),
        ("[i]\n[i.Services]\nAddService=s,2,t\n[t]\nServiceBinary=%12%\\a.sys", "the service s has no ServiceType"),
        (
            "[i]\n[i.Services]\nAddService=s,2,t\n[t]\nServiceBinary=%12%\\a.sys\nServiceType=%x%",
            "the ServiceType of the service s is \"%x%\", which is no number",
        ),
    ] {
        let error = install(text);
        assert!(error.starts_with("the INF x.inf cannot be used: ") && error.contains(why), "{error}");
    }
    let large = vec![b';'; LARGEST as usize + 1];
    for (bytes, why) in [
        (&b"MZ\x90"[..], "it has no [Version] section with a signature of Windows"),
        (b"", "it has no [Version] section with a signature of Windows"),
        (&large, "it is larger than 2097152 bytes"),
    ] {
        assert!(Inf::parse("x.inf", bytes).unwrap_err().message.ends_with(why));
    }
}

#[test]
fn a_few_lines_cannot_answer_without_end() {
    let names = "r,".repeat(4000);
    let text = format!("[Version]\nSignature=$Windows NT$\n[i]\nAddReg={names}\n[r]\n{}", "HKR,,v,,a\n".repeat(1000));
    let error = Inf::parse("x.inf", text.as_bytes()).unwrap().install("i", &W10).unwrap_err();
    assert!(error.message.ends_with("it lists more than 10000 things"), "{error}");
}

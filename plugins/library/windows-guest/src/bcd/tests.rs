//! A BCD made by the project, and two that Windows made.

use super::*;
use crate::hive::{build, real_hives};

/// A device element: type 6, GPT or MBR.
fn element(partition: &[u8; 16], style: u8, disk: &[u8; 16]) -> String {
    let head = [&[0; 16][..], &[6, 0, 0, 0, 0, 0, 0, 0, 0x48, 0, 0, 0, 0, 0, 0, 0]].concat();
    let bytes = [&head[..], partition, &[0, 0, 0, 0, style, 0, 0, 0], disk, &[0; 16]].concat();
    let digits: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.join(",")
}

fn read(text: &str) -> BootData {
    BootData::read(&Hive::open(build(text).unwrap()).unwrap()).unwrap()
}

#[test]
fn the_default_loader_of_a_bios_disk() {
    let mut offset = [0; 16];
    offset[..8].copy_from_slice(&525_336_576_u64.to_le_bytes());
    let mut signature = [0; 16];
    signature[..4].copy_from_slice(&0xdf46_45ae_u32.to_le_bytes());
    let device = element(&offset, 1, &signature);
    let id = "{0ce4991b-e6b3-4b16-b23c-5e0d9250e5d9}";
    let data = read(&format!(
        r#"
        [Objects\{{9dea862c-5cdd-4e70-acc1-f32b344d4795}}\Elements\23000003]
        "Element"="{}"
        [Objects\{{9dea862c-5cdd-4e70-acc1-f32b344d4795}}\Elements\24000001]
        "Element"=multi:"{id}"
        [Objects\{id}\Description]
        "Type"=dword:10200003
        [Objects\{id}\Elements\11000001]
        "Element"=hex(3):{device}
        [Objects\{id}\Elements\12000002]
        "Element"="\\Windows\\system32\\winload.exe"
        [Objects\{id}\Elements\21000001]
        "Element"=hex(3):{device}
        [Objects\{id}\Elements\22000002]
        "Element"="\\Windows"
        "#,
        id.to_uppercase()
    ));
    let loader = data.default_loader().unwrap();
    let partition = Device::Partition(Partition::Mbr { offset: 525_336_576, signature: 0xdf46_45ae });
    assert_eq!((loader.device.as_ref(), loader.system_device.as_ref()), (Some(&partition), Some(&partition)));
    assert_eq!((loader.path.as_str(), loader.is_uefi()), (r"\Windows\system32\winload.exe", Some(false)));
    assert_eq!((loader.system_root.as_str(), data.menu.as_slice()), (r"\Windows", &[id.to_owned()][..]));
}

#[test]
fn what_is_missing_or_not_understood_is_said() {
    assert_eq!(read("[Objects]"), BootData::default());
    assert_eq!(read("[Other]"), BootData::default());
    let data = read(
        "[Objects\\{a}\\Description]\n\"Type\"=dword:10200003\n[Objects\\{b}\\Description]\n\"Type\"=dword:10200004",
    );
    let [loader] = &data.loaders[..] else { panic!("{data:?}") };
    assert_eq!((loader.id.as_str(), loader.path.as_str(), &loader.device, loader.is_uefi()), ("{a}", "", &None, None));
    assert!(data.default_loader().is_none());
    let gpt = [7; 16];
    let sound: Vec<u8> = element(&gpt, 0, &gpt).split(',').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
    assert!(matches!(Device::parse(&sound), Device::Partition(Partition::Gpt { .. })));
    for (at, value, expected) in [
        (16, 5, Device::Boot),
        (16, 8, Device::Other(8)),
        // A medium that is no disk, and a style that is neither.
        (48, 1, Device::Other(6)),
        (52, 2, Device::Other(6)),
    ] {
        let mut data = sound.clone();
        data[at] = value;
        assert_eq!(Device::parse(&data), expected, "{at}");
    }
    assert_eq!(Device::parse(&sound[..60]), Device::Other(6));
    assert_eq!(Device::parse(&[]), Device::Other(u32::MAX));
}

#[test]
fn what_windows_made() {
    let Some(bytes) = real_hives::sound("BCD-win10-uefi") else { return };
    let data = BootData::read(&Hive::open(bytes).unwrap()).unwrap();
    let loader = data.default_loader().unwrap();
    assert_eq!(loader.id, "{733b62e5-f608-11eb-825c-c112f60133ab}");
    assert_eq!((loader.description.as_str(), loader.path.as_str()), ("Windows 10", r"\Windows\system32\winload.efi"));
    let partition = Device::Partition(Partition::Gpt {
        partition: "8e0f2c38-e4ea-47ba-b7fc-9d8c74dccf0b".to_owned(),
        disk: "0b2394a9-095e-487d-8d48-719ecd4d78ca".to_owned(),
    });
    assert_eq!((loader.device.as_ref(), loader.system_device.as_ref()), (Some(&partition), Some(&partition)));
    assert_eq!((loader.system_root.as_str(), loader.is_uefi(), data.menu.len()), (r"\Windows", Some(true), 1));
    let recovery = data.loaders.iter().find(|loader| loader.id.starts_with("{733b62e6")).unwrap();
    assert_eq!(recovery.device, Some(Device::Memory));
    let Some(bytes) = real_hives::sound("BCD-winpe-uefi") else { return };
    let medium = BootData::read(&Hive::open(bytes).unwrap()).unwrap();
    let loader = medium.default_loader().unwrap();
    assert_eq!((loader.path.as_str(), &loader.device), (r"\windows\system32\boot\winload.efi", &Some(Device::Memory)));
}

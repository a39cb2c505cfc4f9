//! The number of heads in the boot sector of XP, whose volume has 1000 sectors here.

use vmdk2kvm_plugin_api::model::{Action, FixerPlan, GuestBlockDevice};

use super::drive::BOOT;
use super::windows::{Windows, codes};

#[test]
fn the_boot_sector_of_xp_gets_the_heads_of_a_large_disk() {
    let mut windows = Windows::xp();
    windows.put_ide_drivers();
    let boot_sector = |heads: u8| {
        let mut bytes = vec![0; 8 << 10];
        bytes[3..11].copy_from_slice(b"NTFS    ");
        bytes[0x0b..0x0d].copy_from_slice(&512_u16.to_le_bytes());
        bytes[0x28..0x30].copy_from_slice(&1000_u64.to_le_bytes());
        bytes[0x1a] = heads;
        bytes
    };
    windows.layout.disks[0].devices.push(GuestBlockDevice::new("/dev/sda2", 2));
    windows.drive.put("/C:/boot.ini", "[boot loader]");
    windows.drive.put(BOOT, boot_sector(240));
    let is_told = |windows: &Windows| codes(&windows.inspect().unwrap().findings).contains(&"boot-sector-heads");
    let edits = |plan: &FixerPlan| {
        let edits = plan.changes.iter().filter_map(|change| match &change.action {
            Action::EditDevice { offset, old, new } => {
                Some((change.target.clone(), *offset, old.clone(), new.clone(), change.critical))
            }
            _ => None,
        });
        edits.collect::<Vec<_>>()
    };
    assert!(!is_told(&windows));
    let edit = |offset, critical| ("/dev/sda2".to_owned(), offset, "f000".to_owned(), "ff00".to_owned(), critical);
    assert_eq!(edits(&windows.fix()), [edit(0x1a, true), edit(512_000 + 0x1a, false)]);
    assert_eq!(windows.drive.content(BOOT), Some(boot_sector(255)));
    assert!(!is_told(&windows));

    // A smaller disk may have another number of heads.
    windows.layout.disks[0].size_bytes = 2 << 30;
    windows.drive.put(BOOT, boot_sector(240));
    assert!(is_told(&windows));
    assert_eq!(edits(&windows.fix()), []);
    windows.drive.put(BOOT, boot_sector(255));
    assert!(!is_told(&windows));

    // A volume that has more sectors than there are bytes has no place for a copy.
    windows.layout.disks[0].size_bytes = 8 << 30;
    let mut endless = boot_sector(240);
    endless[0x28..0x30].fill(0x7f);
    windows.drive.put(BOOT, endless);
    assert_eq!(edits(&windows.fix()), []);
}

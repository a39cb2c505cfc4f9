use super::*;

/// A folder with two files, of which one cannot be read, a folder to mount on and a symlink to it.
struct Small(&'static str);

impl Filesystem for Small {
    fn stat(&self, path: &str) -> Result<Option<Stat>> {
        Ok(match path {
            "/" | "/boot" => Some(Stat::new(FileKind::Dir, 0, 0o755)),
            "/name" => Some(Stat::new(FileKind::File, self.0.len() as u64, 0o644)),
            "/broken" => Some(Stat::new(FileKind::File, 3, 0o644)),
            "/kernel" => Some(Stat::new(FileKind::Symlink, 0, 0o777)),
            _ => None,
        })
    }

    fn read(&self, path: &str) -> Result<Vec<u8>> {
        match path {
            "/name" => Ok(self.0.into()),
            _ => Err(PluginError::unusable("the extent at 7 is damaged")),
        }
    }

    fn list(&self, _: &str) -> Result<Vec<Entry>> {
        Ok(vec![Entry::new("name", FileKind::File), Entry::new("boot", FileKind::Dir)])
    }

    fn read_link(&self, _: &str) -> Result<String> {
        Ok("boot/name".to_owned())
    }
}

fn volume(device: &str) -> Volume {
    let (device, fstype) = (device.to_owned(), "ext4".to_owned());
    Volume { device, fstype, uuid: None, label: None, length: 1, esp: false }
}

fn reader() -> Reader {
    Reader::new(Box::new(|volume, subvolume| match (volume.device.as_str(), subvolume) {
        (_, Some(_)) => Ok(None),
        ("/dev/sda1", _) => Ok(Some(Arc::new(Small("root")))),
        ("/dev/sda2", _) => Ok(Some(Arc::new(Small("boot")))),
        _ => Err(PluginError::unusable("its superblock is damaged")),
    }))
}

#[test]
fn what_is_mounted_is_found_at_its_place() {
    let mut reader = reader();
    reader.look(&volume("/dev/sda1"), "").unwrap();
    reader.take_root(&volume("/dev/sda1"), "").unwrap();
    reader.mount(&volume("/dev/sda2"), "/boot", "").unwrap();
    let guest = reader.files();
    assert_eq!(guest.read("/name", 10).unwrap().unwrap(), b"root");
    assert_eq!(guest.read("/boot/../boot/name", 10).unwrap().unwrap(), b"boot");
    assert_eq!(guest.read("/kernel", 10).unwrap().unwrap(), b"boot");
    assert_eq!(guest.stat("/boot/none").unwrap(), None);
    let names: Vec<String> = guest.list("/boot").unwrap().unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["boot", "name"]);
    let mounts = reader.infos().unwrap();
    let places: Vec<_> = mounts.iter().map(|mount| (mount.device.as_str(), mount.mountpoint.as_str())).collect();
    assert_eq!(places, [("/dev/sda1", "/"), ("/dev/sda2", "/boot")]);
    // Answers that are no errors of reading end nothing.
    assert_eq!(guest.read("/name", 3).unwrap_err().message, "/name: 4 bytes, more than the 3 that are read");
    assert_eq!(guest.read("/boot", 3).unwrap_err().message, "/boot: not a regular file");
    guest.close().unwrap();
}

#[test]
fn the_first_error_of_reading_is_the_last_answer() {
    let mut reader = reader();
    reader.take_root(&volume("/dev/sda1"), "").unwrap();
    let guest = reader.files();
    assert!(guest.read("/name", 10).is_ok());
    let message = "/dev/sda1: /broken: the extent at 7 is damaged";
    let failed = guest.read("/broken", 10).unwrap_err();
    assert_eq!((failed.kind, failed.message.as_str()), (ErrorKind::Cannot, message));
    for answer in [guest.stat("/boot").map(drop), guest.read("/none", 1).map(drop), guest.close()] {
        let error = answer.unwrap_err();
        assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Cannot, message));
    }
    assert!(reader.look(&volume("/dev/sda2"), "").is_err());
}

#[test]
fn what_cannot_be_opened_or_mounted_is_a_failure_but_for_a_subvolume_that_is_not_there() {
    let mut one = reader();
    assert_eq!(one.look(&volume("/dev/sda1"), "subvol=@").unwrap_err().kind, ErrorKind::Unusable);
    one.view().check().unwrap();
    one.look(&volume("/dev/sdb"), "").unwrap_err();
    assert_eq!(one.view().check().unwrap_err().message, "/dev/sdb: its superblock is damaged");
    let mut two = reader();
    two.take_root(&volume("/dev/sda1"), "").unwrap();
    two.mount(&volume("/dev/sda2"), "/none", "").unwrap_err();
    assert_eq!(two.view().check().unwrap_err().message, "/none: there is no such folder to mount on");
}

#[test]
fn a_guest_without_one_root_has_its_filesystems_beside_each_other() {
    let mut reader = reader();
    reader.fold_case();
    reader.look(&volume("/dev/sda2"), "").unwrap();
    reader.mount_beside(&volume("/dev/sda1"), "/C:").unwrap();
    reader.mount_beside(&volume("/dev/sda2"), "/EFI").unwrap();
    let guest = reader.files();
    assert!(guest.folds_case());
    assert_eq!(guest.read("/C:/name", 10).unwrap().unwrap(), b"root");
    assert_eq!(guest.read("/efi/name", 10).unwrap().unwrap(), b"boot");
    assert_eq!(guest.stat("/").unwrap().unwrap().kind, FileKind::Dir);
    assert_eq!((guest.stat("/D:/name").unwrap(), guest.stat("/name").unwrap()), (None, None));
    let names: Vec<String> = guest.list("/").unwrap().unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["C:", "EFI"]);
    assert_eq!(reader.head("/C:/name", 2).unwrap().unwrap(), b"ro");
    assert_eq!(reader.head("/C:/none", 2).unwrap(), None);
    assert!(reader.head("/C:/boot", 2).is_err());
    reader.view().check().unwrap();
}

//! Phony Windows disks: what a migration looks at and changes is there, in real partitions and real file systems, and nothing that could
//! start. Hives come from the test.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use std::os::unix::fs::FileExt;

/// Bytes of a disk: two partitions of file systems and some room.
const DISK: u64 = 3 << 30;
/// Where the partition before the system's begins, as Windows makes it.
const FIRST: u64 = 1 << 20;

/// A disk with a Windows.
pub struct PhonyWindows {
    /// Made for UEFI.
    pub uefi: bool,
    /// The signature of an MBR.
    pub signature: u32,
    /// The GUID of the system's partition on a GPT.
    pub partition: String,
    /// Where the system's partition begins.
    pub start: u64,
    /// Files of the system's drive: path and content.
    pub files: Vec<(String, Vec<u8>)>,
    /// Files of the partition before it: the EFI system partition, or the one that a BIOS starts.
    pub boot: Vec<(String, Vec<u8>)>,
    /// Writes over the first bytes of the system's partition: another file system's mark.
    pub mark: Option<Vec<u8>>,
}

impl PhonyWindows {
    /// A disk for a BIOS with these hives in `folder`, by their names.
    pub fn new(folder: &str, hives: &[(&str, &[u8])]) -> Self {
        let mut files: Vec<(String, Vec<u8>)> =
            hives.iter().map(|(name, bytes)| (format!("{folder}/System32/config/{name}"), bytes.to_vec())).collect();
        for (path, content) in [
            ("System32/cmd.exe", &b"MZ"[..]),
            ("System32/drivers/disk.sys", b"MZ"),
            ("System32/DriverStore/FileRepository/disk.inf_amd64_0/disk.inf", b"[Version]"),
            ("INF/disk.inf", b"[Version]"),
            ("explorer.exe", b"MZ"),
        ] {
            files.push((format!("{folder}/{path}"), content.to_vec()));
        }
        files.push(("Program Files/VMware/VMware Tools/vmtoolsd.exe".to_owned(), b"MZ".to_vec()));
        files.push(("ProgramData/readme.txt".to_owned(), Vec::new()));
        Self {
            uefi: false,
            signature: 0xdf45_46ae,
            partition: "1e178d94-4f79-41e9-865d-2e5b4328cd23".to_owned(),
            start: 525_336_576,
            files,
            boot: vec![("Boot/BCD".to_owned(), b"regf".to_vec()), ("bootmgr".to_owned(), b"MZ".to_vec())],
            mark: None,
        }
    }

    /// The same for a UEFI.
    #[must_use]
    pub fn for_uefi(mut self) -> Self {
        self.uefi = true;
        self.boot = vec![
            ("EFI/Microsoft/Boot/BCD".to_owned(), b"regf".to_vec()),
            ("EFI/Microsoft/Boot/bootmgfw.efi".to_owned(), b"MZ the loader".to_vec()),
        ];
        self
    }

    /// Makes the disk and the description of its VM in a folder; returns the description.
    pub fn make(&self, folder: &Path, nics: &[(&str, u32)]) -> PathBuf {
        let image = folder.join("windows-flat.vmdk");
        let disk = File::create(&image).unwrap();
        disk.set_len(DISK).unwrap();
        self.partition_table(&image);
        let parts = folder.join("parts");
        fs::create_dir(&parts).unwrap();
        let first = parts.join("first");
        let length = self.start - FIRST;
        match self.uefi {
            true => fat(&first, length, &self.boot),
            false => ntfs(&first, length, FIRST, &self.boot),
        }
        copy_into(&first, &disk, FIRST);
        let system = parts.join("system");
        ntfs(&system, DISK - self.start - (1 << 20), self.start, &self.files);
        copy_into(&system, &disk, self.start);
        if let Some(mark) = &self.mark {
            disk.write_all_at(mark, self.start).unwrap();
        }
        disk.sync_all().unwrap();
        fs::remove_dir_all(&parts).unwrap();
        describe(folder, if self.uefi { "efi" } else { "bios" }, nics)
    }

    fn partition_table(&self, image: &Path) {
        let (first, system) = (FIRST / 512, self.start / 512);
        let (length, rest) = (system - first, (DISK - self.start - (1 << 20)) / 512);
        let table = if self.uefi {
            format!(
                "label: gpt\nstart={first}, size={length}, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B\n\
                 start={system}, size={rest}, type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7, uuid={}\n",
                self.partition
            )
        } else {
            let signature = self.signature;
            format!(
                "label: dos\nlabel-id: 0x{signature:08x}\nstart={first}, size={length}, type=7, bootable\nstart={system}, size={rest}, type=7\n"
            )
        };
        let mut sfdisk = Command::new("sfdisk").args(["-q", "--no-reread"]).arg(image).stdin(Stdio::piped()).spawn();
        let sfdisk = sfdisk.as_mut().expect("sfdisk (package fdisk)");
        std::io::Write::write_all(sfdisk.stdin.as_mut().unwrap(), table.as_bytes()).unwrap();
        drop(sfdisk.stdin.take());
        assert!(sfdisk.wait().unwrap().success(), "sfdisk: {table}");
    }
}

fn describe(folder: &Path, firmware: &str, nics: &[(&str, u32)]) -> PathBuf {
    let descriptor = format!(
        "# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\n\
         RW {} FLAT \"windows-flat.vmdk\" 0\nddb.adapterType = \"lsilogic\"\n",
        DISK / 512
    );
    fs::write(folder.join("windows.vmdk"), descriptor).unwrap();
    let mut vmx = format!(
        ".encoding = \"UTF-8\"\nconfig.version = \"8\"\nvirtualHW.version = \"19\"\ndisplayName = \"windows\"\nguestOS = \"windows9-64\"\n\
         firmware = \"{firmware}\"\nmemsize = \"2048\"\nnumvcpus = \"2\"\nscsi0.present = \"TRUE\"\nscsi0.virtualDev = \"lsisas1068\"\n\
         scsi0:0.present = \"TRUE\"\nscsi0:0.fileName = \"windows.vmdk\"\n"
    );
    for (index, (mac, slot)) in nics.iter().enumerate() {
        vmx += &format!(
            "ethernet{index}.present = \"TRUE\"\nethernet{index}.virtualDev = \"e1000e\"\nethernet{index}.addressType = \"static\"\n\
             ethernet{index}.address = \"{mac}\"\nethernet{index}.pciSlotNumber = \"{slot}\"\nethernet{index}.networkName = \"VM Network\"\n"
        );
    }
    let path = folder.join("windows.vmx");
    fs::write(&path, vmx).unwrap();
    path
}

/// An NTFS of so many bytes that lies at `start` of its disk, with these files.
fn ntfs(image: &Path, length: u64, start: u64, files: &[(String, Vec<u8>)]) {
    File::create(image).unwrap().set_len(length).unwrap();
    tool(
        Command::new("mkntfs")
            .args(["-F", "-Q", "-q", "-s", "512", "-H", "255", "-S", "63", "-p"])
            .arg((start / 512).to_string())
            .arg(image),
        "ntfs-3g",
    );
    let mounted = image.with_extension("mounted");
    fs::create_dir(&mounted).unwrap();
    tool(Command::new("ntfs-3g").arg(image).arg(&mounted), "ntfs-3g");
    let written = write_all(&mounted, files);
    tool(Command::new("umount").arg(&mounted), "mount");
    written.unwrap();
}

fn write_all(folder: &Path, files: &[(String, Vec<u8>)]) -> std::io::Result<()> {
    for (path, content) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap())?;
        fs::write(path, content)?;
    }
    Ok(())
}

/// A FAT of so many bytes with these files.
fn fat(image: &Path, length: u64, files: &[(String, Vec<u8>)]) {
    File::create(image).unwrap().set_len(length).unwrap();
    tool(Command::new("mkfs.vfat").args(["-F", "32"]).arg(image), "dosfstools");
    let tree = image.with_extension("tree");
    write_all(&tree, files).unwrap();
    let tops: Vec<PathBuf> = fs::read_dir(&tree).unwrap().map(|entry| entry.unwrap().path()).collect();
    tool(Command::new("mcopy").args(["-s", "-i"]).arg(image).args(tops).arg("::"), "mtools");
}

fn tool(command: &mut Command, package: &str) {
    let name = command.get_program().to_string_lossy().into_owned();
    let done = command.output().unwrap_or_else(|error| panic!("{name} (package {package}): {error}"));
    assert!(done.status.success(), "{name}: {}", String::from_utf8_lossy(&done.stderr));
}

/// Copies what is no hole.
fn copy_into(part: &Path, disk: &File, at: u64) {
    let part = File::open(part).unwrap();
    let size = part.metadata().unwrap().len();
    let mut from = 0;
    while let Ok(data) = rustix::fs::seek(&part, rustix::fs::SeekFrom::Data(from)) {
        let end = rustix::fs::seek(&part, rustix::fs::SeekFrom::Hole(data)).unwrap_or(size);
        let mut buffer = vec![0; usize::try_from(end - data).unwrap()];
        part.read_exact_at(&mut buffer, data).unwrap();
        disk.write_all_at(&buffer, at + data).unwrap();
        from = end;
    }
}

/// A part of a raw image, mounted to be looked at.
pub struct Inside {
    folder: tempfile::TempDir,
}

impl Inside {
    /// The NTFS that begins at `start`.
    pub fn ntfs(image: &Path, start: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let part = folder.path().join("part");
        let disk = File::open(image).unwrap();
        let size = disk.metadata().unwrap().len();
        let copy = File::create(&part).unwrap();
        let length = DISK - start - (1 << 20);
        copy.set_len(length).unwrap();
        let mut from = start;
        while let Ok(data) = rustix::fs::seek(&disk, rustix::fs::SeekFrom::Data(from)) {
            let end = rustix::fs::seek(&disk, rustix::fs::SeekFrom::Hole(data)).unwrap_or(size).min(start + length);
            if data >= end {
                break;
            }
            let mut buffer = vec![0; usize::try_from(end - data).unwrap()];
            disk.read_exact_at(&mut buffer, data).unwrap();
            copy.write_all_at(&buffer, data - start).unwrap();
            from = end;
        }
        // Says whether the file system is clean, and changes nothing.
        tool(Command::new("ntfsfix").arg("-n").arg(&part), "ntfs-3g");
        let mounted = folder.path().join("mounted");
        fs::create_dir(&mounted).unwrap();
        tool(Command::new("ntfs-3g").args(["-o", "ro"]).arg(&part).arg(&mounted), "ntfs-3g");
        Self { folder }
    }

    /// Its top.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("mounted")
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.path()).status();
    }
}

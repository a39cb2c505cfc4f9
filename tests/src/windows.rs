//! Phony Windows disks: what a migration looks at and changes is there, in real partitions and real file systems, and nothing that could
//! start. Hives come from the test.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use std::os::unix::fs::FileExt;

use vmdk2kvm_windows_guest::hive;

/// Bytes of a disk where nothing else is said: two partitions of file systems and some room.
const DISK: u64 = 3 << 30;
/// Bytes of a disk beside it.
const BESIDE: u64 = 64 << 20;
/// Where the partition before the system's begins, as Windows makes it.
const FIRST: u64 = 1 << 20;

/// A disk with a Windows.
pub struct PhonyWindows {
    /// Made for UEFI.
    pub uefi: bool,
    /// Bytes of its disk.
    pub size: u64,
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
    /// Further disks of the VM.
    pub beside: Vec<Beside>,
}

/// A further disk.
pub enum Beside {
    /// Without anything on it.
    Blank,
    /// With one partition, at the first MiB: the line of sfdisk's script that makes its table, and the partition's type.
    Partition {
        /// `label: dos`, `label: gpt`, with `label-id` where it matters.
        label: String,
        /// What sfdisk calls the type.
        kind: &'static str,
        /// Files of an NTFS in it; `None`: nothing is made in it.
        files: Option<Vec<(String, Vec<u8>)>>,
    },
}

impl PhonyWindows {
    /// A disk for a BIOS with these hives in `folder`, by their names.
    pub fn new(folder: &str, hives: &[(&str, &[u8])]) -> Self {
        let mut files: Vec<(String, Vec<u8>)> =
            hives.iter().map(|(name, bytes)| (format!("{folder}/System32/config/{name}"), bytes.to_vec())).collect();
        for (path, content) in [
            ("System32/cmd.exe", &b"MZ"[..]),
            ("System32/WindowsPowerShell/v1.0/powershell.exe", b"MZ"),
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
            size: DISK,
            signature: 0xdf45_46ae,
            partition: "1e178d94-4f79-41e9-865d-2e5b4328cd23".to_owned(),
            start: 525_336_576,
            files,
            boot: vec![("Boot/BCD".to_owned(), boot_data("exe")), ("bootmgr".to_owned(), b"MZ".to_vec())],
            mark: None,
            beside: Vec::new(),
        }
    }

    /// The same for a UEFI.
    #[must_use]
    pub fn for_uefi(mut self) -> Self {
        self.uefi = true;
        self.boot = vec![
            ("EFI/Microsoft/Boot/BCD".to_owned(), boot_data("efi")),
            ("EFI/Microsoft/Boot/bootmgfw.efi".to_owned(), b"MZ the loader".to_vec()),
        ];
        self
    }

    /// Bytes of the system's partition.
    pub fn length(&self) -> u64 {
        self.size - self.start - (1 << 20)
    }

    /// Makes the disk and the description of its VM in a folder; returns the description.
    pub fn make(&self, folder: &Path, nics: &[(&str, u32)]) -> PathBuf {
        let image = folder.join("windows-flat.vmdk");
        let disk = File::create(&image).unwrap();
        disk.set_len(self.size).unwrap();
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
        ntfs(&system, self.length(), self.start, &self.files);
        copy_into(&system, &disk, self.start);
        if let Some(mark) = &self.mark {
            disk.write_all_at(mark, self.start).unwrap();
        }
        disk.sync_all().unwrap();
        for (index, beside) in self.beside.iter().enumerate() {
            beside.make(&folder.join(flat(index + 1)), &parts.join(format!("beside{index}")));
        }
        fs::remove_dir_all(&parts).unwrap();
        describe(folder, self.size, if self.uefi { "efi" } else { "bios" }, nics, self.beside.len())
    }

    /// Packs the disks that were made in a folder into an OVA there, and takes them away.
    pub fn pack(&self, folder: &Path, mac: &str) -> PathBuf {
        let disks: Vec<String> = (0..=self.beside.len()).map(|index| format!("disk{index}.vmdk")).collect();
        for (index, disk) in disks.iter().enumerate() {
            let mut convert = Command::new("qemu-img");
            convert.args(["convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized"]);
            tool(convert.arg(folder.join(flat(index))).arg(folder.join(disk)), "qemu-utils");
            fs::remove_file(folder.join(flat(index))).unwrap();
        }
        fs::write(folder.join("windows.ovf"), self.envelope(&disks, mac)).unwrap();
        let archive = folder.join("windows.ova");
        tool(Command::new("tar").arg("-cf").arg(&archive).arg("-C").arg(folder).arg("windows.ovf").args(&disks), "tar");
        disks.iter().for_each(|disk| fs::remove_file(folder.join(disk)).unwrap());
        archive
    }

    fn envelope(&self, disks: &[String], mac: &str) -> String {
        let item = |id: usize, kind: u32, rest: &str| {
            format!(
                "<Item><rasd:ElementName>item</rasd:ElementName><rasd:InstanceID>{id}</rasd:InstanceID><rasd:ResourceType>{kind}</rasd:ResourceType>{rest}</Item>"
            )
        };
        let (mut files, mut described, mut items) = (String::new(), String::new(), String::new());
        items += &item(1, 3, "<rasd:VirtualQuantity>2</rasd:VirtualQuantity>");
        items += &item(
            2,
            4,
            "<rasd:AllocationUnits>byte * 2^20</rasd:AllocationUnits><rasd:VirtualQuantity>2048</rasd:VirtualQuantity>",
        );
        items += &item(3, 6, "<rasd:Address>0</rasd:Address><rasd:ResourceSubType>lsilogicsas</rasd:ResourceSubType>");
        for (index, disk) in disks.iter().enumerate() {
            let capacity = if index == 0 { self.size } else { BESIDE };
            files += &format!("<File ovf:id=\"f{index}\" ovf:href=\"{disk}\"/>");
            described += &format!(
                "<Disk ovf:diskId=\"d{index}\" ovf:fileRef=\"f{index}\" ovf:capacity=\"{capacity}\" \
                 ovf:format=\"http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized\"/>"
            );
            let rest = format!(
                "<rasd:AddressOnParent>{index}</rasd:AddressOnParent><rasd:HostResource>ovf:/disk/d{index}</rasd:HostResource><rasd:Parent>3</rasd:Parent>"
            );
            items += &item(10 + index, 17, &rest);
        }
        let card = format!(
            "<rasd:AddressOnParent>7</rasd:AddressOnParent><rasd:Address>{mac}</rasd:Address>\
             <rasd:Connection>VM Network</rasd:Connection><rasd:ResourceSubType>E1000e</rasd:ResourceSubType>"
        );
        items += &item(30, 10, &card);
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Envelope xmlns=\"http://schemas.dmtf.org/ovf/envelope/1\" \
             xmlns:ovf=\"http://schemas.dmtf.org/ovf/envelope/1\" \
             xmlns:rasd=\"http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData\" \
             xmlns:vmw=\"http://www.vmware.com/schema/ovf\"><References>{files}</References>\
             <DiskSection><Info/>{described}</DiskSection><VirtualSystem ovf:id=\"vm\"><Info/><Name>windows</Name>\
             <VirtualHardwareSection>{items}<vmw:Config vmw:key=\"firmware\" vmw:value=\"{}\"/></VirtualHardwareSection>\
             </VirtualSystem></Envelope>\n",
            if self.uefi { "efi" } else { "bios" }
        )
    }

    fn partition_table(&self, image: &Path) {
        let (first, system) = (FIRST / 512, self.start / 512);
        let (length, rest) = (system - first, self.length() / 512);
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
        sfdisk(image, &table);
    }
}

impl Beside {
    fn make(&self, image: &Path, part: &Path) {
        let disk = File::create(image).unwrap();
        disk.set_len(BESIDE).unwrap();
        let Self::Partition { label, kind, files } = self else { return };
        let length = BESIDE - (2 << 20);
        sfdisk(image, &format!("{label}\nstart={}, size={}, type={kind}\n", FIRST / 512, length / 512));
        if let Some(files) = files {
            ntfs(part, length, FIRST, files);
            copy_into(part, &disk, FIRST);
        }
    }
}

fn sfdisk(image: &Path, table: &str) {
    let mut sfdisk = Command::new("sfdisk").args(["-q", "--no-reread"]).arg(image).stdin(Stdio::piped()).spawn();
    let sfdisk = sfdisk.as_mut().expect("sfdisk (package fdisk)");
    std::io::Write::write_all(sfdisk.stdin.as_mut().unwrap(), table.as_bytes()).unwrap();
    drop(sfdisk.stdin.take());
    assert!(sfdisk.wait().unwrap().success(), "sfdisk: {table}");
}

/// Boot data that start a Windows from the partition that the firmware started from.
fn boot_data(ending: &str) -> Vec<u8> {
    let id = "{6c9d1b2a-0000-11ee-8000-000000000001}";
    let device = [vec!["00"; 16].join(","), "05,00,00,00,00,00,00,00,48,00,00,00".to_owned(), vec!["00"; 60].join(",")]
        .join(",");
    hive::build(&format!(
        "[Objects\\{{9dea862c-5cdd-4e70-acc1-f32b344d4795}}\\Elements\\23000003]\n\"Element\"=\"{id}\"\n\
         [Objects\\{id}\\Description]\n\"Type\"=dword:10200003\n\
         [Objects\\{id}\\Elements\\12000002]\n\"Element\"=\"\\\\Windows\\\\system32\\\\winload.{ending}\"\n\
         [Objects\\{id}\\Elements\\21000001]\n\"Element\"=hex(3):{device}\n"
    ))
    .unwrap()
}

/// Name of the file with a disk's bytes.
fn flat(index: usize) -> String {
    if index == 0 { "windows-flat.vmdk".to_owned() } else { format!("windows-{index}-flat.vmdk") }
}

fn describe(folder: &Path, size: u64, firmware: &str, nics: &[(&str, u32)], beside: usize) -> PathBuf {
    let mut disks = String::new();
    for index in 0..=beside {
        let name = flat(index).replace("-flat", "");
        let descriptor = format!(
            "# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\n\
             RW {} FLAT \"{}\" 0\nddb.adapterType = \"lsilogic\"\n",
            if index == 0 { size } else { BESIDE } / 512,
            flat(index)
        );
        fs::write(folder.join(&name), descriptor).unwrap();
        disks += &format!("scsi0:{index}.present = \"TRUE\"\nscsi0:{index}.fileName = \"{name}\"\n");
    }
    let mut vmx = format!(
        ".encoding = \"UTF-8\"\nconfig.version = \"8\"\nvirtualHW.version = \"19\"\ndisplayName = \"windows\"\nguestOS = \"windows9-64\"\n\
         firmware = \"{firmware}\"\nmemsize = \"2048\"\nnumvcpus = \"2\"\nscsi0.present = \"TRUE\"\nscsi0.virtualDev = \"lsisas1068\"\n{disks}"
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
        let length = size - start - (1 << 20);
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

/// Writes a file of the NTFS that begins at `start` of a raw image.
pub fn write_inside(image: &Path, start: u64, path: &str, content: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let offset = start.to_string();
    let length = (fs::metadata(image).unwrap().len() - start - (1 << 20)).to_string();
    let mut attach = Command::new("losetup");
    attach.args(["--find", "--show", "--offset", &offset, "--sizelimit", &length]).arg(image);
    let attached = attach.output().expect("losetup (package mount)");
    assert!(attached.status.success(), "losetup: {}", String::from_utf8_lossy(&attached.stderr));
    let device = String::from_utf8_lossy(&attached.stdout).trim().to_owned();
    let mounted = Command::new("ntfs-3g").arg(&device).arg(folder.path()).status().expect("ntfs-3g (package ntfs-3g)");
    let written = mounted.success().then(|| fs::write(folder.path().join(path), content));
    let unmounted = Command::new("umount").arg(folder.path()).status();
    tool(Command::new("losetup").arg("--detach").arg(&device), "mount");
    written.expect("ntfs-3g").unwrap();
    assert!(unmounted.unwrap().success());
}

impl Drop for Inside {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.path()).status();
    }
}

//! The appliance's initrd without the drivers of devices that our appliance never has.
//!
//! supermin puts every virtio and ATA driver into it and loads all of them, one by one, before the root appears: a second under
//! emulation. What is left out here is still in the appliance's root, where udev finds it should a device want it.
//!
//! Formats: Documentation/driver-api/early-userspace/buffer-format.rst of the kernel (`newc`); supermin's `modules`, one file name
//! a line, in the order of loading.

/// Modules that nothing in the appliance's start needs: its disks are virtio-scsi, and it has no network.
const NEEDLESS: [&str; 24] = [
    "ata_piix",
    "crc-itu-t",
    "crc7",
    "crc8",
    "crypto_engine",
    "failover",
    "fuse",
    "libata",
    "libnvdimm",
    "nd_btt",
    "nd_pmem",
    "nd_virtio",
    "net_failover",
    "nfit",
    "virtio_balloon",
    "virtio_blk",
    "virtio_crypto",
    "virtio_dma_buf",
    "virtio_input",
    "virtio_mem",
    "virtio_mmio",
    "virtio_net",
    "virtio_pmem",
    "virtiofs",
];
/// What must be there for this to be the initrd that is known here.
const EXPECTED: [&str; 3] = ["init", "modules", "virtio_scsi.ko"];
/// Most files in it.
const MAX_FILES: usize = 4096;
const HEADER: usize = 110;
const TRAILER: &str = "TRAILER!!!";

/// The same archive without needless modules; `None` when it is not what was expected.
pub fn trimmed(initrd: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(initrd.len());
    let mut expected = EXPECTED.to_vec();
    let mut at = 0;
    for _ in 0..MAX_FILES {
        let entry = Entry::read(initrd, at)?;
        if entry.name == TRAILER {
            out.extend_from_slice(entry.whole);
            out.resize(out.len().next_multiple_of(512), 0);
            return expected.is_empty().then_some(out);
        }
        at = entry.end;
        expected.retain(|name| *name != entry.name);
        if entry.name == "modules" {
            let list: String = std::str::from_utf8(entry.data).ok()?.lines().filter(|line| !is_needless(line)).fold(
                String::new(),
                |mut list, line| {
                    list.push_str(line);
                    list.push('\n');
                    list
                },
            );
            entry.write_with(list.as_bytes(), &mut out);
        } else if !is_needless(entry.name) {
            out.extend_from_slice(entry.whole);
        }
    }
    None
}

fn is_needless(file: &str) -> bool {
    file.split_once(".ko").is_some_and(|(module, _)| NEEDLESS.contains(&module))
}

/// An entry of the archive; every field of its header is eight hexadecimal digits.
struct Entry<'a> {
    whole: &'a [u8],
    header: &'a [u8],
    name: &'a str,
    data: &'a [u8],
    end: usize,
}

impl<'a> Entry<'a> {
    fn read(archive: &'a [u8], at: usize) -> Option<Self> {
        let header = archive.get(at..at.checked_add(HEADER)?)?;
        if !header.starts_with(b"070701") {
            return None;
        }
        let field = |index: usize| {
            let digits = std::str::from_utf8(&header[6 + index * 8..14 + index * 8]).ok()?;
            usize::from_str_radix(digits, 16).ok()
        };
        let (size, name_size) = (field(6)?, field(11)?);
        let name_end = (at + HEADER).checked_add(name_size)?;
        let name = std::str::from_utf8(archive.get(at + HEADER..name_end.checked_sub(1)?)?).ok()?;
        let begin = name_end.checked_next_multiple_of(4)?;
        let data = archive.get(begin..begin.checked_add(size)?)?;
        // The last entry's padding may be missing.
        let end = begin.checked_add(size)?.checked_next_multiple_of(4)?.min(archive.len());
        Some(Self { whole: archive.get(at..end)?, header, name: name.trim_start_matches("./"), data, end })
    }

    /// Writes the entry with another content.
    fn write_with(&self, data: &[u8], out: &mut Vec<u8>) {
        let begin = out.len();
        out.extend_from_slice(self.header);
        out[begin + 54..begin + 62].copy_from_slice(format!("{:08X}", data.len()).as_bytes());
        let name_length = self.whole.len() - HEADER - self.data.len().next_multiple_of(4);
        out.extend_from_slice(&self.whole[HEADER..HEADER + name_length]);
        out.extend_from_slice(data);
        out.resize(out.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(files: &[(&str, &str)]) -> Vec<u8> {
        let mut out = Vec::new();
        for (name, data) in files.iter().chain([&(TRAILER, "")]) {
            let fields = [1, 0o100_644, 0, 0, 1, 0, data.len(), 0, 0, 0, 0, name.len() + 1, 0];
            out.extend_from_slice(b"070701");
            for field in fields {
                out.extend_from_slice(format!("{field:08X}").as_bytes());
            }
            out.extend_from_slice(name.as_bytes());
            out.push(0);
            out.resize(out.len().next_multiple_of(4), 0);
            out.extend_from_slice(data.as_bytes());
            out.resize(out.len().next_multiple_of(4), 0);
        }
        out
    }

    fn read(archive: &[u8]) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let mut at = 0;
        while let Some(entry) = Entry::read(archive, at) {
            found.push((entry.name.to_owned(), String::from_utf8(entry.data.to_vec()).unwrap()));
            at = entry.end;
        }
        found
    }

    #[test]
    fn needless_modules_go_from_the_archive_and_from_the_list() {
        let list = "scsi_mod.ko\nlibata.ko\nvirtio_scsi.ko\nvirtio_net.ko.xz\next4.ko\n";
        let made = archive(&[
            ("init", "binary"),
            ("libata.ko", "12345"),
            ("modules", list),
            ("virtio_scsi.ko", "xy"),
            ("virtio_net.ko.xz", "z"),
        ]);
        let kept = read(&trimmed(&made).unwrap());
        let names: Vec<&str> = kept.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["init", "modules", "virtio_scsi.ko", TRAILER]);
        assert_eq!(kept[1].1, "scsi_mod.ko\nvirtio_scsi.ko\next4.ko\n");
        assert_eq!(kept[2].1, "xy");
    }

    #[test]
    fn another_archive_or_a_torn_one_is_left_alone() {
        assert_eq!(trimmed(&archive(&[("init", ""), ("modules", "")])), None);
        let made = archive(&[("init", "x"), ("modules", "a.ko\n"), ("virtio_scsi.ko", "x")]);
        assert!(trimmed(&made).is_some());
        for cut in 0..made.len() - 4 {
            assert_eq!(trimmed(&made[..cut]), None, "{cut}");
        }
        assert_eq!(trimmed(b"\x1f\x8b compressed"), None);
        assert_eq!(trimmed(format!("070701{}", "F".repeat(104)).as_bytes()), None);
    }
}

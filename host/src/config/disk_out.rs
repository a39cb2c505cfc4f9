//! `DISK=DEVICE`: a disk of the virtual machine whose bytes go onto a block device instead of into a file.

use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A disk and the device that takes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DiskOut {
    /// Number of the disk, from 1, or its name.
    pub disk: String,
    /// Absolute path of the device.
    pub device: PathBuf,
}

/// `1=/dev/vg/web`.
impl FromStr for DiskOut {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // A name may hold the sign; a path may, too, but does not begin in one.
        let (disk, device) = text
            .split_once("=/")
            .filter(|(disk, device)| !disk.is_empty() && !device.is_empty())
            .ok_or_else(|| format!("`{text}` is not DISK=DEVICE, e.g. 1=/dev/vg/web"))?;
        Ok(Self { disk: disk.to_owned(), device: format!("/{device}").into() })
    }
}

impl TryFrom<String> for DiskOut {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<DiskOut> for String {
    fn from(out: DiskOut) -> Self {
        format!("{}={}", out.disk, out.device.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_and_an_absolute_path() {
        let of = |disk: &str, device: &str| Ok(DiskOut { disk: disk.to_owned(), device: device.into() });
        assert_eq!("1=/dev/vg/web".parse(), of("1", "/dev/vg/web"));
        assert_eq!("a=b.vmdk=/dev/x=/y".parse(), of("a=b.vmdk", "/dev/x=/y"));
        for text in ["/dev/sdb", "=/dev/sdb", "1=dev/sdb", "1=", "1=/"] {
            let said = format!("`{text}` is not DISK=DEVICE, e.g. 1=/dev/vg/web");
            assert_eq!(text.parse::<DiskOut>(), Err(said), "{text}");
        }
        let out: DiskOut = "2=/dev/sdb".parse().unwrap();
        assert_eq!(String::from(out), "2=/dev/sdb");
    }
}

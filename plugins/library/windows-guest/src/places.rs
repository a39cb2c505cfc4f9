//! Where things are in a guest: which folder is a Windows folder, and the names that its files have in it.

use vmdk2kvm_plugin_api::paths::join;
use vmdk2kvm_plugin_api::{FileKind, Guest, Result};

/// Most folders of a drive's top that are looked into for a system.
const MOST_FOLDERS: usize = 200;

/// A Windows system on a drive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct System {
    /// Its drive as the guest names the place: `/C:`.
    pub drive: String,
    /// The folder in it, as it is spelled there: `/C:/Windows`.
    pub folder: String,
}

impl System {
    /// Every system whose folder is at the top of this drive: a folder with a SYSTEM hive where Windows keeps it. What is left of one,
    /// without its other hive, counts only where there is no whole one.
    pub fn all_on(guest: &dyn Guest, drive: &str) -> Result<Vec<Self>> {
        let entries = guest.list(drive)?.unwrap_or_default();
        let (mut found, mut whole) = (Vec::new(), Vec::new());
        for entry in entries.iter().filter(|entry| entry.kind == FileKind::Dir).take(MOST_FOLDERS) {
            let folder = join(drive, &entry.name);
            let hive = guest.stat(&format!("{folder}/System32/config/SYSTEM"))?;
            if hive.is_some_and(|found| found.kind == FileKind::File) {
                let system = Self { drive: drive.to_owned(), folder };
                match guest.stat(&system.hive("SOFTWARE"))? {
                    Some(_) => whole.push(system),
                    None => found.push(system),
                }
            }
        }
        Ok(if whole.is_empty() { found } else { whole })
    }

    /// The system in a folder of a drive.
    pub fn on_drive_of(drive: &str, folder: &str) -> Self {
        Self { drive: drive.to_owned(), folder: join(drive, folder) }
    }

    /// A hive of the system: `SYSTEM`, `SOFTWARE`, `DRIVERS`.
    pub fn hive(&self, name: &str) -> String {
        format!("{}/System32/config/{name}", self.folder)
    }

    /// A path below the Windows folder.
    pub fn path(&self, below: &str) -> String {
        format!("{}/{below}", self.folder)
    }

    /// A path of the drive.
    pub fn on_drive(&self, below: &str) -> String {
        format!("{}/{below}", if self.drive == "/" { "" } else { &self.drive })
    }
}

#[cfg(test)]
mod tests {
    use vmdk2kvm_plugin_testing::MemoryGuest;

    use super::*;

    #[test]
    fn a_system_is_where_its_hive_is() {
        let guest = MemoryGuest::new(&[
            ("/C:/WINNT/System32/config/SYSTEM", "regf"),
            ("/C:/Windows/System32/config/SYSTEM", "regf"),
            ("/C:/Windows.old/System32/drivers/etc/hosts", ""),
            ("/D:/Windows/notepad.exe", ""),
            ("/F:/WINNT/System32/config/SYSTEM", "regf"),
            ("/F:/Windows/System32/config/SYSTEM", "regf"),
            ("/F:/Windows/System32/config/SOFTWARE", "regf"),
        ]);
        let folders = |drive| System::all_on(&guest, drive).unwrap().into_iter().map(|system| system.folder);
        assert_eq!(folders("/C:").collect::<Vec<_>>(), ["/C:/WINNT", "/C:/Windows"]);
        assert_eq!(folders("/F:").collect::<Vec<_>>(), ["/F:/Windows"]);
        assert_eq!(folders("/D:").chain(folders("/E:")).count(), 0);
    }

    #[test]
    fn paths_of_a_system() {
        let system = System { drive: "/C:".to_owned(), folder: "/C:/Windows".to_owned() };
        assert_eq!(system.hive("SYSTEM"), "/C:/Windows/System32/config/SYSTEM");
        assert_eq!(system.on_drive("hiberfil.sys"), "/C:/hiberfil.sys");
    }
}

//! A source of virtio drivers for Windows: the `virtio-win` ISO file, or a folder in one of the layouts that packages of it have.
//!
//! Owns the choice of a package for each driver: the best folder for this Windows, with an INF that is for it and a signature that it loads.
//! What was not chosen is kept with the reason. The source is only read.

mod device;
mod layout;
mod package;
mod search;
mod store;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{PluginError, Result};

use crate::version::{Architecture, Windows};
pub use device::Device;
use layout::Place;
pub use package::{Doubt, Package, Rejection};
pub use search::find;
pub use store::SourceFile;
use store::Store;

/// Of a driver's file. The largest are some megabytes; the guest agent's installer has thirty.
pub const LARGEST_FILE: u64 = 128 << 20;

/// For which guest drivers are chosen.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Its Windows.
    pub windows: Windows,
    /// Whether its firmware will enforce signatures.
    pub secure_boot: bool,
}

/// What a source has for a guest.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Selection {
    /// A package for each driver that has one, critical devices first.
    pub packages: Vec<Package>,
    /// Drivers of the source that have none.
    pub missing: Vec<Missing>,
}

/// A driver without a package for this guest.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Missing {
    /// The name of its INF without the ending, in lower case.
    pub driver: String,
    /// Every folder that could have been it, and why it is not. Empty when the source has the driver for other systems only.
    pub rejected: Vec<Rejection>,
    /// The folders that the source has for this architecture: `w10`.
    pub has: Vec<&'static str>,
}

impl Selection {
    /// The package for a device.
    pub fn of(&self, device: Device) -> Option<&Package> {
        self.packages.iter().find(|package| package.device == device)
    }
}

/// An opened source.
pub struct DriverSource {
    store: Store,
    /// Where the INF files are, in the order of their paths.
    places: Vec<(Place, SourceFile)>,
}

impl DriverSource {
    /// Opens a folder or an ISO file. Refused when no driver is found in it.
    pub fn open(path: &Path) -> Result<Self> {
        let store = Store::open(path)?;
        let places: Vec<_> =
            store.files.values().filter_map(|file| Some((layout::place(file.path())?, file.clone()))).collect();
        if places.is_empty() {
            let message = format!("{} holds no virtio drivers for Windows", path.display());
            let hint = "name the virtio-win ISO file, or a folder with its content: DRIVER/OS/ARCH or ARCH/OS with the drivers' files";
            return Err(PluginError::unusable(message).hint(hint));
        }
        Ok(Self { store, places })
    }

    /// The drivers that it has, for whatever Windows.
    pub fn drivers(&self) -> Vec<&str> {
        let mut drivers: Vec<_> = self.places.iter().map(|(place, _)| place.driver.as_str()).collect();
        drivers.sort_unstable();
        drivers.dedup();
        drivers
    }

    /// Chooses a package of each driver for this guest.
    pub fn choose(&self, wanted: &Wanted) -> Selection {
        let mut selection = Selection::default();
        for driver in self.drivers() {
            match self.choose_one(driver, wanted) {
                Ok(package) => selection.packages.push(package),
                Err(missing) => selection.missing.push(missing),
            }
        }
        settle(&mut selection);
        selection.packages.sort_by(|a, b| (a.device, &a.driver).cmp(&(b.device, &b.driver)));
        selection
    }

    fn choose_one(&self, driver: &str, wanted: &Wanted) -> Result<Package, Missing> {
        let own = self
            .places
            .iter()
            .filter(|(place, _)| place.driver == driver && place.architecture == wanted.windows.architecture);
        let candidates =
            wanted.windows.folders().iter().flat_map(|os| own.clone().filter(|(place, _)| place.os == *os));
        let (mut rejected, mut chosen): (Vec<Rejection>, Option<Package>) = (Vec::new(), None);
        for (place, file) in candidates {
            let reason = match &chosen {
                // Layouts may show a folder twice.
                Some(package) if package.os == place.os => continue,
                Some(package) => format!("{} fits better", package.os),
                None => match package::look(&self.store, place, file, wanted) {
                    Ok(package) => {
                        chosen = Some(package);
                        continue;
                    }
                    Err(reason) => escape(&reason).into_owned(),
                },
            };
            rejected.push(Rejection { folder: place.folder.clone(), reason });
        }
        match chosen {
            Some(package) => Ok(Package { rejected, ..package }),
            None => {
                let mut has: Vec<_> = own.map(|(place, _)| place.os).collect();
                has.sort_unstable();
                has.dedup();
                Err(Missing { driver: driver.to_owned(), rejected, has })
            }
        }
    }

    /// The installer of the QEMU guest agent.
    pub fn guest_agent(&self, architecture: Architecture) -> Option<&SourceFile> {
        let name = match architecture {
            Architecture::X86 => "qemu-ga-i386.msi",
            Architecture::Amd64 => "qemu-ga-x86_64.msi",
            Architecture::Arm64 => "qemu-ga-aarch64.msi",
        };
        self.store.files.values().find(|file| file.name().eq_ignore_ascii_case(name))
    }

    /// The content of a file of at most [`LARGEST_FILE`] bytes.
    pub fn read(&self, file: &SourceFile) -> Result<Vec<u8>> {
        self.store.read(file, LARGEST_FILE)
    }

    /// The file of this machine that holds the file's bytes, and where they begin in it: the image, or the file itself.
    pub fn on_this_machine(&self, file: &SourceFile) -> Result<(PathBuf, u64)> {
        self.store.on_this_machine(file)
    }
}

/// Two drivers may claim one device: the one that has a program keeps it, else the first.
fn settle(selection: &mut Selection) {
    let mut owners: BTreeMap<String, String> = BTreeMap::new();
    let mut kept = Vec::new();
    selection.packages.sort_by_key(|package| !package.has_program());
    for package in std::mem::take(&mut selection.packages) {
        let ids: Vec<_> = package.models.iter().flat_map(|model| &model.ids).map(|id| id.to_lowercase()).collect();
        if let Some(other) = ids.iter().find_map(|id| owners.get(id)) {
            let reason = format!("{other} drives the same device");
            let rejected = vec![Rejection { folder: package.folder, reason }];
            selection.missing.push(Missing { driver: package.driver, rejected, has: vec![package.os] });
            continue;
        }
        owners.extend(ids.into_iter().map(|id| (id, package.driver.clone())));
        kept.push(package);
    }
    selection.packages = kept;
}

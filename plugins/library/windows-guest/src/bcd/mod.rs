//! Boot configuration data (`BCD`): which loader Windows starts, from which partition.
//!
//! Owns the objects and elements as far as they decide a boot. The hive is read by [`crate::hive`]; nothing is written. A partition is named
//! by its own id and its disk's, never by the bus: the same element holds on another controller.

mod device;
#[cfg(test)]
mod tests;

use crate::hive::{Hive, HiveError, Key, Value};
pub use device::{Device, Partition};

/// The boot manager's object, the same in every BCD.
const BOOT_MANAGER: &str = r"Objects\{9dea862c-5cdd-4e70-acc1-f32b344d4795}";
/// What `Description\Type` says of an object that loads Windows.
const OS_LOADER: u64 = 0x1020_0003;
const MOST_OBJECTS: usize = 1000;

/// What a BCD says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BootData {
    /// The object that is started when nobody chooses; none when the boot manager names none.
    pub default: Option<String>,
    /// The objects of the menu, in their order.
    pub menu: Vec<String>,
    /// Every object that loads Windows, recovery environments among them.
    pub loaders: Vec<Loader>,
}

/// An object that loads Windows.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Loader {
    /// The object's GUID in braces.
    pub id: String,
    /// The name in the menu.
    pub description: String,
    /// The loader's path on its device: `\Windows\system32\winload.efi`, or `.exe` on BIOS.
    pub path: String,
    /// Where the loader lies; none when the object does not say.
    pub device: Option<Device>,
    /// The folder of Windows on its device: `\Windows`.
    pub system_root: String,
    /// Where Windows lies; none when the object does not say.
    pub system_device: Option<Device>,
    /// Drivers that carry a test's signature load.
    pub test_signing: bool,
    /// Drivers load whatever their signature.
    pub no_integrity_checks: bool,
}

impl BootData {
    /// Reads the objects of a BCD hive. One without a boot manager has neither a default nor a menu.
    pub fn read(hive: &Hive) -> Result<Self, HiveError> {
        let mut data = Self::default();
        if let Some(manager) = hive.key(BOOT_MANAGER)? {
            data.default = element(&manager, "23000003")?.and_then(|value| value.text()).map(|id| id.to_lowercase());
            let menu = element(&manager, "24000001")?.and_then(|value| value.texts()).unwrap_or_default();
            data.menu = menu.into_iter().map(|id| id.to_lowercase()).collect();
        }
        let objects = hive.key("Objects")?.map(|objects| objects.subkeys()).transpose()?.unwrap_or_default();
        for object in objects.into_iter().take(MOST_OBJECTS) {
            let kind = object.key("Description")?.map(|description| description.value("Type")).transpose()?.flatten();
            if kind.and_then(|kind| kind.number()) == Some(OS_LOADER) {
                data.loaders.push(Loader::read(&object)?);
            }
        }
        Ok(data)
    }

    /// The loader that is started when nobody chooses.
    pub fn default_loader(&self) -> Option<&Loader> {
        let default = self.default.as_ref()?;
        self.loaders.iter().find(|loader| loader.id == *default)
    }
}

impl Loader {
    fn read(object: &Key) -> Result<Self, HiveError> {
        let text = |name| Ok::<_, HiveError>(element(object, name)?.and_then(|value| value.text()).unwrap_or_default());
        let device = |name| Ok::<_, HiveError>(element(object, name)?.map(|value| Device::parse(&value.data)));
        let is_set =
            |name| Ok::<_, HiveError>(element(object, name)?.is_some_and(|value| value.data.first() == Some(&1)));
        Ok(Self {
            id: object.name().to_lowercase(),
            description: text("12000004")?,
            path: text("12000002")?,
            device: device("11000001")?,
            system_root: text("22000002")?,
            system_device: device("21000001")?,
            test_signing: is_set("16000049")?,
            no_integrity_checks: is_set("16000048")?,
        })
    }

    /// Whether it is started by UEFI firmware; none when its path says neither.
    pub fn is_uefi(&self) -> Option<bool> {
        match self.path.rsplit('.').next()?.to_ascii_lowercase().as_str() {
            "efi" => Some(true),
            "exe" => Some(false),
            _ => None,
        }
    }
}

/// An element of an object, by its type in hexadecimal digits.
fn element(object: &Key, name: &str) -> Result<Option<Value>, HiveError> {
    match object.key(&format!(r"Elements\{name}"))? {
        Some(element) => element.value("Element"),
        None => Ok(None),
    }
}

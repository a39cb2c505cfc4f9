//! From Windows 8: the database of drivers, with what Windows itself writes there when it installs a package that the system starts with.
//!
//! The model is a package that VMware's installer had Windows install; which values are read of it is in the hives that the tests use.

use vmdk2kvm_plugin_api::Result;
use vmdk2kvm_plugin_api::model::RegistryValue;

use super::DriverPackages;
use super::boot_driver::{stored, values};
use super::minimal::Entries;
use super::package::Package;
use super::plan::Planning;
use crate::edits::{BINARY, SZ, number, text, texts};
use crate::inf::{Install, Service};
use crate::version::Architecture;

const ROOT: &str = "DriverDatabase";
/// How much Windows trusts a signer whose key Microsoft signed.
const SIGNER_SCORE: u32 = 0x0d00_0005;
/// A package that is installed and whose files are in the store.
const STATUS: u32 = 0x12;
/// The hardware's and every user's settings.
const CONFIG_SCOPE: u32 = 7;

/// Plans the entries of a package.
pub fn plan(planning: &mut Planning<'_>, package: &Package<'_>, install: &Install, service: &Service) -> Result<()> {
    let whole = planning.packages == DriverPackages::Whole;
    let (published, stored_as) = (package.published(), package.stored_as());
    let edits = &mut planning.system;
    edits.concern("the disk's driver is found for its device");
    for (rank, id) in &package.ids {
        let key = format!("{ROOT}\\DeviceIds\\{id}");
        edits.set(&key, &published, RegistryValue::new(BINARY, &[*rank, 0xff, 0, 0]))?;
    }
    let inf = format!("{ROOT}\\DriverInfFiles\\{published}");
    edits.set(&inf, "", texts(&[&stored_as]))?;
    edits.set(&inf, "Active", text(SZ, &stored_as))?;
    edits.set(&inf, "Configurations", texts(&[&install.section]))?;

    let root = format!("{ROOT}\\DriverPackages\\{stored_as}");
    edits.set(&root, "Version", RegistryValue::new(BINARY, &version(package)))?;
    let configuration = format!("{root}\\Configurations\\{}", install.section);
    edits.set(&configuration, "Service", text(SZ, &service.name))?;
    edits.set(&configuration, "ConfigFlags", number(0))?;
    for (_, id) in &package.ids {
        let key = format!("{root}\\Descriptors\\{id}");
        edits.set(&key, "Configuration", text(SZ, &install.section))?;
    }
    if whole {
        return the_rest(planning, package, install, service, &root);
    }
    planning.minimal.push(Entries::of(package));
    Ok(())
}

/// What the start does not need, and an upgrade or a list of drivers does.
fn the_rest(
    planning: &mut Planning<'_>,
    package: &Package<'_>,
    install: &Install,
    service: &Service,
    root: &str,
) -> Result<()> {
    let published = package.published();
    let inf = package.inf;
    let edits = &mut planning.system;
    edits.set(
        &format!("{ROOT}\\DeviceIds\\{}", inf.class_guid().to_lowercase()),
        &published,
        RegistryValue::new(0, &[]),
    )?;
    edits.set(root, "", text(SZ, &published))?;
    edits.set(root, "Provider", text(SZ, &inf.provider().text))?;
    edits.set(root, "InfName", text(SZ, &package.inf_name))?;
    edits.set(root, "Catalog", text(SZ, &package.catalogue_name))?;
    edits.set(root, "OemPath", text(SZ, "C:\\Windows\\vmdk2kvm"))?;
    edits.set(root, "SignerName", text(SZ, &package.signer))?;
    edits.set(root, "SignerScore", number(SIGNER_SCORE))?;
    edits.set(root, "StatusFlags", number(STATUS))?;
    let configuration = format!("{root}\\Configurations\\{}", install.section);
    edits.set(&configuration, "ConfigScope", number(CONFIG_SCOPE))?;
    for value in &install.hardware {
        let Some(data) = stored(&value.data) else { continue };
        edits.set(&below(&format!("{configuration}\\Device"), &value.key), &value.name, data)?;
    }
    let services = format!("{configuration}\\Services\\{}", service.name);
    for (key, name, value) in values(service) {
        edits.set(&below(&services, key), name, value)?;
    }
    for model in &package.models {
        for id in &model.ids {
            let key = format!("{root}\\Descriptors\\{id}");
            edits.set(&key, "Manufacturer", text(SZ, &model.manufacturer.written.to_lowercase()))?;
            edits.set(&key, "Description", text(SZ, &model.description.written.to_lowercase()))?;
        }
    }
    for (key, string) in inf.strings() {
        edits.set(&format!("{root}\\Strings"), &key.to_lowercase(), text(SZ, string))?;
    }
    Ok(())
}

fn below(key: &str, rest: &str) -> String {
    if rest.is_empty() { key.to_owned() } else { format!("{key}\\{rest}") }
}

/// Processor, class, date and version of a package, 48 bytes.
fn version(package: &Package<'_>) -> Vec<u8> {
    let mut bytes = vec![0, 0xff];
    let processor: u16 = match package.windows.architecture {
        Architecture::X86 => 0,
        Architecture::Amd64 => 9,
        Architecture::Arm64 => 12,
    };
    bytes.extend(processor.to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(guid(&package.inf.class_guid()));
    let (date, words) =
        package.inf.driver_version().map_or((0, [0; 4]), |version| (version.filetime(), version.version));
    bytes.extend(date.to_le_bytes());
    bytes.extend(words.iter().rev().flat_map(|word: &u16| word.to_le_bytes()));
    bytes.extend([0; 8]);
    bytes
}

/// The bytes of a GUID as Windows stores one: three numbers with their low bytes first, and eight bytes.
fn guid(text: &str) -> [u8; 16] {
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    let byte =
        |at: usize| digits.get(2 * at..2 * at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()).unwrap_or(0);
    [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15].map(byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guid_in_bytes() {
        let wanted = [0x7b, 0xe9, 0x36, 0x4d, 0x25, 0xe3, 0xce, 0x11, 0xbf, 0xc1, 0x08, 0, 0x2b, 0xe1, 0x03, 0x18];
        assert_eq!(guid("{4D36E97B-E325-11CE-BFC1-08002BE10318}"), wanted);
    }
}

//! The services that a package installs.

use super::files::Directory;
use super::number::number;
use super::registry::{self, RegistryValue};
use super::{Install, Reading};

/// A service, as its install section describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Service {
    /// Its key below `Services`.
    pub name: String,
    /// Whether it is the device's own service (`SPSVCINST_ASSOCSERVICE`), not one beside it.
    pub is_function: bool,
    /// `DisplayName`, tokens replaced.
    pub display_name: Option<String>,
    /// `Type`: 1 for a kernel driver.
    pub service_type: u32,
    /// `Start`: 0 at boot, 3 on demand.
    pub start_type: u32,
    /// `ErrorControl`.
    pub error_control: u32,
    /// The folder of its program, as the INF numbers it.
    pub directory: Directory,
    /// The program's path in that folder, with backslashes: `viostor.sys`.
    pub binary: String,
    /// `Group`.
    pub load_order_group: Option<String>,
    /// `DependOnService` and, with a plus sign, `DependOnGroup`.
    pub dependencies: Vec<String>,
    /// Values below the service's key: `Parameters` and others.
    pub registry: Vec<RegistryValue>,
}

/// The services of an install section. A line without a name says that the device needs none.
pub(super) fn services(inf: &Reading, install: &str) -> Result<Vec<Service>, String> {
    let section = format!("{install}.Services");
    let mut services = Vec::new();
    for line in inf.sections.with_key(&section, "AddService") {
        let [name, flags, from] = [0, 1, 2].map(|index| inf.expand(line.field(index)));
        if name.is_empty() {
            continue;
        }
        let flags = match flags.as_str() {
            "" => 0,
            text => number(text).ok_or_else(|| format!("[{section}]: \"{text}\" are no flags of a service"))?,
        };
        services.push(service(inf, name, flags & 2 != 0, &from).map_err(|why| format!("[{from}]: {why}"))?);
        inf.count(services.len())?;
    }
    Ok(services)
}

fn service(inf: &Reading, name: String, is_function: bool, section: &str) -> Result<Service, String> {
    let text = |key| inf.sections.first(section, key).map(|line| inf.expand(line.field(0)));
    let value = |key| {
        let text = text(key).ok_or_else(|| format!("the service {name} has no {key}"))?;
        number(&text).ok_or_else(|| format!("the {key} of the service {name} is \"{text}\", which is no number"))
    };
    let binary = text("ServiceBinary").ok_or_else(|| format!("the service {name} has no ServiceBinary"))?;
    let place = binary.strip_prefix('%').and_then(|rest| rest.split_once("%\\"));
    let (directory, binary) = place
        .and_then(|(id, path)| Some((Directory::of(number(id)?), path.to_owned())))
        .ok_or_else(|| format!("the ServiceBinary of {name} is \"{binary}\", which names no folder by its number"))?;
    let mut values = Vec::new();
    for list in inf.listed(section, "AddReg") {
        values.extend(registry::values(inf, &list)?);
        inf.count(values.len())?;
    }
    Ok(Service {
        is_function,
        display_name: text("DisplayName"),
        service_type: value("ServiceType")?,
        start_type: value("StartType")?,
        error_control: value("ErrorControl")?,
        directory,
        binary,
        load_order_group: text("LoadOrderGroup").filter(|group| !group.is_empty()),
        dependencies: inf.listed(section, "Dependencies"),
        registry: values,
        name,
    })
}

impl Install {
    /// The service of the device itself.
    pub fn function(&self) -> Option<&Service> {
        self.services.iter().find(|service| service.is_function)
    }
}

//! The hives of a system, read from the guest once, and the questions that the rest of this crate asks of them.

use vmdk2kvm_plugin_api::model::RegistryValue;
use vmdk2kvm_plugin_api::{Guest, PluginError, Result};

use crate::hive::{Hive, Key, Replayed, Value, replay};
use crate::places::System;

/// Largest hive that is read, in bytes.
const LIMIT: u64 = 512 << 20;

/// The logs that a hive may have, in the order in which they are looked at.
pub fn logs_of(hive: &str) -> [String; 3] {
    [".LOG1", ".LOG2", ".LOG"].map(|ending| format!("{hive}{ending}"))
}

/// A hive that was left in the midst of being written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waited {
    /// The digest of the file as it is.
    pub sha256: String,
    /// How many steps its logs hold for it; `None`: nothing, so that it is taken as it is.
    pub steps: Option<usize>,
}

/// A hive of a guest.
pub struct Registry {
    /// Its path in the guest.
    pub path: String,
    /// Set when it has to be brought up to date: everything here is as it will be then.
    pub waited: Option<Waited>,
    hive: Hive,
}

impl Registry {
    /// Reads a hive; `None` when there is none.
    pub fn read(guest: &dyn Guest, path: &str) -> Result<Option<Self>> {
        let Some(bytes) = guest.read(path, LIMIT)? else { return Ok(None) };
        let broken = |error| PluginError::from(error).context(path);
        let hive = Hive::open(bytes).map_err(broken)?;
        let (mut waited, mut hive) = (None, hive);
        if hive.pending() {
            let mut logs = Vec::new();
            for log in logs_of(path) {
                logs.extend(guest.read(&log, LIMIT)?);
            }
            let logs: Vec<&[u8]> = logs.iter().map(Vec::as_slice).collect();
            let replayed = replay(hive.bytes(), &logs).map_err(|error| PluginError::from(error).context(path))?;
            let new = match replayed {
                Replayed::Whole => None,
                Replayed::Applied { hive, steps } => Some((hive, Some(steps))),
                Replayed::Settled { hive } => Some((hive, None)),
            };
            if let Some((bytes, steps)) = new {
                waited = Some(Waited { sha256: crate::sha256(hive.bytes()), steps });
                hive = Hive::open(bytes).map_err(broken)?;
            }
        }
        Ok(Some(Self { path: path.to_owned(), waited, hive }))
    }

    fn key(&self, key: &str) -> Result<Option<Key<'_>>> {
        self.hive.key(key).map_err(|error| PluginError::from(error).context(format_args!("{}: {key}", self.path)))
    }

    /// Whether there is such a key.
    pub fn has(&self, key: &str) -> Result<bool> {
        Ok(self.key(key)?.is_some())
    }

    /// A value as it is stored.
    pub fn value(&self, key: &str, name: &str) -> Result<Option<Value>> {
        let Some(found) = self.key(key)? else { return Ok(None) };
        found.value(name).map_err(|error| PluginError::from(error).context(format_args!("{}: {key}", self.path)))
    }

    /// A value as an edit names it.
    pub fn stored(&self, key: &str, name: &str) -> Result<Option<RegistryValue>> {
        Ok(self.value(key, name)?.map(|value| RegistryValue::new(value.type_number, &value.data)))
    }

    /// The text of a value; `None` also when it is none.
    pub fn text(&self, key: &str, name: &str) -> Result<Option<String>> {
        Ok(self.value(key, name)?.and_then(|value| value.text()))
    }

    /// The texts of a value that holds several; the one of a value that holds one.
    pub fn texts(&self, key: &str, name: &str) -> Result<Vec<String>> {
        let Some(value) = self.value(key, name)? else { return Ok(Vec::new()) };
        let texts = value.texts().or_else(|| value.text().map(|text| vec![text])).unwrap_or_default();
        Ok(texts.into_iter().filter(|text| !text.is_empty()).collect())
    }

    /// The number of a value; `None` also when it is none.
    pub fn number(&self, key: &str, name: &str) -> Result<Option<u64>> {
        Ok(self.value(key, name)?.and_then(|value| value.number()))
    }

    /// The names of the keys below a key; none when it is not there.
    pub fn keys(&self, key: &str) -> Result<Vec<String>> {
        let Some(found) = self.key(key)? else { return Ok(Vec::new()) };
        let broken = |error| PluginError::from(error).context(format_args!("{}: {key}", self.path));
        Ok(found.subkeys().map_err(broken)?.iter().map(Key::name).collect())
    }

    /// The values of a key; none when it is not there.
    pub fn values(&self, key: &str) -> Result<Vec<Value>> {
        let Some(found) = self.key(key)? else { return Ok(Vec::new()) };
        found.values().map_err(|error| PluginError::from(error).context(format_args!("{}: {key}", self.path)))
    }
}

/// The hives that a plan is made from.
pub struct Hives {
    /// `HKLM\SYSTEM`.
    pub system: Registry,
    /// `HKLM\SOFTWARE`.
    pub software: Registry,
    /// `HKLM\DRIVERS`, which newer systems have.
    pub drivers: Option<Registry>,
    /// The control set that the system starts with: `ControlSet001`.
    pub control_set: String,
}

impl Hives {
    /// Reads the hives of a system.
    pub fn read(guest: &dyn Guest, system: &System) -> Result<Self> {
        let must = |name: &str| {
            let path = system.hive(name);
            Registry::read(guest, &path)?.ok_or_else(|| {
                PluginError::unusable(format!("{path}: the hive is not there"))
                    .hint("restore it from a backup (\\Windows\\System32\\config\\RegBack), or finish the installation of Windows")
            })
        };
        let registry = must("SYSTEM")?;
        let number = registry.number("Select", "Current")?.filter(|number| (1..=999).contains(number));
        let number = number.ok_or_else(|| {
            PluginError::unusable(format!("{}: Select does not say which control set is current", registry.path))
                .hint("start Windows once, or restore the hive from a backup")
        })?;
        Ok(Self {
            control_set: format!("ControlSet{number:03}"),
            system: registry,
            software: must("SOFTWARE")?,
            drivers: Registry::read(guest, &system.hive("DRIVERS"))?,
        })
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Registry> {
        [&self.system, &self.software].into_iter().chain(&self.drivers)
    }

    /// A key of the current control set.
    pub fn current(&self, key: &str) -> String {
        format!("{}\\{key}", self.control_set)
    }

    /// A key of a service or a driver.
    pub fn service(&self, name: &str) -> String {
        self.current(&format!("Services\\{name}"))
    }
}

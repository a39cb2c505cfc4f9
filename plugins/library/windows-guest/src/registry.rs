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

/// A hive of a guest.
pub struct Registry {
    /// Its path in the guest.
    pub path: String,
    /// The digest of the file, when it waits for what its logs hold: everything here is as it will be then.
    pub waited: Option<String>,
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
            if let Replayed::Applied { hive: bytes, .. } | Replayed::Settled { hive: bytes } = replayed {
                waited = Some(crate::sha256(hive.bytes()));
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
            Registry::read(guest, &path)?.ok_or_else(|| PluginError::unusable(format!("{path}: the hive is not there")))
        };
        let registry = must("SYSTEM")?;
        let number = registry.number("Select", "Current")?.filter(|number| (1..=999).contains(number));
        let number = number.ok_or_else(|| {
            PluginError::unusable(format!("{}: Select does not say which control set is current", registry.path))
        })?;
        Ok(Self {
            control_set: format!("ControlSet{number:03}"),
            system: registry,
            software: must("SOFTWARE")?,
            drivers: Registry::read(guest, &system.hive("DRIVERS"))?,
        })
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

//! The stock bundle as data: what could be installed when nothing here can do a stage.

use serde::Deserialize;
use vmdk2kvm_plugin_api::Kind;

/// The table beside the plugins; embedded, so that the host itself names none of them.
const TABLE: &str = include_str!("../../../plugins/stock.toml");

#[derive(Deserialize)]
struct Table {
    plugin: Vec<StockPlugin>,
}

/// A plugin of the stock bundle.
#[derive(Debug, Clone, Deserialize)]
pub struct StockPlugin {
    /// Its name.
    pub name: String,
    /// The package that has it.
    pub package: String,
    /// The stages it takes part in.
    pub kinds: Vec<Kind>,
    /// What it can do there: formats, schemes, families.
    #[serde(rename = "for")]
    pub subjects: Vec<String>,
}

impl StockPlugin {
    /// What to tell somebody who lacks it.
    pub fn advice(&self) -> String {
        format!("install the plugin {} (package {})", self.name, self.package)
    }
}

/// The stock plugin of this name.
pub fn named(name: &str) -> Option<StockPlugin> {
    all().find(|plugin| plugin.name == name)
}

/// The stock plugins of a kind that can do `subject` (`None`: anything).
pub fn candidates(kind: Kind, subject: Option<&str>) -> Vec<StockPlugin> {
    let fits = |plugin: &StockPlugin| {
        plugin.kinds.contains(&kind) && subject.is_none_or(|subject| plugin.subjects.iter().any(|word| word == subject))
    };
    all().filter(fits).collect()
}

/// The stock plugins.
pub fn all() -> impl Iterator<Item = StockPlugin> {
    let table: Table = toml::from_str(TABLE).unwrap_or(Table { plugin: Vec::new() });
    table.plugin.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_stock_plugin() {
        for kind in Kind::ALL {
            assert!(!candidates(kind, None).is_empty(), "{kind:?}");
        }
        assert!(candidates(Kind::Flattener, Some("no-such-format")).is_empty());
    }
}

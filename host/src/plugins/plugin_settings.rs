//! The tables `plugin.NAME` of a job against what the manifests say. Values are the plugin's own business.

use std::collections::BTreeMap;

use vmdk2kvm_plugin_api::{Manifest, PluginError, Result};

use super::discovery::Candidate;
use super::stock;
use crate::config::nearest::nearest;

/// Refuses a key that the plugin does not have. Returns what is odd but no error: a table for a plugin that is not here, since one
/// file may serve several machines.
pub fn check_settings(candidates: &[Candidate], tables: &BTreeMap<String, serde_json::Value>) -> Result<Vec<String>> {
    let manifests = || candidates.iter().filter_map(|candidate| candidate.manifest.as_ref());
    let mut warnings = Vec::new();
    for (name, table) in tables {
        match manifests().find(|manifest| manifest.name == *name) {
            Some(manifest) => keys(manifest, table)?,
            None => {
                let meant = nearest(name, manifests().map(|manifest| manifest.name.as_str()));
                let advice = match (stock::named(name), meant) {
                    (Some(stock), _) => format!(": {}", stock.advice()),
                    (None, Some(meant)) => format!("; did you mean `plugin.{meant}`?"),
                    (None, None) => String::new(),
                };
                warnings.push(format!("`plugin.{name}` sets a plugin that is not installed{advice}"));
            }
        }
    }
    Ok(warnings)
}

fn keys(manifest: &Manifest, table: &serde_json::Value) -> Result<()> {
    let name = &manifest.name;
    let Some(table) = table.as_object() else {
        return Err(PluginError::config(format!("`plugin.{name}` is not a table")));
    };
    let known: Vec<&str> = manifest.settings.iter().map(|setting| setting.key.as_str()).collect();
    let Some(key) = table.keys().find(|key| !known.contains(&key.as_str())) else { return Ok(()) };
    let message = format!("unknown key `plugin.{name}.{key}`");
    Err(match nearest(key, known.iter().copied()) {
        Some(meant) => PluginError::config(format!("{message}; did you mean `plugin.{name}.{meant}`?")),
        None if known.is_empty() => PluginError::config(message).hint(format!("the plugin {name} has no settings")),
        None => PluginError::config(message).hint(format!("its settings are: {}", known.join(", "))),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plugins::SearchKind;

    fn candidate() -> Candidate {
        let manifest = json!({"schema": 1, "name": "qemu-img", "version": "0.1.0", "api": "1.0.0", "summary": "x",
            "license": "MIT", "kinds": ["converter"],
            "settings": [{"key": "compression", "type": "string", "default": "zstd", "doc": "x"}]});
        Candidate {
            path: "/p.so".into(),
            kind: SearchKind::Given,
            manifest: Some(serde_json::from_value(manifest).unwrap()),
            needed: Vec::new(),
            digest: None,
            refused: None,
        }
    }

    fn check(tables: serde_json::Value) -> Result<Vec<String>> {
        check_settings(&[candidate()], &serde_json::from_value(tables).unwrap())
    }

    #[test]
    fn keys_are_those_of_the_manifest() {
        assert!(check(json!({"qemu-img": {"compression": "zlib"}})).unwrap().is_empty());
        let error = check(json!({"qemu-img": {"compresion": 1}})).unwrap_err();
        let said = "unknown key `plugin.qemu-img.compresion`; did you mean `plugin.qemu-img.compression`?";
        assert_eq!(error.message, said);
        let error = check(json!({"qemu-img": {"x": 1}})).unwrap_err();
        assert_eq!(error.hint.as_deref(), Some("its settings are: compression"));
    }

    #[test]
    fn a_plugin_that_is_not_here_is_a_warning() {
        let warnings = check(json!({"local": {}, "qemu_img": {"compression": "zlib"}, "vendor": {}})).unwrap();
        assert_eq!(
            warnings,
            [
                "`plugin.local` sets a plugin that is not installed: install the plugin local (package vmdk2kvm-plugin-local)",
                "`plugin.qemu_img` sets a plugin that is not installed; did you mean `plugin.qemu-img`?",
                "`plugin.vendor` sets a plugin that is not installed",
            ]
        );
    }
}

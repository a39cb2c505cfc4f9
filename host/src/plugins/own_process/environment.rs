//! The environment of a plugin's process: what its manifest says, with the plugin's settings where it refers to them.

use std::collections::BTreeMap;

use serde_json::Value;
use vmdk2kvm_plugin_api::{Manifest, PluginError, Result};

/// The variables to set. One that refers to a setting without a value is left as it is.
pub(super) fn variables(manifest: &Manifest, settings: &Value) -> Result<BTreeMap<String, String>> {
    let mut variables = BTreeMap::new();
    for (name, value) in &manifest.process.environment {
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(PluginError::missing(format!("its manifest names {name:?}, which is no variable")));
        }
        if let Some(value) = filled(manifest, settings, name, value)? {
            variables.insert(name.clone(), value);
        }
    }
    Ok(variables)
}

/// The value with its references replaced; `None` when one has nothing.
fn filled(manifest: &Manifest, settings: &Value, name: &str, value: &str) -> Result<Option<String>> {
    let mut text = String::new();
    let mut rest = value;
    while let Some((before, after)) = rest.split_once("${") {
        let (key, after) = after.split_once('}').ok_or_else(|| {
            PluginError::missing(format!("its manifest has a reference without an end in the variable {name}"))
        })?;
        let setting = manifest.settings.iter().find(|setting| setting.key == key).ok_or_else(|| {
            PluginError::missing(format!(
                "the variable {name} of its manifest refers to `{key}`, which is no setting of it"
            ))
        })?;
        let value = match settings.get(key) {
            None | Some(Value::Null) => setting.default.clone(),
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            Some(Value::Bool(word)) => word.to_string(),
            Some(_) => return Err(wrong(manifest, key, "is neither a text nor a number")),
        };
        if value.is_empty() {
            return Ok(None);
        }
        if value.contains('\0') {
            return Err(wrong(manifest, key, "has a NUL"));
        }
        text += before;
        text += &value;
        rest = after;
    }
    text += rest;
    Ok(Some(text))
}

fn wrong(manifest: &Manifest, key: &str, why: &str) -> PluginError {
    PluginError::config(format!("`plugin.{}.{key}` {why}", manifest.name))
        .hint("it goes into the environment of the plugin's process, which takes texts")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn manifest(environment: Value) -> Manifest {
        serde_json::from_value(json!({"schema": 1, "name": "far", "version": "0.1.0", "api": "1.0.0", "summary": "x",
            "license": "MIT", "kinds": ["fetcher"],
            "settings": [{"key": "libdir", "type": "string", "default": "", "doc": "x"},
                {"key": "level", "type": "integer", "default": "3", "doc": "x"}],
            "process": {"own": true, "environment": environment}}))
        .unwrap()
    }

    fn found(environment: Value, settings: Value) -> Result<Value> {
        variables(&manifest(environment), &settings).map(|variables| json!(variables))
    }

    #[test]
    fn references_are_filled_from_the_settings() {
        let environment = json!({"PLAIN": "1", "LIBS": "${libdir}/lib64:${libdir}/lib", "LEVEL": "L${level}"});
        let all = json!({"PLAIN": "1", "LIBS": "/opt/v/lib64:/opt/v/lib", "LEVEL": "L9"});
        assert_eq!(found(environment.clone(), json!({"libdir": "/opt/v", "level": 9})).unwrap(), all);
        assert_eq!(found(environment, json!({})).unwrap(), json!({"PLAIN": "1", "LEVEL": "L3"}));
    }

    #[test]
    fn what_cannot_be_filled_is_said() {
        let said = |environment, settings| found(environment, settings).unwrap_err().message;
        assert_eq!(
            said(json!({"A": "${lib}"}), json!({})),
            "the variable A of its manifest refers to `lib`, which is no setting of it"
        );
        assert_eq!(
            said(json!({"A": "${lib"}), json!({})),
            "its manifest has a reference without an end in the variable A"
        );
        assert_eq!(said(json!({"A=B": "1"}), json!({})), "its manifest names \"A=B\", which is no variable");
        let wrong = said(json!({"A": "${libdir}"}), json!({"libdir": ["/opt"]}));
        assert_eq!(wrong, "`plugin.far.libdir` is neither a text nor a number");
    }
}

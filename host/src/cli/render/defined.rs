//! What became of a machine at its target.

use serde_json::Value;
use vmdk2kvm_plugin_api::model::Finding;

use super::findings::findings;
use crate::events::escape;

/// The answer of `define`.
pub fn defined(document: &Value) -> String {
    let word = |name: &str| escape(document[name].as_str().unwrap_or_default()).into_owned();
    let how = if document["unchanged"] == true { "was defined already" } else { "defined, not started" };
    let found: Vec<Finding> = serde_json::from_value(document["findings"].clone()).unwrap_or_default();
    format!("{:<8} {}: {how}\n{}", word("target"), word("name"), findings(&found))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_defined_is_told_with_what_is_left_to_do() {
        let finding =
            json!({"code": "network-off", "severity": "warn", "message": "the network a is off", "hint": "start a"});
        let document = json!({"target": "far", "name": "web\u{1b}", "unchanged": false, "findings": [finding]});
        let text =
            "far      web\\x1b: defined, not started\n\nwarning: the network a is off [network-off]\n  start a\n";
        assert_eq!(defined(&document), text);
        let again = json!({"target": "far", "name": "web", "unchanged": true, "findings": []});
        assert_eq!(defined(&again), "far      web: was defined already\n");
    }
}

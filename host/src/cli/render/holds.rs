//! What is held at sources: what `release` gave back, and what `doctor` found.

use serde_json::Value;

use crate::config::secret::mask_uri;
use crate::events::escape;
use crate::journal::HoldNote;

/// The answer of `release`.
pub fn released(document: &Value) -> String {
    let list = |name: &str| document[name].as_array().cloned().unwrap_or_default();
    let word = |entry: &Value, name: &str| escape(entry[name].as_str().unwrap_or_default()).into_owned();
    let mut text = String::new();
    for entry in list("released") {
        let (took, vm, source) = (word(&entry, "took"), word(&entry, "vm"), word(&entry, "source"));
        text.push_str(&format!("given back: {took} ({vm} at {source})\n"));
    }
    for entry in list("kept") {
        let (took, source, error) = (word(&entry, "took"), word(&entry, "source"), word(&entry, "error"));
        text.push_str(&format!("still held: {took} at {source}: {error}\n"));
    }
    if text.is_empty() { "nothing is held\n".to_owned() } else { text }
}

/// What runs that are gone have left, below what `doctor` says of this machine; empty when that is nothing.
pub fn holds(left: &[HoldNote]) -> String {
    let mut text = String::new();
    for note in left {
        let uri = mask_uri(&note.source.uri);
        let (vm, source) = (escape(&note.vm), escape(&uri));
        text.push_str(&format!("\nheld since {}: {} ({vm} at {source})\n", escape(&note.since), note.shown()));
        text.push_str(&match &note.output {
            Some(output) => {
                let output = output.to_string_lossy();
                let output = escape(&output);
                format!("  run the migration into {output} again, or `vmdk2kvm release {output}`\n")
            }
            None => "  `vmdk2kvm inspect` of the same source gives it back\n".to_owned(),
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_left_is_named_with_the_command_that_gives_it_back() {
        let note: HoldNote = serde_json::from_value(json!({
            "wish": {"run": "a"}, "source": {"uri": "far://root@h/web"}, "plugin": "far", "vm": "web", "output": "/srv/out",
            "since": "2025-01-01T00:00:00Z", "hold": {"schema": 1, "id": "7", "took": ["snapshot 7\u{1b}"]}
        }))
        .unwrap();
        let look = HoldNote { output: None, hold: None, ..note.clone() };
        assert_eq!(
            holds(&[note, look]),
            "
held since 2025-01-01T00:00:00Z: snapshot 7\\x1b (web at far://root@h/web)
  run the migration into /srv/out again, or `vmdk2kvm release /srv/out`

held since 2025-01-01T00:00:00Z: perhaps something (web at far://root@h/web)
  `vmdk2kvm inspect` of the same source gives it back
"
        );
        assert_eq!(holds(&[]), "");
    }

    #[test]
    fn what_was_given_back_and_what_was_not() {
        let entry = json!({"source": "far://h/web", "vm": "web", "took": "snapshot 7", "error": "no route"});
        assert_eq!(
            released(&json!({"released": [entry], "kept": [entry]})),
            "given back: snapshot 7 (web at far://h/web)\nstill held: snapshot 7 at far://h/web: no route\n"
        );
        assert_eq!(released(&json!({"released": [], "kept": []})), "nothing is held\n");
    }
}

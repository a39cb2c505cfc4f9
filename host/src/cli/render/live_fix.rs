//! What was done to a guest that runs, or taken back in it.

use serde_json::Value;
use vmdk2kvm_plugin_api::model::{Finding, RolledBack};

use super::findings::findings;
use crate::events::escape;
use crate::report::ChangeRecord;

/// The answer of `live-fix`.
pub fn live_fixed(document: &Value) -> String {
    if let Ok(taken_back) = serde_json::from_value::<RolledBack>(document["rollback"].clone()) {
        return rolled_back(&taken_back);
    }
    let changes: Vec<ChangeRecord> = serde_json::from_value(document["changes"].clone()).unwrap_or_default();
    let found: Vec<Finding> = serde_json::from_value(document["findings"].clone()).unwrap_or_default();
    let mut text = String::new();
    for ChangeRecord { change, status, detail } in &changes {
        let what = format!("{:<9} {} {}", status.as_str(), change.action.kind(), escape(&change.target));
        let detail = if detail.is_empty() { String::new() } else { format!(" ({})", escape(detail)) };
        text.push_str(&format!("{what}{detail}\n"));
    }
    let end = match document["converged"].as_bool() {
        Some(true) if changes.is_empty() => "nothing is to be changed\n",
        Some(true) => {
            "nothing is left to do until the guest is moved; copy its disks now: an older copy lacks these changes\n"
        }
        Some(false) => "not settled: after the fixes, more would still change\n",
        None => "nothing was changed\n",
    };
    text + end + &findings(&found)
}

fn rolled_back(taken_back: &RolledBack) -> String {
    let Some(run) = &taken_back.run else { return "there is nothing to take back\n".to_owned() };
    let mut text = format!("the changes of {} are taken back\n", escape(run));
    for path in &taken_back.restored {
        text.push_str(&format!("as before {}\n", escape(path)));
    }
    for left in &taken_back.left {
        text.push_str(&format!("left      {}: {}\n", escape(&left.path), escape(&left.reason)));
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_done_and_what_was_not() {
        let change = json!({"id": "c1", "fixer": "f", "kind": "symlink", "to": "x", "target": "/etc/a\u{1b}", "summary": "s",
            "reason": "r", "critical": false, "status": "done", "detail": "d"});
        let document = json!({"changes": [change], "converged": true, "findings": []});
        assert!(live_fixed(&document).starts_with("done      symlink /etc/a\\x1b (d)\nnothing is left to do"));
        assert_eq!(live_fixed(&json!({"changes": [], "converged": true})), "nothing is to be changed\n");
        assert_eq!(live_fixed(&json!({"changes": [], "converged": null})), "nothing was changed\n");
    }

    #[test]
    fn what_was_taken_back() {
        let document =
            json!({"rollback": {"run": "r1", "restored": ["/a"], "left": [{"path": "/b", "reason": "changed"}]}});
        assert_eq!(live_fixed(&document), "the changes of r1 are taken back\nas before /a\nleft      /b: changed\n");
        assert_eq!(live_fixed(&json!({"rollback": {}})), "there is nothing to take back\n");
    }
}

//! Findings for people.

use vmdk2kvm_plugin_api::model::{Finding, Severity};

use crate::events::escape;

/// Findings, the worst first.
pub(super) fn findings(findings: &[Finding]) -> String {
    let mut sorted: Vec<&Finding> = findings.iter().collect();
    sorted.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    let mut text = String::new();
    for finding in sorted {
        let word = match finding.severity {
            Severity::Info => "note",
            Severity::Block => "blocked",
            _ => "warning",
        };
        text.push_str(&format!("{word}: {} [{}]\n", escape(&finding.message), escape(&finding.code)));
        if !finding.hint.is_empty() {
            text.push_str(&format!("  {}\n", escape(&finding.hint)));
        }
    }
    if text.is_empty() { text } else { format!("\n{text}") }
}

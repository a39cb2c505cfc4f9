//! Assertions on plans, which panic with what is there instead.

use vmdk2kvm_plugin_api::model::{Action, Change, Finding, FixerPlan};

/// Questions to a plan. Each panics when the plan has no answer, and then shows the plan.
pub trait Planned {
    /// The one change of this target.
    fn change(&self, target: &str) -> &Change;

    /// The text that the file at `target` is given.
    fn text(&self, target: &str) -> String;

    /// What the symlink at `target` is made to point to.
    fn link(&self, target: &str) -> &str;

    /// The finding with this code.
    fn finding(&self, code: &str) -> &Finding;

    /// The targets in their order.
    fn targets(&self) -> Vec<&str>;

    /// There is neither a change nor a finding.
    fn assert_nothing(&self);
}

impl Planned for FixerPlan {
    #[track_caller]
    fn change(&self, target: &str) -> &Change {
        let mut changes = self.changes.iter().filter(|change| change.target == target);
        match (changes.next(), changes.next()) {
            (Some(change), None) => change,
            (Some(_), Some(_)) => panic!("{target} is changed more than once: {self:#?}"),
            (None, _) => panic!("{target} is not changed: {self:#?}"),
        }
    }

    #[track_caller]
    fn text(&self, target: &str) -> String {
        let change = self.change(target);
        let Action::WriteFile { content, .. } = &change.action else { panic!("{target} is not written: {change:#?}") };
        let bytes = content.to_bytes().unwrap_or_else(|error| panic!("{target}: {error}"));
        String::from_utf8(bytes).unwrap_or_else(|_| panic!("{target} is not written as text: {change:#?}"))
    }

    #[track_caller]
    fn link(&self, target: &str) -> &str {
        let change = self.change(target);
        let Action::Symlink { to } = &change.action else { panic!("{target} is not made a symlink: {change:#?}") };
        to
    }

    #[track_caller]
    fn finding(&self, code: &str) -> &Finding {
        let found = self.findings.iter().find(|finding| finding.code == code);
        found.unwrap_or_else(|| panic!("there is no finding {code}: {:#?}", self.findings))
    }

    fn targets(&self) -> Vec<&str> {
        self.changes.iter().map(|change| change.target.as_str()).collect()
    }

    #[track_caller]
    fn assert_nothing(&self) {
        assert!(self.changes.is_empty() && self.findings.is_empty(), "there is something left: {self:#?}");
    }
}

//! What is known of the guest as it will be started, and what a board has places for.

use vmdk2kvm_plugin_api::model::{FixerPlan, Inspection};

/// An IDE machine has two channels with two drives each.
pub(super) const MOST_IDE_DRIVES: usize = 4;

/// What is known of the guest as it will be started.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Promises {
    /// Drivers that it will have.
    pub drives: Vec<String>,
    /// What it would like.
    pub wants: Vec<String>,
}

impl Promises {
    /// Those of a guest as it is.
    pub fn of(inspection: Option<&Inspection>) -> Self {
        Self { drives: inspection.map(|inspection| inspection.drives.clone()).unwrap_or_default(), wants: Vec::new() }
    }

    /// And those of a fixer whose plan is carried out.
    pub fn add(&mut self, plan: &FixerPlan) {
        self.drives.extend(plan.drives.iter().cloned());
        self.wants.extend(plan.wants.iter().cloned());
    }

    /// Whether the guest drives this.
    pub(super) fn drive(&self, driver: &str) -> bool {
        self.drives.iter().any(|known| known == driver)
    }

    /// Whether the guest would like this.
    pub(super) fn want(&self, word: &str) -> bool {
        self.wants.iter().any(|known| known == word)
    }
}

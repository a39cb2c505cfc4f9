//! Hives that were being written when the system stopped. What became of them is told either way: a person may rather shut the system
//! down once more.

use vmdk2kvm_plugin_api::model::{Finding, Severity};

use crate::registry::{Hives, Registry};

/// A finding for each of them.
pub fn find(hives: &Hives) -> Vec<Finding> {
    hives.all().filter_map(one).collect()
}

fn one(hive: &Registry) -> Option<Finding> {
    let name = hive.path.rsplit('/').next().unwrap_or_default();
    Some(match hive.waited.as_ref()?.steps {
        Some(steps) => {
            let steps = if steps == 1 { "1 step".to_owned() } else { format!("{steps} steps") };
            let message = format!(
                "the registry hive {name} was being written when the system stopped: its logs ({steps}) are replayed first"
            );
            Finding::new("hive-replayed", Severity::Info, message)
                .hint("Windows does the same at its next start; a system that is shut down (shutdown /s /t 0) has nothing left to replay")
        }
        None => {
            let message = format!(
                "the registry hive {name} was being written when the system stopped, and its logs hold nothing for it: it is sound and taken as it is"
            );
            Finding::new("hive-settled", Severity::Warn, message).hint(
                "Windows would take it as well; to lose nothing for certain, start the VM once more, shut it down (shutdown /s /t 0), and migrate again",
            )
        }
    })
}

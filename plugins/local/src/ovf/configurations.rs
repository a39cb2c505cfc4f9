//! The deployment options of a package (DSP0243, section 9.8): one is chosen, and items and properties follow it.

use roxmltree::Node;
use vmdk2kvm_plugin_api::model::{Finding, Severity};
use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{PluginError, Result};

use super::envelope::is_true;
use super::xml::{attribute, children};
use crate::content::list;

/// The configurations, and the one that applies.
#[derive(Debug, Default)]
pub struct Configurations {
    ids: Vec<String>,
    applies: Option<String>,
    by_the_user: bool,
}

impl Configurations {
    /// Reads them. What the user wants applies, else the one that is marked as the default, else the first.
    pub fn read(root: Node<'_, '_>, chosen: Option<&str>) -> Result<Self> {
        let options =
            || children(root, "DeploymentOptionSection").flat_map(|section| children(section, "Configuration"));
        let ids: Vec<String> = options().filter_map(|option| attribute(option, "id")).map(str::to_owned).collect();
        let default = options().find(|option| attribute(*option, "default").is_some_and(is_true));
        let default = default.and_then(|option| attribute(option, "id")).or(ids.first().map(String::as_str));
        let Some(chosen) = chosen else {
            return Ok(Self { applies: default.map(str::to_owned), ids, by_the_user: false });
        };
        if ids.iter().any(|id| id == chosen) {
            return Ok(Self { applies: Some(chosen.to_owned()), ids, by_the_user: true });
        }
        let error = PluginError::unusable(format!("it has no configuration '{}'", escape(chosen)));
        Err(if ids.is_empty() {
            error.hint("it has none at all: leave out plugin.local.configuration")
        } else {
            error.hint(format!("its configurations are {}", list(ids.iter().map(String::as_str))))
        })
    }

    /// The one that applies.
    pub fn applies(&self) -> Option<&str> {
        self.applies.as_deref()
    }

    /// Whether an element with this `configuration` attribute, a list of ids, is for the one that applies.
    pub fn is_for(&self, configuration: &str) -> bool {
        configuration.split_whitespace().any(|word| Some(word) == self.applies())
    }

    /// What was chosen of what there is, where nobody else chose.
    pub fn finding(&self) -> Option<Finding> {
        let applies = self.applies().filter(|_| self.ids.len() > 1 && !self.by_the_user)?;
        let all = list(self.ids.iter().map(String::as_str));
        let message = format!("the configuration '{}' of the OVF was chosen; it has {all}", escape(applies));
        Some(
            Finding::new("ovf-configuration-chosen", Severity::Warn, message)
                .hint("choose another one with --set plugin.local.configuration=ID"),
        )
    }
}

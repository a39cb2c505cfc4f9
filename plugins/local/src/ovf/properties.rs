//! Properties of a package: values that whoever deploys it may set, and that amounts name as `${property}` (DSP0243, sections 9.1 and 9.5).

use std::collections::BTreeMap;

use roxmltree::Node;
use vmdk2kvm_plugin_api::model::{Finding, Severity};
use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{PluginError, Result};

use super::choices::Choices;
use super::configurations::Configurations;
use super::envelope::{Amount, bad, is_unknown};
use super::units;
use super::xml::{attribute, children};
use crate::content::list;

/// The properties that a system sees.
#[derive(Debug)]
pub struct Properties<'a> {
    /// The nearest first: its own, then those of what it lies in.
    all: Vec<Property>,
    set: &'a BTreeMap<String, String>,
}

#[derive(Debug)]
struct Property {
    key: String,
    /// `class.key.instance`, as far as there is a class and an instance.
    full: String,
    value: Option<String>,
}

impl<'a> Properties<'a> {
    /// Reads those of a system, with the values that the configuration gives them.
    pub fn read(system: Node<'_, '_>, configurations: &Configurations, choices: &'a Choices) -> Self {
        let mut all = Vec::new();
        for section in system.ancestors().flat_map(sections) {
            let part = |name| attribute(section, name);
            for node in children(section, "Property") {
                let Some(key) = attribute(node, "key") else { continue };
                let full = [part("class"), Some(key), part("instance")].into_iter().flatten().collect::<Vec<_>>();
                let value = value(node, configurations).map(str::to_owned);
                all.push(Property { key: key.to_owned(), full: full.join("."), value });
            }
        }
        Self { all, set: &choices.properties }
    }

    /// The value of the property that is named so: in full, or by its key alone.
    fn value(&self, name: &str) -> Option<&str> {
        let found = self.all.iter().find(|property| property.full == name);
        let found = found.or_else(|| self.all.iter().find(|property| property.key == name));
        let names = [Some(name), found.map(|found| found.full.as_str()), found.map(|found| found.key.as_str())];
        let set = names.into_iter().flatten().find_map(|name| self.set.get(name));
        set.or(found.and_then(|found| found.value.as_ref())).map(String::as_str)
    }

    /// What a text means: itself, or the value of the property that it names. `None`: the property has none.
    pub fn resolve<'t>(&'t self, text: &'t str) -> Option<&'t str> {
        match name_in(text) {
            Some(name) => self.value(name),
            None => Some(text),
        }
    }

    /// The bytes of an amount; `None` where it is not known.
    pub fn bytes(&self, amount: &Amount) -> Result<Option<u64>, Unclear> {
        let quantity = self.resolve(&amount.quantity).ok_or(Unclear::Property)?.trim();
        if is_unknown(quantity) {
            return Ok(None);
        }
        let bytes = quantity.parse().ok().and_then(|quantity| units::bytes(quantity, &amount.unit));
        bytes.map(Some).ok_or_else(|| Unclear::Amount(format!("{} {}", escape(quantity), escape(&amount.unit))))
    }

    /// Tells of values that the user set for properties that the package does not have.
    pub fn finding(&self) -> Option<Finding> {
        let known = |name: &str| self.all.iter().any(|property| property.full == name || property.key == name);
        let unknown: Vec<&str> = self.set.keys().map(String::as_str).filter(|name| !known(name)).collect();
        if unknown.is_empty() {
            return None;
        }
        let message = format!("the OVF has no such property: {}", list(unknown.into_iter()));
        let finding = Finding::new("ovf-property-unknown", Severity::Warn, message);
        let names = list(self.all.iter().map(|property| property.full.as_str()));
        Some(if names.is_empty() { finding } else { finding.hint(format!("its properties are {names}")) })
    }
}

/// Why an amount is none.
#[derive(Debug, PartialEq, Eq)]
pub enum Unclear {
    /// It names a property without a value.
    Property,
    /// It is no number, or too large; the amount as a message shows it.
    Amount(String),
}

/// The name of the property that a text is: `${name}`.
pub fn name_in(text: &str) -> Option<&str> {
    text.trim().strip_prefix("${")?.strip_suffix('}').map(str::trim)
}

/// The refusal of `what`, which names a property without a value.
pub fn without_value(what: &str, text: &str) -> PluginError {
    let name = escape(name_in(text).unwrap_or(text));
    bad(&format!("{what} is that of the property '{name}', which has no value"))
        .hint(format!("give it one with --set plugin.local.properties.{name}=VALUE"))
}

fn sections<'n, 'i: 'n>(node: Node<'n, 'i>) -> impl Iterator<Item = Node<'n, 'i>> {
    // OVF 0.9 called each section so and gave its kind in xsi:type.
    let old = children(node, "Section")
        .filter(|section| attribute(*section, "type").is_some_and(|kind| kind.ends_with("ProductSection_Type")));
    children(node, "ProductSection").chain(old)
}

/// The value for the configuration, else the default.
fn value<'n>(property: Node<'n, '_>, configurations: &Configurations) -> Option<&'n str> {
    let of = |configuration: Option<&str>| {
        children(property, "Value")
            .find(|value| match (attribute(*value, "configuration"), configuration) {
                (Some(listed), Some(_)) => configurations.is_for(listed),
                (listed, wanted) => listed.is_none() && wanted.is_none(),
            })
            .and_then(|value| attribute(value, "value"))
    };
    let for_configuration = configurations.applies().and_then(|applies| of(Some(applies)));
    for_configuration.or_else(|| attribute(property, "value")).or_else(|| of(None))
}

//! The job's table of a target: what of the source becomes what at the target.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use vmdk2kvm_plugin_api::model::{Card, Finding, Render, Severity};
use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{PluginError, Result};

/// From names to what they become; `*` stands for every other name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Mapping<T>(BTreeMap<String, T>);

impl<T> Default for Mapping<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T> Mapping<T> {
    /// What a name becomes.
    pub fn get(&self, name: &str) -> Option<&T> {
        self.0.get(name).or_else(|| self.0.get("*"))
    }

    /// Everything that something becomes.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.0.values()
    }
}

/// The table `[target.NAME]`. One that does not fit is an error in the job.
pub fn options<T: DeserializeOwned>(request: &Render) -> Result<T> {
    serde_json::from_value(request.options.clone())
        .map_err(|error| PluginError::config(format!("`target.{}`: {error}", request.target)))
}

/// What the network of a card becomes, by its name at the source.
pub fn of_network<'a, T>(networks: &'a Mapping<T>, card: &Card) -> Option<&'a T> {
    networks.get(card.old_network.as_deref().unwrap_or_default())
}

/// A warning for each network that becomes nothing; `fate` says what its cards get instead.
pub fn unmapped(target: &str, cards: &[&Card], fate: &str) -> Vec<Finding> {
    let names: BTreeSet<&str> = cards.iter().map(|card| card.old_network.as_deref().unwrap_or_default()).collect();
    let warning = |name: &str| {
        let which = match name {
            "" => "a network without a name".to_owned(),
            name => format!("the network {}", escape(name)),
        };
        let message = format!("{which} has no counterpart in `target.{target}.networks`: {fate}");
        Finding::new("network-unmapped", Severity::Warn, message)
            .hint(format!("name one with --set target.{target}.networks.\"OLD\"=NEW"))
    };
    names.into_iter().map(warning).collect()
}

/// A warning for the disks, by their numbers, that no storage is named for. `what` a storage is called there, and `fate` what is taken instead.
pub fn without_storage(
    target: &str,
    disks: usize,
    storage: &Mapping<String>,
    what: &str,
    fate: &str,
) -> Option<Finding> {
    let numbers = (1..=disks).map(|number| number.to_string());
    let without: Vec<String> = numbers.filter(|number| storage.get(number).is_none()).collect();
    let numbers = without.join(", ");
    let message = format!("no {what} is named in `target.{target}.storage` for disk {numbers}: {fate}");
    let finding = Finding::new("storage-unmapped", Severity::Warn, message);
    (!without.is_empty()).then(|| finding.hint(format!("name one with --set target.{target}.storage.\"*\"=NAME")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use vmdk2kvm_plugin_api::model::{CardModel, Cpus, Firmware, Machine};

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Options {
        networks: Mapping<String>,
    }

    fn storage(storage: serde_json::Value) -> Mapping<String> {
        serde_json::from_value(storage).unwrap()
    }

    fn read(options: serde_json::Value) -> Result<Options> {
        let machine = Machine::new("x", Firmware::Bios, Cpus::new(1, 1), 1);
        super::options(&Render::new("lab", machine, "x").with(|render| render.options = options))
    }

    fn card(network: Option<&str>) -> Card {
        Card::new(CardModel::Virtio).with(|card| card.old_network = network.map(str::to_owned))
    }

    #[test]
    fn a_name_is_looked_up_before_the_star() {
        let networks = read(json!({"networks": {"A": "a", "*": "rest"}})).unwrap().networks;
        let found = [Some("A"), Some("B"), None].map(|name| of_network(&networks, &card(name)).unwrap().as_str());
        assert_eq!(found, ["a", "rest", "rest"]);
        assert_eq!(of_network(&Mapping::<String>::default(), &card(Some("A"))), None);
        let error = read(json!({"networks": {}, "netwrks": {}})).unwrap_err();
        assert_eq!(error.kind.exit_code(), 78);
        assert!(error.message.starts_with("`target.lab`: unknown field `netwrks`"), "{}", error.message);
    }

    #[test]
    fn each_network_is_named_once() {
        let cards = [card(Some("A\u{1b}")), card(Some("A\u{1b}")), card(None)];
        let findings = unmapped("lab", &cards.iter().collect::<Vec<_>>(), "it is left out");
        let messages: Vec<&str> = findings.iter().map(|finding| finding.message.as_str()).collect();
        let rest = "has no counterpart in `target.lab.networks`: it is left out";
        assert_eq!(messages, [format!("a network without a name {rest}"), format!("the network A\\x1b {rest}")]);
    }

    #[test]
    fn disks_without_a_storage_are_counted() {
        let finding = |table| without_storage("lab", 3, &storage(table), "pool", "it is left out");
        let message = finding(json!({"2": "fast"})).unwrap().message;
        assert_eq!(message, "no pool is named in `target.lab.storage` for disk 1, 3: it is left out");
        assert_eq!(finding(json!({"2": "fast", "*": "bulk"})), None);
        assert_eq!(without_storage("lab", 0, &storage(json!({})), "pool", "it is left out"), None);
    }
}

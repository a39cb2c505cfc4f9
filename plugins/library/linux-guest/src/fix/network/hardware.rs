//! Configuration that chooses cards by the old hardware: the driver's name gets the new driver beside it, a card's PCI address becomes its
//! MAC.

use std::collections::BTreeSet;

use vmdk2kvm_plugin_api::model::{Finding, FixerPlan, Severity};
use vmdk2kvm_plugin_api::{Guest, Result};

use super::card::Card;
use crate::inspect::network::Graph;
use crate::inspect::network::udev::{NEW_DRIVER, names_old_driver};
use crate::textfile::{TextFile, Why, map_lines};

/// Plans the rewriting of these files.
pub(super) fn plan(graph: &Graph, cards: &[Card], guest: &dyn Guest, plan: &mut FixerPlan) -> Result<()> {
    let paths: BTreeSet<&String> = graph.by_hardware.iter().collect();
    for path in paths {
        let Some(file) = TextFile::read(guest, path, &mut plan.findings)? else { continue };
        let text = if path.ends_with(".yaml") {
            map_lines(&file.text, yaml)
        } else if path.ends_with(".network") {
            map_lines(&file.text, |line| networkd(line, cards))
        } else {
            map_lines(&file.text, keyfile)
        };
        let why = Why {
            summary: "cards are found by the new hardware",
            reason: "the file asks for VMware's driver or slot, which the new card does not have",
            critical: true,
        };
        match file.rewrite(&text, why) {
            Some(change) => plan.changes.push(change),
            None => plan.findings.push(
                Finding::new(
                    "network-matches-hardware",
                    Severity::Warn,
                    format!("{path} finds cards by VMware's driver or slot, which the new card does not have"),
                )
                .hint("find the card by its MAC address instead"),
            ),
        }
    }
    Ok(())
}

/// systemd's lists are separated by white space.
fn networkd(line: &str, cards: &[Card]) -> Option<String> {
    let (key, value) = line.split_once('=')?;
    match key.trim() {
        "Driver" if names_old_driver(value.split_whitespace()) => Some(format!("{} {NEW_DRIVER}", line.trim_end())),
        "Path" => Some(format!("MACAddress={}", at(value.trim().strip_prefix("pci-")?, cards)?)),
        _ => None,
    }
}

/// The MAC of the card at this PCI address; where nobody knows the addresses, of the only card.
fn at<'a>(address: &str, cards: &'a [Card]) -> Option<&'a str> {
    let by_address = cards.iter().find(|card| card.address().as_deref() == Some(address));
    let only = || cards.first().filter(|card| cards.len() == 1 && card.address().is_none());
    by_address.or_else(only)?.mac()
}

/// NetworkManager's lists are separated by semicolons.
fn keyfile(line: &str) -> Option<String> {
    let (key, value) = line.split_once('=')?;
    let is_old = key.trim() == "driver" && names_old_driver(value.split([';', ',']).map(str::trim));
    is_old.then(|| format!("{}={};{NEW_DRIVER};", key, value.trim_end().trim_end_matches(';')))
}

/// netplan takes a single driver in its older versions, so the new one takes the old one's place.
fn yaml(line: &str) -> Option<String> {
    let value = line.trim_start().trim_start_matches("- ").strip_prefix("driver:")?;
    let value = value.split('#').next()?.trim();
    let bare = value.trim_matches(['"', '\'']);
    names_old_driver(std::iter::once(bare)).then(|| line.replacen(bare, NEW_DRIVER, 1))
}

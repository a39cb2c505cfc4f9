//! Configuration that chooses cards by the old hardware: the driver's name gets the new driver beside it, the PCI address of
//! the only card becomes its MAC.

use vmdk2kvm_plugin_api::model::{Finding, FixerPlan, Severity};
use vmdk2kvm_plugin_api::{Guest, Result};

use super::pin::Card;
use crate::inspect::network::Configuration;
use crate::inspect::network::udev::{NEW_DRIVER, names_old_driver};
use crate::textfile::{TextFile, Why, map_lines};

/// Plans the rewriting of these files.
pub(super) fn plan(
    configuration: &Configuration,
    cards: &[Card],
    guest: &dyn Guest,
    plan: &mut FixerPlan,
) -> Result<()> {
    let mut paths: Vec<&String> = configuration.by_hardware.iter().collect();
    paths.dedup();
    let only = match cards {
        [card] => card.mac(),
        _ => None,
    };
    for path in paths {
        let Some(file) = TextFile::read(guest, path, &mut plan.findings)? else { continue };
        let text = if path.ends_with(".yaml") {
            map_lines(&file.text, yaml)
        } else if path.ends_with(".network") {
            map_lines(&file.text, |line| networkd(line, only))
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
fn networkd(line: &str, mac: Option<&str>) -> Option<String> {
    let (key, value) = line.split_once('=')?;
    match key.trim() {
        "Driver" if names_old_driver(value.split_whitespace()) => Some(format!("{} {NEW_DRIVER}", line.trim_end())),
        "Path" if value.trim().starts_with("pci-") => Some(format!("MACAddress={}", mac?)),
        _ => None,
    }
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

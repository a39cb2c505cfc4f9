//! Interface names: each name that the guest's configuration uses is pinned to the MAC that the VM keeps, so that no
//! configuration file has to change.

use std::collections::BTreeSet;

use vmdk2kvm_plugin_api::model::{Change, Finding, FixerPlan, InterfaceInfo, OsFamily, PlanContext, Severity};
use vmdk2kvm_plugin_api::{Fixer, Guest, Result};

use crate::inspect::network::{Configuration, mac, unbound_rule};
use crate::kernel_version;
use crate::textfile::{TextFile, Why, create, map_lines};

/// The fixer of interface names.
pub(super) struct Network;

const RULES: &str = "/etc/udev/rules.d/70-persistent-net.rules";

impl Fixer for Network {
    fn name(&self) -> String {
        "linux-network".to_owned()
    }

    fn guests(&self) -> Vec<OsFamily> {
        vec![OsFamily::Linux]
    }

    fn order(&self) -> u32 {
        300
    }

    fn plan(&self, context: &PlanContext, guest: &dyn Guest) -> Result<FixerPlan> {
        let mut plan = FixerPlan::default();
        let configuration = Configuration::read(guest)?;
        for file in &configuration.by_driver {
            plan.findings.push(
                Finding::new(
                    "network-matches-driver",
                    Severity::Warn,
                    format!("{file} matches cards by VMware's driver, which the new card does not have"),
                )
                .hint("match the card by its MAC address instead"),
            );
        }
        let unbound = unbind_rules(&configuration, guest, &mut plan)?;
        let cards: Vec<String> = context.vm.nics.iter().filter_map(|nic| nic.mac.as_deref().and_then(mac)).collect();
        let names = names_to_pin(&configuration, &cards, &unbound);
        let free: Vec<&String> = cards
            .iter()
            .filter(|card| {
                !configuration.pins.iter().any(|pin| pin.mac.as_ref() == Some(card) && is_kept(pin, &unbound))
            })
            .collect();
        let pairs = pair(&names, &free, context.vm.nics.len(), &mut plan.findings);
        if !pairs.is_empty() {
            plan.changes.extend(pin(&pairs, &configuration, guest, &mut plan.findings)?);
        }
        Ok(plan)
    }
}

/// Frees rules of what asks for the old hardware; returns the files for which that was done.
fn unbind_rules(configuration: &Configuration, guest: &dyn Guest, plan: &mut FixerPlan) -> Result<BTreeSet<String>> {
    let files: BTreeSet<&String> = configuration
        .pins
        .iter()
        .filter(|pin| pin.bound && pin.mac.is_some() && pin.file.ends_with(".rules"))
        .map(|pin| &pin.file)
        .collect();
    let mut done = BTreeSet::new();
    for path in files {
        let Some(file) = TextFile::read(guest, path, &mut plan.findings)? else { continue };
        let why = Why {
            summary: "interface names by MAC alone",
            reason: "the rule also asks for VMware's driver or slot, which the new card does not have",
            critical: true,
        };
        plan.changes.extend(file.rewrite(&map_lines(&file.text, unbound_rule), why));
        done.insert(path.clone());
    }
    Ok(done)
}

fn is_kept(pin: &crate::inspect::network::Pin, unbound: &BTreeSet<String>) -> bool {
    !pin.bound || unbound.contains(&pin.file)
}

/// Names of cards that nothing pins to a card of this VM yet.
fn names_to_pin<'a>(
    configuration: &'a Configuration,
    cards: &[String],
    unbound: &BTreeSet<String>,
) -> Vec<&'a InterfaceInfo> {
    let mut names: Vec<&InterfaceInfo> = configuration
        .cards()
        .filter(|info| {
            !configuration.pins.iter().any(|pin| {
                pin.name == info.name
                    && is_kept(pin, unbound)
                    && pin.mac.as_ref().is_some_and(|mac| cards.contains(mac))
            })
        })
        // The kernel's own names stay by order: a guest that uses them has no predictable names, or has a rule.
        .filter(|info| !is_kernel_name(&info.name))
        .collect();
    // VMware's slots ascend with the number of the card: ens192, ens224, ens256.
    names.sort_by(|a, b| kernel_version::compare(&a.name, &b.name));
    names
}

fn is_kernel_name(name: &str) -> bool {
    name.strip_prefix("eth").is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Which name belongs to which card: by the MAC that the configuration gives it, else the only one to the only one, else by
/// order with a finding.
fn pair(names: &[&InterfaceInfo], free: &[&String], nics: usize, findings: &mut Vec<Finding>) -> Vec<(String, String)> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    let mut free: Vec<&String> = free.to_vec();
    let mut rest = Vec::new();
    for info in names {
        match free.iter().position(|card| info.mac.as_ref() == Some(*card)) {
            Some(at) => pairs.push((info.name.clone(), free.remove(at).clone())),
            None => rest.push(*info),
        }
    }
    if rest.is_empty() {
        return pairs;
    }
    let listed = rest.iter().map(|info| info.name.as_str()).collect::<Vec<_>>().join(", ");
    if free.is_empty() {
        let message = if nics == 0 {
            format!("the configuration uses {listed}, but this VM has no network card")
        } else {
            format!("the configuration uses {listed}, but no MAC of this VM is left for it")
        };
        findings.push(
            Finding::new("nic-name-unpinned", Severity::Warn, message)
                .hint("give the VM's MAC addresses, or adapt the guest's network configuration"),
        );
        return pairs;
    }
    if rest.len() > 1 || free.len() > 1 {
        let given: Vec<String> =
            rest.iter().zip(&free).map(|(info, card)| format!("{} to {card}", info.name)).collect();
        findings.push(
            Finding::new(
                "nic-assigned-by-order",
                Severity::Warn,
                format!("nothing says which card is which, so the names go by order: {}", given.join(", ")),
            )
            .hint("check the assignment in the plan"),
        );
    }
    pairs.extend(rest.iter().zip(free).map(|(info, card)| (info.name.clone(), card.clone())));
    pairs
}

fn pin(
    pairs: &[(String, String)],
    configuration: &Configuration,
    guest: &dyn Guest,
    findings: &mut Vec<Finding>,
) -> Result<Vec<Change>> {
    let reason = "the card sits in another slot on KVM and would get another name, and the network would stay down";
    let version = systemd_version(guest)?;
    let mut changes = Vec::new();
    if version.is_some() {
        for (name, card) in pairs.iter().filter(|(name, _)| is_file_name(name)) {
            // Bridges, bonds and VLANs may bear the card's MAC; old versions do not know the type of a plain card.
            let kind = if version >= Some(245) && configuration.has_virtual() { "Type=ether\n" } else { "" };
            let text = format!(
                "# Written by vmdk2kvm: the card keeps the name that the configuration uses.\n\
                 [Match]\nMACAddress={card}\n{kind}\n[Link]\nName={name}\n"
            );
            let path = format!("/etc/systemd/network/10-vmdk2kvm-{name}.link");
            let summary = format!("{name} is the card {card}");
            let why = Why { summary: &summary, reason, critical: true };
            match TextFile::read(guest, &path, findings)? {
                Some(file) => changes.extend(file.rewrite(&text, why)),
                None => changes.push(create(&path, &text, why)),
            }
        }
        return Ok(changes);
    }
    let lines: String = pairs
        .iter()
        .filter(|(name, _)| is_file_name(name))
        .map(|(name, card)| {
            format!(
                "SUBSYSTEM==\"net\", ACTION==\"add\", DRIVERS==\"?*\", ATTR{{address}}==\"{card}\", ATTR{{type}}==\"1\", NAME=\"{name}\"\n"
            )
        })
        .collect();
    let why = Why { summary: "interface names by MAC", reason, critical: true };
    match TextFile::read(guest, RULES, findings)? {
        Some(file) => {
            let gap = if file.text.is_empty() || file.text.ends_with('\n') { "" } else { "\n" };
            changes.extend(file.rewrite(&format!("{}{gap}{lines}", file.text), why));
        }
        None => changes.push(create(RULES, &lines, why)),
    }
    Ok(changes)
}

/// An interface name can hold more than a file name and a rule should (IFNAMSIZ is 16).
fn is_file_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() < 16
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'@'))
        && !name.starts_with('.')
}

/// The version of systemd-udevd, which reads `.link` files; `None` when the guest has none. 0 when it does not tell.
fn systemd_version(guest: &dyn Guest) -> Result<Option<u32>> {
    let mut found = None;
    for folder in ["/usr/lib/systemd", "/lib/systemd", "/usr/lib/x86_64-linux-gnu/systemd"] {
        for entry in guest.list(folder)?.into_iter().flatten() {
            if entry.name == "systemd-udevd" {
                found = found.or(Some(0));
            }
            let number = entry.name.strip_prefix("libsystemd-shared-").map(|rest| {
                rest.bytes()
                    .take_while(u8::is_ascii_digit)
                    .fold(0u32, |n, digit| n.saturating_mul(10).saturating_add(u32::from(digit - b'0')))
            });
            found = found.max(number);
        }
        // The last folder matters only where the first ones do not tell.
        if found.is_some_and(|version| version > 0) {
            break;
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests;

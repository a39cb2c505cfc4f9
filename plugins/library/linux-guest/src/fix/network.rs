//! Interface names: each name that the guest's configuration uses is pinned to the card that the VM keeps, so that no
//! configuration file has to change.
//!
//! Owns which name belongs to which card. How a name is pinned is in `pin`; files that choose cards by the old hardware are
//! mended in `hardware`.

mod hardware;
mod pin;
mod tuning;

use std::collections::BTreeSet;

use vmdk2kvm_plugin_api::model::{Finding, FixerPlan, InterfaceInfo, OsFamily, PlanContext, Severity};
use vmdk2kvm_plugin_api::{Fixer, Guest, Result};

use crate::inspect::network::{Configuration, mac, unbound_rule};
use crate::kernel_version;
use crate::textfile::{TextFile, Why, map_lines};
use pin::Card;

/// The fixer of interface names.
pub(super) struct Network;

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
        let cards = cards(context);
        hardware::plan(&configuration, &cards, guest, &mut plan)?;
        tuning::plan(guest, &mut plan)?;
        let unbound = unbind_rules(&configuration, guest, &mut plan)?;
        let names = Names { configuration: &configuration, unbound: &unbound };
        let pairs = names.pair(&cards, &mut plan.findings);
        if !pairs.is_empty() {
            pin::plan(&pairs, &configuration, guest, &mut plan)?;
        }
        Ok(plan)
    }
}

/// The VM's cards; a single card whose MAC nobody knows is known by its driver.
fn cards(context: &PlanContext) -> Vec<Card> {
    match &context.vm.nics[..] {
        [only] if only.mac.is_none() => vec![Card::only()],
        nics => nics.iter().filter_map(|nic| Some(Card::new(nic.mac.as_deref().and_then(mac)?, nic.slot))).collect(),
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

/// The names in use, and what holds them already.
struct Names<'a> {
    configuration: &'a Configuration,
    unbound: &'a BTreeSet<String>,
}

impl<'a> Names<'a> {
    /// Which name belongs to which card: by the MAC that the configuration gives it, else by the slot that the card had, else the only one to
    /// the only one, else by order with a finding.
    fn pair(&self, cards: &[Card], findings: &mut Vec<Finding>) -> Vec<(String, Card)> {
        let mut free: Vec<&Card> = cards.iter().filter(|card| !self.is_taken(card)).collect();
        let mut pairs: Vec<(String, Card)> = Vec::new();
        let mut rest = Vec::new();
        for info in self.unpinned(cards) {
            let by_mac = free.iter().position(|card| info.mac.is_some() && info.mac.as_deref() == card.mac());
            let by_slot = || free.iter().position(|card| info.mac.is_none() && card.was_called(&info.name));
            match by_mac.or_else(by_slot) {
                Some(at) => pairs.push((info.name.clone(), free.remove(at).clone())),
                None => rest.push(info.name.clone()),
            }
        }
        let (by_order, named): (Vec<String>, Vec<String>) = rest.into_iter().partition(|name| is_kernel_name(name));
        if by_order.len() > 1 {
            findings.push(names_by_kernel(&by_order));
        }
        // The kernel's own names stay by order: a guest that uses them has no predictable names, or has a rule.
        let mut rest = named;
        if rest.is_empty() {
            rest = self.for_patterns(free.len());
        }
        if rest.is_empty() {
            return pairs;
        }
        if free.is_empty() {
            findings.push(no_card(&rest, cards.is_empty()));
            return pairs;
        }
        if rest.len() > 1 || free.len() > 1 {
            findings.push(by_order_of(&rest, &free));
        }
        pairs.extend(rest.into_iter().zip(free.into_iter().cloned()));
        pairs
    }

    /// Whether a pin that still holds gives this card a name.
    fn is_taken(&self, card: &Card) -> bool {
        self.configuration.pins.iter().any(|pin| self.holds(pin) && pin.mac.as_deref() == card.mac())
    }

    fn holds(&self, pin: &crate::inspect::network::Pin) -> bool {
        !pin.bound || self.unbound.contains(&pin.file)
    }

    /// Names of cards that nothing pins to a card of this VM yet.
    fn unpinned(&self, cards: &[Card]) -> Vec<&'a InterfaceInfo> {
        let is_pinned = |info: &InterfaceInfo| {
            self.configuration.pins.iter().any(|pin| {
                pin.name == info.name && self.holds(pin) && cards.iter().any(|card| card.mac() == pin.mac.as_deref())
            })
        };
        let mut names: Vec<&InterfaceInfo> = self.configuration.cards().filter(|info| !is_pinned(info)).collect();
        names.sort_by(|a, b| {
            slot_order(&a.name).cmp(&slot_order(&b.name)).then_with(|| kernel_version::compare(&a.name, &b.name))
        });
        names
    }

    /// Names for cards that the configuration finds by a pattern of VMware's slots (`ens*`), which KVM's names may not fit.
    fn for_patterns(&self, cards: usize) -> Vec<String> {
        if !self.configuration.patterns.iter().any(|pattern| pattern.starts_with("ens")) {
            return Vec::new();
        }
        let slots = (1..256).map(|card| format!("ens{}", 160 + 32 * (card % 4) + card / 4));
        slots.filter(|name| !self.configuration.pins.iter().any(|pin| pin.name == *name)).take(cards).collect()
    }
}

/// The place of a slot's card among the others: VMware fills the slots 160, 192, 224 and 256 first, then 161, 193 and so on.
fn slot_order(name: &str) -> (u32, u32) {
    let slot = name.strip_prefix("ens").and_then(|slot| slot.parse::<u32>().ok());
    slot.map_or((0, 0), |slot| if slot >= 160 { ((slot - 160) % 32, slot) } else { (0, slot) })
}

fn is_kernel_name(name: &str) -> bool {
    name.strip_prefix("eth").is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
}

fn names_by_kernel(names: &[String]) -> Finding {
    Finding::new(
        "nic-names-by-kernel",
        Severity::Warn,
        format!("{} are named in the order in which the kernel finds the cards", names.join(", ")),
    )
    .hint("check after the first boot that each has its own network")
}

fn no_card(names: &[String], none: bool) -> Finding {
    let listed = names.join(", ");
    let message = if none {
        format!("the configuration uses {listed}, but this VM has no network card with a known MAC")
    } else {
        format!("the configuration uses {listed}, but no MAC of this VM is left for it")
    };
    Finding::new("nic-name-unpinned", Severity::Warn, message)
        .hint("give the VM's MAC addresses, or adapt the guest's network configuration")
}

fn by_order_of(names: &[String], cards: &[&Card]) -> Finding {
    let given: Vec<String> = names.iter().zip(cards).map(|(name, card)| format!("{name} to {card}")).collect();
    Finding::new(
        "nic-assigned-by-order",
        Severity::Warn,
        format!("nothing says which card is which, so the names go by order: {}", given.join(", ")),
    )
    .hint("check the assignment in the plan")
}

#[cfg(test)]
mod tests;

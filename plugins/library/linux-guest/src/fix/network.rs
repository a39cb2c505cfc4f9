//! Interface names: each name that the guest's configuration uses is pinned to the card that the VM keeps, so that no
//! configuration file has to change.
//!
//! Owns the order of the steps. What a card was called is in `card`, which name belongs to which card in `pair`, how and where it is pinned
//! in `pin` and `place`; files that choose cards by the old hardware are mended in `hardware`.

mod card;
mod hardware;
mod pair;
mod pin;
pub(super) mod place;
mod tuning;

use std::collections::BTreeSet;

use vmdk2kvm_plugin_api::model::{FixerPlan, Nic, OsFamily, PlanContext};
use vmdk2kvm_plugin_api::{Fixer, Guest, Result};

use crate::inspect::network::udev::unbound_rule;
use crate::inspect::network::{Graph, Network, mac};
use crate::textfile::{TextFile, Why, map_lines};
use card::Card;
use pair::Pairing;

/// The fixer of interface names.
pub(super) struct NetworkNames;

impl Fixer for NetworkNames {
    fn name(&self) -> String {
        "linux-network".to_owned()
    }

    fn guests(&self) -> Vec<OsFamily> {
        vec![OsFamily::Linux]
    }

    fn order(&self) -> u32 {
        300
    }

    fn live(&self) -> bool {
        true
    }

    fn plan(&self, context: &PlanContext, guest: &dyn Guest) -> Result<FixerPlan> {
        let mut plan = FixerPlan::default();
        let network = Network::read(guest)?;
        let cards = cards(context);
        hardware::plan(&network.graph, &cards, guest, &mut plan)?;
        tuning::plan(guest, &mut plan)?;
        let unbound = unbind_rules(&network.graph, guest, &mut plan)?;
        let mut pairing = Pairing { network: &network, cards: &cards, unbound: &unbound, findings: &mut plan.findings };
        let pairs = pairing.pairs();
        if !pairs.is_empty() {
            pin::plan(&pairs, &network, guest, &mut plan)?;
        }
        Ok(plan)
    }
}

/// The VM's cards; a single card whose MAC nobody knows is known by its driver.
fn cards(context: &PlanContext) -> Vec<Card> {
    match &context.vm.nics[..] {
        [only] if only.mac.is_none() => vec![Card::only(only.slot).called(only.guest_name.clone())],
        nics => {
            let card = |mac, nic: &Nic| Card::new(mac, nic.slot).called(nic.guest_name.clone());
            nics.iter().filter_map(|nic| Some(card(nic.mac.as_deref().and_then(mac)?, nic))).collect()
        }
    }
}

/// Frees rules of what asks for the old hardware; returns the files for which that was done.
fn unbind_rules(graph: &Graph, guest: &dyn Guest, plan: &mut FixerPlan) -> Result<BTreeSet<String>> {
    let files: BTreeSet<&String> = graph
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

#[cfg(test)]
mod tests;

//! Which name belongs to which card: by what the old machine's udev made of the card's place, as far as that is known; names in files are
//! hints that have to agree with it.

use std::collections::BTreeSet;

use vmdk2kvm_plugin_api::model::{Finding, Severity};

use super::card::Card;
use crate::inspect::network::graph::Interface;
use crate::inspect::network::udev::Pin;
use crate::inspect::network::{Naming, Network};
use crate::kernel_version;

/// A card, and the names that it keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pair {
    pub name: String,
    /// Further names of the same card that the configuration uses.
    pub more: Vec<String>,
    pub card: Card,
}

/// Names that udev can have for a card on KVM, whatever machine it gets.
const NEW_NAMES: [&str; 3] = ["enp1s0", "enp0s3", "ens3"];

/// What the pairs are made from.
pub(super) struct Pairing<'a> {
    pub network: &'a Network,
    /// In the order in which the new machine has them.
    pub cards: &'a [Card],
    /// Files whose rules are freed of the old hardware in this plan.
    pub unbound: &'a BTreeSet<String>,
    pub findings: &'a mut Vec<Finding>,
}

impl<'a> Pairing<'a> {
    /// The cards that need a pin, each with its name.
    pub fn pairs(&mut self) -> Vec<Pair> {
        let cards = self.cards;
        let mut free: Vec<&Card> = cards.iter().filter(|card| !self.is_taken(card)).collect();
        let names = self.names();
        let (by_kernel, mut names): (Vec<&Interface>, Vec<&Interface>) =
            names.into_iter().partition(|info| kernel_number(&info.name).is_some());
        let kernel_names = self.kernel_names(&by_kernel);
        if kernel_names {
            self.keep_kernel_names(&by_kernel, &mut free);
        } else {
            names.extend(by_kernel);
        }
        let mut pairs = self.by_place(&mut names, &mut free, kernel_names);
        let missed = self.by_order(names, &mut free, &mut pairs);
        if !missed.is_empty() {
            self.findings.push(no_card(&missed, cards));
        }
        if !kernel_names {
            self.by_pattern(&mut free, &mut pairs);
        }
        self.unknown_stack(&free, &mut pairs);
        pairs.sort_by(|a, b| slot_order(&a.name).cmp(&slot_order(&b.name)).then_with(|| a.name.cmp(&b.name)));
        pairs
    }

    /// Whether a pin that still holds gives this card a name.
    fn is_taken(&self, card: &Card) -> bool {
        self.network.graph.pins.iter().any(|pin| self.holds(pin) && pin.mac.as_deref() == card.mac())
    }

    /// Whether the old machine's udev took this card by this pin: by its MAC, by its address, or as the only one of its driver.
    fn meant(&self, pin: &Pin, card: &Card) -> bool {
        match (&pin.mac, &pin.address) {
            (Some(mac), _) => card.mac() == Some(mac),
            (None, Some(_)) => card.address() == pin.address,
            (None, None) => pin.bound && self.cards.len() == 1,
        }
    }

    fn holds(&self, pin: &Pin) -> bool {
        !pin.bound || self.unbound.contains(&pin.file)
    }

    /// Names of cards that nothing holds yet, those that come up first, in VMware's order.
    fn names(&self) -> Vec<&'a Interface> {
        let network = self.network;
        let is_kept = |info: &&Interface| {
            let by_pin = network.graph.pins.iter().any(|pin| {
                pin.name == info.name
                    && self.holds(pin)
                    && self.cards.iter().any(|card| card.mac() == pin.mac.as_deref())
            });
            by_pin || self.cards.iter().any(|card| card.mac_name().as_deref() == Some(&info.name))
        };
        let mut names: Vec<&Interface> = network.graph.cards().filter(|info| !is_kept(info)).collect();
        names.sort_by(|a, b| {
            let order = |info: &Interface| (!info.active, slot_order(&info.name));
            order(a).cmp(&order(b)).then_with(|| kernel_version::compare(&a.name, &b.name))
        });
        names
    }

    /// Whether the kernel's own names are in use.
    fn kernel_names(&self, names: &[&Interface]) -> bool {
        let place_known = self.cards.iter().any(|card| !card.names().is_empty());
        match self.network.naming {
            // A configuration that is used has been so with these names, for a reason that nobody here sees.
            Naming::Place => !place_known && !names.is_empty(),
            Naming::Kernel | Naming::Either => names.iter().any(|info| info.active),
        }
    }

    /// The kernel's names stay as they are: they are given in the order of the cards, and a name that the kernel itself gives cannot be given
    /// to another card safely. Where the order changes, that is said.
    fn keep_kernel_names(&mut self, names: &[&Interface], free: &mut Vec<&Card>) {
        let (cards, mut old) = (self.cards, self.cards.iter().collect::<Vec<_>>());
        let known = old.iter().all(|card| card.kernel_order().is_some());
        old.sort_by_key(|card| card.kernel_order().filter(|_| known));
        let (mut up, mut moved, mut missing) = (Vec::new(), Vec::new(), Vec::new());
        for info in names.iter().filter(|info| info.active) {
            up.push(info.name.clone());
            let number = kernel_number(&info.name).and_then(|number| usize::try_from(number).ok());
            match number.and_then(|number| Some((*old.get(number)?, cards.get(number)?))) {
                Some((was, will_be)) if was != will_be => {
                    moved.push(format!("{} was {was} and will be {will_be}", info.name));
                }
                Some(_) => {}
                None => missing.push(info.name.clone()),
            }
        }
        if !missing.is_empty() {
            self.findings.push(no_card(&missing, cards));
        }
        if !moved.is_empty() {
            self.findings.push(moved_names(&moved));
        } else if !known && up.len() > 1 {
            self.findings.push(names_by_kernel(&up));
        }
        // Every card has such a name, also one that no file speaks of, once the order is known.
        let claimed = if known { free.len() } else { up.len().min(free.len()) };
        free.drain(..claimed);
    }

    /// Names that agree with what a card was called: by the MAC that a file gives it, by a rule for its place, or by its place itself.
    fn by_place(&self, names: &mut Vec<&'a Interface>, free: &mut Vec<&Card>, kernel_names: bool) -> Vec<Pair> {
        let mut pairs = Vec::new();
        free.retain(|card| {
            let rank = |info: &Interface| {
                let mut pins = self.network.graph.pins.iter().filter(|pin| pin.name == info.name);
                let by_rule = pins.any(|pin| self.meant(pin, card));
                let by_mac = |mac: &Option<String>| mac.is_some() && mac.as_deref() == card.mac();
                if by_mac(&info.mac) || by_mac(&info.given_mac) || by_rule {
                    return Some(0);
                }
                let place = card.was_called(&info.name).then(|| card.names().iter().position(|own| *own == info.name));
                place.filter(|_| !kernel_names).map(|at| 1 + at.unwrap_or(usize::from(u8::MAX)))
            };
            let mut own: Vec<(usize, &Interface)> =
                names.iter().filter_map(|info| Some((rank(info)?, *info))).collect();
            own.sort_by_key(|(rank, info)| (!info.active, *rank));
            let Some((_, first)) = own.first() else { return true };
            let more = own.iter().skip(1).filter(|(_, info)| info.active);
            pairs.push(Pair {
                name: first.name.clone(),
                more: more.map(|(_, info)| info.name.clone()).collect(),
                card: (*card).clone(),
            });
            names.retain(|info| own.iter().all(|(_, other)| other.name != info.name));
            false
        });
        pairs
    }

    /// Names that no card is known to have had go to the cards of which nothing is known; returns those that are left.
    fn by_order(&mut self, names: Vec<&Interface>, free: &mut Vec<&'a Card>, pairs: &mut Vec<Pair>) -> Vec<String> {
        let (mut unknown, known): (Vec<&Card>, Vec<&Card>) =
            free.iter().copied().partition(|card| card.names().is_empty());
        let has_mac_of_none = |info: &Interface| {
            info.mac.is_some()
                && self.cards.iter().all(|card| card.mac().is_some() && card.mac() != info.mac.as_deref())
        };
        let (up, down): (Vec<&Interface>, Vec<&Interface>) = names.into_iter().partition(|info| info.active);
        let mut rest: Vec<&Interface> = up.iter().copied().filter(|info| !has_mac_of_none(info)).collect();
        // What is off matters only where there are cards enough for it.
        if rest.len() + down.len() <= unknown.len() {
            rest.extend(down);
        }
        if !unknown.is_empty() && !rest.is_empty() && (rest.len() > 1 || unknown.len() > 1) {
            self.findings.push(by_order_of(&rest, &unknown));
        }
        let paired: Vec<Pair> = rest
            .iter()
            .zip(unknown.iter())
            .map(|(info, card)| Pair { name: info.name.clone(), more: Vec::new(), card: (*card).clone() })
            .collect();
        unknown.drain(..paired.len());
        *free = self.cards.iter().filter(|card| unknown.contains(card) || known.contains(card)).collect();
        let missed: Vec<String> = up
            .iter()
            .map(|info| info.name.clone())
            .filter(|name| !paired.iter().any(|pair| pair.name == *name))
            .collect();
        pairs.extend(paired);
        missed
    }

    /// Cards that the configuration finds by a pattern of the old names, which the new ones may not fit.
    fn by_pattern(&self, free: &mut Vec<&Card>, pairs: &mut Vec<Pair>) {
        let network = self.network;
        let needs = |name: &str| {
            network.graph.patterns.iter().any(|own| own.fits(name) && !NEW_NAMES.iter().all(|new| own.fits(new)))
        };
        free.retain(|card| {
            let of_place = card.names().into_iter().next();
            let name = of_place.or_else(|| {
                let slots = (1..256).map(|card| format!("ens{}", 160 + 32 * (card % 4) + card / 4));
                let used = |name: &String| {
                    network.graph.pins.iter().any(|pin| pin.name == *name)
                        || pairs.iter().any(|pair| pair.name == *name)
                };
                slots.into_iter().find(|name| !used(name))
            });
            let Some(name) = name.filter(|name| needs(name)) else { return true };
            pairs.push(Pair { name, more: Vec::new(), card: (*card).clone() });
            false
        });
    }

    /// Where nothing that is known configures the network, the cards keep the names that their places gave them, and a person looks.
    fn unknown_stack(&mut self, free: &[&Card], pairs: &mut Vec<Pair>) {
        if !self.network.graph.is_empty() || self.cards.is_empty() || free.is_empty() {
            return;
        }
        let message = match self.network.unread {
            Some(stack) => format!("the network is configured by {stack}, which was not read"),
            None => "nothing was found that configures the network".to_owned(),
        };
        let hint = "after the move, check that each card has its addresses";
        self.findings.push(Finding::new("network-stack-unknown", Severity::Warn, message).hint(hint));
        if self.network.naming != Naming::Place {
            return;
        }
        let named = free.iter().filter_map(|card| Some((card, card.names().into_iter().next()?)));
        pairs.extend(named.map(|(card, name)| Pair { name, more: Vec::new(), card: (*card).clone() }));
    }
}

/// The place of a slot's card among the others: VMware fills the slots 160, 192, 224 and 256 first, then 161, 193 and so on.
fn slot_order(name: &str) -> (u32, u32) {
    let slot = name.strip_prefix("ens").and_then(|slot| slot.parse::<u32>().ok());
    slot.map_or((0, 0), |slot| if slot >= 160 { ((slot - 160) % 32, slot) } else { (0, slot) })
}

/// The number in a name that the kernel gives.
fn kernel_number(name: &str) -> Option<u32> {
    let digits = name.strip_prefix("eth")?;
    digits.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()))
}

fn names_by_kernel(names: &[String]) -> Finding {
    Finding::new(
        "nic-names-by-kernel",
        Severity::Warn,
        format!("{} are named in the order in which the kernel finds the cards", names.join(", ")),
    )
    .hint("check after the first boot that each has its own network")
}

fn moved_names(moved: &[String]) -> Finding {
    Finding::new(
        "nic-names-by-kernel",
        Severity::Warn,
        format!("the kernel names cards in its order, which the move changes: {}", moved.join(", ")),
    )
    .hint(
        "put each card on the other one's network in the new machine, or change the names in the guest's configuration",
    )
}

fn no_card(names: &[String], cards: &[Card]) -> Finding {
    let listed = names.join(", ");
    let called: Vec<String> =
        cards.iter().filter_map(|card| Some(format!("{} for {card}", card.names().first()?))).collect();
    let message = if cards.is_empty() {
        format!("the configuration uses {listed}, but this VM has no network card with a known MAC")
    } else if called.is_empty() {
        format!("the configuration uses {listed}, but every MAC of this VM is already in use")
    } else {
        format!("the configuration uses {listed}, but no card of this VM had such a name; it was {}", called.join(", "))
    };
    Finding::new("nic-name-unpinned", Severity::Warn, message).hint(
        "after the move, check that each card has its addresses, or adapt the guest's network configuration before",
    )
}

fn by_order_of(names: &[&Interface], cards: &[&Card]) -> Finding {
    let given: Vec<String> = names.iter().zip(cards).map(|(info, card)| format!("{} to {card}", info.name)).collect();
    Finding::new(
        "nic-assigned-by-order",
        Severity::Warn,
        format!("no record says which card is which, so names are given by order: {}", given.join(", ")),
    )
    .hint("check the assignment in the plan")
}

//! Random networks, written as each stack has them: exactly the cards that carry something are pinned, each to the name that udev gave it on
//! VMware.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::writers::STACKS;
use super::*;

/// An interface that is made over others.
#[derive(Debug, Clone)]
pub(super) struct Upper {
    pub name: String,
    pub kind: Over,
    pub over: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    Vlan(u16),
    Bond,
    Bridge,
}

#[derive(Debug, Clone)]
pub(super) struct Net {
    /// Slots of the cards, in the order of the new machine.
    slots: Vec<u32>,
    /// Names of the cards that carry something.
    pub cards: Vec<String>,
    pub uppers: Vec<Upper>,
}

/// Slots of VMware, with the names that its guests have for them.
const SLOTS: [(u32, &str); 8] = [
    (32, "ens32"),
    (33, "ens33"),
    (160, "ens160"),
    (192, "ens192"),
    (224, "ens224"),
    (256, "ens256"),
    (1184, "ens161"),
    (1216, "ens193"),
];

fn net() -> impl Strategy<Value = Net> {
    let slots = Just(SLOTS.to_vec()).prop_shuffle();
    let uppers =
        prop::collection::vec((0..3_u8, any::<prop::sample::Index>(), any::<prop::sample::Index>(), 2..4000_u16), 0..5);
    (slots, 1..6_usize, 1..6_usize, uppers).prop_map(|(slots, there, used, made)| {
        let there = &slots[..there];
        let cards: Vec<String> = there.iter().take(used).map(|(_, name)| (*name).to_owned()).collect();
        // What nothing is made over yet may become a port; a card can carry several VLANs.
        let (mut open, mut bases) = (cards.clone(), cards.clone());
        let mut uppers = Vec::new();
        for (at, (kind, first, second, id)) in made.into_iter().enumerate() {
            let (name, kind, over) = match kind {
                0 => {
                    let base = bases[first.index(bases.len())].clone();
                    open.retain(|name| *name != base);
                    (format!("vlan{at}"), Over::Vlan(id % 90 + 100 * at as u16 + 2), vec![base])
                }
                kind => {
                    let mut ports = BTreeSet::new();
                    for index in [first, second] {
                        if !open.is_empty() {
                            ports.insert(open[index.index(open.len())].clone());
                        }
                    }
                    if ports.is_empty() {
                        continue;
                    }
                    open.retain(|name| !ports.contains(name));
                    bases.retain(|name| !ports.contains(name));
                    let is_bond = kind == 1 && ports.iter().all(|port| cards.contains(port));
                    let (word, kind) = if is_bond { ("bond", Over::Bond) } else { ("br", Over::Bridge) };
                    (format!("{word}{at}"), kind, ports.into_iter().collect())
                }
            };
            open.push(name.clone());
            bases.push(name.clone());
            uppers.push(Upper { name, kind, over });
        }
        Net { slots: there.iter().map(|(slot, _)| *slot).collect(), cards, uppers }
    })
}

impl Net {
    pub fn is_port(&self, name: &str) -> bool {
        self.uppers.iter().any(|upper| !matches!(upper.kind, Over::Vlan(_)) && upper.over.iter().any(|own| own == name))
    }

    /// Cards that only a stanza of something above them names.
    pub fn is_below(&self, name: &str) -> bool {
        self.uppers.iter().any(|upper| upper.over.iter().any(|own| own == name))
    }

    /// The interfaces that have addresses of their own, each with its number.
    pub fn addresses(&self) -> BTreeMap<&str, usize> {
        let names = self.cards.iter().chain(self.uppers.iter().map(|upper| &upper.name));
        names.enumerate().filter(|(_, name)| !self.is_below(name)).map(|(at, name)| (name.as_str(), at)).collect()
    }

    pub fn master(&self, name: &str) -> Option<&Upper> {
        self.uppers
            .iter()
            .find(|upper| !matches!(upper.kind, Over::Vlan(_)) && upper.over.iter().any(|own| own == name))
    }
}

proptest! {
    #[test]
    fn exactly_the_cards_that_carry_something_are_pinned_to_their_names(net in net()) {
        let mac = |at: usize| format!("00:50:56:00:00:{at:02}");
        let mut context = fixture::context();
        let card = |(at, slot): (usize, &u32)| fixture::nic(&mac(at)).with(|nic| nic.slot = Some(*slot));
        context.vm.nics = net.slots.iter().enumerate().map(card).collect();
        let name_of = |slot: &u32| SLOTS.iter().find(|(own, _)| own == slot).unwrap().1;
        let expected: BTreeMap<String, String> = net
            .slots
            .iter()
            .enumerate()
            .map(|(at, slot)| (name_of(slot).to_owned(), mac(at)))
            .filter(|(name, _)| net.cards.contains(name))
            .collect();
        for (stack, write) in STACKS {
            let files = write(&net);
            let mut all: Vec<(&str, &str)> = SYSTEMD.to_vec();
            all.extend(files.iter().map(|(path, text)| (path.as_str(), text.as_str())));
            let guest = MapGuest::new(&all);
            let network = Network::read(&guest).unwrap();
            prop_assert!(network.graph.findings.is_empty(), "{stack}: {:?}", network.graph.findings);
            let plan = NetworkNames.plan(&context, &guest).unwrap();
            prop_assert!(plan.findings.is_empty(), "{stack}: {:?}\n{files:#?}", plan.findings);
            let mut pins = BTreeMap::new();
            for change in &plan.changes {
                let Action::WriteFile { content: Content::Text(text), .. } = &change.action else { panic!() };
                let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)).unwrap().to_owned();
                pins.insert(value("Name="), value("MACAddress="));
            }
            prop_assert_eq!(&pins, &expected, "{}: {:#?}", stack, files);
        }
    }
}

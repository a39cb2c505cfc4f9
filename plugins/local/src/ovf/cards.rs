//! Network cards of a system, with what VMware and VirtualBox say of them elsewhere.

use vmdk2kvm_plugin_api::model::{Nic, NicKind};
use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::tracing::warn;
use vmdk2kvm_vmx::identity::mac;

use super::hardware::Item;
use super::settings::{Settings, VirtualBoxCard};

/// The place of VMware's first card, `ethernet0`.
const FIRST_PLACE: u32 = 7;

/// Network cards by their places.
pub fn nics(items: &[Item], settings: &Settings) -> Vec<Nic> {
    let mut cards: Vec<&Item> = items.iter().filter(|item| item.kind == 10).collect();
    cards.sort_by_key(|item| item.place.unwrap_or(u32::MAX));
    // Who is who is certain only where VirtualBox lists as many as there are items.
    let known = settings.virtualbox_cards.len() == cards.len();
    let of_virtualbox = |index: usize| settings.virtualbox_cards.get(index).filter(|_| known);
    cards.iter().enumerate().map(|(index, item)| nic(item, index, settings, of_virtualbox(index))).collect()
}

fn nic(item: &Item, index: usize, settings: &Settings, of_virtualbox: Option<&VirtualBoxCard>) -> Nic {
    let written = item.address.as_deref().or(of_virtualbox.and_then(|card| card.mac.as_deref()));
    let address = written.and_then(mac);
    if let (Some(written), None) = (written, &address) {
        warn!("the card '{}': '{}' is not a MAC address; it gets a new one", escape(&item.instance), escape(written));
    }
    Nic::new(NicKind::Network).with(|it| {
        it.mac = address;
        it.model = item.subtype.as_deref().map(str::to_lowercase);
        it.slot = slot(item, index, settings, of_virtualbox);
        it.network = item.connection.clone();
    })
}

/// The card's PCI slot: of the item itself, else of the VMX that the settings are from, else VirtualBox's. The place on the parent only
/// orders the cards.
fn slot(item: &Item, index: usize, settings: &Settings, of_virtualbox: Option<&VirtualBoxCard>) -> Option<u32> {
    let number = item.place.and_then(|place| place.checked_sub(FIRST_PLACE)).map_or(index, |number| number as usize);
    let of_vmx = || settings.text(&format!("ethernet{number}.pcislotnumber"));
    // A number below zero is VMware's word for a card that has had none yet.
    let stated = item.slot.as_deref().or_else(of_vmx).and_then(|slot| slot.parse().ok());
    stated.or(of_virtualbox.and_then(|card| card.slot))
}

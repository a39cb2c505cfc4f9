//! How a name is pinned to a card: by a `.link` file of systemd, or by a udev rule where udev does not read those.

use vmdk2kvm_plugin_api::model::{Finding, FixerPlan, Severity};
use vmdk2kvm_plugin_api::{Guest, Result};

use super::card::Card;
use super::pair::Pair;
use super::place;
use crate::inspect::network::udev::NEW_DRIVER;
use crate::inspect::network::{Network, rivals};
use crate::textfile::{Why, put, with_lines};

const REASON: &str = "the card sits in another slot on KVM and would get another name, and the network would stay down";

/// Older versions of systemd know neither the type of a plain card nor further names.
const VERSION: u32 = 245;

/// Plans the pins.
pub(super) fn plan(pairs: &[Pair], network: &Network, guest: &dyn Guest, plan: &mut FixerPlan) -> Result<()> {
    let udev = network.udev;
    if !udev.rules {
        plan.findings.push(not_pinned(pairs, "this guest has no udev, which could keep them"));
        return Ok(());
    }
    let mut by_rule = Vec::new();
    let version = systemd_version(guest)?;
    for pair in pairs {
        if !pair.more.is_empty() && (version < VERSION || !udev.links) {
            plan.findings.push(one_of(pair));
        }
        let rivals =
            if udev.links { rivals(guest, pair.card.mac().unwrap_or_default(), NEW_DRIVER)? } else { Vec::new() };
        let path = if udev.links { place::link(guest, &pair.name, &rivals)? } else { None };
        let Some(path) = path else {
            by_rule.push(pair);
            continue;
        };
        let text = link(pair, network.graph.has_virtual(), version);
        let summary = format!("{} is {}", pair.name, of(&pair.card));
        put(guest, &path, Why { summary: &summary, reason: REASON, critical: true }, plan, |_| text)?;
    }
    if by_rule.is_empty() {
        return Ok(());
    }
    let Some(path) = place::rules(guest)? else {
        let pairs: Vec<Pair> = by_rule.into_iter().cloned().collect();
        plan.findings.push(not_pinned(&pairs, "there is no place in /etc/udev/rules.d for a rule"));
        return Ok(());
    };
    let lines: Vec<String> = by_rule.iter().map(|pair| rule(pair)).collect();
    let add = |old: &str| with_lines(old, lines.iter().map(String::as_str).filter(|line| !old.contains(line)));
    put(guest, &path, Why { summary: "interface names by MAC", reason: REASON, critical: true }, plan, add)
}

fn link(pair: &Pair, has_virtual: bool, version: u32) -> String {
    let matching = match pair.card.mac() {
        // Bridges, bonds and VLANs may bear the card's MAC.
        Some(mac) => {
            format!("MACAddress={mac}\n{}", if has_virtual && version >= VERSION { "Type=ether\n" } else { "" })
        }
        None => format!("Driver={NEW_DRIVER}\n"),
    };
    let more = pair.more.iter().filter(|_| version >= VERSION).map(|name| format!("AlternativeName={name}\n"));
    format!("{}\n[Match]\n{matching}\n[Link]\nName={}\n{}", place::OURS, pair.name, more.collect::<String>())
}

fn rule(pair: &Pair) -> String {
    let matching = match pair.card.mac() {
        Some(mac) => format!("DRIVERS==\"?*\", ATTR{{address}}==\"{mac}\""),
        None => format!("DRIVERS==\"{NEW_DRIVER}\""),
    };
    format!("SUBSYSTEM==\"net\", ACTION==\"add\", {matching}, ATTR{{type}}==\"1\", NAME=\"{}\"", pair.name)
}

fn of(card: &Card) -> String {
    card.mac().map_or_else(|| card.to_string(), |mac| format!("the card {mac}"))
}

fn not_pinned(pairs: &[Pair], why: &str) -> Finding {
    let names: Vec<String> = pairs.iter().map(|pair| format!("{} ({})", pair.name, pair.card)).collect();
    Finding::new("nic-name-unpinned", Severity::Warn, format!("{} may get other names: {why}", names.join(", ")))
        .hint("after the move, check that each card has its addresses")
}

fn one_of(pair: &Pair) -> Finding {
    let (name, more) = (&pair.name, pair.more.join(", "));
    let message = format!("{more} means {}, too, which can only be called {name} in this guest", of(&pair.card));
    Finding::new("nic-name-unpinned", Severity::Warn, message).hint(
        "after the move, check that each card has its addresses, or adapt the guest's network configuration before",
    )
}

/// The version of systemd as its library's name tells it (since 231), 0 when it does not.
fn systemd_version(guest: &dyn Guest) -> Result<u32> {
    for folder in ["/usr/lib/systemd", "/lib/systemd", "/usr/lib/x86_64-linux-gnu/systemd"] {
        for entry in guest.list(folder)?.into_iter().flatten() {
            if let Some(rest) = entry.name.strip_prefix("libsystemd-shared-") {
                let digits = rest.bytes().take_while(u8::is_ascii_digit).take(6);
                return Ok(digits.fold(0, |number, digit| number * 10 + u32::from(digit - b'0')));
            }
        }
    }
    Ok(0)
}

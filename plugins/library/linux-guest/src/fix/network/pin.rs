//! How a name is pinned to a card: by a `.link` file of systemd, or by a udev rule where udev does not read those.

use vmdk2kvm_plugin_api::model::{Finding, FixerPlan, Severity};
use vmdk2kvm_plugin_api::{FileKind, Guest, Result};

use crate::inspect::network::Configuration;
use crate::inspect::network::udev::NEW_DRIVER;
use crate::textfile::{Why, put, with_lines};

/// A card of the VM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Card {
    /// Its MAC, in lower case with colons; `None`: the only card, whose MAC nobody knows.
    mac: Option<String>,
    /// Its slot on VMware.
    slot: Option<u32>,
}

impl Card {
    /// The card of a MAC.
    pub fn new(mac: String, slot: Option<u32>) -> Self {
        Self { mac: Some(mac), slot }
    }

    /// The only card of the VM, of unknown MAC.
    pub fn only() -> Self {
        Self { mac: None, slot: None }
    }

    /// Its MAC.
    pub fn mac(&self) -> Option<&str> {
        self.mac.as_deref()
    }

    /// Whether udev called it so on VMware, by the slot that its firmware states (systemd.net-naming-scheme(7), `ens` and the slot).
    pub fn was_called(&self, name: &str) -> bool {
        self.slot.is_some_and(|slot| name == format!("ens{slot}"))
    }
}

impl std::fmt::Display for Card {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.mac().unwrap_or("the only card"))
    }
}

pub(super) const RULES: &str = "/etc/udev/rules.d/70-persistent-net.rules";
const REASON: &str = "the card sits in another slot on KVM and would get another name, and the network would stay down";

/// Plans the pins.
pub(super) fn plan(
    pairs: &[(String, Card)],
    configuration: &Configuration,
    guest: &dyn Guest,
    plan: &mut FixerPlan,
) -> Result<()> {
    let (fine, odd): (Vec<_>, Vec<_>) = pairs.iter().partition(|(name, _)| is_file_name(name));
    for (name, _) in odd {
        plan.findings.push(
            Finding::new("nic-odd-name", Severity::Warn, format!("\"{}\" is no name of a card", name.escape_debug()))
                .hint("correct the guest's network configuration"),
        );
    }
    if reads_links(guest)? {
        // Bridges, bonds and VLANs may bear the card's MAC; old versions do not know the type of a plain card.
        let plain = configuration.has_virtual() && systemd_version(guest)? >= 245;
        for (name, card) in fine {
            let matching = match card.mac() {
                Some(mac) => format!("MACAddress={mac}\n{}", if plain { "Type=ether\n" } else { "" }),
                None => format!("Driver={NEW_DRIVER}\n"),
            };
            let text = format!(
                "# Written by vmdk2kvm: the card keeps the name that the configuration uses.\n\
                 [Match]\n{matching}\n[Link]\nName={name}\n"
            );
            let path = format!("/etc/systemd/network/10-vmdk2kvm-{name}.link");
            let summary = format!("{name} is {}", of(card));
            put(guest, &path, Why { summary: &summary, reason: REASON, critical: true }, plan, |_| text)?;
        }
        return Ok(());
    }
    let lines: Vec<String> = fine
        .iter()
        .map(|(name, card)| {
            let matching = match card.mac() {
                Some(mac) => format!("DRIVERS==\"?*\", ATTR{{address}}==\"{mac}\""),
                None => format!("DRIVERS==\"{NEW_DRIVER}\""),
            };
            format!("SUBSYSTEM==\"net\", ACTION==\"add\", {matching}, ATTR{{type}}==\"1\", NAME=\"{name}\"")
        })
        .collect();
    let add = |old: &str| with_lines(old, lines.iter().map(String::as_str).filter(|line| !old.contains(line)));
    put(guest, RULES, Why { summary: "interface names by MAC", reason: REASON, critical: true }, plan, add)
}

fn of(card: &Card) -> String {
    card.mac().map_or_else(|| card.to_string(), |mac| format!("the card {mac}"))
}

/// An interface name can hold more than a file name and a rule should (IFNAMSIZ is 16).
fn is_file_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() < 16
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'@'))
        && !name.starts_with('.')
}

/// Whether udev takes names from `.link` files: this rule of systemd 209 and later does. RHEL 7 and older ones have
/// `80-net-name-slot.rules` in its place, and a link to /dev/null in /etc turns it off.
fn reads_links(guest: &dyn Guest) -> Result<bool> {
    const RULE: &str = "80-net-setup-link.rules";
    if let Some(own) = guest.stat(&format!("/etc/udev/rules.d/{RULE}"))? {
        return Ok(own.kind == FileKind::File && own.size > 0);
    }
    for folder in ["/usr/lib/udev/rules.d", "/lib/udev/rules.d"] {
        if guest.stat(&format!("{folder}/{RULE}"))?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
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

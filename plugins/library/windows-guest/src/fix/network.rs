//! Settings of network cards that were made by hand. A new card is a new device to Windows and asks for its address; at the first start
//! it is given those of the old card with the same address on the wire.

use std::fmt::Write;

use vmdk2kvm_plugin_api::Result;
use vmdk2kvm_plugin_api::model::{Finding, Severity};

use super::first_boot::Staged;
use super::plan::Planning;
use crate::network::{Interface, paired, read};

const SCRIPT: &str = include_str!("first_boot/network.ps1");

/// What runs the script, below the Windows folder.
const POWERSHELL: &str = "System32/WindowsPowerShell/v1.0/powershell.exe";

/// The script for the first start; `None` when every card asks for its settings.
pub fn plan(planning: &mut Planning<'_>) -> Result<Option<Staged>> {
    let interfaces = read(planning.hives)?;
    let macs = paired(&interfaces, &planning.context.vm.nics);
    let (mut cards, mut has_ipv6) = (String::new(), false);
    for (interface, mac) in interfaces.iter().zip(macs).filter(|(interface, _)| interface.is_static()) {
        let Some(mac) = mac else {
            let finding = unpaired(interface);
            planning.tell(finding);
            continue;
        };
        has_ipv6 |= !interface.ipv6.is_empty();
        let _ = writeln!(cards, "    {}", card(interface, &mac));
    }
    if cards.is_empty() {
        return Ok(None);
    }
    if has_ipv6 {
        let message = "addresses of IPv6 that were set by hand are carried over, but not their gateways and routes";
        planning.tell(Finding::new("ipv6-routes-left", Severity::Info, message).hint(
            "where no router announces itself, set them again after the first start (netsh interface ipv6 add route)",
        ));
    }
    if planning.guest.stat(&planning.place.path(POWERSHELL))?.is_none() {
        let message =
            "addresses that were set by hand are not carried over: the system has no PowerShell, which does it";
        planning.tell(
            Finding::new("network-settings-left", Severity::Warn, message)
                .hint("set them again after the first start, or install PowerShell in the guest and migrate again"),
        );
        return Ok(None);
    }
    let script = format!("$cards = @(\n{}\n)\n{SCRIPT}", cards.trim_end().trim_end_matches(','));
    // PowerShell 2 reads a script without a mark as of the old code page.
    let mut staged = Staged::script("network.ps1", &script, "addresses that were set by hand are kept");
    staged.content.splice(0..0, *b"\xef\xbb\xbf");
    Ok(Some(staged))
}

/// Settings of a card of which nothing says that the VM still has it: most such cards are long gone.
fn unpaired(interface: &Interface) -> Finding {
    let name = if interface.name.is_empty() { &interface.guid } else { &interface.name };
    let addresses = interface.with_prefixes().join(", ");
    let message = format!(
        "the settings of {name} ({addresses}) belong to none of the VM's cards, as far as is known, and are not carried over"
    );
    Finding::new("network-settings-without-card", Severity::Warn, message)
        .hint("if the VM has that card, set its address again after the first start")
}

fn card(interface: &Interface, mac: &str) -> String {
    let addresses: Vec<&str> = interface.addresses.iter().map(|(address, _)| address.as_str()).collect();
    let masks: Vec<&str> = interface.addresses.iter().map(|(_, mask)| mask.as_str()).collect();
    let gateways: Vec<&str> = interface.gateways.iter().map(|(gateway, _)| gateway.as_str()).collect();
    // 0 is "automatic" in the registry; the call takes 1 to 9999, and 1 is what it then is.
    let metrics: Vec<String> =
        interface.gateways.iter().map(|(_, metric)| (*metric).clamp(1, 9999).to_string()).collect();
    let strings = |all: &[&str]| format!("@({})", all.iter().map(|one| quoted(one)).collect::<Vec<_>>().join(", "));
    let owned = |all: &[String]| strings(&all.iter().map(String::as_str).collect::<Vec<_>>());
    format!(
        "@{{ mac = {}; name = {}; guid = {}; ghost = {}; addresses = {}; masks = {}; gateways = {}; metrics = [uint16[]]@({}); servers = {}; domain = {}; wins = {}; ipv6 = {}; servers6 = {} }},",
        quoted(&mac.to_uppercase()),
        quoted(&interface.name),
        quoted(&interface.guid),
        quoted(&interface.device),
        strings(&addresses),
        strings(&masks),
        strings(&gateways),
        metrics.join(", "),
        owned(&interface.name_servers),
        quoted(&interface.domain),
        owned(&interface.wins),
        owned(&interface.ipv6),
        owned(&interface.ipv6_name_servers),
    )
}

/// A string of PowerShell in which nothing is expanded. Its reader takes typographic quotes for quotes, too; a line's end has no place in
/// any of these values.
fn quoted(text: &str) -> String {
    let mut out = String::from("'");
    for letter in text.chars().filter(|letter| !letter.is_control()) {
        if matches!(letter, '\'' | '\u{2018}' | '\u{2019}' | '\u{201a}' | '\u{201b}') {
            out.push(letter);
        }
        out.push(letter);
    }
    out.push('\'');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_of_the_registry_leaves_its_quotes() {
        for (text, wanted) in [
            ("plain", "'plain'"),
            ("a'; rm", "'a''; rm'"),
            ("\u{2019}; x", "'\u{2019}\u{2019}; x'"),
            ("$(x)`n\r\n\"", "'$(x)`n\"'"),
        ] {
            assert_eq!(quoted(text), wanted);
        }
    }

    #[test]
    fn a_card_with_all_it_had() {
        let interface = Interface {
            name: "Local Area Connection".to_owned(),
            guid: "{AAAA}".to_owned(),
            ipv6: vec!["fd00::7/64".to_owned()],
            device: "PCI\\VEN_8086\\4&1".to_owned(),
            addresses: vec![
                ("10.0.0.5".to_owned(), "255.0.0.0".to_owned()),
                ("10.0.0.6".to_owned(), "255.0.0.0".to_owned()),
            ],
            gateways: vec![("10.0.0.1".to_owned(), 0), ("10.0.0.2".to_owned(), 20)],
            name_servers: vec!["10.0.0.9".to_owned()],
            ..Interface::default()
        };
        let wanted = "@{ mac = '00:50:56:00:00:0A'; name = 'Local Area Connection'; guid = '{AAAA}'; ghost = 'PCI\\VEN_8086\\4&1'; \
             addresses = @('10.0.0.5', '10.0.0.6'); masks = @('255.0.0.0', '255.0.0.0'); gateways = @('10.0.0.1', '10.0.0.2'); \
             metrics = [uint16[]]@(1, 20); servers = @('10.0.0.9'); domain = ''; wins = @(); \
             ipv6 = @('fd00::7/64'); servers6 = @() },";
        assert_eq!(card(&interface, "00:50:56:00:00:0a"), wanted);
    }
}

//! Addresses of IPv6 that were set by hand. They are no texts: the network's own store (NSI) has a value for each, whose name is the
//! interface's LUID and the address in hexadecimal digits, and whose data are lifetimes, origins and the length of the prefix. That the name
//! is so was read in real hives, for another table of the same store; the data are as the public headers of that interface have them.

use std::net::Ipv6Addr;

use vmdk2kvm_plugin_api::Result;

use crate::registry::Hives;

/// The table of addresses of IPv6.
const TABLE: &str = "Control\\Nsi\\{eb004a01-9b1a-11d4-9123-0050047759bc}\\10";
/// Where the length of the prefix stands.
const PREFIX: usize = 16;
/// Length of most prefixes, for data that say none.
const USUAL: u8 = 64;
/// `*IfType` of Ethernet.
const ETHERNET: u64 = 6;
/// Most addresses that are looked at.
const MOST: usize = 5_000;

/// The addresses of the interface of a class key, as a person writes them. Those of the link itself are every card's own.
pub fn addresses(hives: &Hives, class: &str) -> Result<Vec<String>> {
    let Some(index) = hives.system.number(class, "NetLuidIndex")? else { return Ok(Vec::new()) };
    let kind = hives.system.number(class, "*IfType")?.unwrap_or(ETHERNET);
    let luid = luid(index, kind);
    let mut found = Vec::new();
    for value in hives.system.values(&hives.current(TABLE))?.into_iter().take(MOST) {
        let Some(address) = address(&value.name, luid) else { continue };
        let link_local = address.segments()[0] & 0xffc0 == 0xfe80;
        if !link_local && !address.is_loopback() && !address.is_multicast() && !address.is_unspecified() {
            found.push(format!("{address}/{}", prefix(&value.data)));
        }
    }
    found.sort();
    Ok(found)
}

/// 24 bits of nothing, 24 of the index, 16 of the kind.
fn luid(index: u64, kind: u64) -> u64 {
    (index & 0xff_ffff) << 24 | (kind & 0xffff) << 48
}

/// The address in the name of a value, when it is one of this interface.
fn address(name: &str, luid: u64) -> Option<Ipv6Addr> {
    if name.len() != 48 || !name.is_ascii() {
        return None;
    }
    let bytes: Option<Vec<u8>> = (0..24).map(|at| u8::from_str_radix(name.get(2 * at..2 * at + 2)?, 16).ok()).collect();
    let bytes = bytes?;
    let (own, address) = bytes.split_first_chunk::<8>()?;
    let address: [u8; 16] = address.try_into().ok()?;
    (u64::from_le_bytes(*own) == luid).then(|| Ipv6Addr::from(address))
}

fn prefix(data: &[u8]) -> u8 {
    let said = data.get(PREFIX..PREFIX + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes);
    said.and_then(|length| u8::try_from(length).ok()).filter(|length| (1..=128).contains(length)).unwrap_or(USUAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_an_interface_and_an_address() {
        // The interface's part is that of a card in a hive that Windows made, whose NetLuidIndex is 32768.
        let name = "0000000080000600fd000000000000000000000000000007";
        let luid = luid(32_768, 6);
        assert_eq!(address(name, luid), Some("fd00::7".parse().unwrap()));
        for other in [
            "0000000180000600fd000000000000000000000000000007",
            &name[..46],
            "0000000080000600zz000000000000000000000000000007",
        ] {
            assert_eq!(address(other, luid), None, "{other}");
        }
    }

    #[test]
    fn a_prefix_is_one_that_can_be() {
        let with = |length: u32| [[0; 16].as_slice(), &length.to_le_bytes(), &[0; 4]].concat();
        assert_eq!([with(48), with(129), with(0), Vec::new()].map(|data| prefix(&data)), [48, 64, 64, 64]);
    }
}

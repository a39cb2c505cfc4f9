//! Commands of `ethtool` in ifupdown's configuration: the new card may not know what they set, and a command that fails leaves its
//! interface down (interfaces(5), "IFACE OPTIONS").

use vmdk2kvm_plugin_api::model::FixerPlan;
use vmdk2kvm_plugin_api::{Guest, Result};

use crate::inspect::network::{Graph, ifupdown};
use crate::textfile::{Why, map_lines};

/// Plans that such a command may fail.
pub(super) fn plan(guest: &dyn Guest, plan: &mut FixerPlan) -> Result<()> {
    for file in ifupdown::files(guest, &mut Graph::default())? {
        let why = Why {
            summary: "the card's tuning may fail",
            reason: "it was made for VMware's card, and a command that fails would leave the interface down",
            critical: true,
        };
        plan.changes.extend(file.rewrite(&map_lines(&file.text, may_fail), why));
    }
    Ok(())
}

fn may_fail(line: &str) -> Option<String> {
    let mut words = line.split_whitespace();
    let is_hook = matches!(words.next()?, "pre-up" | "up" | "post-up");
    let tunes = words.any(|word| word == "ethtool" || word.ends_with("/ethtool"));
    // What goes on behind a backslash has its end elsewhere, and what has a way out or a comment is left to its author.
    let is_plain = !line.contains(['|', '\\', ';', '#', '&']);
    (is_hook && tunes && is_plain).then(|| format!("{} || true", line.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_commands_that_could_fail() {
        for (line, expected) in [
            ("  post-up /sbin/ethtool -G $IFACE rx 4096 ", Some("  post-up /sbin/ethtool -G $IFACE rx 4096 || true")),
            ("\tup ethtool -K ens192 lro off", Some("\tup ethtool -K ens192 lro off || true")),
            ("up ethtool -K ens192 lro off || true", None),
            ("up ethtool -K ens192 \\", None),
            ("up ip link set ens192 up", None),
            ("down ethtool -K ens192 lro on", None),
            ("# up ethtool", None),
            ("", None),
        ] {
            assert_eq!(may_fail(line).as_deref(), expected, "{line}");
        }
    }
}

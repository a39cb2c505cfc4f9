//! netctl's profiles (netctl.profile(5)): shell assignments. A profile comes up when a unit wants it.

use vmdk2kvm_plugin_api::{Guest, Result};

use super::graph::{Graph, Kind};
use super::shell::Variables;
use super::{files, with_prefix};

const FOLDER: &str = "/etc/netctl";
const UNITS: &str = "/etc/systemd/system";

pub(super) fn read(guest: &dyn Guest, graph: &mut Graph) -> Result<()> {
    let mut wanted = Vec::new();
    for folder in guest.list(UNITS)?.into_iter().flatten().filter(|entry| entry.name.ends_with(".wants")) {
        let units = guest.list(&format!("{UNITS}/{}", folder.name))?.into_iter().flatten();
        wanted.extend(units.filter_map(|unit| {
            let (program, instance) = unit.name.strip_suffix(".service")?.split_once('@')?;
            program.starts_with("netctl").then(|| instance.replace("\\x2d", "-"))
        }));
    }
    for file in files::of_folder(guest, FOLDER, |name| !name.contains('.') && !name.ends_with('~'), graph)? {
        graph.uses("netctl");
        let path = &file.path;
        let values = Variables::parse(&file.text);
        for name in values.unknown.iter().filter(|name| matches!(name.as_str(), "Interface" | "BindsToInterfaces")) {
            graph.not_understood(path, &format!("{name} comes from a command, which was not run"));
        }
        let Some(name) = values.get("Interface") else { continue };
        let profile = path.rsplit('/').next().unwrap_or_default();
        // `netctl-auto@CARD` and `netctl-ifplugd@CARD` choose among the card's profiles.
        let active = wanted.iter().any(|unit| unit == profile || unit == name);
        let kind = values.get("Connection").filter(|kind| !matches!(*kind, "ethernet" | "wireless"));
        if let Some(kind) = kind {
            graph.device(name, Kind::of_word(kind), path);
        }
        for lower in values.words("BindsToInterfaces").filter(|_| kind.is_some()) {
            graph.stack(name, lower, path);
        }
        let info = graph.interface(name, path);
        info.active |= active;
        info.dhcp |= ["IP", "IP6"].iter().any(|key| values.get(key).is_some_and(|kind| kind.starts_with("dhcp")));
        info.addresses.extend(values.words("Address").filter_map(|address| with_prefix(address, None)));
    }
    Ok(())
}

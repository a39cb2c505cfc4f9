//! VMware Tools: whether they are there.

use vmdk2kvm_plugin_api::Result;
use vmdk2kvm_plugin_api::model::ToolsInfo;

use crate::registry::Hives;

/// Where installed programs are listed, the second for those of 32 bits.
pub const UNINSTALL: [&str; 2] =
    ["Microsoft\\Windows\\CurrentVersion\\Uninstall", "WOW6432Node\\Microsoft\\Windows\\CurrentVersion\\Uninstall"];
/// How the tools are called in that list.
pub const PRODUCT: &str = "VMware Tools";

/// What the lists of programs and of services say.
pub fn read(hives: &Hives) -> Result<ToolsInfo> {
    let mut tools = ToolsInfo::default();
    for list in UNINSTALL {
        for program in hives.software.keys(list)? {
            let key = format!("{list}\\{program}");
            if hives.software.text(&key, "DisplayName")?.as_deref() == Some(PRODUCT) {
                tools.installed = true;
                tools.kind = "package".to_owned();
                tools.version = hives.software.text(&key, "DisplayVersion")?;
            }
        }
    }
    tools.installed |= hives.system.has(&hives.service("VMTools"))?;
    Ok(tools)
}

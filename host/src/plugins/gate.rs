//! The version gate: may a plugin built against that version of the contract be loaded by this host?
//!
//! Equal majors, and the plugin's version not above ours; a pre-release needs equality. Not `VersionReq::matches`, for which `^1.0.0`
//! does not match `1.1.0-rc.1`.

use semver::Version;
use vmdk2kvm_plugin_api::{API_VERSION, PluginError, Result};

/// How a plugin's contract, which this host can serve, compares with the host's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// The same major and minor version.
    Same,
    /// An older minor version: methods that came later fall to their default bodies.
    Older,
}

/// Whether this host may load a plugin that was built against `plugin`.
pub fn check(plugin: &Version) -> Result<Fit> {
    let host = Version::parse(API_VERSION).map_err(|error| PluginError::defect(error.to_string()))?;
    compare(plugin, &host)
}

fn compare(plugin: &Version, host: &Version) -> Result<Fit> {
    let refuse = |why: String, hint: &str| Err(PluginError::missing(why).hint(hint));
    if plugin.major != host.major {
        return refuse(
            format!("it was built for plugin API {plugin}, this host has {host}"),
            if plugin.major > host.major {
                "install a newer vmdk2kvm"
            } else {
                "install a newer version of the plugin"
            },
        );
    }
    if (!plugin.pre.is_empty() || !host.pre.is_empty()) && plugin != host {
        return refuse(
            format!(
                "it was built for plugin API {plugin}, this host has {host}, and a pre-release only works with the same pre-release"
            ),
            "build the plugin and the host from the same release",
        );
    }
    if plugin.minor > host.minor {
        return refuse(format!("it needs plugin API {plugin}, this host has {host}"), "install a newer vmdk2kvm");
    }
    Ok(if plugin.minor < host.minor { Fit::Older } else { Fit::Same })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        let cases = [
            ("1.0.0", "1.0.0", Some(Fit::Same)),
            ("1.0.0", "1.0.7", Some(Fit::Same)),
            ("1.0.7", "1.0.0", Some(Fit::Same)),
            ("1.0.0", "1.3.0", Some(Fit::Older)),
            ("1.3.0", "1.0.0", None),
            ("2.0.0", "1.0.0", None),
            ("0.9.0", "1.0.0", None),
            ("1.1.0-rc.1", "1.1.0", None),
            ("1.0.0", "1.1.0-rc.1", None),
            ("1.1.0-rc.1", "1.1.0-rc.1", Some(Fit::Same)),
        ];
        for (plugin, host, expected) in cases {
            let answer = compare(&plugin.parse().unwrap(), &host.parse().unwrap());
            assert_eq!(answer.ok(), expected, "plugin {plugin}, host {host}");
        }
    }

    #[test]
    fn the_message_names_both_versions() {
        let error = compare(&"2.0.0".parse().unwrap(), &"1.4.0".parse().unwrap()).unwrap_err();
        assert_eq!(error.message, "it was built for plugin API 2.0.0, this host has 1.4.0");
        assert_eq!(error.hint.as_deref(), Some("install a newer vmdk2kvm"));
    }
}

//! The manual page of a plugin, made from what its manifest says.

use std::io::Write;

use vmdk2kvm_plugin_api::{Manifest, Need, PluginError};

use super::manual::roff;
use crate::events::escape;

/// Writes the page.
pub fn plugin_page(manifest: &Manifest, out: &mut dyn Write) -> Result<(), PluginError> {
    write_page(manifest, out).map_err(|error| PluginError::from_io("the manual page", &error))
}

fn write_page(manifest: &Manifest, out: &mut dyn Write) -> std::io::Result<()> {
    // A stranger's manifest may hold anything.
    let text = |words: &str| roff(&escape(words));
    let name = text(&manifest.name);
    writeln!(out, ".TH \"vmdk2kvm\\-{name}\" 7 \"\" \"{name} {}\" \"Plugins of vmdk2kvm\"", manifest.version)?;
    writeln!(out, ".SH NAME\nvmdk2kvm\\-{name} \\- {}", text(&manifest.summary))?;
    writeln!(out, ".SH DESCRIPTION\nA plugin of vmdk2kvm(1), which loads it for the stages that it takes part in.")?;
    for (label, words) in [
        ("Kinds", &manifest.kinds),
        ("Guests", &manifest.guests),
        ("Formats, schemes and features", &manifest.capabilities),
    ] {
        if !words.is_empty() {
            item(out, label, &text(&words.join(", ")))?;
        }
    }
    writeln!(out, ".SH EXAMPLES")?;
    example(
        out,
        "all that it says of itself, with the packages that it needs",
        &format!("vmdk2kvm plugin show {name}"),
    )?;
    let doc = |key: &str| manifest.settings.iter().find(|setting| setting.key == key).map(|setting| text(&setting.doc));
    for flag in &manifest.flags {
        let about = doc(&flag.key).unwrap_or_default();
        example(
            out,
            &about,
            &format!("vmdk2kvm migrate SOURCE \\-\\-{} {}", text(&flag.flag), text(&flag.key.to_uppercase())),
        )?;
    }
    if let Some(setting) = manifest.settings.first() {
        let line = format!("vmdk2kvm migrate SOURCE \\-\\-set plugin.{name}.{}=VALUE", text(&setting.key));
        example(out, &format!("{}, for one run", text(&setting.doc)), &line)?;
    }
    if !manifest.settings.is_empty() {
        writeln!(out, ".SH SETTINGS\nIn a settings file they stand in the table [plugin.{name}].")?;
        for setting in &manifest.settings {
            let about = format!("{} ({}; default: {})", setting.doc, setting.type_name, setting.default);
            item(out, &text(&setting.key), &text(&about))?;
        }
    }
    if !manifest.secrets.is_empty() {
        let about = "It may ask for these, which the table [secrets] of a settings file provides.";
        writeln!(out, ".SH SECRETS\n{about}")?;
        item(out, "Names", &text(&manifest.secrets.join(", ")))?;
    }
    let needs: Vec<&Need> = manifest.programs.iter().chain(&manifest.libraries).collect();
    if !needs.is_empty() {
        writeln!(out, ".SH NEEDS")?;
        for need in needs {
            let packages = [("Debian", &need.packages.deb), ("Fedora", &need.packages.rpm)];
            let known: Vec<String> = packages
                .iter()
                .filter(|(_, package)| !package.is_empty())
                .map(|(who, package)| format!("{who}: {package}"))
                .collect();
            let known = if known.is_empty() { "in no package".to_owned() } else { known.join(", ") };
            item(out, &text(&need.name), &text(&known))?;
        }
    }
    writeln!(out, ".SH LICENCE\n{}\n.SH SEE ALSO\nvmdk2kvm(1)", text(&manifest.license))
}

fn item(out: &mut dyn Write, label: &str, text: &str) -> std::io::Result<()> {
    writeln!(out, ".TP\n\\fB{label}\\fR\n{text}")
}

fn example(out: &mut dyn Write, about: &str, line: &str) -> std::io::Result<()> {
    writeln!(out, ".PP\n{about}:\n.RS 4\n.nf\n\\fB{line}\\fR\n.fi\n.RE")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_page_has_all_of_the_manifest_and_no_request_of_a_stranger() {
        let manifest: Manifest = serde_json::from_value(json!({
            "schema": 1, "name": "acme", "version": "1.2.3", "api": "1.0.0", "summary": "Reads\n.so /etc/shadow", "license": "MIT",
            "kinds": ["fetcher"], "capabilities": ["acme"], "programs": [{"name": "acme-cli", "packages": {"deb": "acme", "rpm": ""}}],
            "settings": [{"key": "speed", "type": "integer", "default": "3", "doc": ".sy how fast it is"}],
            "flags": [{"flag": "acme-speed", "key": "speed"}], "secrets": ["acme-*"]
        }))
        .unwrap();
        let mut page = Vec::new();
        plugin_page(&manifest, &mut page).unwrap();
        let page = String::from_utf8(page).unwrap();
        for shown in [
            ".SH NAME\nvmdk2kvm\\-acme \\- Reads\\en.so /etc/shadow\n",
            "\\fBKinds\\fR\nfetcher\n",
            "\\fBvmdk2kvm migrate SOURCE \\-\\-acme\\-speed SPEED\\fR",
            "plugin.acme.speed=VALUE",
            "\\fBspeed\\fR\n\\&.sy how fast it is (integer; default: 3)\n",
            "\\fBacme\\-cli\\fR\nDebian: acme\n",
            "acme\\-*",
        ] {
            assert!(page.contains(shown), "{shown}\n{page}");
        }
        let requests = page.lines().filter(|line| line.starts_with(['.', '\'']));
        let known = [".TH", ".SH", ".TP", ".PP", ".RS", ".RE", ".nf", ".fi"];
        assert!(requests.clone().all(|line| known.iter().any(|request| line.starts_with(request))), "{page}");
        assert!(page.find(".SH EXAMPLES").unwrap() < page.find(".SH SETTINGS").unwrap());
    }
}

//! `plugin list`, `plugin show` and `doctor`: what is installed, what of it can be used, and what this machine lacks. No plugin's code runs.

use std::collections::BTreeMap;
use std::path::Path;

use vmdk2kvm_plugin_api::{Manifest, PluginError, Result, SettingFiles};

use super::discovery::{Candidate, discover, search_folders};
use super::needs::{MissingNeed, missing_needs};
use super::packages::Packaging;
use super::stock;
use crate::cli::render::{Need, PluginRow, PluginState};
use crate::config::PluginOptions;
use crate::report::Containment;

/// Every candidate of the folders that this job would search.
pub fn installed(options: &PluginOptions, warn: &mut dyn FnMut(String)) -> Result<Vec<Candidate>> {
    discover(&search_folders(&options.dirs, warn))
}

/// A row for each candidate.
pub fn rows(candidates: &[Candidate], options: &PluginOptions) -> Vec<PluginRow> {
    candidates.iter().map(|candidate| row(candidate, options)).collect()
}

fn row(candidate: &Candidate, options: &PluginOptions) -> PluginRow {
    let path = candidate.path.display().to_string();
    let refused = candidate.refused.as_ref().map(|why| format!("refused: {why}"));
    let Some(manifest) = &candidate.manifest else {
        let name = candidate.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let empty = String::new;
        return PluginRow {
            name,
            version: empty(),
            api: empty(),
            kinds: Vec::new(),
            summary: empty(),
            path,
            state: PluginState::Refused,
            problem: refused,
        };
    };
    let disabled = options.disabled.contains(&manifest.name).then(|| "disabled by the configuration".to_owned());
    let missing = missing_needs(manifest, &candidate.needed);
    let lacks = (!missing.is_empty()).then(|| missing.iter().map(say).collect::<Vec<_>>().join("; "));
    let state = match (&refused, &disabled, &lacks) {
        (Some(_), _, _) => PluginState::Refused,
        (None, Some(_), _) => PluginState::Disabled,
        (None, None, Some(_)) => PluginState::Missing,
        (None, None, None) => PluginState::Available,
    };
    PluginRow {
        name: manifest.name.clone(),
        version: manifest.version.to_string(),
        api: manifest.api.to_string(),
        kinds: manifest.kinds.iter().map(|kind| kind.as_str().to_owned()).collect(),
        summary: manifest.summary.clone(),
        path,
        state,
        problem: refused.or(disabled).or(lacks),
    }
}

fn say(need: &MissingNeed) -> String {
    let package = need.package.as_ref().map_or_else(String::new, |package| format!(" (package {package})"));
    format!("missing {} {}{package}", need.kind, need.name)
}

/// The manifest of a plugin by its name.
pub fn manifest<'a>(candidates: &'a [Candidate], name: &str) -> Result<&'a Manifest> {
    let manifests = || candidates.iter().filter_map(|candidate| candidate.manifest.as_ref());
    manifests().find(|manifest| manifest.name == name).ok_or_else(|| {
        let known: Vec<&str> = manifests().map(|manifest| manifest.name.as_str()).collect();
        if let Some(stock) = stock::named(name) {
            return PluginError::missing(format!("the plugin `{name}` is not installed")).hint(stock.advice());
        }
        PluginError::missing(format!("no plugin is called `{}`", crate::events::escape(name)))
            .hint(format!("there are: {}", known.join(", ")))
    })
}

/// What the plugins need of this machine, and which stock plugins are not there.
pub fn needs(candidates: &[Candidate]) -> Vec<Need> {
    let usable = candidates.iter().filter(|candidate| candidate.refused.is_none());
    let mut needs: BTreeMap<(&'static str, String), Need> = BTreeMap::new();
    for (candidate, manifest) in usable.filter_map(|candidate| Some((candidate, candidate.manifest.as_ref()?))) {
        let missing = missing_needs(manifest, &candidate.needed);
        let programs = manifest.programs.iter().map(|need| ("program", &need.name, Packaging::here().package(need)));
        let libraries = manifest.libraries.iter().map(|need| ("library", &need.name, Packaging::here().package(need)));
        // What it is linked to without saying so is only worth a line when it is missing.
        let is_listed =
            |name: &String| manifest.libraries.iter().chain(&manifest.programs).any(|need| need.name == *name);
        let unlisted = missing.iter().filter(|need| !is_listed(&need.name)).map(|need| (need.kind, &need.name, None));
        for (kind, name, package) in programs.chain(libraries).chain(unlisted) {
            let entry = needs.entry((kind, name.clone())).or_insert_with(|| Need {
                kind: kind.to_owned(),
                name: name.clone(),
                needed_by: Vec::new(),
                present: !missing.iter().any(|missing| missing.kind == kind && missing.name == *name),
                package,
                detail: String::new(),
            });
            entry.needed_by.push(manifest.name.clone());
        }
    }
    let mut needs: Vec<Need> = needs.into_values().collect();
    needs.extend(absent(candidates));
    needs
}

/// What plugins need of folders that the settings name. Without it they do nothing, and others may.
pub fn setting_files(candidates: &[Candidate], settings: &BTreeMap<String, serde_json::Value>) -> Vec<Need> {
    let usable = candidates.iter().filter(|candidate| candidate.refused.is_none());
    let manifests = usable.filter_map(|candidate| candidate.manifest.as_ref());
    let need = |manifest: &Manifest, files: &SettingFiles| {
        let given =
            settings.get(&manifest.name).and_then(|table| table.get(&files.key)).and_then(|value| value.as_str());
        let known = manifest.settings.iter().find(|setting| setting.key == files.key);
        let folder = given.or(known.map(|setting| setting.default.as_str())).unwrap_or_default();
        let found = files.any_of.iter().map(|file| Path::new(folder).join(file)).find(|path| path.is_file());
        Need {
            kind: "setting".to_owned(),
            name: format!("plugin.{}.{}", manifest.name, files.key),
            needed_by: vec![manifest.name.clone()],
            present: !folder.is_empty() && found.is_some(),
            package: None,
            detail: match (folder, found) {
                ("", _) => "is not set: the plugin does nothing".to_owned(),
                (_, Some(path)) => path.display().to_string(),
                (folder, None) => format!("{folder} has none of {}", files.any_of.join(", ")),
            },
        }
    };
    manifests.flat_map(|manifest| manifest.setting_files.iter().map(move |files| need(manifest, files))).collect()
}

/// Whether the kernel can shut plugins in. A run goes on without, unless the job forbids it.
pub fn containment(offered: Containment) -> Need {
    Need {
        kind: "kernel".to_owned(),
        name: "landlock".to_owned(),
        needed_by: vec!["containment".to_owned()],
        present: offered.contained,
        package: None,
        detail: offered.reason,
    }
}

/// The stock plugins that are not there, or not usable: what they do nobody here may be able to do.
pub fn absent(candidates: &[Candidate]) -> Vec<Need> {
    let usable = candidates.iter().filter(|candidate| candidate.refused.is_none());
    let names: Vec<&str> = usable.filter_map(|candidate| Some(candidate.manifest.as_ref()?.name.as_str())).collect();
    let need = |plugin: stock::StockPlugin| Need {
        kind: "plugin".to_owned(),
        needed_by: plugin.kinds.iter().map(|kind| kind.as_str().to_owned()).collect(),
        present: false,
        package: Some(plugin.package),
        detail: plugin.subjects.join(", "),
        name: plugin.name,
    };
    stock::all().filter(|plugin| !names.contains(&plugin.name.as_str())).map(need).collect()
}

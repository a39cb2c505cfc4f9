//! `plugin list` and `doctor`: what is installed, what of it can be used, and what this machine lacks. Runs no code of any plugin.

use std::collections::BTreeMap;

use vmdk2kvm_plugin_api::{Kind, Manifest, PluginError, Result};

use super::discovery::{Candidate, discover, search_folders};
use super::needs::{MissingNeed, missing_needs};
use super::stock;
use crate::cli::render::{Need, PluginRow};
use crate::config::PluginOptions;

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
            problem: refused,
        };
    };
    let disabled = options.disabled.contains(&manifest.name).then(|| "disabled by the configuration".to_owned());
    let missing = missing_needs(manifest);
    let lacks = (!missing.is_empty()).then(|| missing.iter().map(say).collect::<Vec<_>>().join("; "));
    PluginRow {
        name: manifest.name.clone(),
        version: manifest.version.to_string(),
        api: manifest.api.to_string(),
        kinds: manifest.kinds.iter().map(|kind| kind.as_str().to_owned()).collect(),
        summary: manifest.summary.clone(),
        path,
        problem: refused.or(disabled).or(lacks),
    }
}

fn say(need: &MissingNeed) -> String {
    format!("missing {} {} (package {})", need.kind, need.name, need.package)
}

/// The manifest of a plugin by its name.
pub fn manifest<'a>(candidates: &'a [Candidate], name: &str) -> Result<&'a Manifest> {
    let manifests = || candidates.iter().filter_map(|candidate| candidate.manifest.as_ref());
    manifests().find(|manifest| manifest.name == name).ok_or_else(|| {
        let known: Vec<&str> = manifests().map(|manifest| manifest.name.as_str()).collect();
        PluginError::missing(format!("no plugin is called `{}`", crate::events::escape(name)))
            .hint(format!("there are: {}", known.join(", ")))
    })
}

/// What the plugins need of this machine, and which stock plugins are not there.
pub fn needs(candidates: &[Candidate]) -> Vec<Need> {
    let usable = || {
        candidates
            .iter()
            .filter(|candidate| candidate.refused.is_none())
            .filter_map(|candidate| candidate.manifest.as_ref())
    };
    let mut needs: BTreeMap<(String, String), Need> = BTreeMap::new();
    for manifest in usable() {
        let missing = missing_needs(manifest);
        let programs = manifest.programs.iter().map(|need| ("program", need));
        let libraries = manifest.libraries.iter().map(|need| ("library", need));
        for (kind, need) in programs.chain(libraries) {
            let entry = needs.entry((kind.to_owned(), need.name.clone())).or_insert_with(|| Need {
                kind: kind.to_owned(),
                name: need.name.clone(),
                needed_by: Vec::new(),
                present: !missing.iter().any(|missing| missing.kind == kind && missing.name == need.name),
                package: Some(need.package.clone()),
                detail: String::new(),
            });
            entry.needed_by.push(manifest.name.clone());
        }
    }
    let mut needs: Vec<Need> = needs.into_values().collect();
    needs.extend(missing_stock(&usable().map(|manifest| manifest.name.as_str()).collect::<Vec<_>>()));
    needs
}

fn missing_stock(installed: &[&str]) -> Vec<Need> {
    let mut missing = BTreeMap::new();
    for kind in [Kind::Fetcher, Kind::Flattener, Kind::Inspector, Kind::Fixer, Kind::Converter, Kind::Tester] {
        for plugin in stock::candidates(kind, None) {
            if !installed.contains(&plugin.name.as_str()) {
                missing.insert(plugin.name.clone(), plugin);
            }
        }
    }
    let need = |plugin: stock::StockPlugin| Need {
        kind: "plugin".to_owned(),
        needed_by: plugin.kinds.iter().map(|kind| kind.as_str().to_owned()).collect(),
        present: false,
        package: Some(plugin.package),
        detail: plugin.subjects.join(", "),
        name: plugin.name,
    };
    missing.into_values().map(need).collect()
}

/// Loads one file as a plugin and asks it for every stage its manifest lists.
pub fn check(file: &std::path::Path) -> Result<Manifest> {
    let path = file
        .canonicalize()
        .map_err(|error| PluginError::from_io(file.display(), &error).hint("name the plugin's file, libNAME.so"))?;
    let candidate = super::discovery::examine_file(path)
        .ok_or_else(|| PluginError::missing(format!("{} is not a plugin", file.display())))?;
    let services = super::Services::new(
        crate::events::EventSink::default(),
        std::sync::Arc::default(),
        super::SecretStore::default(),
        crate::events::LogLevel::Off,
    );
    let name = candidate.manifest.as_ref().map_or("", |manifest| manifest.name.as_str());
    let empty = serde_json::Value::Object(serde_json::Map::new());
    let loaded = super::Loaded::load(&candidate, services.for_plugin(name), &empty)?;
    for kind in &loaded.manifest.kinds {
        let offered = match kind {
            Kind::Fetcher => loaded.plugin.fetcher()?.is_some(),
            Kind::Flattener => loaded.plugin.flattener()?.is_some(),
            Kind::Inspector => loaded.plugin.inspector()?.is_some(),
            Kind::Fixer => !loaded.plugin.fixers()?.is_empty(),
            Kind::Converter => loaded.plugin.converter()?.is_some(),
            Kind::Tester => loaded.plugin.tester()?.is_some(),
        };
        if !offered {
            let (name, kind) = (loaded.label(), kind.as_str());
            return Err(PluginError::missing(format!("{name}: its manifest lists {kind}, but it offers none")));
        }
    }
    Ok(loaded.manifest)
}

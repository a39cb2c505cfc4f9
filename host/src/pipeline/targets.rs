//! The machine as its targets want it written: each target's plugin renders it, and the host writes the files.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Map, Value};
use vmdk2kvm_plugin_api::model::{Finding, Machine, Render, RenderedFile};
use vmdk2kvm_plugin_api::{Converter, PluginError, Result};

use super::output::OWN_FILES;
use super::run::Run;
use crate::config::nearest::nearest;
use crate::events::Event;
use crate::journal::{output_error, write_file};
use crate::plugins::Chosen;
use crate::report::TargetRecord;

/// No target writes more files than this.
const MOST_FILES: usize = 100;

/// Who writes the machine down.
pub(super) struct Targets(Vec<Target>);

struct Target {
    name: String,
    plugin: Chosen<Box<dyn Converter>>,
    options: Value,
}

/// Where the files go.
pub(super) struct Place<'a> {
    /// The output folder.
    pub dir: &'a Path,
    /// What was written there before, and may be written again.
    pub ours: &'a [TargetRecord],
}

/// A machine that is rendered and not yet written.
pub(super) struct Drafts {
    drafts: Vec<(TargetRecord, Vec<RenderedFile>)>,
    findings: Vec<Finding>,
}

impl Targets {
    /// Those of these names; the one that is preferred when there is none. One that is not there is an error that names the others.
    pub fn choose(run: &Run<'_>, names: &[String]) -> Result<Self> {
        let target = |wanted: Option<&str>| {
            let (name, plugin) = run.registry.target(wanted)?;
            let options = run.job.settings.target.get(&name).cloned();
            Ok(Target { name, plugin, options: options.unwrap_or_else(|| Value::Object(Map::new())) })
        };
        let chosen: Result<Vec<Target>> = match names {
            [] => target(None).map(|target| vec![target]),
            names => names.iter().map(|name| target(Some(name))).collect(),
        };
        Ok(Self(chosen?))
    }

    /// Tells of options for a target that nobody here writes machines down for: one file may serve several machines, or be wrong.
    pub fn warn_of_unknown(run: &Run<'_>) {
        if run.job.settings.target.is_empty() {
            return;
        }
        let known = run.registry.target_names();
        for name in run.job.settings.target.keys().filter(|name| !known.contains(name)) {
            let advice = nearest(name, known.iter().map(String::as_str));
            let advice = advice.map(|meant| format!("; did you mean `target.{meant}`?")).unwrap_or_default();
            run.services.warn(format!("`target.{name}` is for a target that no plugin here has{advice}"));
        }
    }

    /// The machine as all of them write it. Nothing is written.
    pub fn render(&self, machine: &Machine, file_name: &str) -> Result<Drafts> {
        let mut drafts = Drafts { drafts: Vec::new(), findings: Vec::new() };
        for target in &self.0 {
            let plugin = &target.plugin;
            let request = Render::new(&target.name, machine.clone(), file_name);
            let rendered = plugin.stage.render(&request.with(|request| request.options.clone_from(&target.options)))?;
            let mut names = Vec::new();
            for file in &rendered.files {
                check(file, file_name, &names, &drafts).map_err(|error| error.blamed_on(&plugin.label))?;
                names.push(file.name.clone());
            }
            let (name, label) = (target.name.clone(), plugin.label.clone());
            drafts.drafts.push((TargetRecord { name, plugin: label, files: names }, rendered.files));
            drafts.findings.extend(rendered.findings);
        }
        Ok(drafts)
    }
}

impl Drafts {
    /// What will have been written.
    pub fn records(&self) -> Vec<TargetRecord> {
        self.drafts.iter().map(|(record, _)| record.clone()).collect()
    }

    /// Names of the files.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.drafts.iter().flat_map(|(record, _)| &record.files).map(String::as_str)
    }

    /// Writes the files, all or none of a name that is taken. What is there and not ours is never replaced.
    pub fn write(self, run: &Run<'_>, place: &Place<'_>, findings: &mut Vec<Finding>) -> Result<Vec<TargetRecord>> {
        for (record, _) in &self.drafts {
            let ours =
                |file: &String| place.ours.iter().any(|ours| ours.name == record.name && ours.files.contains(file));
            let taken = record.files.iter().filter(|file| !ours(file)).map(|file| place.dir.join(file));
            if let Some(path) = taken.into_iter().find(|path| path.symlink_metadata().is_ok()) {
                return Err(PluginError::output(format!("{} exists already", path.display()))
                    .hint("move it away, or use another output folder: nothing is overwritten"));
            }
        }
        for file in self.drafts.iter().flat_map(|(_, files)| files) {
            let path = place.dir.join(&file.name);
            write_file(&path, file.text.as_bytes())?;
            // Whatever the plugin says, what a run leaves is its owner's alone.
            let mode = std::fs::Permissions::from_mode(file.mode & 0o700 | 0o600);
            std::fs::set_permissions(&path, mode).map_err(|error| output_error(path.display(), &error))?;
        }
        for finding in self.findings {
            if !findings.contains(&finding) {
                run.services.events().emit(Event::Finding(finding.clone()));
                findings.push(finding);
            }
        }
        Ok(self.drafts.into_iter().map(|(record, _)| record).collect())
    }
}

/// A name leads nowhere else, says whose it is, and is not that of another file.
fn check(file: &RenderedFile, beginning: &str, taken: &[String], others: &Drafts) -> Result<()> {
    let name = file.name.as_str();
    let rest = name.strip_prefix(beginning);
    // An image's name goes on like this, and no other file's may.
    let plain = rest.is_some_and(|rest| !rest.contains(['/', '\0']) && !rest.starts_with("-disk"));
    let free = !taken.contains(&file.name) && others.names().all(|other| other != name);
    if plain && free && !OWN_FILES.contains(&name) && taken.len() < MOST_FILES {
        return Ok(());
    }
    Err(PluginError::defect(format!("a target cannot write the file {name:?}")))
}

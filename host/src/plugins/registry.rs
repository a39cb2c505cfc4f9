//! The registry: who does a stage. A plugin named by the job wins; otherwise the one that says it suits the input best; among equals the one
//! that the job has settings for, then the one whose manifest claims the highest number, then the one found first. Libraries are loaded when a stage first needs their kind.
//! Who does which stage is in `stages`.

mod stages;

mod source_reader;

pub use stages::Carriers;

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, PoisonError};

use vmdk2kvm_plugin_api::{Kind, Manifest, PluginError, Result};

use super::discovery::{Candidate, discover, search_folders};
use super::loader::Loaded;
use super::services::Services;
use super::stock;
use crate::config::Job;
use crate::nbd::NbdFetcher;

/// Advice when nothing better is known.
const SHOW: &str = "`vmdk2kvm plugin list` shows what is there";

/// A stage's implementation and whose it is.
pub struct Chosen<T> {
    /// `name version` of the plugin.
    pub label: String,
    /// The implementation.
    pub stage: T,
}

/// The plugins of one run.
pub struct Registry {
    candidates: Vec<Candidate>,
    services: Services,
    nbd: NbdFetcher,
    settings: BTreeMap<String, serde_json::Value>,
    disabled: Vec<String>,
    loaded: Mutex<BTreeMap<usize, Result<Arc<Loaded>>>>,
}

impl Registry {
    /// Finds the plugins for a job; loads none.
    pub fn new(job: &Job, services: Services) -> Result<Self> {
        let folders = search_folders(&job.settings.plugins.dirs, &mut |warning| services.warn(warning));
        let nbd = NbdFetcher::new(Arc::clone(services.cancel()));
        let registry = Self {
            candidates: discover(&folders)?,
            services,
            nbd,
            settings: job.settings.plugin.clone(),
            disabled: job.settings.plugins.disabled.clone(),
            loaded: Mutex::default(),
        };
        registry.warn_of_refused();
        for warning in super::check_settings(&registry.candidates, &registry.settings)? {
            registry.services.warn(warning);
        }
        Ok(registry)
    }

    /// Refused plugins that no stage would come across: those without a manifest, and those whose name a later folder has too.
    fn warn_of_refused(&self) {
        for (index, candidate) in self.candidates.iter().enumerate() {
            let Some(why) = &candidate.refused else { continue };
            let replaced = |manifest: &Manifest| {
                self.candidates[index..]
                    .iter()
                    .filter(|other| other.refused.is_none())
                    .any(|other| other.manifest.as_ref().is_some_and(|other| other.name == manifest.name))
            };
            if candidate.manifest.as_ref().is_none_or(replaced) {
                self.services.warn(format!("{} is not used: {why}", candidate.path.display()));
            }
        }
    }

    fn manifests(&self) -> impl Iterator<Item = &Manifest> {
        self.candidates.iter().filter_map(|candidate| candidate.manifest.as_ref())
    }

    /// Which plugins are installed: another version, or another build, may do its work differently.
    pub fn fingerprint(&self) -> String {
        let mut text = String::new();
        for candidate in self.candidates.iter().filter(|candidate| candidate.refused.is_none()) {
            let Some(manifest) = &candidate.manifest else { continue };
            let built = candidate.path.metadata().map(|found| (found.len(), found.mtime(), found.mtime_nsec())).ok();
            text += &format!("{} {} {built:?}\n", manifest.name, manifest.version);
        }
        text
    }

    /// Asks every plugin of a kind, or the one the job names, for its stage and that for its score. The highest wins; 0 is a no. A plugin that
    /// cannot be loaded or asked is a warning as long as another can do it. `subject` is the scheme in question, if any; `nobody` is the error when none can.
    fn best<T: ?Sized>(
        &self,
        kind: Kind,
        wanted: Option<&str>,
        subject: Option<&str>,
        stage: impl Fn(&Loaded) -> Result<Option<Box<T>>>,
        score: impl Fn(&T) -> Result<u32>,
        nobody: impl FnOnce() -> PluginError,
    ) -> Result<Chosen<Box<T>>> {
        let mut ranked = self.ranked(kind, wanted, subject, stage, score, nobody)?;
        Ok(ranked.swap_remove(0))
    }

    /// The same, all that can do it: the highest first, at least one.
    fn ranked<T: ?Sized>(
        &self,
        kind: Kind,
        wanted: Option<&str>,
        subject: Option<&str>,
        stage: impl Fn(&Loaded) -> Result<Option<Box<T>>>,
        score: impl Fn(&T) -> Result<u32>,
        nobody: impl FnOnce() -> PluginError,
    ) -> Result<Vec<Chosen<Box<T>>>> {
        let indices = self.to_ask(kind, wanted, subject)?;
        let ask = |loaded: Arc<Loaded>| match stage(&loaded)? {
            Some(stage) => {
                let score = score(&*stage)?;
                let chosen = (rank(score, &loaded.manifest), Chosen { label: loaded.label(), stage });
                Ok((score > 0).then_some(chosen))
            }
            None if wanted.is_some() => Err(without_settings(kind, &loaded)),
            None => Ok(None),
        };
        let (mut found, mut failures) = (Vec::new(), Vec::new());
        for index in indices {
            match self.load(index).and_then(ask) {
                Ok(answer) => found.extend(answer),
                Err(error) => failures.push(error),
            }
        }
        if found.is_empty() {
            return Err(match failures.into_iter().next() {
                Some(error) if wanted.is_some() => error,
                Some(error) => error.context(format_args!("{}, and one could not be asked", nobody())),
                None => nobody(),
            });
        }
        failures.into_iter().for_each(|error| self.warn_of(error));
        // Of equals the first stays: another that is installed later changes nothing.
        found.sort_by(|(one, _), (other, _)| other.cmp(one));
        Ok(found.into_iter().map(|(_, chosen)| chosen).collect())
    }

    /// A plugin that could not be loaded or asked is no reason to stop, as long as another can do it.
    fn warn_of(&self, error: PluginError) {
        let who = error.plugin.map_or_else(String::new, |plugin| format!("{plugin}: "));
        self.services.warn(format!("{who}{}", error.message));
    }

    /// The candidates to ask about something: the one that the job names, else all of the kind but those that the question is not for.
    fn to_ask(&self, kind: Kind, wanted: Option<&str>, subject: Option<&str>) -> Result<Vec<usize>> {
        if let Some(name) = wanted {
            return Ok(vec![self.named(kind, name)?]);
        }
        let manifest = |index: &usize| self.candidates[*index].manifest.as_ref();
        let mut indices = self.of_kind(kind);
        if let Some(subject) = subject {
            indices.retain(|index| manifest(index).is_none_or(|manifest| is_worth_a_process(manifest, subject)));
        }
        Ok(indices)
    }

    /// Candidates of a kind, in the order of search, one for each name: the first that can be used, else the first that was refused, so that
    /// the reason is seen. Those that take part because the job's settings say so come first.
    fn of_kind(&self, kind: Kind) -> Vec<usize> {
        let mut names: Vec<&str> = Vec::new();
        let mut chosen: Vec<usize> = Vec::new();
        for (index, candidate) in self.candidates.iter().enumerate() {
            let Some(manifest) = &candidate.manifest else { continue };
            if !manifest.is_a(kind) || self.disabled.contains(&manifest.name) {
                continue;
            }
            match names.iter().position(|name| *name == manifest.name) {
                None => {
                    names.push(&manifest.name);
                    chosen.push(index);
                }
                Some(at) if candidate.refused.is_none() && self.candidates[chosen[at]].refused.is_some() => {
                    chosen[at] = index;
                }
                Some(_) => {}
            }
        }
        let by_settings = |manifest: &Manifest| manifest.kinds_by_settings;
        chosen.sort_by_key(|index| !self.candidates[*index].manifest.as_ref().is_some_and(by_settings));
        chosen
    }

    fn named(&self, kind: Kind, name: &str) -> Result<usize> {
        let of_kind = self.of_kind(kind);
        let is_named =
            |index: &usize| self.candidates[*index].manifest.as_ref().is_some_and(|manifest| manifest.name == name);
        of_kind.into_iter().find(is_named).ok_or_else(|| {
            let word = kind.as_str();
            if self.disabled.iter().any(|disabled| disabled == name) {
                return PluginError::config(format!("the {word} plugin `{name}` is both asked for and disabled"));
            }
            let error = PluginError::missing(format!("the {word} plugin `{name}` is not installed"));
            match stock::candidates(kind, None).into_iter().find(|plugin| plugin.name == name) {
                Some(plugin) => error.hint(plugin.advice()),
                None => error.hint(SHOW),
            }
        })
    }

    fn load(&self, index: usize) -> Result<Arc<Loaded>> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        loaded
            .entry(index)
            .or_insert_with(|| {
                let candidate = &self.candidates[index];
                // Candidates without a manifest are of no kind and never get here.
                let Some(manifest) = &candidate.manifest else {
                    return Err(PluginError::defect(format!("{} has no manifest", candidate.path.display())));
                };
                let empty = serde_json::Value::Object(serde_json::Map::new());
                let settings = self.settings.get(&manifest.name).unwrap_or(&empty);
                Loaded::load(candidate, self.services.for_plugin(manifest), settings).map(Arc::new)
            })
            .clone()
    }

    /// The error when nothing here does a stage: says what to install.
    fn nobody(&self, kind: Kind, subject: Option<&str>, message: String) -> PluginError {
        let mut known = stock::candidates(kind, subject);
        known.retain(|plugin| !self.manifests().any(|manifest| manifest.name == plugin.name));
        let disabled = self.manifests().find(|manifest| manifest.is_a(kind) && self.disabled.contains(&manifest.name));
        let hint = match (known.first(), disabled) {
            (Some(plugin), _) => plugin.advice(),
            (None, Some(manifest)) => format!("the plugin {} is disabled by the configuration", manifest.name),
            (None, None) => SHOW.to_owned(),
        };
        PluginError::missing(message).hint(hint)
    }
}

/// What plugins are compared by, the most weighty first: how well the input suits, whether the job's settings ask for it, its own number.
type Rank = (u32, bool, u32);

fn rank(score: u32, manifest: &Manifest) -> Rank {
    (score, manifest.kinds_by_settings, manifest.preference)
}

/// The error for a plugin that the job names but gives no settings to act on.
fn without_settings(kind: Kind, loaded: &Loaded) -> PluginError {
    let message = format!("the plugin {} has no {} with these settings", loaded.label(), kind.as_str());
    let hint = format!("`vmdk2kvm plugin show {}` lists its settings", loaded.manifest.name);
    PluginError::config(message).hint(hint).blamed_on(loaded.label())
}

/// How to go on without a plugin that errors name by this label.
pub fn leave_out(label: &str) -> String {
    let name = label.split(' ').next().unwrap_or(label);
    format!("leave it out with --set plugins.disabled='[\"{name}\"]'")
}

/// Whether a plugin is to be asked about a scheme: a process is not started for a question that the manifest answers.
fn is_worth_a_process(manifest: &Manifest, scheme: &str) -> bool {
    let words = &manifest.capabilities;
    !manifest.process.own || words.is_empty() || words.iter().any(|word| word.eq_ignore_ascii_case(scheme))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suiting_best_counts_before_the_jobs_word_and_that_before_a_claim() {
        let manifest = |asked_for: bool, preference: u32| -> Manifest {
            serde_json::from_value(serde_json::json!({
                "schema": 1, "name": "x", "version": "1.0.0", "api": "1.0.0", "summary": "x", "license": "MIT",
                "kinds": ["tester"], "kinds_by_settings": asked_for, "preference": preference
            }))
            .unwrap()
        };
        let ranks = [
            rank(1, &manifest(false, 0)),
            rank(1, &manifest(false, 100)),
            rank(1, &manifest(true, 0)),
            rank(2, &manifest(false, 0)),
        ];
        assert!(ranks.is_sorted_by(|lesser, greater| lesser < greater), "{ranks:?}");
    }

    #[test]
    fn no_process_is_started_for_what_the_manifest_answers() {
        let worth = |own: bool, capabilities: &[&str], scheme: &str| {
            let manifest: Manifest = serde_json::from_value(serde_json::json!({
                "schema": 1, "name": "x", "version": "1.0.0", "api": "1.0.0", "summary": "x", "license": "MIT",
                "kinds": ["fetcher"], "capabilities": capabilities, "process": {"own": own}
            }))
            .unwrap();
            is_worth_a_process(&manifest, scheme)
        };
        assert!(worth(true, &["far", "farther"], "farther") && worth(true, &["far"], "FAR"));
        assert!(worth(true, &[], "path") && worth(false, &["far"], "path"));
        assert!(!worth(true, &["far"], "path"));
    }
}

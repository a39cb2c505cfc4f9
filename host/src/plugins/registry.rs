//! The registry: who does a stage. A plugin named by the job wins; otherwise the one that says it suits the input best, and among equals
//! the one found first. Libraries are loaded when a stage first needs their kind.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, PoisonError};

use vmdk2kvm_plugin_api::model::{OpenGuest, OsFamily, SourceRef};
use vmdk2kvm_plugin_api::{Converter, Fetcher, Fixer, Flattener, Inspector, Kind, PluginError, Result, Tester};

use super::discovery::{Candidate, discover, search_folders};
use super::loader::Loaded;
use super::services::Services;
use super::stock;
use crate::config::Job;

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
    settings: BTreeMap<String, serde_json::Value>,
    disabled: Vec<String>,
    loaded: Mutex<BTreeMap<usize, Result<Arc<Loaded>>>>,
}

impl Registry {
    /// Finds the plugins for a job; loads none.
    pub fn new(job: &Job, services: Services) -> Result<Self> {
        let folders = search_folders(&job.plugins.dirs, &mut |warning| services.warn(warning));
        let registry = Self {
            candidates: discover(&folders)?,
            services,
            settings: job.plugin.clone(),
            disabled: job.plugins.disabled.clone(),
            loaded: Mutex::default(),
        };
        for candidate in &registry.candidates {
            if let (None, Some(why)) = (&candidate.manifest, &candidate.refused) {
                registry.services.warn(format!("{} is not used: {why}", candidate.path.display()));
            }
        }
        for warning in super::check_settings(&registry.candidates, &registry.settings)? {
            registry.services.warn(warning);
        }
        Ok(registry)
    }

    fn manifests(&self) -> impl Iterator<Item = &vmdk2kvm_plugin_api::Manifest> {
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

    /// The FETCH plugin for a source.
    pub fn fetcher(&self, wanted: Option<&str>, source: &SourceRef) -> Result<Chosen<Box<dyn Fetcher>>> {
        let found = self.best(Kind::Fetcher, wanted, |loaded| {
            let Some(fetcher) = loaded.plugin.fetcher()? else { return Ok(None) };
            Ok(Some((fetcher.accepts(source)?, fetcher)))
        })?;
        found.ok_or_else(|| {
            let scheme = source.uri.split_once(':').map_or("path", |(scheme, _)| scheme);
            self.nobody(
                Kind::Fetcher,
                Some(scheme),
                format!("no plugin can fetch from {}", crate::config::secret::mask_uri(&source.uri)),
            )
        })
    }

    /// The FLATTEN plugin for a format.
    pub fn flattener(&self, wanted: Option<&str>, format: &str) -> Result<Chosen<Box<dyn Flattener>>> {
        let found = self.best(Kind::Flattener, wanted, |loaded| {
            let Some(flattener) = loaded.plugin.flattener()? else { return Ok(None) };
            let score = u32::from(flattener.formats().iter().any(|known| known == format));
            Ok(Some((score, flattener)))
        })?;
        found.ok_or_else(|| {
            self.nobody(Kind::Flattener, Some(format), format!("no plugin can read disks of the format {format}"))
        })
    }

    /// The INSPECT plugin for a guest.
    pub fn inspector(&self, wanted: Option<&str>, request: &OpenGuest) -> Result<Chosen<Box<dyn Inspector>>> {
        let found = self.best(Kind::Inspector, wanted, |loaded| {
            let Some(inspector) = loaded.plugin.inspector()? else { return Ok(None) };
            Ok(Some((inspector.accepts(request)?, inspector)))
        })?;
        let subject =
            request.vm.origin.as_ref().filter(|_| request.disks.is_empty()).map_or("images", |origin| &origin.fetcher);
        found.ok_or_else(|| self.nobody(Kind::Inspector, Some(subject), "no plugin can open this guest".to_owned()))
    }

    /// Every fixer that understands a family, in their order. One that cannot be loaded is an error: a guest that lacks its changes would
    /// look migrated and fail later.
    pub fn fixers(&self, family: OsFamily) -> Result<Vec<Chosen<Box<dyn Fixer>>>> {
        let mut fixers: Vec<Chosen<Box<dyn Fixer>>> = Vec::new();
        for index in self.of_kind(Kind::Fixer) {
            let loaded = self.load(index).map_err(|error| {
                let name = self.candidates[index].manifest.as_ref().map_or("", |manifest| manifest.name.as_str());
                let hint = format!("repair it, or leave it out with --set plugins.disabled='[\"{name}\"]'");
                if error.hint.is_some() { error } else { error.hint(hint) }
            })?;
            for fixer in loaded.plugin.fixers()? {
                if !fixer.guests().contains(&family) {
                    continue;
                }
                if let Some(other) = fixers.iter().find(|other| other.stage.name() == fixer.name()) {
                    return Err(PluginError::missing(format!(
                        "the plugins {} and {} both have a fixer called `{}`",
                        other.label,
                        loaded.label(),
                        fixer.name()
                    )));
                }
                fixers.push(Chosen { label: loaded.label(), stage: fixer });
            }
        }
        fixers.sort_by_key(|fixer| (fixer.stage.order(), fixer.stage.name()));
        if fixers.is_empty() && family != OsFamily::Unknown {
            let word = format!("{family:?}").to_lowercase();
            return Err(self.nobody(Kind::Fixer, Some(&word), format!("no plugin can fix {word} guests")));
        }
        Ok(fixers)
    }

    /// The CONVERT plugin for a format.
    pub fn converter(&self, wanted: Option<&str>, format: &str) -> Result<Chosen<Box<dyn Converter>>> {
        let found = self.best(Kind::Converter, wanted, |loaded| {
            let Some(converter) = loaded.plugin.converter()? else { return Ok(None) };
            let score = u32::from(converter.formats().iter().any(|known| known == format));
            Ok(Some((score, converter)))
        })?;
        found.ok_or_else(|| {
            self.nobody(Kind::Converter, Some(format), format!("no plugin can write images of the format {format}"))
        })
    }

    /// The TEST plugin.
    pub fn tester(&self, wanted: Option<&str>) -> Result<Chosen<Box<dyn Tester>>> {
        let found = self.best(Kind::Tester, wanted, |loaded| Ok(loaded.plugin.tester()?.map(|tester| (1, tester))))?;
        found.ok_or_else(|| self.nobody(Kind::Tester, wanted, "no plugin can test the result".to_owned()))
    }

    /// Asks every plugin of a kind, or the one the job names. The highest answer wins; 0 is a no. A plugin that cannot be loaded is a warning
    /// as long as another can do it.
    fn best<T>(
        &self,
        kind: Kind,
        wanted: Option<&str>,
        ask: impl Fn(&Loaded) -> Result<Option<(u32, T)>>,
    ) -> Result<Option<Chosen<T>>> {
        let mut best: Option<(u32, Chosen<T>)> = None;
        let mut failure = None;
        let indices = match wanted {
            Some(name) => vec![self.named(kind, name)?],
            None => self.of_kind(kind),
        };
        for index in indices {
            let loaded = match self.load(index) {
                Ok(loaded) => loaded,
                Err(error) => {
                    failure.get_or_insert(error);
                    continue;
                }
            };
            if let Some((score, stage)) = ask(&loaded)? {
                if score > best.as_ref().map_or(0, |(score, _)| *score) {
                    best = Some((score, Chosen { label: loaded.label(), stage }));
                }
            }
        }
        match (best, failure) {
            (Some((_, chosen)), failure) => {
                if let Some(error) = failure {
                    self.services.warn(error.message);
                }
                Ok(Some(chosen))
            }
            (None, Some(error)) => Err(error),
            (None, None) => Ok(None),
        }
    }

    /// Usable candidates of a kind, in the order of search. A refused plugin whose manifest says the kind is among them, so that its error
    /// is seen; one that is hidden by another of its name is not.
    fn of_kind(&self, kind: Kind) -> Vec<usize> {
        let mut names = std::collections::BTreeSet::new();
        (0..self.candidates.len())
            .filter(|index| {
                let Some(manifest) = &self.candidates[*index].manifest else { return false };
                manifest.kinds.contains(&kind)
                    && !self.disabled.contains(&manifest.name)
                    && names.insert(&manifest.name)
            })
            .collect()
    }

    fn named(&self, kind: Kind, name: &str) -> Result<usize> {
        let of_kind = self.of_kind(kind);
        let is_named =
            |index: &usize| self.candidates[*index].manifest.as_ref().is_some_and(|manifest| manifest.name == name);
        of_kind.into_iter().find(is_named).ok_or_else(|| {
            let error = PluginError::missing(format!("the {} plugin `{name}` is not installed", kind.as_str()));
            match stock::candidates(kind, None).into_iter().find(|plugin| plugin.name == name) {
                Some(plugin) => error.hint(format!("install the plugin {} (package {})", plugin.name, plugin.package)),
                None => error.hint("`vmdk2kvm plugin list` shows what is there"),
            }
        })
    }

    fn load(&self, index: usize) -> Result<Arc<Loaded>> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        loaded
            .entry(index)
            .or_insert_with(|| {
                let candidate = &self.candidates[index];
                let name = candidate.manifest.as_ref().map_or("", |manifest| manifest.name.as_str());
                let empty = serde_json::Value::Object(serde_json::Map::new());
                let settings = self.settings.get(name).unwrap_or(&empty);
                Loaded::load(candidate, self.services.for_plugin(name), settings).map(Arc::new)
            })
            .clone()
    }

    /// The error when nothing here does a stage: says what to install.
    fn nobody(&self, kind: Kind, subject: Option<&str>, message: String) -> PluginError {
        let mut known = stock::candidates(kind, subject);
        known.retain(|plugin| !self.manifests().any(|manifest| manifest.name == plugin.name));
        let disabled =
            self.manifests().find(|manifest| manifest.kinds.contains(&kind) && self.disabled.contains(&manifest.name));
        let hint = match (known.first(), disabled) {
            (Some(plugin), _) => format!("install the plugin {} (package {})", plugin.name, plugin.package),
            (None, Some(manifest)) => format!("the plugin {} is disabled by the configuration", manifest.name),
            (None, None) => "`vmdk2kvm plugin list` shows what is there".to_owned(),
        };
        PluginError::missing(message).hint(hint)
    }
}

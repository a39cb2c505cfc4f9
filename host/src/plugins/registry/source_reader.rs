//! The plugin that reads guests from the flat views of their disks.

use vmdk2kvm_plugin_api::{Inspector, Kind, Manifest, PluginError, Result};

use super::{Chosen, Loaded, Registry};

/// The word of a manifest by which it says that it does.
const SOURCES: &str = "sources";

impl Registry {
    /// The INSPECT plugin that reads guests from flat disks; `None` when there is none, or the job names another.
    pub fn source_reader(&self, wanted: Option<&str>) -> Result<Option<Chosen<Box<dyn Inspector>>>> {
        for index in self.to_ask(Kind::Inspector, wanted, None)? {
            let manifest = self.candidates[index].manifest.as_ref();
            if !manifest.is_some_and(|manifest| manifest.capabilities.iter().any(|word| word == SOURCES)) {
                continue;
            }
            match self.load(index).and_then(|loaded| Ok((loaded.label(), Loaded::inspector(&loaded)?))) {
                Ok((label, Some(stage))) => return Ok(Some(Chosen { label, stage })),
                Ok((_, None)) => {}
                Err(error) => self.warn_of(error),
            }
        }
        Ok(None)
    }

    /// The names of the INSPECT plugins that can be stopped without stopping what reads the disks meanwhile.
    pub fn mere_inspectors(&self) -> Vec<String> {
        let manifests =
            self.of_kind(Kind::Inspector).into_iter().filter_map(|index| self.candidates[index].manifest.as_ref());
        let reads = |manifest: &Manifest| manifest.is_a(Kind::Fetcher) || manifest.is_a(Kind::Flattener);
        manifests.filter(|manifest| !reads(manifest)).map(|manifest| manifest.name.clone()).collect()
    }

    /// The error where one is asked for and there is none.
    pub fn no_source_reader(&self) -> PluginError {
        self.nobody(Kind::Inspector, Some(SOURCES), "no plugin can read guests without an appliance".to_owned())
    }
}

//! Loads a plugin's library, in the order that keeps every failure readable: descriptor, manifest, version, `dlopen`, header, layout,
//! root, manifest again, construction. A library is never unloaded.

use std::os::fd::AsRawFd;
use std::sync::Arc;

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use vmdk2kvm_plugin_api::abi::{self, AbiHeaderRef, Label, RemotePlugin, calls};
use vmdk2kvm_plugin_api::{
    Converter, Fetcher, Fixer, Flattener, HostServices, Inspector, Kind, Manifest, PluginError, Result, Tester,
};

use super::discovery::{Candidate, SearchKind};
use super::elf::SharedObject;
use super::gate::Fit;
use super::own_process::OwnProcess;
use super::{gate, lock, needs, trust};

/// A loaded plugin.
pub struct Loaded {
    /// Its manifest.
    pub manifest: Manifest,
    plugin: Home,
}

/// Where a plugin is.
enum Home {
    /// In this process.
    Here(RemotePlugin),
    /// In one of its own, as its manifest wants it.
    Own(OwnProcess),
}

impl Loaded {
    /// `name version`, as errors and reports name it.
    pub fn label(&self) -> String {
        format!("{} {}", self.manifest.name, self.manifest.version)
    }

    /// Loads a candidate with its settings.
    pub fn load(candidate: &Candidate, services: Arc<dyn HostServices>, settings: &serde_json::Value) -> Result<Self> {
        let named = |mut error: PluginError| {
            let name = candidate.manifest.as_ref().map(|manifest| format!("{} {}", manifest.name, manifest.version));
            error.plugin = error.plugin.or(name);
            error.context(format_args!("plugin {} cannot be used", candidate.path.display()))
        };
        if let Some(refused) = &candidate.refused {
            return Err(named(refused.clone()));
        }
        match &candidate.manifest {
            Some(manifest) if manifest.process.own => {
                let process = OwnProcess::start(candidate, manifest, services, settings).map_err(named)?;
                Ok(Self { manifest: manifest.clone(), plugin: Home::Own(process) })
            }
            _ => Self::load_here(candidate, services, settings).map_err(named),
        }
    }

    /// Loads a candidate into this process, whatever its manifest wants.
    pub(super) fn load_here(
        candidate: &Candidate,
        services: Arc<dyn HostServices>,
        settings: &serde_json::Value,
    ) -> Result<Self> {
        match &candidate.refused {
            Some(refused) => Err(refused.clone()),
            None => load(candidate, services, settings),
        }
    }

    /// The plugin, for the stages that only a plugin in this process has.
    fn here(&self) -> Option<&RemotePlugin> {
        match &self.plugin {
            Home::Here(plugin) => Some(plugin),
            Home::Own(_) => None,
        }
    }

    /// Its FETCH.
    pub fn fetcher(&self) -> Result<Option<Box<dyn Fetcher>>> {
        let fetcher = match &self.plugin {
            Home::Here(plugin) => plugin.fetcher()?,
            Home::Own(process) => process.fetcher(),
        };
        self.kept(Kind::Fetcher, fetcher)
    }

    /// Its FLATTEN.
    pub fn flattener(&self) -> Result<Option<Box<dyn Flattener>>> {
        self.kept(Kind::Flattener, self.here().map(RemotePlugin::flattener).transpose()?.flatten())
    }

    /// Its INSPECT.
    pub fn inspector(&self) -> Result<Option<Box<dyn Inspector>>> {
        self.kept(Kind::Inspector, self.here().map(RemotePlugin::inspector).transpose()?.flatten())
    }

    /// Its fixers.
    pub fn fixers(&self) -> Result<Vec<Box<dyn Fixer>>> {
        let fixers = self.here().map(RemotePlugin::fixers).transpose()?.unwrap_or_default();
        Ok(self.kept(Kind::Fixer, (!fixers.is_empty()).then_some(fixers))?.unwrap_or_default())
    }

    /// Its CONVERT.
    pub fn converter(&self) -> Result<Option<Box<dyn Converter>>> {
        self.kept(Kind::Converter, self.here().map(RemotePlugin::converter).transpose()?.flatten())
    }

    /// Its TEST.
    pub fn tester(&self) -> Result<Option<Box<dyn Tester>>> {
        self.kept(Kind::Tester, self.here().map(RemotePlugin::tester).transpose()?.flatten())
    }

    /// A plugin is only asked for what its manifest lists, and must then have it, unless its settings decide.
    fn kept<T>(&self, kind: Kind, stage: Option<T>) -> Result<Option<T>> {
        if stage.is_some() || self.manifest.kinds_by_settings {
            return Ok(stage);
        }
        let word = kind.as_str();
        let mut error =
            PluginError::missing(format!("the plugin {} says that it has a {word}, and has none", self.label()));
        error.plugin = Some(self.label());
        Err(error)
    }
}

fn load(candidate: &Candidate, services: Arc<dyn HostServices>, settings: &serde_json::Value) -> Result<Loaded> {
    // Read again from the descriptor that will be loaded: the file may have changed since it was found.
    let mut file = trust::open(&candidate.path)?;
    trust::check(&candidate.path, &file, candidate.kind != SearchKind::BuiltIn)?;
    let manifest = SharedObject::read(&mut file)?
        .manifest
        .filter(|manifest| Some(manifest) == candidate.manifest.as_ref())
        .ok_or_else(|| PluginError::missing("it changed while it was being loaded"))?;
    if let Some(digest) = &candidate.digest {
        if lock::digest(&candidate.path, &mut file)? != *digest {
            return Err(PluginError::missing("it changed while it was being loaded"));
        }
    }
    let label: Label = format!("{} {}", manifest.name, manifest.version).leak();
    let fit = gate::check(&manifest.api)?;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let loading = calls::enter(label, "loading");
    // SAFETY: running the library's initialisers is what loading a trusted plugin means.
    let library = unsafe { Library::open(Some(&path), RTLD_NOW | RTLD_LOCAL) }
        .map_err(|error| needs::explain_dlopen(candidate, &manifest, &error.to_string()))?;
    // The loader knows a library by its path: the descriptor must stay open, or the next plugin would be taken for this one.
    std::mem::forget(file);
    // SAFETY: every library that bears our manifest section exports this symbol with this type (`export_plugin!`).
    let header = unsafe { library.get::<AbiHeaderRef>(abi::ROOT_SYMBOL.as_bytes()) }
        .map(|symbol| *symbol)
        .map_err(|_| PluginError::missing(format!("it does not export {}", abi::ROOT_SYMBOL)));
    // Never unloaded: threads, thread-locals and objects of the plugin live until the process ends.
    std::mem::forget(library);
    // SAFETY: the library is never unloaded.
    let root = unsafe { abi::load_root(header?, fit == Fit::Older) }?;
    let said = Manifest::parse(root.manifest()().as_str().as_bytes())?;
    if said != manifest {
        return Err(PluginError::missing("its code and its manifest section disagree").hint("build the plugin again"));
    }
    drop(loading);
    let settings = serde_json::to_string(settings).map_err(|error| PluginError::defect(error.to_string()))?;
    let plugin = abi::create_plugin_remote(root, services, &settings, label)?;
    Ok(Loaded { manifest, plugin: Home::Here(plugin) })
}

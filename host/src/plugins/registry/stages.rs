//! Who does which stage: what each is asked for, and what its plugins are compared by. The asking itself is the registry's.

use std::sync::Arc;

use vmdk2kvm_plugin_api::model::{OpenGuest, OsFamily, SourceRef, Way};
use vmdk2kvm_plugin_api::{
    BlockSource, Converter, ErrorKind, Fetcher, Fixer, Flattener, Inspector, Kind, PluginError, Result, Tester,
};

use super::{Chosen, Registry, SHOW, leave_out, rank, without_settings};
use crate::nbd::NbdFetcher;
use crate::plugins::loader::Loaded;
use crate::plugins::stock;
use crate::uri::scheme;

/// Who carries a way.
#[derive(Default)]
pub struct Carriers {
    /// The most suitable first.
    pub carriers: Vec<Chosen<Box<dyn Fetcher>>>,
    /// The words of those that know the way and cannot carry it here.
    pub refusals: Vec<PluginError>,
}

impl Registry {
    /// The FETCH plugin for a source. Disks of NBD servers are the host's own business, unless the job names a plugin.
    pub fn fetcher(&self, wanted: Option<&str>, source: &SourceRef) -> Result<Chosen<Box<dyn Fetcher>>> {
        if wanted.is_none() && NbdFetcher::knows(source) {
            return Ok(self.own_fetcher());
        }
        let message = format!("no plugin can fetch from {}", crate::config::secret::mask_uri(&source.uri));
        self.best(
            Kind::Fetcher,
            wanted,
            Some(scheme(&source.uri)),
            Loaded::fetcher,
            |fetcher| fetcher.accepts(source),
            || self.nobody(Kind::Fetcher, Some(scheme(&source.uri)), message),
        )
    }

    /// The host's own fetcher, under the label of the host.
    fn own_fetcher(&self) -> Chosen<Box<dyn Fetcher>> {
        let label = concat!("vmdk2kvm ", env!("CARGO_PKG_VERSION")).to_owned();
        Chosen { stage: Box::new(self.nbd.clone()), label }
    }

    /// The plugins that carry a way, the most suitable first; only the one the job names, when it names one. One that cannot be loaded or asked
    /// is a warning where another carries it.
    pub fn carriers(&self, wanted: Option<&str>, way: &Way) -> Result<Carriers> {
        let mut found = Carriers::default();
        if wanted.is_none() && NbdFetcher::is_way(way) {
            found.carriers.push(self.own_fetcher());
            return Ok(found);
        }
        let (mut ranked, mut failures) = (Vec::new(), Vec::new());
        for index in self.to_ask(Kind::Fetcher, wanted, Some(&way.scheme))? {
            let ask = |loaded: Arc<Loaded>| {
                let Some(stage) = loaded.fetcher()? else { return Ok(None) };
                let score = stage.carries(way)?;
                Ok((score > 0).then(|| (rank(score, &loaded.manifest), Chosen { label: loaded.label(), stage })))
            };
            match self.load(index).and_then(ask) {
                Ok(carrier) => ranked.extend(carrier),
                // It would, and cannot here: no failure.
                Err(error) if error.kind == ErrorKind::Cannot => found.refusals.push(error),
                Err(error) => failures.push(error),
            }
        }
        if let (true, Some(error)) = (ranked.is_empty(), failures.pop()) {
            return Err(error);
        }
        failures.into_iter().for_each(|error| self.warn_of(error));
        ranked.sort_by_key(|(rank, _)| std::cmp::Reverse(*rank));
        found.carriers = ranked.into_iter().map(|(_, chosen)| chosen).collect();
        Ok(found)
    }

    /// The FLATTEN plugin for a format.
    pub fn flattener(&self, wanted: Option<&str>, format: &str) -> Result<Chosen<Box<dyn Flattener>>> {
        let message = format!("no plugin can read disks of the format {format}");
        self.best(
            Kind::Flattener,
            wanted,
            None,
            Loaded::flattener,
            |flattener| knows(&flattener.formats(), format),
            || self.nobody(Kind::Flattener, Some(format), message),
        )
    }

    /// The INSPECT plugins for a guest, the most suitable first: at least one.
    pub fn inspectors(
        &self,
        wanted: Option<&str>,
        request: &OpenGuest,
        disks: &[Arc<dyn BlockSource>],
    ) -> Result<Vec<Chosen<Box<dyn Inspector>>>> {
        let subject = if request.disks.is_empty() { scheme(&request.source.uri) } else { "images" };
        let message = "no plugin can open this guest".to_owned();
        self.ranked(
            Kind::Inspector,
            wanted,
            None,
            Loaded::inspector,
            |inspector| inspector.accepts_disks(request, disks.to_vec()),
            || self.nobody(Kind::Inspector, Some(subject), message),
        )
    }

    /// Every fixer that understands a family, and may work on a running guest where that is one, in their order. One that cannot be loaded is an error: a guest that lacks its changes would
    /// look migrated and fail later.
    pub fn fixers(&self, family: OsFamily, live: bool) -> Result<Vec<Chosen<Box<dyn Fixer>>>> {
        let mut fixers: Vec<Chosen<Box<dyn Fixer>>> = Vec::new();
        for index in self.of_kind(Kind::Fixer) {
            let loaded = self.load(index).map_err(|error| {
                let name = self.candidates[index].manifest.as_ref().map_or("", |manifest| manifest.name.as_str());
                if error.hint.is_some() { error } else { error.hint(format!("repair it, or {}", leave_out(name))) }
            })?;
            for fixer in loaded.fixers()? {
                if !fixer.guests().contains(&family) || live && !fixer.live() {
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
            let word = family.as_str();
            return Err(self.nobody(Kind::Fixer, Some(word), format!("no plugin can fix {word} guests")));
        }
        Ok(fixers)
    }

    /// The CONVERT plugin for a format.
    pub fn converter(&self, wanted: Option<&str>, format: &str) -> Result<Chosen<Box<dyn Converter>>> {
        let message = format!("no plugin can write images of the format {format}");
        self.best(
            Kind::Converter,
            wanted,
            None,
            Loaded::converter,
            |converter| knows(&converter.formats(), format),
            || self.nobody(Kind::Converter, Some(format), message),
        )
    }

    /// The plugin that writes machines down for a target; `None`: for the target that is the most preferred, whose name comes back, too.
    pub fn target(&self, wanted: Option<&str>) -> Result<(String, Chosen<Box<dyn Converter>>)> {
        let mut best: Option<(u32, String, usize)> = None;
        for index in self.of_kind(Kind::Converter) {
            let converter = self.load(index).and_then(|loaded| Ok((loaded.manifest.preference, loaded.converter()?)));
            let (preference, stage) = match converter {
                Ok((preference, Some(stage))) => (preference, stage),
                Ok((_, None)) => continue,
                Err(error) => {
                    self.warn_of(error);
                    continue;
                }
            };
            for target in stage.targets() {
                let fits = wanted.is_none_or(|wanted| wanted == target);
                if fits && best.as_ref().is_none_or(|(number, ..)| preference > *number) {
                    best = Some((preference, target, index));
                }
            }
        }
        let Some((_, target, index)) = best else {
            let message = match wanted {
                Some(target) => format!("no plugin can render the target `{target}`"),
                None => "no plugin can render a target".to_owned(),
            };
            let (mut error, known) = (self.nobody(Kind::Converter, wanted, message), self.target_names());
            if !known.is_empty() {
                let advice = error.hint.take().filter(|advice| advice != SHOW).map(|advice| format!("{advice}; "));
                error = error.hint(format!("{}known here: {}", advice.unwrap_or_default(), known.join(", ")));
            }
            return Err(error);
        };
        let loaded = self.load(index)?;
        let stage = loaded.converter()?.ok_or_else(|| without_settings(Kind::Converter, &loaded))?;
        Ok((target, Chosen { label: loaded.label(), stage }))
    }

    /// The TEST plugin. `NAME` may stand for the plugin `NAME-test`.
    pub fn tester(&self, wanted: Option<&str>) -> Result<Chosen<Box<dyn Tester>>> {
        let message = "no plugin can test the result".to_owned();
        let name = wanted.map(|name| self.tester_name(name));
        let wanted = name.as_deref();
        self.best(Kind::Tester, wanted, None, Loaded::tester, |_| Ok(1), || self.nobody(Kind::Tester, wanted, message))
    }

    fn tester_name(&self, name: &str) -> String {
        let installed = |name: &str| self.manifests().any(|other| other.is_a(Kind::Tester) && other.name == name);
        let longer = format!("{name}-test");
        let known = |name: &str| stock::candidates(Kind::Tester, None).iter().any(|plugin| plugin.name == name);
        if !installed(name) && (installed(&longer) || known(&longer)) { longer } else { name.to_owned() }
    }

    /// Every target that a plugin here writes machines down for, in the order of their names.
    pub fn target_names(&self) -> Vec<String> {
        let converters = self.of_kind(Kind::Converter).into_iter().filter_map(|index| self.load(index).ok());
        let stages = converters.filter_map(|loaded| loaded.converter().ok().flatten());
        let mut names: Vec<String> = stages.flat_map(|stage| stage.targets()).collect();
        names.sort();
        names.dedup();
        names
    }
}

/// The score of a stage that knows these formats.
fn knows(formats: &[String], format: &str) -> Result<u32> {
    Ok(u32::from(formats.iter().any(|known| known == format)))
}

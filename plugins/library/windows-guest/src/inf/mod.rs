//! What a driver package says in its INF: a bounded reader of the syntax, and the answers that a planner asks for.
//!
//! Owns the INF format: encodings, sections, strings, which models a Windows takes, and what an install section copies and writes. Knows no
//! driver by name, and does not read the files beside the INF.

mod decoration;
mod driver_version;
mod encoding;
mod files;
mod number;
mod registry;
mod sections;
mod service;
mod strings;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{PluginError, Result};

use crate::version::{Architecture, Windows};
use decoration::Decoration;
pub use driver_version::DriverVersion;
pub use files::{Directory, FileCopy};
pub use registry::{Data, RegistryValue, Root};
use sections::{Line, Sections};
pub use service::Service;
use strings::Strings;

/// The drivers' own are below 100 KiB.
pub const LARGEST: u64 = 2 << 20;

/// What one question may answer.
const MOST_ANSWERS: usize = 10_000;

/// For a message.
const MOST_TARGETS: usize = 20;

/// A text that the INF writes with tokens. The registry keeps both forms.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Text {
    /// As it is written: `%VENDOR%`.
    pub written: String,
    /// With its tokens replaced.
    pub text: String,
}

/// One line of a models section.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Model {
    /// Who made it.
    pub manufacturer: Text,
    /// The device's name.
    pub description: Text,
    /// The name of its install section, for [`Inf::install`].
    pub install: String,
    /// The hardware id, then compatible ones: `PCI\VEN_1AF4&DEV_1001`.
    pub ids: Vec<String>,
}

/// What an install section does.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Install {
    /// The section that was taken: `X`, `X.NT` or `X.NTamd64`.
    pub section: String,
    /// Files to copy, those of co-installers included.
    pub copies: Vec<FileCopy>,
    /// Values of the driver's key.
    pub registry: Vec<RegistryValue>,
    /// Values of the device's key (`.HW`): `Interrupt Management` among them.
    pub hardware: Vec<RegistryValue>,
    /// Services; none for a package that only gives a device its name.
    pub services: Vec<Service>,
    /// Other lines of the section, in their order: `Characteristics`, `*IfType` and their like.
    pub settings: Vec<(String, String)>,
    /// INF files of Windows that it includes.
    pub includes: Vec<String>,
    /// Sections of those files that it needs.
    pub needs: Vec<String>,
}

/// An INF file of a driver.
#[derive(Debug)]
pub struct Inf {
    name: String,
    reading: Reading,
}

#[derive(Debug)]
struct Reading {
    sections: Sections,
    strings: Strings,
}

impl Inf {
    /// Reads an INF; `name` is for messages.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self> {
        let refuse = |why: String| PluginError::unusable(format!("the INF {name} cannot be used: {why}"));
        if bytes.len() as u64 > LARGEST {
            return Err(refuse(format!("it is larger than {LARGEST} bytes")));
        }
        let sections = Sections::parse(&encoding::decode(bytes)).map_err(refuse)?;
        let strings = Strings::of(&sections);
        let reading = Reading { sections, strings };
        let signature = reading.text("Version", "Signature").to_ascii_lowercase();
        if !["$windows nt$", "$chicago$"].contains(&signature.as_str()) {
            return Err(refuse("it has no [Version] section with a signature of Windows".to_owned()));
        }
        Ok(Self { name: name.to_owned(), reading })
    }

    fn refused(&self) -> impl Fn(String) -> PluginError + '_ {
        |why| PluginError::unusable(format!("the INF {} cannot be used: {}", self.name, escape(&why)))
    }

    /// The name that it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `Class`: `SCSIAdapter`, `Net`.
    pub fn class(&self) -> String {
        self.reading.text("Version", "Class")
    }

    /// `ClassGuid` with its braces, as it is written.
    pub fn class_guid(&self) -> String {
        self.reading.text("Version", "ClassGuid")
    }

    /// `Provider`.
    pub fn provider(&self) -> Text {
        let line = self.reading.sections.first("Version", "Provider");
        self.reading.both(line.map_or("", |line| line.field(0)))
    }

    /// `DriverVer`; none when it is missing or not understood.
    pub fn driver_version(&self) -> Option<DriverVersion> {
        let line = self.reading.sections.first("Version", "DriverVer")?;
        DriverVersion::parse(&self.reading.expand(line.field(0)), &self.reading.expand(line.field(1)))
    }

    /// The name of its catalogue for this architecture.
    pub fn catalogue(&self, architecture: Architecture) -> Option<String> {
        let decorated =
            [format!("CatalogFile.NT{architecture}"), "CatalogFile.NT".to_owned(), "CatalogFile".to_owned()];
        decorated.iter().map(|key| self.reading.text("Version", key)).find(|file| !file.is_empty())
    }

    /// Its strings, by keys in lower case.
    pub fn strings(&self) -> &BTreeMap<String, String> {
        self.reading.strings.all()
    }

    /// What it says it is for: the decorations of its manufacturers, for a message.
    pub fn targets(&self) -> Vec<String> {
        let lines = self.reading.sections.lines("Manufacturer").iter();
        let mut all: Vec<String> =
            lines.flat_map(|line| line.fields.iter().skip(1).cloned()).take(MOST_TARGETS).collect();
        all.dedup();
        all
    }

    /// The devices that it drives on this Windows: for each manufacturer the section whose decoration fits best. Empty when the package is
    /// not for this Windows.
    pub fn models(&self, windows: &Windows) -> Result<Vec<Model>> {
        let (mut models, mut looked) = (Vec::new(), 0);
        for line in self.reading.sections.lines("Manufacturer") {
            let manufacturer = self.reading.both(line.key.as_deref().unwrap_or_else(|| line.field(0)));
            let Some(section) = self.reading.models_section(line, windows) else { continue };
            for line in self.reading.sections.lines(&section) {
                looked += 1;
                self.reading.count(looked).map_err(self.refused())?;
                let Some(description) = &line.key else { continue };
                let mut fields = line.fields.iter().map(|field| self.reading.expand(field));
                models.push(Model {
                    manufacturer: manufacturer.clone(),
                    description: self.reading.both(description),
                    install: fields.next().unwrap_or_default(),
                    ids: fields.filter(|id| !id.is_empty()).collect(),
                });
            }
        }
        Ok(models)
    }

    /// What the install section of a model does on this Windows: the section for its architecture, for NT, or the plain one. An error when the
    /// INF has none of them, or says something in it that is not understood.
    pub fn install(&self, name: &str, windows: &Windows) -> Result<Install> {
        self.reading.install(name, windows).map_err(self.refused())
    }

    /// The files of the package that this Windows is given, as paths beside the INF: each once, in the order of the INF.
    pub fn files(&self, windows: &Windows) -> Result<Vec<String>> {
        let (mut files, mut known, mut sections) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
        for model in self.models(windows)? {
            if !sections.insert(model.install.to_lowercase()) {
                continue;
            }
            // Each of them may be long.
            self.reading.count(sections.len() * 100).map_err(self.refused())?;
            for copy in self.install(&model.install, windows)?.copies {
                if known.insert(copy.source.to_lowercase()) {
                    files.push(copy.source);
                }
                self.reading.count(files.len()).map_err(self.refused())?;
            }
        }
        Ok(files)
    }
}

impl Reading {
    fn expand(&self, text: &str) -> String {
        self.strings.expand(text)
    }

    fn both(&self, written: &str) -> Text {
        Text { written: written.to_owned(), text: self.expand(written) }
    }

    /// The first field of a key, empty when it is missing.
    fn text(&self, section: &str, key: &str) -> String {
        self.sections.first(section, key).map(|line| self.expand(line.field(0))).unwrap_or_default()
    }

    /// All fields of all lines with this key: names of sections and files.
    fn listed(&self, section: &str, key: &str) -> Vec<String> {
        let fields = self.sections.with_key(section, key).flat_map(|line| &line.fields);
        fields.map(|field| self.expand(field)).filter(|field| !field.is_empty()).take(MOST_ANSWERS).collect()
    }

    /// A section that another names.
    fn section(&self, name: &str) -> Result<&[Line], String> {
        match self.sections.has(name) {
            true => Ok(self.sections.lines(name)),
            false => Err(format!("it names a section [{name}] that it does not have")),
        }
    }

    fn count(&self, answers: usize) -> Result<(), String> {
        match answers > MOST_ANSWERS {
            true => Err(format!("it lists more than {MOST_ANSWERS} things")),
            false => Ok(()),
        }
    }

    /// The models section for this Windows. The best decoration decides even if its section is missing: so an INF excludes a Windows.
    fn models_section(&self, manufacturer: &Line, windows: &Windows) -> Option<String> {
        let name = self.expand(manufacturer.field(0));
        let decorated = manufacturer.fields.iter().skip(1).map(|field| self.expand(field)).filter_map(|decoration| {
            let rank = Decoration::parse(&decoration)?.fits(windows)?;
            Some((rank, format!("{name}.{}", decoration.trim())))
        });
        match decorated.max() {
            Some((_, section)) => Some(section),
            None => (windows.architecture == Architecture::X86).then_some(name),
        }
    }

    fn install(&self, name: &str, windows: &Windows) -> Result<Install, String> {
        let named = [format!("{name}.NT{}", windows.architecture), format!("{name}.NT"), name.to_owned()];
        let section = named
            .into_iter()
            .find(|section| self.sections.has(section))
            .ok_or_else(|| format!("it names an install section [{name}] that it does not have"))?;
        let co_installers = format!("{section}.CoInstallers");
        let mut copies = files::copies(self, &section, windows)?;
        copies.extend(files::copies(self, &co_installers, windows)?);
        let values = |section: &str| {
            let mut values = Vec::new();
            for list in self.listed(section, "AddReg") {
                values.extend(registry::values(self, &list)?);
                self.count(values.len())?;
            }
            Ok::<_, String>(values)
        };
        let directives = ["AddReg", "DelReg", "CopyFiles", "DelFiles", "RenFiles", "CopyINF", "Include", "Needs"];
        let settings = self.sections.lines(&section).iter().filter_map(|line| {
            let key = line.key.as_ref().filter(|key| !directives.iter().any(|it| it.eq_ignore_ascii_case(key)))?;
            Some((key.clone(), self.expand(line.field(0))))
        });
        Ok(Install {
            copies,
            registry: values(&section)?,
            hardware: values(&format!("{section}.HW"))?,
            services: service::services(self, &section)?,
            settings: settings.take(MOST_ANSWERS).collect(),
            includes: self.listed(&section, "Include"),
            needs: self.listed(&section, "Needs"),
            section,
        })
    }
}

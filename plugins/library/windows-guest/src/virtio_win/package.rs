//! One package looked at: whether this Windows can have it, and what about it cannot be proven.

use std::fmt;

use vmdk2kvm_plugin_api::Result;
use vmdk2kvm_plugin_api::text::escape;

use super::device::Device;
use super::layout::Place;
use super::store::{SourceFile, Store};
use super::{LARGEST_FILE, Wanted};
use crate::catalogue::{self, Catalogue, FileDigests, Verdict};
use crate::inf::{self, Inf};
use crate::version::Architecture;

/// A folder that was not chosen for a driver.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rejection {
    /// Its path in the source.
    pub folder: String,
    /// Why not.
    pub reason: String,
}

/// What speaks against a package without proving that it does not load. The planner tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Doubt {
    /// It has no catalogue; only 32-bit kernels take that.
    NoCatalogue,
    /// What was signed is no list of files.
    NothingListed,
    /// The catalogue does not vouch for this file as it is: it was changed, or is another build.
    NotListed(String),
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::NoCatalogue => f.write_str("the package has no catalogue"),
            Self::NothingListed => f.write_str("its catalogue lists no files"),
            Self::NotListed(file) => write!(f, "its catalogue does not cover {file}"),
        }
    }
}

/// The package that was chosen for a driver.
#[derive(Debug)]
#[non_exhaustive]
pub struct Package {
    /// The driver: the name of its INF without the ending, in lower case.
    pub driver: String,
    /// What it drives; by the first id that is known.
    pub device: Device,
    /// Its folder in the source.
    pub folder: String,
    /// The name of the Windows that the folder is for: `w10`.
    pub os: &'static str,
    /// What its INF says.
    pub inf: Inf,
    /// The devices that it drives on this Windows.
    pub models: Vec<inf::Model>,
    /// The INF itself.
    pub inf_file: SourceFile,
    /// The catalogue, which only a 32-bit Windows may lack.
    pub catalogue: Option<(SourceFile, Catalogue)>,
    /// The files that the INF copies.
    pub files: Vec<SourceFile>,
    /// An update that the guest must have for it.
    pub needs: Option<String>,
    /// What cannot be proven about it.
    pub doubts: Vec<Doubt>,
    /// Other folders of this driver that were looked at.
    pub rejected: Vec<Rejection>,
}

impl Package {
    /// Whether it installs a service; else it only names a device.
    pub fn has_program(&self) -> bool {
        self.files.iter().any(|file| is_kernel_program(file.name()))
    }

    /// INF, catalogue and the INF's files: what the driver store needs.
    pub fn all_files(&self) -> impl Iterator<Item = &SourceFile> {
        let catalogue = self.catalogue.iter().map(|(file, _)| file);
        [&self.inf_file].into_iter().chain(catalogue).chain(&self.files)
    }

    /// Why this one, for a plan: `the best folder that this Windows can have, signed by ...`.
    pub fn why(&self) -> String {
        let signer = self.catalogue.as_ref().and_then(|(_, catalogue)| catalogue.signers.first());
        let signer = signer.and_then(|signer| signer.subject.as_ref());
        let signed = signer.map_or_else(
            || "not signed".to_owned(),
            |name| format!("signed in the name of {}", escape(&name.to_string())),
        );
        format!("{} is the best folder of this driver that this Windows can have, {signed}", self.folder)
    }
}

/// Whether this Windows can have the package; else why not.
pub(super) fn look(store: &Store, place: &Place, file: &SourceFile, wanted: &Wanted) -> Result<Package, String> {
    let text = |result: Result<Vec<u8>>| result.map_err(|error| error.message);
    let inf_bytes = text(store.read(file, inf::LARGEST))?;
    let inf = Inf::parse(file.name(), &inf_bytes).map_err(|error| error.message)?;
    let models = inf.models(&wanted.windows).map_err(|error| error.message)?;
    if models.is_empty() {
        return Err(format!("{} is for {}, not for {}", file.name(), inf.targets().join(", "), wanted.windows));
    }
    let beside = |name: &str| {
        let path = format!("{}/{name}", place.folder).to_lowercase();
        store.files.get(&path).ok_or_else(|| format!("{name} is missing beside {}", file.name()))
    };
    let files = inf.files(&wanted.windows).map_err(|error| error.message)?;
    let files = files.iter().map(|name| beside(name).cloned()).collect::<Result<Vec<_>, _>>()?;
    let (mut doubts, mut needs) = (Vec::new(), None);
    let catalogue = match inf.catalogue(wanted.windows.architecture).map(|name| beside(&name).cloned()) {
        Some(Ok(file)) => {
            let bytes = text(store.read(&file, catalogue::LARGEST))?;
            let catalogue = Catalogue::parse(file.name(), &bytes).map_err(|error| error.message)?;
            match catalogue.loads_on(&wanted.windows, wanted.secure_boot) {
                Verdict::Loads => {}
                Verdict::LoadsIf { needs: update } => needs = Some(update),
                Verdict::Refused { reason } => return Err(reason),
            }
            Some((file, catalogue))
        }
        _ if wanted.windows.architecture == Architecture::X86 && !wanted.secure_boot => {
            doubts.push(Doubt::NoCatalogue);
            None
        }
        Some(Err(missing)) => return Err(missing),
        None => return Err("its INF names no catalogue, and this Windows loads no unsigned driver".to_owned()),
    };
    let mut contents = vec![(file.name(), inf_bytes)];
    for file in &files {
        contents.push((file.name(), text(store.read(file, LARGEST_FILE))?));
    }
    // Helpers may be for another one.
    for (name, content) in contents.iter().filter(|(name, _)| is_kernel_program(name)) {
        if let Some(other) = machine(content).filter(|it| *it != wanted.windows.architecture) {
            return Err(format!("{name} is a program for {other}"));
        }
    }
    match &catalogue {
        Some((_, catalogue)) if catalogue.members.is_empty() => doubts.push(Doubt::NothingListed),
        Some((_, catalogue)) => doubts.extend(contents.iter().filter_map(|(name, content)| {
            let listed = catalogue.member(&FileDigests::of(content)).is_some();
            (!listed).then(|| Doubt::NotListed((*name).to_owned()))
        })),
        None => {}
    }
    let devices = models.iter().flat_map(|model| &model.ids).map(|id| Device::of_id(id));
    Ok(Package {
        driver: place.driver.clone(),
        device: devices.min().unwrap_or(Device::Other),
        folder: place.folder.clone(),
        os: place.os,
        models,
        inf_file: file.clone(),
        inf,
        catalogue,
        files,
        needs,
        doubts,
        rejected: Vec::new(),
    })
}

fn is_kernel_program(name: &str) -> bool {
    name.to_ascii_lowercase().ends_with(".sys")
}

/// What a program is for; nothing when it is none.
fn machine(file: &[u8]) -> Option<Architecture> {
    let at = u32::from_le_bytes(file.get(0x3c..0x40)?.try_into().ok()?) as usize;
    let header = file.get(at..at.checked_add(6)?).filter(|_| file.starts_with(b"MZ"))?;
    match header {
        [b'P', b'E', 0, 0, 0x4c, 0x01] => Some(Architecture::X86),
        [b'P', b'E', 0, 0, 0x64, 0x86] => Some(Architecture::Amd64),
        [b'P', b'E', 0, 0, 0x64, 0xaa] => Some(Architecture::Arm64),
        _ => None,
    }
}

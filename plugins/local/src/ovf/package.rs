//! An OVF with its files: the machines in it, their disks found and recognised, and the manifest.

use std::path::Path;

use vmdk2kvm_plugin_api::model::{Disk, StatedDigest, VmSpec};
use vmdk2kvm_plugin_api::tracing::{error_span, warn};
use vmdk2kvm_plugin_api::{BlockSource, PluginError, Result};

use super::envelope::{Envelope, File, root, systems};
use super::machine::{Described, Placed, describe};
use super::manifest::{self, Manifest};
use super::xml;
use crate::chunks::whole_of;
use crate::container::compressed::Compression;
use crate::detect::{self, Kind};
use crate::magic::{self, Archive, DiskFormat, Magic};
use crate::names::{file_name, shown, stem};
use crate::roots::Roots;

/// The machines of an OVF's bytes. `stem` names one that has neither name nor id.
pub fn read(bytes: &[u8], stem: &str) -> Result<Vec<Described>> {
    let text = xml::decode(bytes)?;
    let document = xml::parse(&text)?;
    let root = root(&document)?;
    let envelope = Envelope::read(root)?;
    systems(root)?.into_iter().map(|system| describe(&envelope, system, stem)).collect()
}

/// A package, which is bound to the folder or the archive its OVF lies in.
pub struct Package<'a> {
    roots: &'a Roots,
    object: &'a str,
}

impl<'a> Package<'a> {
    /// The package of the OVF `object`.
    pub fn new(roots: &'a Roots, object: &'a str) -> Self {
        Self { roots, object }
    }

    /// Its machines, without their disks' files. The OVF itself is held against the manifest here.
    pub fn machines(&self) -> Result<Vec<Described>> {
        let source = self.roots.source(self.object)?;
        let _span = error_span!("ovf", file = source.name()).entered();
        self.verify()?;
        let bytes = source.document("an OVF", xml::MAX_SIZE)?;
        read(&bytes, &stem(Path::new(self.object))).map_err(|error| error.context(source.name()))
    }

    /// The machine with its disks.
    pub fn attach(&self, described: Described) -> Result<VmSpec> {
        let Described { mut vm, disks, .. } = described;
        let covered = self.covered()?;
        for (index, placed) in disks.into_iter().enumerate() {
            if placed.guessed {
                vm.guessed.push(format!("disks[{index}].controller"));
            }
            let context = format!("{}: disk '{}'", shown(self.object), shown(&placed.disk.id));
            let disk = self.disk(placed).map_err(|error| error.context(&context))?;
            if !disk.ways.is_empty() && vm.disks.iter().any(|other| other.ways == disk.ways) {
                return Err(PluginError::unusable(format!("{context}: another disk has the same file"))
                    .hint("a disk that is shared is not read twice: export the virtual machine again"));
            }
            if let (Some(covered), Some(path)) = (&covered, crate::object_of_disk(&disk)) {
                if !covered.iter().any(|object| covers(object, path)) {
                    warn!("{}: the manifest has no digest of it", shown(path));
                }
            }
            vm.disks.push(disk);
        }
        let certificate = Path::new(self.object).with_extension("cert");
        if certificate.to_str().is_some_and(|object| self.roots.has(object)) {
            warn!("{}: the package is signed, and the signature is not checked", shown(self.object));
        }
        Ok(vm)
    }

    /// The digests that the manifest, if there is one, has of everything that `object` is made of.
    pub fn stated_digests(&self, object: &str) -> Result<Vec<StatedDigest>> {
        let Some(manifest) = self.manifest()? else { return Ok(Vec::new()) };
        let stated = manifest.entries().iter().filter_map(|entry| Some((self.find(&entry.name)?, entry)));
        let stated = stated.filter(|(file, _)| covers(file, object));
        Ok(stated.map(|(file, entry)| entry.stated(file)).collect())
    }

    /// Holds the OVF itself against the manifest.
    fn verify(&self) -> Result<()> {
        let Some(manifest) = self.manifest()? else { return Ok(()) };
        let of_ovf = |entry: &&manifest::Entry| self.find(&entry.name).as_deref() == Some(self.object);
        manifest.entries().iter().filter(of_ovf).try_for_each(|entry| entry.verify(&self.roots.source(self.object)?))
    }

    /// The objects that the manifest has digests of; `None` without a manifest.
    fn covered(&self) -> Result<Option<Vec<String>>> {
        let manifest = self.manifest()?;
        Ok(manifest.map(|manifest| manifest.entries().iter().filter_map(|entry| self.find(&entry.name)).collect()))
    }

    fn manifest(&self) -> Result<Option<Manifest>> {
        let path = Path::new(self.object).with_extension("mf");
        let Some(object) = path.to_str().filter(|object| self.roots.has(object)) else { return Ok(None) };
        let source = self.roots.source(object)?;
        let bytes = source.document("a manifest", manifest::MAX_SIZE)?;
        Ok(Some(Manifest::parse(source.name(), &bytes)))
    }

    /// The object of a name in the package: as it is written, or with its percent escapes decoded (an `href` is a URI reference).
    fn find(&self, name: &str) -> Option<String> {
        let known = |name: &str| self.roots.resolve(self.object, name).ok().filter(|object| self.roots.has(object));
        known(name).or_else(|| known(&percent_decoded(name)?))
    }

    fn disk(&self, placed: Placed) -> Result<Disk> {
        let Placed { controller, bus, unit, disk, .. } = placed;
        let Some(file) = &disk.file else {
            let capacity_bytes = disk.capacity.filter(|capacity| *capacity > 0).ok_or_else(|| {
                PluginError::unusable("it has neither a file nor a capacity").hint("export the virtual machine again")
            })?;
            return Ok(Disk::new(shown(&disk.id), controller, bus, unit).with(|it| it.capacity_bytes = capacity_bytes));
        };
        let object = self.file(file)?;
        let (path, format) = if file.gzip { self.packed(&object, disk.format)? } else { (object.clone(), disk.format) };
        let format = match format {
            // What a compressed file holds is looked at by whoever reads the disk; unpacking it here would cost minutes.
            Some(format) if file.gzip => format,
            Some(format) => {
                detect::declared(&self.roots.source(&path)?, format)?;
                format
            }
            None => match detect::detect(&self.roots.source(&path)?, Path::new(&path))? {
                Kind::Disk(format) => format,
                other => {
                    return Err(PluginError::unusable(format!(
                        "'{}' is {}, not a disk",
                        shown(&file.href),
                        other.what()
                    )));
                }
            },
        };
        let capacity_bytes = match (disk.capacity, format) {
            (_, DiskFormat::Raw) => self.roots.source(&path)?.size(),
            (capacity, _) => capacity.unwrap_or(0),
        };
        Ok(Disk::new(file_name(Path::new(&path)), controller, bus, unit).with(|it| {
            it.capacity_bytes = capacity_bytes;
            it.ways = vec![crate::way(&path, format.as_str())];
        }))
    }

    /// The object of a referenced file, as large as the OVF says.
    fn file(&self, file: &File) -> Result<String> {
        let name = shown(&file.href);
        if file.href.contains("://") {
            return Err(PluginError::unusable(format!("its file '{name}' is an address, not a file of the package"))
                .hint("fetch that file, put it beside the OVF, and name it there by its plain name"));
        }
        let object = match self.find(&file.href) {
            Some(object) => object,
            // For the error of the name, or of the missing file.
            None => self.roots.resolve(self.object, &file.href)?,
        };
        let size = self.roots.source(&object)?.size();
        match file.size {
            Some(stated) if size < stated => {
                Err(PluginError::unusable(format!("its file '{name}' has {size} bytes, and the OVF says {stated}"))
                    .hint("the package is incomplete: copy it again from where it came"))
            }
            Some(stated) if size > stated && !file.gzip => {
                warn!("{name}: the file has {size} bytes, and the OVF says {stated}");
                Ok(object)
            }
            _ => Ok(object),
        }
    }

    /// The one file inside a compressed one.
    fn packed(&self, object: &str, format: Option<DiskFormat>) -> Result<(String, Option<DiskFormat>)> {
        match magic::of(&self.roots.source(object)?)? {
            Magic::Archive(Archive::Compressed(Compression::Gzip)) => {
                Ok((format!("{object}/{}", Compression::inner_name(object)), format))
            }
            _ => Err(PluginError::unusable(format!(
                "'{}' is said to be compressed by gzip, and is not",
                file_name(Path::new(object))
            ))
            .hint("remove the compression attribute from its File in the OVF when it was unpacked since")),
        }
    }
}

/// Whether the file `file` of a manifest is the object, or the object is made from it: a chunk of it, or what it was unpacked to.
fn covers(file: &str, object: &str) -> bool {
    let holds = |file: &str| object == file || object.strip_prefix(file).is_some_and(|rest| rest.starts_with('/'));
    holds(file) || whole_of(file).is_some_and(holds)
}

fn percent_decoded(name: &str) -> Option<String> {
    if !name.contains('%') {
        return None;
    }
    let mut bytes = Vec::with_capacity(name.len());
    let mut text = name.bytes();
    while let Some(byte) = text.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || text.next().and_then(|byte| char::from(byte).to_digit(16));
        bytes.push((digit()? * 16 + digit()?) as u8);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_covers_its_file_and_what_is_made_of_it() {
        for (file, object, expected) in [
            ("/x.ova/a.vmdk", "/x.ova/a.vmdk", true),
            ("/x.ova/a.vmdk.gz", "/x.ova/a.vmdk.gz/a.vmdk", true),
            ("/x.ova/a.vmdk.000000003", "/x.ova/a.vmdk", true),
            ("/x.ova/a.vmdk.gz.000000000", "/x.ova/a.vmdk.gz/a.vmdk", true),
            ("/x.ova/a", "/x.ova/a.vmdk", false),
            ("/x.ova/b.vmdk", "/x.ova/a.vmdk", false),
        ] {
            assert_eq!(covers(file, object), expected, "{file} {object}");
        }
        assert_eq!(percent_decoded("a%20b%C3%BC").as_deref(), Some("a bü"));
        assert_eq!(percent_decoded("100%"), None);
    }
}

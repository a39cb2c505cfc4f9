//! The files of a package: found by the names that the OVF has for them, whole, in parts, in revisions or compressed, and as large as it says.

use std::path::Path;

use vmdk2kvm_plugin_api::model::{Finding, Severity};
use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{BlockSource, PluginError, Result};

use super::envelope::File;
use crate::chunks::whole_of;
use crate::container::compressed::Compression;
use crate::magic::{self, Archive, Magic};
use crate::names::file_name;
use crate::roots::Roots;

/// The files beside an OVF.
pub struct Files<'a> {
    roots: &'a Roots,
    /// The OVF.
    object: &'a str,
    /// The objects that the manifest has digests of; `None` without a manifest.
    covered: Option<&'a [String]>,
}

impl<'a> Files<'a> {
    /// The files beside the OVF `object`. `covered` are the objects that the manifest has digests of.
    pub fn new(roots: &'a Roots, object: &'a str, covered: Option<&'a [String]>) -> Self {
        Self { roots, object, covered }
    }

    /// The object of a name in the package: as it is written, or with its percent escapes decoded (an `href` is a URI reference).
    pub fn find(&self, name: &str) -> Option<String> {
        let known = |name: &str| self.roots.resolve(self.object, name).ok().filter(|object| self.roots.has(object));
        known(name).or_else(|| known(&percent_decoded(name)?))
    }

    /// Whether a name in the package is that of a part of the object, there or not.
    pub fn is_part(&self, name: &str, object: &str) -> bool {
        let whole = whole_of(name).and_then(|whole| self.roots.resolve(self.object, whole).ok());
        whole.is_some_and(|whole| holds(&whole, object) || whole_of(object) == Some(&whole))
    }

    /// The object of a file's bytes, unpacked; what is odd about it goes to `findings`.
    pub fn path(&self, file: &File, findings: &mut Vec<Finding>) -> Result<String> {
        let object = self.stored(file, findings)?;
        if file.gzip { self.packed(&object) } else { Ok(object) }
    }

    /// The name of a file's bytes, unpacked: what it says of their format counts.
    pub fn name(file: &File) -> String {
        if file.gzip { Compression::inner_name(&file.href) } else { file.href.clone() }
    }

    /// The object of a file as it is stored.
    fn stored(&self, file: &File, findings: &mut Vec<Finding>) -> Result<String> {
        let name = escape(&file.href);
        if file.href.contains("://") {
            return Err(PluginError::unusable(format!("its file '{name}' is an address, not a file of the package"))
                .hint("fetch that file, put it beside the OVF, and name it there by its plain name"));
        }
        let mut object = match self.find(&file.href) {
            Some(object) => object,
            // For the error of the name, or of the missing file; or there are revisions of it without the first.
            None => self.roots.resolve(self.object, &file.href)?,
        };
        if file.chunk_size.is_none() {
            let (chosen, finding) = self.revision(object, file)?;
            object = chosen;
            findings.extend(finding);
        }
        findings.extend(self.check_size(file, &object)?);
        Ok(object)
    }

    /// Of files that are numbered without being chunks, the highest is the disk, unless their sizes say that they are parts of one file.
    fn revision(&self, object: String, file: &File) -> Result<(String, Option<Finding>)> {
        let numbered = self.roots.numbered(&object)?;
        let Some(highest) = numbered.last() else { return Ok((object, None)) };
        if numbered.len() == 1 {
            return Ok((highest.clone(), None));
        }
        let (name, count, code) = (escape(&file.href), numbered.len(), "ovf-numbered-files");
        let (size, mut sum) = (self.roots.source(highest)?.size(), 0_u64);
        for object in &numbered {
            sum = sum.saturating_add(self.roots.source(object)?.size());
        }
        if file.size == Some(sum) && size != sum {
            let what = format!(
                "'{name}' is read as {count} parts of one file, because their sizes add up to the size that the OVF states"
            );
            return Ok((object, Some(Finding::new(code, Severity::Warn, what))));
        }
        let what = format!(
            "of the {count} files that are numbered '{name}.*' the highest is read, '{}': without a chunkSize they are revisions of one disk",
            file_name(Path::new(highest))
        );
        let finding = Finding::new(code, Severity::Warn, what)
            .hint("when they are parts of one file, join them in their order with cat, and remove the parts");
        Ok((highest.clone(), Some(finding)))
    }

    /// Holds the size against the one that the OVF states. A file that is too short is refused, unless its digest can prove it whole: those of its
    /// parts cannot.
    fn check_size(&self, file: &File, object: &str) -> Result<Option<Finding>> {
        let (name, size) = (escape(&file.href), self.roots.source(object)?.size());
        let Some(stated) = file.size.filter(|stated| *stated != size) else { return Ok(None) };
        let differs = format!("its file '{name}' has {size} bytes, and the OVF says {stated}");
        let covered = self.covered.is_some_and(|covered| covered.iter().any(|file| holds(file, object)));
        let finding = |what: String| Some(Finding::new("ovf-file-size", Severity::Warn, what));
        match size < stated {
            // Some writers state the size of what a compressed file unpacks to, or of what it was packed from.
            false if file.gzip => Ok(None),
            _ if covered => Ok(finding(format!("{differs}; its digest in the manifest decides when it is copied"))),
            true => Err(PluginError::unusable(differs).hint("the package is incomplete: copy it again")),
            false => Ok(finding(differs)),
        }
    }

    /// The one file inside a compressed one.
    fn packed(&self, object: &str) -> Result<String> {
        match magic::of(&self.roots.source(object)?)? {
            Magic::Archive(Archive::Compressed(Compression::Gzip)) => {
                Ok(format!("{object}/{}", Compression::inner_name(object)))
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
pub fn covers(file: &str, object: &str) -> bool {
    holds(file, object) || whole_of(file).is_some_and(|whole| holds(whole, object))
}

/// Whether the file is the object, or what was unpacked to it.
fn holds(file: &str, object: &str) -> bool {
    object.strip_prefix(file).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
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

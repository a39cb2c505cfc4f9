//! The backing chain: opens each image, checks it, and follows its backing name until there is none.
//!
//! A backing file must state its format. Probing it is how a guest that writes a QCOW2 header into its raw disk makes a host
//! read another file (CVE-2008-2004 and its heirs), so an image that leaves the format open is refused. QEMU itself has made
//! none such since 6.1.

use std::sync::Arc;

use vmdk2kvm_plugin_api::model::{ChainLink, ChainReport};
use vmdk2kvm_plugin_api::{BlockSource, PluginError, Result, Transport};

use crate::cache::Cache;
use crate::header::{Header, bad};
use crate::image::Image;
use crate::tables::Tables;
use crate::view::Layer;

/// The most images of a chain.
const MAX_LINKS: usize = 256;
/// Bytes of table pages kept for a chain: enough to map 2 TiB at once with clusters of 64 KiB.
const TABLE_CACHE: usize = 32 << 20;

/// What an image's file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Qcow2,
    Raw,
}

/// Opens the chain whose topmost image is `object`: its layers, topmost first, and its report.
pub fn open(object: &str, files: &dyn Transport) -> Result<(Vec<Layer>, ChainReport)> {
    let cache = Arc::new(Cache::new(TABLE_CACHE));
    let mut layers: Vec<Layer> = Vec::new();
    let mut report = ChainReport::new(0, Vec::new());
    let mut next = Some((object.to_owned(), Format::Qcow2));
    while let Some((object, format)) = next.take() {
        if report.links.iter().any(|link| link.object == object) {
            return Err(bad(format!("{object}: the backing chain comes back to this file"))
                .hint("restore the chain from a copy; an image cannot be its own backing file"));
        }
        if layers.len() == MAX_LINKS {
            return Err(bad(format!("{object}: the backing chain has more than {MAX_LINKS} images"))
                .hint("shorten it with 'qemu-img convert'"));
        }
        let file: Arc<dyn BlockSource> = Arc::from(files.open(&object)?);
        let (layer, name) = match format {
            Format::Raw => (Layer::raw(object.clone(), file), "raw".to_owned()),
            Format::Qcow2 => {
                let header = Header::read(&*file).map_err(|error| error.context(&object))?;
                warn(&object, &header, &mut report.warnings);
                next = backing(&object, &header, files)?;
                let name = format!("qcow2/v{}", header.version);
                let size = header.size;
                let tables = Tables::new(Arc::clone(&file), layers.len(), &header, Arc::clone(&cache));
                (Layer::qcow2(object.clone(), file, size, Image::new(header, tables)), name)
            }
        };
        report.links.push(ChainLink::new(&object, name, vec![object.clone()]));
        layers.push(layer);
    }
    report.capacity_bytes = layers.first().map_or(0, |layer| layer.size);
    Ok((layers, report))
}

fn warn(object: &str, header: &Header, warnings: &mut Vec<String>) {
    if header.dirty {
        warnings.push(format!(
            "{object}: the image was not closed; its reference counts may be stale, which does not concern its content"
        ));
    }
    if header.snapshots > 0 {
        warnings.push(format!(
            "{object}: {} internal snapshots are left behind; only the current state is read",
            header.snapshots
        ));
    }
}

/// The backing file's object and format.
fn backing(object: &str, header: &Header, files: &dyn Transport) -> Result<Option<(String, Format)>> {
    let Some(backing) = &header.backing else { return Ok(None) };
    let shown = backing.name.escape_debug().to_string();
    let refuse = |what: String, hint: &str| Err(PluginError::unusable(format!("{object}: {what}")).hint(hint));
    if is_protocol(&backing.name) {
        return refuse(
            format!("its backing file '{shown}' is a protocol's address, not a file"),
            "copy the backing file beside the image, and name it with 'qemu-img rebase -u -F FORMAT -b ./NAME'",
        );
    }
    let format = match backing.format.as_deref() {
        Some("qcow2") => Format::Qcow2,
        Some("raw") => Format::Raw,
        Some(other) => {
            return refuse(
                format!("its backing file '{shown}' has format '{}'; qcow2 and raw are read", other.escape_debug()),
                "flatten the chain with 'qemu-img convert -O qcow2', and give the result",
            );
        }
        None => {
            return refuse(
                format!("it does not state the format of its backing file '{shown}'"),
                "if you trust the image, state it: qemu-img rebase -u -F qcow2 -b BACKING IMAGE (or -F raw)",
            );
        }
    };
    Ok(Some((files.resolve(object, &backing.name)?, format)))
}

/// As QEMU reads names: a colon before any slash ends a protocol's name. A file with such a name is written `./a:b`.
fn is_protocol(name: &str) -> bool {
    name.find([':', '/']).is_some_and(|at| name[at..].starts_with(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_are_told_from_files() {
        for (name, expected) in [
            ("nbd:unix:/tmp/x", true),
            ("json:{\"driver\":\"file\"}", true),
            ("file:base.qcow2", true),
            ("http://host/x", true),
            ("base.qcow2", false),
            ("./a:b", false),
            ("sub/a:b", false),
            ("", false),
        ] {
            assert_eq!(is_protocol(name), expected, "{name}");
        }
    }
}

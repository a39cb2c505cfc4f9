//! The chain: opens each image, checks it, and finds its parent until there is none.

use std::sync::Arc;

use vmdk2kvm_plugin_api::model::{ChainLink, ChainReport};
use vmdk2kvm_plugin_api::{BlockSource, PluginError, Result, Transport};

use crate::bytes::shown_id;
use crate::footer::{Footer, Kind};
use crate::header::Header;
use crate::image::{Image, MAX_TABLES};

/// The most images of a chain.
const MAX_LINKS: usize = 256;

/// Opens the chain whose topmost image is `object`: its images, topmost first, and its report.
pub fn open(object: &str, files: &dyn Transport) -> Result<(Vec<Image>, ChainReport)> {
    let mut images: Vec<Image> = Vec::new();
    let mut report = ChainReport::new(0, Vec::new());
    let mut tables = MAX_TABLES;
    let mut next = Some((object.to_owned(), Arc::from(files.open(object)?), None));
    while let Some((object, file, wanted)) = next.take() {
        if report.links.iter().any(|link| link.object == object) {
            return Err(PluginError::unusable(format!("{object}: the chain of parents comes back to this file"))
                .hint("restore the chain from a copy; an image cannot be its own parent"));
        }
        if images.len() == MAX_LINKS {
            return Err(PluginError::unusable(format!("{object}: the chain has more than {MAX_LINKS} images"))
                .hint("merge the snapshots first"));
        }
        let file: Arc<dyn BlockSource> = file;
        let named = |error: PluginError| error.context(&object);
        let (footer, warning) = Footer::read(&*file).map_err(named)?;
        report.warnings.extend(warning.map(|warning| format!("{object}: {warning}")));
        if footer.saved_state {
            report
                .warnings
                .push(format!("{object}: the machine was suspended; what it had not written yet is missing"));
        }
        if let Some(wanted) = wanted.filter(|wanted| *wanted != footer.id) {
            return Err(PluginError::unusable(format!(
                "{object}: its unique id is {}, and its child was made on {}",
                shown_id(footer.id),
                shown_id(wanted)
            ))
            .hint("put the parent that belongs to the child in its place"));
        }
        let header = match footer.kind {
            Kind::Fixed => None,
            _ => Some(Header::read(&*file, footer.header).map_err(named)?),
        };
        let mut parent_id = None;
        if let (Kind::Differencing, Some(header)) = (footer.kind, &header) {
            let (parent, file) = parent(&object, header, files)?;
            parent_id = Some(header.parent_id);
            next = Some((parent, file, parent_id));
        }
        images.push(Image::open(object.clone(), file, &footer, header.as_ref(), &mut tables).map_err(named)?);
        report.links.push(ChainLink::new(&object, format!("vhd/{}", footer.kind.as_str()), vec![object.clone()]).with(
            |it| {
                it.content_id = Some(shown_id(footer.id));
                it.parent_content_id = parent_id.map(shown_id);
            },
        ));
    }
    report.capacity_bytes = images.first().map_or(0, |image| image.capacity);
    Ok((images, report))
}

/// The parent's object, opened: by the names in the header, then by their last parts beside the child.
fn parent(object: &str, header: &Header, files: &dyn Transport) -> Result<(String, Arc<dyn BlockSource>)> {
    let mut tried: Vec<String> = Vec::new();
    let mut first_error = None;
    let beside = header.parent_names.iter().map(|name| name.rsplit(['\\', '/']).next().unwrap_or(name));
    for name in header.parent_names.iter().take(1).map(String::as_str).chain(beside) {
        let name = name.strip_prefix(".\\").unwrap_or(name);
        if name.is_empty() || tried.iter().any(|tried| tried == name) {
            continue;
        }
        tried.push(name.to_owned());
        match files.resolve(object, name).and_then(|parent| Ok((files.open(&parent)?, parent))) {
            Ok((file, parent)) => return Ok((parent, Arc::from(file))),
            Err(error) => {
                first_error.get_or_insert(error);
            }
        }
    }
    Err(match first_error {
        Some(error) => error.context(format_args!("{object}: its parent")),
        None => PluginError::unusable(format!("{object}: it is a differencing image that names no parent")),
    }
    .hint("copy the parent beside its child, under the name it had when the child was made"))
}

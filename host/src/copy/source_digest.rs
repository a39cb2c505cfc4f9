//! The content digest of a source that is read for nothing else.

use vmdk2kvm_plugin_api::{BlockSource, Result};

use super::content_digest::virtual_size;
use super::control::Control;
use super::engine::Pass;
use super::settle::Settle;
use super::sink::Discard;

/// The content digest of a source, read in parallel.
pub fn content_sha256(source: &dyn BlockSource, control: &Control<'_>) -> Result<String> {
    let settle = Settle::new(source.size(), virtual_size(source.size()));
    let pass = Pass { source, sink: &Discard, control, settle, committer: None, workers: None };
    Ok(pass.run()?.content_sha256)
}

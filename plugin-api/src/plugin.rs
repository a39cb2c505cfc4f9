//! `Plugin`: what a plugin's library offers to the host.

use crate::{Converter, Fetcher, Fixer, Flattener, Host, Inspector, Result, Tester};

/// A plugin, made once when its library is loaded. Each method hands out an implementation of a stage; a plugin overrides those of
/// the kinds its manifest lists.
///
/// Order of calls: the library is loaded, [`Plugin::new`] runs once, then the getters of the listed kinds, each whenever the host
/// needs that stage: what is dear to make is made once and shared. The library is never unloaded.
pub trait Plugin: Send + Sync + Sized + 'static {
    /// Makes the plugin. Reads its settings with [`Host::settings`]; does no I/O that can fail for want of a library or a
    /// server, which belongs to the stage's own calls.
    fn new(host: Host) -> Result<Self>;

    /// Its FETCH.
    fn fetcher(&self) -> Option<Box<dyn Fetcher>> {
        None
    }

    /// Its FLATTEN.
    fn flattener(&self) -> Option<Box<dyn Flattener>> {
        None
    }

    /// Its INSPECT.
    fn inspector(&self) -> Option<Box<dyn Inspector>> {
        None
    }

    /// Its fixers, each one concern.
    fn fixers(&self) -> Vec<Box<dyn Fixer>> {
        Vec::new()
    }

    /// Its CONVERT.
    fn converter(&self) -> Option<Box<dyn Converter>> {
        None
    }

    /// Its TEST.
    fn tester(&self) -> Option<Box<dyn Tester>> {
        None
    }
}

//! Objects from the other side become native implementations again.
//!
//! Nothing the other side says is trusted beyond its type: counts are bounded, JSON is parsed, an error is given the name of the
//! plugin it came from.

use std::mem::ManuallyDrop;
use std::sync::Arc;

use abi_stable::std_types::{RResult, RSlice, RSliceMut, RStr, RString, RVec};
use serde::de::DeserializeOwned;

use super::calls::{self, enter};
use super::provide::host_to_abi;
use super::root::PluginRootRef;
use super::stages;
use super::traits::{BlockSourceObj, GuestObj, HostObj, PluginObj};
use super::types::{AbiResult, from_json, to_json};
use crate::model::{Applied, Change, Storage};
use crate::{
    BlockSource, Converter, Entry, Extent, Fetcher, Fixer, Flattener, Guest, Hints, HostServices, Inspector, LogRecord,
    PluginError, Progress, Result, Slot, Stat, Tester, check_map,
};

/// `name version` of whoever is on the other side of an object. Lives as long as the process, like the library it names.
pub type Label = &'static str;

/// An object of the other side.
pub(super) struct Remote<T> {
    pub(super) object: ManuallyDrop<T>,
    pub(super) label: Label,
}

impl<T> Remote<T> {
    pub(super) fn new(object: T, label: Label) -> Self {
        Self { object: ManuallyDrop::new(object), label }
    }

    /// Takes an answer, and says whose error it is.
    pub(super) fn take<V>(&self, answer: AbiResult<V>) -> Result<V> {
        take(answer, self.label)
    }

    /// An error that is the other side's fault.
    fn blamed(&self, mut error: PluginError) -> PluginError {
        error.plugin = Some(self.label.to_owned());
        error
    }

    /// Takes an answer that is a document.
    pub(super) fn document<V: DeserializeOwned>(&self, answer: AbiResult<RString>) -> Result<V> {
        read(&self.take(answer)?, self.label)
    }
}

impl<T> Drop for Remote<T> {
    fn drop(&mut self) {
        let _call = enter(self.label, "dropping");
        // SAFETY: nothing uses the object after this.
        unsafe { ManuallyDrop::drop(&mut self.object) };
    }
}

/// Reads a document that came with an answer. What cannot be read is the fault of the call that this thread is inside of.
pub(super) fn read<V: DeserializeOwned>(text: &RString, label: Label) -> Result<V> {
    from_json(text.as_str()).map_err(|mut error| {
        if let Some(call) = calls::current() {
            error = error.context(format_args!("{} gave an answer that cannot be read", call.method));
        }
        error.plugin = Some(label.to_owned());
        error
    })
}

fn take<V>(answer: AbiResult<V>, label: Label) -> Result<V> {
    match answer {
        RResult::ROk(value) => Ok(value),
        RResult::RErr(error) => {
            let mut error = PluginError::from(error);
            error.plugin.get_or_insert_with(|| label.to_owned());
            Err(error)
        }
    }
}

impl BlockSource for Remote<BlockSourceObj> {
    fn size(&self) -> u64 {
        let _call = enter(self.label, "BlockSource::size");
        self.object.size()
    }
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let _call = enter(self.label, "BlockSource::read_at");
        let wanted = buffer.len();
        let read = self.take(self.object.read_at(offset, RSliceMut::from_mut_slice(buffer)))?;
        let can_be = |read: &usize| *read <= wanted && (*read > 0 || wanted == 0);
        usize::try_from(read).ok().filter(can_be).ok_or_else(|| {
            let text = format!("a read of {wanted} bytes at offset {offset} claims to have read {read}");
            self.blamed(PluginError::defect(text))
        })
    }
    fn extents(&self, offset: u64, length: u64) -> Result<Vec<Extent>> {
        let _call = enter(self.label, "BlockSource::extents");
        let extents = self.take(self.object.extents(offset, length))?;
        let extents: Vec<_> = extents.into_iter().map(Extent::from).collect();
        check_map(&extents, offset, length).map_err(|error| self.blamed(error))?;
        Ok(extents)
    }
    fn hints(&self) -> Hints {
        let _call = enter(self.label, "BlockSource::hints");
        self.object.hints().into()
    }
}

pub(super) fn source_from_abi(object: BlockSourceObj, label: Label) -> Box<dyn BlockSource> {
    Box::new(Remote::new(object, label))
}

impl Guest for Remote<GuestObj<'_>> {
    fn stat(&self, path: &str) -> Result<Option<Stat>> {
        let _call = enter(self.label, "Guest::stat");
        Ok(self.take(self.object.stat(RStr::from_str(path)))?.into_option().map(Stat::from))
    }
    fn read(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let _call = enter(self.label, "Guest::read");
        Ok(self.take(self.object.read(RStr::from_str(path), limit))?.into_option().map(Vec::from))
    }
    fn list(&self, path: &str) -> Result<Option<Vec<Entry>>> {
        let _call = enter(self.label, "Guest::list");
        let entries = self.take(self.object.list(RStr::from_str(path)))?.into_option();
        Ok(entries.map(|entries| entries.into_iter().map(Entry::from).collect()))
    }
    fn read_link(&self, path: &str) -> Result<String> {
        let _call = enter(self.label, "Guest::read_link");
        self.take(self.object.read_link(RStr::from_str(path))).map(String::from)
    }
    fn storage(&self) -> Result<Storage> {
        let _call = enter(self.label, "Guest::storage");
        self.document(self.object.storage())
    }
    fn apply(&self, change: &Change) -> Result<Applied> {
        let _call = enter(self.label, "Guest::apply");
        let change = to_json(change)?;
        self.document(self.object.apply(change.as_rstr()))
    }
    fn apply_all(&self, changes: &[Change]) -> Result<Vec<Applied>> {
        let _call = enter(self.label, "Guest::apply_all");
        let json = to_json(&changes)?;
        let applied: Vec<Applied> = self.document(self.object.apply_all(json.as_rstr()))?;
        if applied.len() == changes.len() {
            return Ok(applied);
        }
        Err(self.blamed(PluginError::defect("other answers came than changes were given")))
    }
    fn discard_unused(&self) -> Result<()> {
        let _call = enter(self.label, "Guest::discard_unused");
        self.take(self.object.discard_unused())
    }
    fn close(&self) -> Result<()> {
        let _call = enter(self.label, "Guest::close");
        self.take(self.object.close())
    }
    fn folds_case(&self) -> bool {
        let _call = enter(self.label, "Guest::folds_case");
        self.object.folds_case()
    }
    fn stat_many(&self, paths: &[&str]) -> Vec<Result<Option<Stat>>> {
        let _call = enter(self.label, "Guest::stat_many");
        let names: Vec<RStr<'_>> = paths.iter().map(|path| RStr::from_str(path)).collect();
        let answers = self.object.stat_many(RSlice::from_slice(&names));
        self.many(paths, answers, |stat| stat.into_option().map(Stat::from))
    }
    fn read_many(&self, paths: &[&str], limit: u64) -> Vec<Result<Option<Vec<u8>>>> {
        let _call = enter(self.label, "Guest::read_many");
        let names: Vec<RStr<'_>> = paths.iter().map(|path| RStr::from_str(path)).collect();
        let answers = self.object.read_many(RSlice::from_slice(&names), limit);
        self.many(paths, answers, |bytes| bytes.into_option().map(Vec::from))
    }
}

impl Remote<GuestObj<'_>> {
    /// Answers for several paths: as many as there were paths, whatever the other side does.
    fn many<A, T>(&self, paths: &[&str], answers: RVec<AbiResult<A>>, convert: impl Fn(A) -> T) -> Vec<Result<T>> {
        let mut answers = answers.into_iter();
        let next = |_: &&str| match answers.next() {
            Some(answer) => self.take(answer).map(&convert),
            None => Err(self.blamed(PluginError::defect("fewer answers came than paths were asked for"))),
        };
        paths.iter().map(next).collect()
    }
}

pub(super) fn guest_from_abi(object: GuestObj<'static>, label: Label) -> Box<dyn Guest> {
    Box::new(Remote::new(object, label))
}

impl HostServices for Remote<HostObj> {
    fn progress(&self, progress: &Progress<'_>) {
        let disk = RStr::from_str(progress.disk.unwrap_or_default());
        self.object.progress(RStr::from_str(progress.task), disk, progress.done, progress.total);
    }
    fn cancelled(&self) -> bool {
        self.object.cancelled()
    }
    fn secret(&self, name: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.take(self.object.secret(RStr::from_str(name)))?.into_option().map(Vec::from))
    }
    fn lend_secret(&self, value: &[u8]) -> Result<String> {
        self.take(self.object.lend_secret(RSlice::from_slice(value))).map(String::from)
    }
    fn log(&self, record: &LogRecord) {
        if let Ok(record) = to_json(record) {
            self.object.log(record.as_rstr());
        }
    }
    fn log_level(&self) -> u8 {
        self.object.log_level()
    }
    fn warn(&self, message: &str) {
        self.object.warn(RStr::from_str(message));
    }
    fn folder(&self) -> Result<String> {
        self.take(self.object.folder()).map(String::from)
    }
    fn slot(&self, name: &str, limit: u32) -> Result<Slot> {
        self.take(self.object.slot(RStr::from_str(name), limit)).map(Slot::new)
    }
}

pub(super) fn host_from_abi(object: HostObj) -> Arc<dyn HostServices> {
    Arc::new(Remote::new(object, "host"))
}

/// A loaded plugin, seen from the host.
pub struct RemotePlugin(Remote<PluginObj>);

impl RemotePlugin {
    /// Its FETCH.
    pub fn fetcher(&self) -> Result<Option<Box<dyn Fetcher>>> {
        let _call = enter(self.0.label, "Plugin::fetcher");
        let object = self.0.take(self.0.object.fetcher())?.into_option();
        Ok(object.map(|object| Box::new(Remote::new(object, self.0.label)) as Box<dyn Fetcher>))
    }
    /// Its FLATTEN.
    pub fn flattener(&self) -> Result<Option<Box<dyn Flattener>>> {
        let _call = enter(self.0.label, "Plugin::flattener");
        let object = self.0.take(self.0.object.flattener())?.into_option();
        match object {
            Some(object) => Ok(Some(Box::new(stages::RemoteFlattener::new(Remote::new(object, self.0.label))?))),
            None => Ok(None),
        }
    }
    /// Its INSPECT.
    pub fn inspector(&self) -> Result<Option<Box<dyn Inspector>>> {
        let _call = enter(self.0.label, "Plugin::inspector");
        let object = self.0.take(self.0.object.inspector())?.into_option();
        Ok(object.map(|object| Box::new(Remote::new(object, self.0.label)) as Box<dyn Inspector>))
    }
    /// Its fixers, each with what it says of itself already asked.
    pub fn fixers(&self) -> Result<Vec<Box<dyn Fixer>>> {
        let _call = enter(self.0.label, "Plugin::fixers");
        let objects = self.0.take(self.0.object.fixers())?;
        objects
            .into_iter()
            .map(|object| Ok(Box::new(stages::RemoteFixer::new(Remote::new(object, self.0.label))?) as Box<dyn Fixer>))
            .collect()
    }
    /// Its CONVERT.
    pub fn converter(&self) -> Result<Option<Box<dyn Converter>>> {
        let _call = enter(self.0.label, "Plugin::converter");
        let object = self.0.take(self.0.object.converter())?.into_option();
        match object {
            Some(object) => Ok(Some(Box::new(stages::RemoteConverter::new(Remote::new(object, self.0.label))?))),
            None => Ok(None),
        }
    }
    /// Its TEST.
    pub fn tester(&self) -> Result<Option<Box<dyn Tester>>> {
        let _call = enter(self.0.label, "Plugin::tester");
        let object = self.0.take(self.0.object.tester())?.into_option();
        Ok(object.map(|object| Box::new(Remote::new(object, self.0.label)) as Box<dyn Tester>))
    }
}

/// Calls a root's constructor.
pub fn create_plugin_remote(
    root: PluginRootRef,
    services: Arc<dyn HostServices>,
    settings: &str,
    label: Label,
) -> Result<RemotePlugin> {
    let _call = enter(label, "Plugin::new");
    let object = take(root.create()(host_to_abi(services), RStr::from_str(settings)), label)?;
    Ok(RemotePlugin(Remote::new(object, label)))
}

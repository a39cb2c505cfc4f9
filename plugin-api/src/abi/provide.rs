//! Native implementations become objects. Every call catches panics: an unwinding that crosses the boundary would end the process.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use abi_stable::sabi_trait::TD_Opaque;
use abi_stable::std_types::{ROption, RResult, RSlice, RSliceMut, RStr, RString, RVec};

use super::traits::{
    BlockSourceAbi, BlockSourceAbi_TO, BlockSourceObj, GuestAbi, GuestAbi_TO, GuestObj, HostAbi, HostAbi_TO, HostObj,
    SlotAbi, SlotAbi_TO, SlotObj,
};
use super::types::{AbiEntry, AbiError, AbiExtent, AbiHints, AbiResult, AbiStat, given, to_json};
use crate::{BlockSource, Guest, Hints, HostServices, PluginError, Progress, Result, Slot};

/// A native implementation whose panics become errors.
pub(super) struct Guarded<T>(pub(super) T);

thread_local! {
    /// Where the last panic of this thread happened; set by the panic hook of this library image.
    static LAST_PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Remembers a panic's place and message for the call that will catch it. Called by the panic hook.
pub(crate) fn remember_panic(text: String) {
    LAST_PANIC.with(|last| *last.borrow_mut() = Some(text));
}

/// Runs a native method; a panic becomes a `Defect` that says where it happened.
pub(super) fn guard<T>(method: &'static str, body: impl FnOnce() -> Result<T>) -> AbiResult<T> {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => RResult::ROk(value),
        Ok(Err(error)) => RResult::RErr(AbiError::from(error)),
        Err(payload) => {
            let said = LAST_PANIC.with(|last| last.borrow_mut().take()).unwrap_or_else(|| {
                payload
                    .downcast_ref::<&str>()
                    .map(ToString::to_string)
                    .or_else(|| payload.downcast_ref::<String>().cloned())
                    .unwrap_or_else(|| "no message".to_owned())
            });
            // The payload belongs to this image's allocator and may panic again when dropped.
            std::mem::forget(payload);
            RResult::RErr(AbiError::from(PluginError::defect(format!("panicked in {method}: {said}"))))
        }
    }
}

impl BlockSourceAbi for Guarded<Arc<dyn BlockSource>> {
    fn size(&self) -> u64 {
        // A size that cannot be had is no size: every read is then past the end and fails.
        guard("BlockSource::size", || Ok(self.0.size())).unwrap_or(0)
    }
    fn read_at(&self, offset: u64, mut buffer: RSliceMut<'_, u8>) -> AbiResult<u64> {
        guard("BlockSource::read_at", || self.0.read_at(offset, buffer.as_mut_slice()).map(|read| read as u64))
    }
    fn extents(&self, offset: u64, length: u64) -> AbiResult<RVec<AbiExtent>> {
        guard("BlockSource::extents", || Ok(self.0.extents(offset, length)?.into_iter().map(AbiExtent::from).collect()))
    }
    fn hints(&self) -> AbiHints {
        guard("BlockSource::hints", || Ok(self.0.hints())).unwrap_or_else(|_| Hints::default()).into()
    }
}

pub(super) fn source_to_abi(source: Arc<dyn BlockSource>) -> BlockSourceObj {
    BlockSourceAbi_TO::from_value(Guarded(source), TD_Opaque)
}

/// A guest that is owned, or lent for one call.
trait AsGuest: Send + Sync {
    fn guest(&self) -> &dyn Guest;
}

impl AsGuest for Box<dyn Guest> {
    fn guest(&self) -> &dyn Guest {
        &**self
    }
}

impl AsGuest for &dyn Guest {
    fn guest(&self) -> &dyn Guest {
        *self
    }
}

impl<G: AsGuest> GuestAbi for Guarded<G> {
    fn stat(&self, path: RStr<'_>) -> AbiResult<ROption<AbiStat>> {
        guard("Guest::stat", || Ok(self.0.guest().stat(path.as_str())?.map(AbiStat::from).into()))
    }
    fn read(&self, path: RStr<'_>, limit: u64) -> AbiResult<ROption<RVec<u8>>> {
        guard("Guest::read", || Ok(self.0.guest().read(path.as_str(), limit)?.map(RVec::from).into()))
    }
    fn list(&self, path: RStr<'_>) -> AbiResult<ROption<RVec<AbiEntry>>> {
        guard("Guest::list", || {
            let entries = self.0.guest().list(path.as_str())?;
            Ok(entries.map(|entries| entries.into_iter().map(AbiEntry::from).collect::<RVec<_>>()).into())
        })
    }
    fn read_link(&self, path: RStr<'_>) -> AbiResult<RString> {
        guard("Guest::read_link", || self.0.guest().read_link(path.as_str()).map(RString::from))
    }
    fn storage(&self) -> AbiResult<RString> {
        guard("Guest::storage", || to_json(&self.0.guest().storage()?))
    }
    fn apply(&self, change: RStr<'_>) -> AbiResult<RString> {
        guard("Guest::apply", || to_json(&self.0.guest().apply(&given(change)?)?))
    }
    fn apply_all(&self, changes: RStr<'_>) -> AbiResult<RString> {
        guard("Guest::apply_all", || to_json(&self.0.guest().apply_all(&given::<Vec<_>>(changes)?)?))
    }
    fn close(&self) -> AbiResult<()> {
        guard("Guest::close", || self.0.guest().close())
    }
    fn discard_unused(&self) -> AbiResult<()> {
        guard("Guest::discard_unused", || self.0.guest().discard_unused())
    }
    fn folds_case(&self) -> bool {
        guard("Guest::folds_case", || Ok(self.0.guest().folds_case())).unwrap_or(false)
    }
    fn stat_many(&self, paths: RSlice<'_, RStr<'_>>) -> RVec<AbiResult<ROption<AbiStat>>> {
        many("Guest::stat_many", paths, |paths| self.0.guest().stat_many(paths), |stat| stat.map(AbiStat::from).into())
    }
    fn read_many(&self, paths: RSlice<'_, RStr<'_>>, limit: u64) -> RVec<AbiResult<ROption<RVec<u8>>>> {
        let read = |paths: &[&str]| self.0.guest().read_many(paths, limit);
        many("Guest::read_many", paths, read, |bytes| bytes.map(RVec::from).into())
    }
}

/// Asks for several paths at once. A call that fails as a whole fails for each of them.
fn many<T, A>(
    method: &'static str,
    paths: RSlice<'_, RStr<'_>>,
    ask: impl FnOnce(&[&str]) -> Vec<Result<T>>,
    convert: impl Fn(T) -> A,
) -> RVec<AbiResult<A>> {
    let names: Vec<&str> = paths.iter().map(|path| path.as_str()).collect();
    let answer = |answer: Result<T>| match answer {
        Ok(value) => RResult::ROk(convert(value)),
        Err(error) => RResult::RErr(AbiError::from(error)),
    };
    match guard(method, || Ok(ask(&names))) {
        RResult::ROk(answers) => answers.into_iter().map(answer).collect(),
        RResult::RErr(error) => names.iter().map(|_| RResult::RErr(error.clone())).collect(),
    }
}

/// Owned by the other side from now on.
pub(super) fn guest_to_abi(guest: Box<dyn Guest>) -> GuestObj<'static> {
    GuestAbi_TO::from_value(Guarded(guest), TD_Opaque)
}

/// Lent to the other side for one call.
pub(super) fn lend_guest(guest: &dyn Guest) -> GuestObj<'_> {
    GuestAbi_TO::from_value(Guarded(guest), TD_Opaque)
}

impl HostAbi for Guarded<Arc<dyn HostServices>> {
    fn progress(&self, task: RStr<'_>, disk: RStr<'_>, done: u64, total: u64) {
        let _ = guard("Host::progress", || {
            let disk = Some(disk.as_str()).filter(|disk| !disk.is_empty());
            self.0.progress(&Progress::new(task.as_str(), disk, done, total));
            Ok(())
        });
    }
    fn cancelled(&self) -> bool {
        guard("Host::cancelled", || Ok(self.0.cancelled())).unwrap_or(false)
    }
    fn secret(&self, name: RStr<'_>) -> AbiResult<ROption<RVec<u8>>> {
        guard("Host::secret", || Ok(self.0.secret(name.as_str())?.map(RVec::from).into()))
    }
    fn lend_secret(&self, value: RSlice<'_, u8>) -> AbiResult<RString> {
        guard("Host::lend_secret", || self.0.lend_secret(value.as_slice()).map(RString::from))
    }
    fn log(&self, record: RStr<'_>) {
        let _ = guard("Host::log", || {
            self.0.log(&given(record)?);
            Ok(())
        });
    }
    fn log_level(&self) -> u8 {
        guard("Host::log_level", || Ok(self.0.log_level())).unwrap_or(0)
    }
    fn warn(&self, message: RStr<'_>) {
        let _ = guard("Host::warn", || {
            self.0.warn(message.as_str());
            Ok(())
        });
    }
    fn folder(&self) -> AbiResult<RString> {
        guard("Host::folder", || self.0.folder().map(RString::from))
    }
    fn slot(&self, name: RStr<'_>, limit: u32) -> AbiResult<SlotObj> {
        guard("Host::slot", || {
            let slot = self.0.slot(name.as_str(), limit)?;
            Ok(SlotAbi_TO::from_value(Guarded(slot), TD_Opaque))
        })
    }
}

impl SlotAbi for Guarded<Slot> {
    fn is_held(&self) -> bool {
        true
    }
}

/// The host's services for a plugin.
pub fn host_to_abi(services: Arc<dyn HostServices>) -> HostObj {
    HostAbi_TO::from_value(Guarded(services), TD_Opaque)
}

//! The objects that cross the boundary. Descriptive arguments and answers are JSON text of `crate::model` types.

use abi_stable::sabi_trait;
use abi_stable::std_types::{RBox, ROption, RResult, RSlice, RSliceMut, RStr, RString, RVec};

use super::types::{AbiEntry, AbiExtent, AbiHints, AbiResult, AbiStat};
use crate::PluginError;

#[sabi_trait]
pub trait BlockSourceAbi: Send + Sync {
    fn size(&self) -> u64;
    fn read_at(&self, offset: u64, buffer: RSliceMut<'_, u8>) -> AbiResult<u64>;
    fn extents(&self, offset: u64, length: u64) -> AbiResult<RVec<AbiExtent>>;
    #[sabi(last_prefix_field)]
    fn hints(&self) -> AbiHints;
}
pub type BlockSourceObj = BlockSourceAbi_TO<'static, RBox<()>>;

#[sabi_trait]
pub trait GuestAbi: Send + Sync {
    fn stat(&self, path: RStr<'_>) -> AbiResult<ROption<AbiStat>>;
    fn read(&self, path: RStr<'_>, limit: u64) -> AbiResult<ROption<RVec<u8>>>;
    fn list(&self, path: RStr<'_>) -> AbiResult<ROption<RVec<AbiEntry>>>;
    fn read_link(&self, path: RStr<'_>) -> AbiResult<RString>;
    /// `Storage` out.
    fn storage(&self) -> AbiResult<RString>;
    /// `Change` in, `Applied` out.
    fn apply(&self, change: RStr<'_>) -> AbiResult<RString>;
    fn close(&self) -> AbiResult<()>;
    fn discard_unused(&self) -> AbiResult<()>;
    fn folds_case(&self) -> bool;
    fn stat_many(&self, paths: RSlice<'_, RStr<'_>>) -> RVec<AbiResult<ROption<AbiStat>>>;
    #[sabi(last_prefix_field)]
    fn read_many(&self, paths: RSlice<'_, RStr<'_>>, limit: u64) -> RVec<AbiResult<ROption<RVec<u8>>>>;
    /// `Vec<Change>` in, `Vec<Applied>` out.
    fn apply_all(&self, changes: RStr<'_>) -> AbiResult<RString> {
        let _ = changes;
        RResult::RErr(PluginError::cannot("carrying out a plan as a whole").into())
    }
}
/// A guest lent for the length of one call, or owned when `'static`.
pub type GuestObj<'a> = GuestAbi_TO<'a, RBox<()>>;

/// A place that is held until the object is dropped.
#[sabi_trait]
pub trait SlotAbi: Send + Sync {
    #[sabi(last_prefix_field)]
    fn is_held(&self) -> bool;
}
pub type SlotObj = SlotAbi_TO<'static, RBox<()>>;

#[sabi_trait]
pub trait HostAbi: Send + Sync {
    /// An empty `disk`: none.
    fn progress(&self, task: RStr<'_>, disk: RStr<'_>, done: u64, total: u64);
    fn cancelled(&self) -> bool;
    fn secret(&self, name: RStr<'_>) -> AbiResult<ROption<RVec<u8>>>;
    fn lend_secret(&self, value: RSlice<'_, u8>) -> AbiResult<RString>;
    /// `LogRecord` in.
    fn log(&self, record: RStr<'_>);
    fn log_level(&self) -> u8;
    fn warn(&self, message: RStr<'_>);
    fn folder(&self) -> AbiResult<RString>;
    #[sabi(last_prefix_field)]
    fn slot(&self, name: RStr<'_>, limit: u32) -> AbiResult<SlotObj>;
}
pub type HostObj = HostAbi_TO<'static, RBox<()>>;

#[sabi_trait]
pub trait CatalogAbi: Send + Sync {
    /// `Vec<VmSummary>` out.
    fn inventory(&self) -> AbiResult<RString>;
    /// `VmSpec` out.
    fn describe(&self) -> AbiResult<RString>;
    /// `HoldWish` in, `Hold` out.
    fn hold(&self, wish: RStr<'_>) -> AbiResult<RString>;
    /// `Hold` in, `Changed` out.
    fn changed(&self, hold: RStr<'_>, disk: RStr<'_>, since: RStr<'_>, from: u64) -> AbiResult<RString>;
    /// `PowerWish` in, `PowerState` out.
    fn power(&self, wish: RStr<'_>) -> AbiResult<RString>;
    /// `Hold` and `Release` in.
    #[sabi(last_prefix_field)]
    fn release(&self, hold: RStr<'_>, why: RStr<'_>) -> AbiResult<()>;
}
pub type CatalogObj = CatalogAbi_TO<'static, RBox<()>>;

#[sabi_trait]
pub trait TransportAbi: Send + Sync {
    fn open(&self, object: RStr<'_>) -> AbiResult<BlockSourceObj>;
    fn resolve(&self, from: RStr<'_>, name: RStr<'_>) -> AbiResult<RString>;
    fn fingerprint(&self, object: RStr<'_>) -> AbiResult<RString>;
    /// `Vec<StatedDigest>` out.
    #[sabi(last_prefix_field)]
    fn stated_digests(&self, object: RStr<'_>) -> AbiResult<RString>;
}
pub type TransportObj = TransportAbi_TO<'static, RBox<()>>;

#[sabi_trait]
pub trait FetcherAbi: Send + Sync {
    /// `SourceRef` in.
    fn accepts(&self, source: RStr<'_>) -> AbiResult<u32>;
    /// `Way` in.
    fn carries(&self, way: RStr<'_>) -> AbiResult<u32>;
    /// `SourceRef` in.
    fn catalog(&self, source: RStr<'_>) -> AbiResult<CatalogObj>;
    /// `Link` in.
    fn transport(&self, link: RStr<'_>) -> AbiResult<TransportObj>;
    /// `Link` in, `Delivered` out.
    #[sabi(last_prefix_field)]
    fn deliver(&self, link: RStr<'_>, folder: RStr<'_>) -> AbiResult<RString>;
}
pub type FetcherObj = FetcherAbi_TO<'static, RBox<()>>;

#[repr(C)]
#[derive(abi_stable::StableAbi)]
pub struct AbiFlat {
    pub source: BlockSourceObj,
    /// `ChainReport`.
    pub report: RString,
}

#[sabi_trait]
pub trait FlattenerAbi: Send + Sync {
    /// `Vec<String>` out.
    fn formats(&self) -> AbiResult<RString>;
    /// `FlattenDisk` in.
    #[sabi(last_prefix_field)]
    fn flatten(&self, disk: RStr<'_>, files: TransportObj) -> AbiResult<AbiFlat>;
}
pub type FlattenerObj = FlattenerAbi_TO<'static, RBox<()>>;

#[repr(C)]
#[derive(abi_stable::StableAbi)]
pub struct AbiOpened {
    pub guest: GuestObj<'static>,
    /// `Inspection`.
    pub inspection: RString,
}

/// `OpenGuest` in.
#[sabi_trait]
pub trait InspectorAbi: Send + Sync {
    fn accepts(&self, request: RStr<'_>) -> AbiResult<u32>;
    fn open(&self, request: RStr<'_>) -> AbiResult<AbiOpened>;
    #[sabi(last_prefix_field)]
    fn open_sources(&self, request: RStr<'_>, disks: RVec<BlockSourceObj>) -> AbiResult<AbiOpened>;
    fn accepts_disks(&self, request: RStr<'_>, disks: RVec<BlockSourceObj>) -> AbiResult<u32> {
        let _ = disks;
        self.accepts(request)
    }
    /// `RolledBack` out.
    fn roll_back(&self, request: RStr<'_>) -> AbiResult<RString> {
        let _ = request;
        RResult::RErr(PluginError::cannot("taking changes of a guest back").into())
    }
}
pub type InspectorObj = InspectorAbi_TO<'static, RBox<()>>;

#[sabi_trait]
pub trait FixerAbi: Send + Sync {
    fn name(&self) -> AbiResult<RString>;
    /// `Vec<OsFamily>` out.
    fn guests(&self) -> AbiResult<RString>;
    fn order(&self) -> AbiResult<u32>;
    fn live(&self) -> AbiResult<bool>;
    /// `PlanContext` in, `FixerPlan` out.
    #[sabi(last_prefix_field)]
    fn plan(&self, context: RStr<'_>, guest: GuestObj<'_>) -> AbiResult<RString>;
}
pub type FixerObj = FixerAbi_TO<'static, RBox<()>>;

#[sabi_trait]
pub trait ConverterAbi: Send + Sync {
    /// `Vec<String>` out.
    fn formats(&self) -> AbiResult<RString>;
    fn create_overlay(&self, request: RStr<'_>) -> AbiResult<()>;
    fn commit_overlay(&self, request: RStr<'_>) -> AbiResult<()>;
    fn convert(&self, request: RStr<'_>) -> AbiResult<()>;
    /// `Vec<String>` out.
    fn targets(&self) -> AbiResult<RString>;
    /// `Render` in, `Rendered` out.
    fn render(&self, request: RStr<'_>) -> AbiResult<RString>;
    /// `Define` in, `Defined` out.
    #[sabi(last_prefix_field)]
    fn define(&self, request: RStr<'_>) -> AbiResult<RString>;
}
pub type ConverterObj = ConverterAbi_TO<'static, RBox<()>>;

#[sabi_trait]
pub trait TesterAbi: Send + Sync {
    /// `TestRequest` in, `Verdict` out.
    #[sabi(last_prefix_field)]
    fn test(&self, request: RStr<'_>) -> AbiResult<RString>;
}
pub type TesterObj = TesterAbi_TO<'static, RBox<()>>;

/// A plugin's getters: `crate::Plugin`.
#[sabi_trait]
pub trait PluginAbi: Send + Sync {
    fn fetcher(&self) -> AbiResult<ROption<FetcherObj>>;
    fn flattener(&self) -> AbiResult<ROption<FlattenerObj>>;
    fn inspector(&self) -> AbiResult<ROption<InspectorObj>>;
    fn fixers(&self) -> AbiResult<RVec<FixerObj>>;
    fn converter(&self) -> AbiResult<ROption<ConverterObj>>;
    #[sabi(last_prefix_field)]
    fn tester(&self) -> AbiResult<ROption<TesterObj>>;
}
pub type PluginObj = PluginAbi_TO<'static, RBox<()>>;

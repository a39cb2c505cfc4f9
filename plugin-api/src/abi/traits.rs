//! The objects that cross the boundary. Descriptive arguments and answers are JSON text of `crate::model` types.

use abi_stable::sabi_trait;
use abi_stable::std_types::{RBox, ROption, RSliceMut, RStr, RString, RVec};

use super::types::{AbiEntry, AbiExtent, AbiHints, AbiResult, AbiStat};

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
    #[sabi(last_prefix_field)]
    fn close(&self) -> AbiResult<()>;
    fn discard_unused(&self) -> AbiResult<()> {
        AbiResult::ROk(())
    }
}
/// A guest lent for the length of one call, or owned when `'static`.
pub type GuestObj<'a> = GuestAbi_TO<'a, RBox<()>>;

#[sabi_trait]
pub trait HostAbi: Send + Sync {
    fn progress(&self, task: RStr<'_>, done: u64, total: u64);
    fn cancelled(&self) -> bool;
    fn secret(&self, name: RStr<'_>) -> AbiResult<ROption<RString>>;
    fn log(&self, level: u8, target: RStr<'_>, message: RStr<'_>);
    #[sabi(last_prefix_field)]
    fn log_level(&self) -> u8;
}
pub type HostObj = HostAbi_TO<'static, RBox<()>>;

#[sabi_trait]
pub trait CatalogAbi: Send + Sync {
    /// `Vec<VmSpec>` out.
    fn inventory(&self) -> AbiResult<RString>;
    /// `VmSpec` out.
    #[sabi(last_prefix_field)]
    fn describe(&self) -> AbiResult<RString>;
}
pub type CatalogObj = CatalogAbi_TO<'static, RBox<()>>;

#[sabi_trait]
pub trait TransportAbi: Send + Sync {
    fn open(&self, object: RStr<'_>) -> AbiResult<BlockSourceObj>;
    fn resolve(&self, from: RStr<'_>, name: RStr<'_>) -> AbiResult<RString>;
    fn fingerprint(&self, object: RStr<'_>) -> AbiResult<RString>;
    #[sabi(last_prefix_field)]
    fn verify(&self, object: RStr<'_>) -> AbiResult<bool>;
}
pub type TransportObj = TransportAbi_TO<'static, RBox<()>>;

/// `SourceRef` in, everywhere.
#[sabi_trait]
pub trait FetcherAbi: Send + Sync {
    fn accepts(&self, source: RStr<'_>) -> AbiResult<u32>;
    fn catalog(&self, source: RStr<'_>) -> AbiResult<ROption<CatalogObj>>;
    #[sabi(last_prefix_field)]
    fn transport(&self, source: RStr<'_>) -> AbiResult<ROption<TransportObj>>;
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
    #[sabi(last_prefix_field)]
    fn open(&self, request: RStr<'_>) -> AbiResult<AbiOpened>;
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
    #[sabi(last_prefix_field)]
    fn convert(&self, request: RStr<'_>) -> AbiResult<()>;
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

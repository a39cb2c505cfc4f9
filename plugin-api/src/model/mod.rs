//! What exists, as plain data: everything descriptive that passes between the stages.
//!
//! These types cross the boundary, and are stored, as JSON. Each document that stands alone bears a `schema` number; a reader
//! takes documents of its own number or lower and ignores members it does not know, so a number only rises when the meaning
//! of an existing member changes.

mod chain;
mod change;
mod finding;
mod growth;
mod hold;
mod identity;
mod inspection;
mod machine;
mod plan;
mod render;
mod request;
mod rollback;
pub(crate) mod schema;
mod storage;
mod summary;
mod verdict;
mod vm;
mod way;

pub use chain::{ChainLink, ChainReport};
pub use change::{
    Action, Applied, AppliedStatus, Change, Content, InitramfsTool, PackageManager, RegistryEdit, RegistryValue,
    from_hex,
};
pub use finding::{Finding, Severity};
pub(crate) use growth::grows;
pub use hold::{Changed, Hold, HoldWish, PowerState, PowerWish, Release};
pub use identity::{canonical_uuid, unicast_mac};
pub use inspection::{
    GuestBlockDevice, GuestDiskInfo, Inspection, InterfaceInfo, KernelInfo, MountInfo, NetworkInfo, OsFamily, OsInfo,
    ToolsInfo, VirtioDrivers,
};
pub use machine::{Card, CardModel, CardNetwork, Chipset, Clock, DiskBus, Machine, MachineDisk, MachineDrive, Video};
pub use plan::{FixerPlan, GuestFingerprint, Plan, PlanContext};
pub use render::{Define, Defined, Render, Rendered, RenderedFile};
pub use request::{
    AttachedDisk, CommitOverlay, Convert, CreateOverlay, FlattenDisk, OpenGuest, SourceRef, TestExpectation,
    TestRequest,
};
pub use rollback::{LeftAlone, RolledBack};
pub use schema::SCHEMA;
pub use storage::{GrowLayer, GrownDisk, Layer, PartitionRole, Storage, StorageDevice};
pub use summary::VmSummary;
pub use verdict::{Evidence, Verdict, VerdictKind};
pub use vm::{Controller, Cpus, Disk, Firmware, Nic, NicKind, Origin, Removable, RemovableKind, VmSpec};
pub use way::{Delivered, Link, StatedDigest, Way};

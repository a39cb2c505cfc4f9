//! What exists, as plain data: everything descriptive that passes between the stages.
//!
//! These types cross the boundary, and are stored, as JSON. Each document that stands alone bears a `schema` number; a reader
//! takes documents of its own number or lower and ignores members it does not know, so a number only rises when the meaning
//! of an existing member changes.

mod chain;
mod change;
mod finding;
mod inspection;
mod plan;
mod request;
pub(crate) mod schema;
mod storage;
mod verdict;
mod vm;

pub use chain::{ChainLink, ChainReport};
pub use change::{Action, Applied, AppliedStatus, Change, Content, InitramfsTool, PackageManager};
pub use finding::{Finding, Severity};
pub use inspection::{
    GuestBlockDevice, GuestDiskInfo, Inspection, InterfaceInfo, KernelInfo, MountInfo, NetworkInfo, OsFamily, OsInfo,
    ToolsInfo, VirtioDrivers,
};
pub use plan::{FixerPlan, GuestFingerprint, Plan, PlanContext};
pub use request::{
    AttachedDisk, CommitOverlay, Convert, CreateOverlay, FinalImage, FlattenDisk, OpenGuest, SourceRef,
    TestExpectation, TestRequest,
};
pub use schema::SCHEMA;
pub use storage::{GrowLayer, GrownDisk, Layer, PartitionRole, Storage, StorageDevice};
pub use verdict::{Evidence, Verdict, VerdictKind};
pub use vm::{Controller, Cpus, Disk, Firmware, Nic, NicKind, Origin, Removable, RemovableKind, VmSpec};

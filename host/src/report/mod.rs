//! What a finished run leaves for people and for programs: report.json, report.md, report.html.

mod document;
mod html;
mod markdown;
mod markup;
mod pace;
mod summary;
mod table;
mod time;
mod write;

pub use document::{
    ChangeRecord, ChangeStatus, Containment, ImageRecord, Report, RoundRecord, SCHEMA, Source, SourceAfter, SourceDisk,
    StageRecord, TargetRecord, TestRecord, TestedMachine, Tool, WarmRecord, WayRecord,
};
pub(crate) use markup::Markup;
pub(crate) use table::{Cells, table};
pub use time::rfc3339;
pub use write::write;

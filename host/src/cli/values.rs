//! Values of single arguments, checked while clap can still point at the argument.

use vmdk2kvm_plugin_api::Kind;

use crate::config::{Job, KeySource, Resize, TargetFormat};
use crate::events::{LogLevel, Stage};

/// A stage by its word.
pub(super) fn stage(text: &str) -> Result<Stage, String> {
    text.parse()
}

/// A stage that can be left out.
pub(super) fn skippable(text: &str) -> Result<Stage, String> {
    let stage = stage(text)?;
    if Job::SKIPPABLE.contains(&stage) {
        return Ok(stage);
    }
    let words = Job::SKIPPABLE.map(Stage::as_str).join(" and ");
    Err(format!("what comes after {text} works on its result; only {words} can be left out"))
}

/// An image format by its word.
pub(super) fn target_format(text: &str) -> Result<TargetFormat, String> {
    TargetFormat::ALL.into_iter().find(|format| format.as_str() == text).ok_or_else(|| {
        format!(
            "no format is called `{text}`; the formats are {}",
            TargetFormat::ALL.map(TargetFormat::as_str).join(", ")
        )
    })
}

/// A kind of plugin by its word.
pub(super) fn kind(text: &str) -> Result<Kind, String> {
    Kind::ALL
        .into_iter()
        .find(|kind| kind.as_str() == text)
        .ok_or_else(|| format!("no kind is called `{text}`; the kinds are {}", Kind::ALL.map(Kind::as_str).join(", ")))
}

/// A log level by its word.
pub(super) fn level(text: &str) -> Result<LogLevel, String> {
    (0..=5)
        .map(LogLevel::from_number)
        .find(|level| level.as_str() == text)
        .ok_or_else(|| format!("no level is called `{text}`; the levels are off, error, warn, info, debug, trace"))
}

/// `SELECTOR:file:PATH`, kept as text: settings files write keys the same way.
pub(super) fn key(text: &str) -> Result<String, String> {
    KeySource::parse(text).map(|_| text.to_owned())
}

/// `DISK=SIZE`, kept as text likewise.
pub(super) fn resize(text: &str) -> Result<String, String> {
    Resize::parse(text).map(|_| text.to_owned())
}

/// `KEY=VALUE`, kept as text: the layers take it apart.
pub(super) fn set(text: &str) -> Result<String, String> {
    crate::config::parse_set(text).map(|_| text.to_owned())
}

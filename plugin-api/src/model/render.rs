//! Writing a machine down for a target, and defining it there.

use serde::{Deserialize, Serialize};

use super::growth::grows;
use super::{Finding, Machine};

/// Write a machine down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Render {
    /// The target, one of [`crate::Converter::targets`].
    pub target: String,
    /// The machine, with its images in place.
    pub machine: Machine,
    /// A name that is safe in a file name, which every file's name begins with: `web` of `web.xml`.
    pub file_name: String,
    /// The job's table for this target (`[target.NAME]`).
    #[serde(default)]
    pub options: serde_json::Value,
}

impl Render {
    /// A machine for a target.
    pub fn new(target: impl Into<String>, machine: Machine, file_name: impl Into<String>) -> Self {
        let options = serde_json::Value::Object(serde_json::Map::new());
        Self { target: target.into(), machine, file_name: file_name.into(), options }
    }
}

/// A machine as a target wants it written.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Rendered {
    /// The files, the one that defines the machine first.
    pub files: Vec<RenderedFile>,
    /// What the target cannot express, and other things worth telling.
    #[serde(default)]
    pub findings: Vec<Finding>,
}

impl Rendered {
    /// These files.
    pub fn new(files: Vec<RenderedFile>) -> Self {
        Self { files, findings: Vec::new() }
    }
}

/// A file of a rendered machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RenderedFile {
    /// A plain name; it begins with [`Render::file_name`].
    pub name: String,
    /// Its content.
    pub text: String,
    /// Permission bits.
    pub mode: u32,
}

impl RenderedFile {
    /// A file that only its owner reads.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: text.into(), mode: 0o600 }
    }
}

/// Define a machine at its target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Define {
    /// What is to be defined, as it was rendered.
    pub render: Render,
    /// Id of the run that made it: what bears it is ours.
    pub run: String,
    /// Where (`--connect`); `None`: the target's usual place.
    #[serde(default)]
    pub connect: Option<String>,
    /// One of ours may be replaced.
    #[serde(default)]
    pub replace: bool,
    /// The store of the target that takes the images (`--pool`); `None`: they stay where they are.
    #[serde(default)]
    pub pool: Option<String>,
}

impl Define {
    /// Define at the usual place, with the images where they are, and replace nothing.
    pub fn new(render: Render, run: impl Into<String>) -> Self {
        Self { render, run: run.into(), connect: None, replace: false, pool: None }
    }
}

/// A machine that is defined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Defined {
    /// How the target names it.
    pub name: String,
    /// It was so already.
    #[serde(default)]
    pub unchanged: bool,
    /// Worth telling.
    #[serde(default)]
    pub findings: Vec<Finding>,
}

impl Defined {
    /// Defined under this name.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), unchanged: false, findings: Vec::new() }
    }
}

grows!(Render, Rendered, RenderedFile, Define, Defined);

//! The same batch for a cluster: each VM becomes a task that runs `batch run JOBS --index N`, and the places become what the cluster counts.
//! Nothing secret is written: a list holds none, and settings that do are refused.

mod arguments;
mod job;
mod slurm;

use std::path::{Path, PathBuf};

use serde::Serialize;
use vmdk2kvm_plugin_api::Result;

use super::check::check;
use super::request::{Around, Asked};
use super::whereabouts;
use crate::journal::{create_private_folder, write_file};

/// For which cluster, and what only that one needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExportTo {
    /// Slurm: a script for each set of places.
    Slurm,
    /// Kubernetes: a Job with an index for each VM.
    Kubernetes {
        /// The image that has this program.
        image: String,
        /// The claim of the volume for the results.
        claim: String,
        /// The secret that is mounted where a list may name files of it.
        secret: Option<String>,
    },
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Exported {
    /// The files.
    pub files: Vec<PathBuf>,
    /// What an administrator has to set, one a line.
    pub administrator: Vec<String>,
    /// The command that starts it.
    pub command: String,
}

/// A file to be.
struct Written {
    name: String,
    text: String,
}

/// Writes the scripts or manifests of a batch into `folder`, in place of those that are there.
pub fn export(to: &ExportTo, asked: &Asked, folder: &Path, around: &Around<'_>) -> Result<Exported> {
    let mut batch = check(asked, around)?;
    let all: Vec<usize> = (0..batch.vms.len()).collect();
    whereabouts::fill(&mut batch, &all, around)?;
    let (files, administrator, command) = match to {
        ExportTo::Slurm => slurm::export(&batch, asked, around)?,
        ExportTo::Kubernetes { image, claim, secret } => {
            job::export(&batch, asked, around, &job::Pod { image, claim, secret: secret.as_deref() })?
        }
    };
    create_private_folder(folder)?;
    let mut paths = Vec::new();
    for Written { name, text } in files {
        let path = folder.join(name);
        write_file(&path, text.as_bytes())?;
        paths.push(path);
    }
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let command = command.replace("{folder}", &crate::shell::quoted(&folder.display().to_string()));
    Ok(Exported { files: paths, administrator, command })
}

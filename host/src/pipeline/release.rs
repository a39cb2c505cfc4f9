//! The command `release`: gives back what an abandoned run holds at its source.

use serde_json::{Value, json};
use vmdk2kvm_plugin_api::PluginError;

use super::hold;
use super::output::work_folder;
use super::run::Run;
use crate::config::Input;
use crate::journal::{HoldNote, Lock, NotedHold, Patience, Records, holds_register};
use crate::worker::Failure;

/// `release DIR`: what is noted in its work folder, and in the user's register for this folder.
pub(super) fn release(run: &Run<'_>) -> Result<Value, Failure> {
    let Input::Result { dir } = &run.job.input else {
        return Err(PluginError::defect("`release` without a folder").into());
    };
    let (work, register) = (work_folder(run.job, dir), holds_register());
    let mut left = Vec::new();
    // A run that works there has the lock, and gives back what it holds itself.
    let (cancelled, say) = (|| run.cancelled(), |text| run.services.events().warn(text));
    let mut patience = Patience::new(&cancelled, &say);
    let locked = work.is_dir().then(|| Lock::work(&work, &mut patience)).transpose()?;
    if let Some((_, fence)) = &locked {
        left = NotedHold::left_in_work(&Records::in_folder(&work, fence.clone()), register.as_deref());
    }
    if let Some(register) = &register {
        let known: Vec<String> = left.iter().map(|left| left.note().wish.run.clone()).collect();
        let is_new = |note: &HoldNote| note.output.as_deref() == Some(dir) && !known.contains(&note.wish.run);
        left.extend(NotedHold::left_in_register(register, is_new));
    }
    let (mut released, mut kept, mut failed) = (Vec::new(), Vec::new(), None);
    for noted in left {
        let note = noted.note().clone();
        let mut entry = json!({ "source": note.source.uri, "vm": note.vm, "since": note.since, "took": note.shown() });
        match hold::give_back(run, noted) {
            Ok(()) => released.push(entry),
            Err(error) => {
                entry["error"] = json!(error.message);
                kept.push(entry);
                failed.get_or_insert(error.context(format_args!("{} is still held", note.shown())));
            }
        }
    }
    let document = json!({ "released": released, "kept": kept });
    match failed {
        None => Ok(document),
        Some(error) => Err(Failure { result: Some(document), ..Failure::from(error) }),
    }
}

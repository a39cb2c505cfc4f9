//! Holds that can be counted: files in the folder `SLOW_HOLDS` say what was taken, what is held and what was given back, whatever becomes of the run.
//!
//! `taken/ID` and `released/ID` stay; `held/RUN` holds the id. Without that variable nothing is held.

use std::path::PathBuf;

use vmdk2kvm_plugin_api::model::{Hold, HoldWish, Release};
use vmdk2kvm_plugin_api::{ErrorKind, PluginError, Result};

use crate::SlowStages;

fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("SLOW_HOLDS").map(PathBuf::from)?;
    ["taken", "held", "released"].iter().for_each(|name| std::fs::create_dir_all(folder.join(name)).unwrap());
    Some(folder)
}

/// A snapshot, unless this run has one already.
pub(crate) fn hold(slow: &SlowStages, wish: &HoldWish) -> Result<Hold> {
    let Some(folder) = folder() else { return Ok(Hold::nothing()) };
    if !wish.snapshot {
        return Err(PluginError::new(ErrorKind::Blocked, "the machine runs, and reading it needs a snapshot")
            .hint("allow it with --snapshot"));
    }
    let held = folder.join("held").join(&wish.run);
    let id = match std::fs::read_to_string(&held) {
        Ok(id) => id,
        Err(_) => {
            let number = std::fs::read_dir(folder.join("taken")).unwrap().count() + 1;
            let id = format!("{}-{number}", wish.run);
            std::fs::write(folder.join("taken").join(&id), "").unwrap();
            std::fs::write(&held, &id).unwrap();
            id
        }
    };
    // It is taken, and nobody knows yet: the worst moment to stop.
    slow.stop_in("hold")?;
    Ok(Hold::new(id).with(|hold| {
        hold.took = vec!["a slow snapshot".to_owned()];
        hold.frozen = std::env::var_os("SLOW_FROZEN").is_some();
    }))
}

/// Gives back what is there. What is gone is no error; giving back twice what was held once is seen by its mode.
pub(crate) fn release(slow: &SlowStages, hold: &Hold, why: Release) -> Result<()> {
    let Some(folder) = folder() else { return Ok(()) };
    if std::env::var_os("SLOW_RELEASE_FAILS").is_some() {
        return Err(PluginError::io("no route to the machine"));
    }
    // As whatever waits for a server does.
    slow.host.check_cancelled()?;
    let (run, _) = hold.id.rsplit_once('-').unwrap();
    let held = folder.join("held").join(run);
    if std::fs::read_to_string(&held).is_ok_and(|id| id == hold.id) {
        let word = if why == Release::Done { "done" } else { "abandoned" };
        std::fs::write(folder.join("released").join(&hold.id), word).unwrap();
        std::fs::remove_file(held).unwrap();
    }
    // It is given back, and nobody knows yet.
    slow.stop_in("release")
}

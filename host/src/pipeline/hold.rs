//! What a run holds at its source: taken once the VM is described, noted before a byte of a disk is read, and given back.
//!
//! It is given back as soon as no byte is needed any more, after an error, and when the user stops the run; then the next run takes another one. After a crash it
//! is still there: the next run of the same job goes on with it, and gives it back. What a run of another job left in the same work folder, and what a command
//! that only looks left at the same source, is given back by the next one, or by `release`.

use sha2::{Digest, Sha256};
use vmdk2kvm_plugin_api::model::{Hold, HoldWish, Release, SourceRef};
use vmdk2kvm_plugin_api::{Catalog, ErrorKind, Result};

use super::fetch::Fetched;
use super::output::Output;
use super::pairing;
use super::run::Run;
use crate::config::secret::{mask_uri, without_password};
use crate::journal::{HoldNote, NotedHold, holds_register};

/// What is held. Dropping it gives it back as abandoned.
pub(super) struct Held<'a> {
    run: &'a Run<'a>,
    catalog: Box<dyn Catalog>,
    noted: Option<NotedHold>,
    hold: Hold,
    /// Between rounds something stays.
    is_round: bool,
    /// What was for this round alone is given back.
    is_over: bool,
}

impl<'a> Held<'a> {
    /// Takes what reading needs. `output` is that of a command which leaves images.
    pub fn take(
        run: &'a Run<'a>,
        catalog: Box<dyn Catalog>,
        fetched: &mut Fetched,
        output: Option<&Output>,
    ) -> Result<Self> {
        let note = note(run, fetched, output);
        Self::take_noted(run, catalog, fetched, output, note)
    }

    /// Takes what this round needs, from the moment that it is now. What the round before could not give back is given back first, by its source.
    pub fn take_round(
        run: &'a Run<'a>,
        catalog: Box<dyn Catalog>,
        fetched: &mut Fetched,
        output: &Output,
        round: u32,
    ) -> Result<Self> {
        let mut note = note(run, fetched, Some(output));
        note.wish.round = Some(round);
        note.wish.snapshot = true;
        note.wish.change_tracking = true;
        note.wish.power_off = false;
        Self::take_noted(run, catalog, fetched, Some(output), note)
    }

    fn take_noted(
        run: &'a Run<'a>,
        catalog: Box<dyn Catalog>,
        fetched: &mut Fetched,
        output: Option<&Output>,
        note: HoldNote,
    ) -> Result<Self> {
        let register = holds_register();
        let is_round = note.wish.round.is_some();
        let records = output.map(|output| &output.records);
        let former = former(&note, records.map(|records| NotedHold::left_in_work(records, None)));
        let wish = note.wish.clone().with(|wish| wish.schemes = pairing::schemes(run, fetched));
        let note = former.iter().fold(note, remember);
        let mut noted = NotedHold::begin(note, records, register.as_deref())?;
        let hold = match catalog.hold(&wish) {
            Ok(hold) => hold,
            Err(error) => {
                // Whoever was refused holds nothing. Whoever heard no answer does not know.
                let refused = [ErrorKind::Blocked, ErrorKind::Auth, ErrorKind::Config, ErrorKind::Cannot];
                if former.is_none() && refused.contains(&error.kind) {
                    noted.forget()?;
                }
                return Err(error);
            }
        };
        let former = former.and_then(|former| former.hold);
        if let Some(former) = former.filter(|former| former.id != hold.id && !former.is_nothing()) {
            // As long as this one is held, it is the one that the note names: the new one is given back, and asked for again.
            if let Err(error) = catalog.release(&former, Release::Abandoned) {
                if !hold.is_nothing() {
                    let _ = catalog.release(&hold, Release::Abandoned);
                }
                return Err(error);
            }
        }
        fetched.hold.clone_from(&hold);
        if hold.is_nothing() {
            noted.forget()?;
            return Ok(Self { run, catalog, noted: None, hold, is_round, is_over: false });
        }
        let answered = noted.answer(&hold);
        let held = Self { run, catalog, noted: Some(noted), hold, is_round, is_over: false };
        answered.map(|()| held)
    }

    /// Gives it back; after a round that for which there is no further use, and the rest stays noted. What cannot be given back stays noted, and is told.
    pub fn release(&mut self, why: Release) {
        if self.is_over && why == Release::Round {
            return;
        }
        let Some(mut noted) = self.noted.take() else { return };
        let released = self.run.services.undisturbed(|| self.catalog.release(&self.hold, why));
        let note = noted.note().clone();
        let stays = why == Release::Round && !self.hold.kept.is_empty();
        let left = released.and_then(|()| {
            if !stays {
                return noted.forget();
            }
            self.hold.took.clone_from(&self.hold.kept);
            noted.answer(&self.hold)?;
            (self.noted, self.is_over) = (Some(noted), true);
            Ok(())
        });
        if let Err(error) = left {
            tell(self.run, &note, &error.message);
        }
    }

    /// The control plane of what is held.
    pub fn catalog(&self) -> &dyn Catalog {
        self.catalog.as_ref()
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let why = if self.is_round { Release::Round } else { Release::Abandoned };
        self.release(why);
    }
}

/// What a run of this job noted before.
fn former(note: &HoldNote, left: Option<Vec<NotedHold>>) -> Option<HoldNote> {
    let left = left?.into_iter().find(|left| left.note().wish.run == note.wish.run)?;
    Some(left.note().clone())
}

/// The note of a run whose former one may still hold something: what was allowed then is needed to give that back.
fn remember(mut note: HoldNote, former: &HoldNote) -> HoldNote {
    note.wish.snapshot |= former.wish.snapshot;
    note.wish.change_tracking |= former.wish.change_tracking;
    note.wish.power_off |= former.wish.power_off;
    note.hold.clone_from(&former.hold);
    note
}

/// The note of a run.
fn note(run: &Run<'_>, fetched: &Fetched, output: Option<&Output>) -> HoldNote {
    let plugin = fetched.label.split(' ').next().unwrap_or(&fetched.label).to_owned();
    let source = fetched.source.clone().with(|source| source.uri = without_password(&source.uri));
    let allowed = &run.job.settings.source;
    let wish = HoldWish::new(id(&plugin, &source, output)).with(|wish| {
        wish.snapshot = allowed.snapshot;
        wish.change_tracking = allowed.enable_cbt;
        wish.power_off = allowed.power_off;
    });
    HoldNote {
        wish,
        source,
        plugin,
        vm: fetched.vm.name.clone(),
        output: output.map(|output| output.dir.clone()),
        since: crate::report::rfc3339(std::time::SystemTime::now()),
        hold: None,
    }
}

/// The run's id: the same for every run of a job on this machine that works in the same folder, and another one for each run that only looks.
fn id(plugin: &str, source: &SourceRef, output: Option<&Output>) -> String {
    let mut digest = Sha256::new();
    let machine = std::fs::read("/etc/machine-id").unwrap_or_default();
    let node = std::fs::read("/proc/sys/kernel/hostname").unwrap_or_default();
    let place = match output {
        Some(output) => output.work.as_os_str().as_encoded_bytes().to_vec(),
        None => {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            format!("{} {}", std::process::id(), now.map_or(0, |now| now.as_nanos())).into_bytes()
        }
    };
    let vm = source.vm.clone().unwrap_or_default();
    let disks = source.extra_disks.join("\0");
    let parts: [&[u8]; 7] =
        [&machine, &node, &place, plugin.as_bytes(), source.uri.as_bytes(), vm.as_bytes(), disks.as_bytes()];
    for part in parts {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    format!("{:x}", digest.finalize())[..16].to_owned()
}

/// Gives back what runs of other jobs left in this work folder. One whose source cannot be reached is kept and told.
pub(super) fn release_others(run: &Run<'_>, output: &Output, fetched: &Fetched) {
    let own = note(run, fetched, Some(output)).wish.run;
    let left = NotedHold::left_in_work(&output.records, holds_register().as_deref());
    release_all(run, left.into_iter().filter(|left| left.note().wish.run != own).collect());
}

/// Gives back what commands that only look left at this source.
pub(super) fn release_looks(run: &Run<'_>, fetched: &Fetched) {
    let Some(register) = holds_register() else { return };
    let source = note(run, fetched, None).source;
    release_all(run, NotedHold::left_in_register(&register, |note| note.output.is_none() && note.source == source));
}

fn release_all(run: &Run<'_>, left: Vec<NotedHold>) {
    for noted in left {
        let note = noted.note().clone();
        if let Err(error) = give_back(run, noted) {
            tell(run, &note, &error.message);
        }
    }
}

/// Gives back what a run that is gone holds.
pub(super) fn give_back(run: &Run<'_>, noted: NotedHold) -> Result<()> {
    let note = noted.note();
    // The program's own fetchers are no plugins, and known by the source alone.
    let plugin = Some(note.plugin.as_str()).filter(|name| *name != env!("CARGO_PKG_NAME"));
    let fetcher = run.registry.fetcher(plugin, &note.source)?;
    let catalog = fetcher.stage.catalog(&note.source)?;
    let hold = match &note.hold {
        Some(hold) => hold.clone(),
        // The answer was not heard: the same wish of the same run has the same answer.
        None => catalog.hold(&note.wish)?,
    };
    if !hold.is_nothing() {
        catalog.release(&hold, Release::Abandoned)?;
    }
    noted.forget()
}

fn tell(run: &Run<'_>, note: &HoldNote, why: &str) {
    let how = match &note.output {
        Some(output) => format!("`vmdk2kvm release {}` tries it again", output.display()),
        None => "the next command that looks at it tries it again".to_owned(),
    };
    let source = mask_uri(&note.source.uri);
    run.services.warn(format!("{} could not be given back at {source}: {why}; {how}", note.shown()));
}

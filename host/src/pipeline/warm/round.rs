//! One round: the machine is held as it is at one moment, and the images are brought up to that moment.
//!
//! What the images lack is asked for by the words of the round before. A disk without a word, with another identity than then, or of which the source says
//! that its tracking began anew, is copied in full. The order is what makes a crash harmless: data is synced, then the disk's record written, then what
//! was held given back. A round that was broken off is done again from the old words, and copies at least the same.

use std::sync::Arc;
use std::time::Instant;

use vmdk2kvm_plugin_api::model::SourceRef;
use vmdk2kvm_plugin_api::{ErrorKind, PluginError, Result};

use super::areas::{self, Areas};
use super::state::{DiskState, Identity, Rounds};
use crate::copy::{Control, ImageFormat, Progress, Target, copy_changed};
use crate::events::{Event, Stage, StageStatus, escape};
use crate::pipeline::convert::{COMMIT_BEGAN, PROMOTING};
use crate::pipeline::copying::{self, CopyTask, Copying, Verify};
use crate::pipeline::disk::Disk;
use crate::pipeline::fetch::{self, Fetched};
use crate::pipeline::guest_stages::FIX;
use crate::pipeline::hold::Held;
use crate::pipeline::output::Output;
use crate::pipeline::paths::remove_if_there;
use crate::pipeline::run::Run;
use crate::pipeline::{flatten, hold};
use crate::report::RoundRecord;
use crate::worker::Failure;

/// A round that is to be done.
pub(super) struct Round<'a> {
    pub run: &'a Run<'a>,
    pub source: SourceRef,
    pub number: u32,
    /// The machine is off: it is the last one.
    pub last: bool,
}

/// A round that was done. What it holds at the source is still held.
pub(super) struct Brought<'a> {
    pub fetched: Fetched,
    pub disks: Vec<Disk>,
    pub states: Vec<DiskState>,
    pub held: Held<'a>,
}

/// What a disk lacks.
struct Lack {
    state: DiskState,
    word: String,
    areas: Areas,
}

impl Lack {
    fn is_nothing(&self) -> bool {
        self.state.round.is_some() && self.areas.changed == 0
    }
}

impl<'a> Round<'a> {
    /// Does it. `look` is what must be so before a byte moves.
    pub fn go(
        &self,
        rounds: &mut Rounds,
        output: &mut Output,
        look: impl FnOnce(&Output, &Fetched, &[Disk]) -> Result<()>,
    ) -> Result<Brought<'a>, Failure> {
        let (run, began) = (self.run, Instant::now());
        run.set_round(Some(self.number));
        let (mut fetched, catalog) = run.stage(Stage::Fetch, |plugin| {
            let (fetched, catalog) = fetch::fetch(run, self.source.clone())?;
            *plugin = Some(fetched.label.clone());
            Ok((fetched, catalog))
        })?;
        if rounds.name.is_empty() {
            output.name_after(&fetched.vm.name);
            rounds.name.clone_from(&output.name);
        }
        output.name.clone_from(&rounds.name);
        let output = &*output;
        hold::release_others(run, output, &fetched);
        let held = Held::take_round(run, catalog, &mut fetched, output, self.number);
        let held = held.map_err(|error| Failure::new(Stage::Fetch, error))?;
        let mut flattening = run.begin(Stage::Flatten, None);
        let failed = |error| Failure::new(Stage::Flatten, error);
        let disks = run.check_cancelled().and_then(|()| open(run, &mut fetched)).map_err(failed)?;
        flattening.plugin = disks.iter().find_map(|disk| disk.plugin.clone());
        look(output, &fetched, &disks).map_err(failed)?;
        let work = Work { round: self, output, fetched: &fetched, disks: &disks, held: &held };
        let (mut record, states) = work.bring().map_err(failed)?;
        record.seconds = began.elapsed().as_secs_f64();
        flattening.end(StageStatus::Done, record.moved_bytes);
        rounds.done.push(record.clone());
        rounds.write(&output.records).map_err(failed)?;
        let RoundRecord { round, changed_bytes, moved_bytes, seconds, .. } = record;
        run.services.events().emit(Event::RoundFinished { round, changed_bytes, moved_bytes, seconds });
        run.set_round(None);
        Ok(Brought { fetched, disks, states, held })
    }
}

/// Opens the disks by ways that read at random.
fn open(run: &Run<'_>, fetched: &mut Fetched) -> Result<Vec<Disk>> {
    let hint = "migrate the machine in one go, without --warm; or install a plugin that reads its disks at random";
    for disk in &mut fetched.vm.disks {
        let had_ways = !disk.ways.is_empty();
        disk.ways.retain(|way| !way.stream);
        if had_ways && disk.ways.is_empty() {
            let message = format!("{}: it can only be read as a stream, and rounds read at random", escape(&disk.name));
            return Err(PluginError::new(ErrorKind::Blocked, message).hint(hint));
        }
    }
    let disks = flatten::open(run, fetched, None).map_err(|error| match error.kind {
        ErrorKind::Missing => error.of_kind(ErrorKind::Blocked).context("rounds read the disks at random").hint(hint),
        _ => error,
    })?;
    if disks.is_empty() {
        return Err(PluginError::unusable(format!("{} has no disks", escape(&fetched.vm.name))));
    }
    Ok(disks)
}

/// The work of a round on its images.
struct Work<'r, 'a> {
    round: &'r Round<'a>,
    output: &'r Output,
    fetched: &'r Fetched,
    disks: &'r [Disk],
    held: &'r Held<'a>,
}

impl Work<'_, '_> {
    fn bring(&self) -> Result<(RoundRecord, Vec<DiskState>)> {
        let run = self.round.run;
        self.forget_disks_that_are_gone()?;
        let mut lacks = Vec::with_capacity(self.disks.len());
        for disk in self.disks {
            lacks.push(self.lack(disk)?);
        }
        if self.output.records.exists(COMMIT_BEGAN) && !lacks.iter().all(Lack::is_nothing) {
            run.services.warn("the images hold a former cut-over's fixes, and the machine has changed since: its disks are copied in full again");
            for name in [FIX, COMMIT_BEGAN, PROMOTING] {
                self.output.records.remove(name)?;
            }
            for (disk, lack) in self.disks.iter().zip(&mut lacks) {
                *lack = self.in_full(disk, &lack.word)?;
            }
        }
        let mut record = RoundRecord {
            round: self.round.number,
            changed_bytes: 0,
            moved_bytes: 0,
            seconds: 0.0,
            full: Vec::new(),
            last: self.round.last,
        };
        self.copy_bases(&lacks, &mut record)?;
        let mut states = Vec::with_capacity(lacks.len());
        for (disk, lack) in self.disks.iter().zip(lacks) {
            states.push(self.copy_changes(disk, lack, &mut record)?);
        }
        Ok((record, states))
    }

    /// The images of disks that the machine has no more.
    fn forget_disks_that_are_gone(&self) -> Result<()> {
        for index in self.disks.len().. {
            if DiskState::read(&self.output.records, index).is_none() {
                return Ok(());
            }
            let number = index + 1;
            self.round.run.services.warn(format!("disk {number} of the previous round is gone: its image is removed"));
            self.drop_image(index)?;
        }
        Ok(())
    }

    fn drop_image(&self, index: usize) -> Result<()> {
        let records = &self.output.records;
        DiskState::remove(records, index)?;
        let copy = copying::record_name(index);
        records.remove(&copy)?;
        remove_if_there(&records.log(&copy))?;
        remove_if_there(&self.output.part_file(index))
    }

    fn identity(&self, disk: &Disk) -> Identity {
        let described = &self.fetched.vm.disks[disk.index];
        Identity { id: described.id.clone(), uuid: described.uuid.clone(), capacity: disk.source.size() }
    }

    /// Asks what a disk lacks.
    fn lack(&self, disk: &Disk) -> Result<Lack> {
        let name = escape(&disk.name);
        let identity = self.identity(disk);
        let word = self.fetched.hold.since.get(&identity.id).filter(|word| !word.is_empty()).cloned();
        let word = word.ok_or_else(|| {
            PluginError::new(ErrorKind::Blocked, format!("{name}: its source does not report changes"))
                .hint("migrate the machine in one go, without --warm")
        })?;
        let warn = |why: &str| self.round.run.services.warn(format!("{name}: {why}: it is copied in full"));
        let state = match DiskState::read(&self.output.records, disk.index) {
            None => return self.in_full(disk, &word),
            Some(state) if state.disk != identity => {
                warn("another disk than in the previous round, or of another size");
                return self.in_full(disk, &word);
            }
            Some(state) if state.round.is_some() && !self.has_image(disk) => {
                warn("its image from the previous round is gone");
                return self.in_full(disk, &word);
            }
            Some(state) => state,
        };
        if state.since == word {
            return Ok(Lack { state, word, areas: Areas::default() });
        }
        let page = |from| self.held.catalog().changed(&self.fetched.hold, &identity.id, &state.since, from);
        match areas::collect(identity.capacity, page) {
            Ok(areas) => Ok(Lack { state, word, areas }),
            Err(error) if error.kind == ErrorKind::Unusable => {
                warn(&error.message);
                self.in_full(disk, &word)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether the image is there, or what became of it.
    fn has_image(&self, disk: &Disk) -> bool {
        let length = self.output.part_file(disk.index).metadata().map_or(0, |found| found.len());
        length >= disk.size() || self.output.records.exists(PROMOTING)
    }

    /// Drops what there is of a disk's image. From here on the word of this hold says what the base lacks when it is whole.
    fn in_full(&self, disk: &Disk, word: &str) -> Result<Lack> {
        self.drop_image(disk.index)?;
        let state = DiskState {
            disk: self.identity(disk),
            since: word.to_owned(),
            round: None,
            content: self.round.number,
            held: self.fetched.hold.took.clone(),
        };
        state.write(&self.output.records, disk.index)?;
        Ok(Lack { state, word: word.to_owned(), areas: Areas::default() })
    }

    /// Copies the bases that are not whole, or goes on with them.
    fn copy_bases(&self, lacks: &[Lack], record: &mut RoundRecord) -> Result<()> {
        let run = self.round.run;
        let (mut tasks, mut whole) = (Vec::new(), Vec::new());
        for (disk, lack) in self.disks.iter().zip(lacks).filter(|(_, lack)| lack.state.round.is_none()) {
            let plugin = disk.plugin.as_deref().unwrap_or_default();
            let mut task = CopyTask {
                index: disk.index,
                source: Arc::clone(&disk.source),
                target: Target::File(self.output.part_file(disk.index), ImageFormat::Raw),
                key: lack.state.disk.key(&["base", plugin]),
                data_bytes: 0,
            };
            match copying::is_finished(&self.output.records, &task) {
                // A run that died has copied it, and not said so.
                true => whole.push(disk.index),
                false => task.data_bytes = copying::data_bytes(task.source.as_ref())?,
            }
            record.full.push(disk.name.clone());
            tasks.push(task);
        }
        if tasks.is_empty() {
            return Ok(());
        }
        self.output.check_space(run.job, tasks.iter().map(|task| task.data_bytes).sum())?;
        let nothing_stated = Verify { files: Vec::new() };
        let mut copying = Copying::start(tasks, nothing_stated, self.output.records.clone(), run.services)?;
        let copied = copying.join().0?.disks;
        for (_, copied) in copied.iter().filter(|(index, _)| !whole.contains(index)) {
            record.changed_bytes += copied.bytes_data;
            record.moved_bytes += copied.bytes_data;
        }
        Ok(())
    }

    /// Copies what changed of a disk whose base is whole, and writes down how far its image is.
    fn copy_changes(&self, disk: &Disk, lack: Lack, record: &mut RoundRecord) -> Result<DiskState> {
        let (run, Lack { mut state, word, areas }) = (self.round.run, lack);
        if areas.changed > 0 {
            let events = run.services.events();
            let progress = |progress: Progress| {
                events.emit(Event::Progress {
                    stage: Stage::Flatten,
                    task: "changes".to_owned(),
                    disk: u32::try_from(disk.index).ok(),
                    done_bytes: progress.done,
                    total_bytes: progress.data,
                });
            };
            let control = Control { cancelled: &|| run.cancelled(), progress: &progress };
            let (image, fence) = (self.output.part_file(disk.index), self.output.records.fence());
            record.moved_bytes += copy_changed(disk.source.as_ref(), &areas.ranges, &image, fence, &control)?;
            record.changed_bytes += areas.changed;
        }
        if areas.changed > 0 || state.round.is_none() {
            state.content = self.round.number;
        }
        state.since = word;
        state.round = Some(self.round.number);
        state.held.clone_from(&self.fetched.hold.took);
        state.write(&self.output.records, disk.index)?;
        Ok(state)
    }
}

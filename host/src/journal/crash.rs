//! A disk that fails on command, for tests: the process is killed, a write is torn, space runs out, a sync fails, the power goes.
//!
//! Knows, for every file below a folder, what a disk would hold if the power went now: what was synced, and of the rest as much or as
//! little as a real disk might have kept. The files themselves are real; syncs are only noted.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::steps::{Step, Then};

/// What happens at a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The process ends before the step.
    Kill,
    /// The process ends, and a write has been done to its half.
    Torn,
    /// The step fails, this once.
    Error(i32),
    /// The power goes before the step.
    PowerCut(Kept),
}

/// What a disk that lost its power kept of what was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    Nothing,
    /// The names that files were given, but not their content.
    Names,
    /// The content, but not the names.
    Content,
    /// Every other write, and the names.
    Half,
}

/// A disk for everything below a folder, as long as this lives.
pub(crate) struct Disk {
    folder: PathBuf,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    steps: Vec<String>,
    planned: Option<(usize, Fault)>,
    dead: bool,
    cut: Option<Kept>,
    names: BTreeMap<PathBuf, usize>,
    synced_names: BTreeMap<PathBuf, usize>,
    files: Vec<Content>,
}

#[derive(Default)]
struct Content {
    synced: Vec<u8>,
    unsynced: Vec<Change>,
}

enum Change {
    Write(u64, Vec<u8>),
    Length(u64),
}

static DISKS: Mutex<Vec<(PathBuf, Arc<Mutex<State>>)>> = Mutex::new(Vec::new());

impl Disk {
    /// The disk of a folder, whose files so far are synced; at the step of this number, counted from 0, the fault happens.
    pub(crate) fn new(folder: &Path, planned: Option<(usize, Fault)>) -> Self {
        let mut state = State { planned, ..State::default() };
        for path in files_below(folder) {
            state.names.insert(path.clone(), state.files.len());
            state.files.push(Content { synced: std::fs::read(&path).unwrap(), unsynced: Vec::new() });
        }
        state.synced_names = state.names.clone();
        let disk = Self { folder: folder.to_path_buf(), state: Arc::new(Mutex::new(state)) };
        lock(&DISKS).push((disk.folder.clone(), Arc::clone(&disk.state)));
        disk
    }

    /// What was done so far, a line for each step.
    pub(crate) fn steps(&self) -> Vec<String> {
        lock(&self.state).steps.clone()
    }

    /// The power goes now.
    pub(crate) fn cut_power(&self, kept: Kept) {
        lock(&self.state).cut = Some(kept);
    }
}

impl Drop for Disk {
    /// The machine starts again: after a power cut the files are what the disk kept.
    fn drop(&mut self) {
        lock(&DISKS).retain(|(folder, _)| *folder != self.folder);
        let state = lock(&self.state);
        let Some(kept) = state.cut else { return };
        for path in files_below(&self.folder) {
            std::fs::remove_file(path).unwrap();
        }
        let names = if matches!(kept, Kept::Names | Kept::Half) { &state.names } else { &state.synced_names };
        for (path, file) in names {
            std::fs::write(path, state.files[*file].after(kept)).unwrap();
        }
    }
}

impl Content {
    fn after(&self, kept: Kept) -> Vec<u8> {
        let mut bytes = self.synced.clone();
        for (number, change) in self.unsynced.iter().enumerate() {
            if kept == Kept::Content || kept == Kept::Half && number % 2 == 0 {
                change.apply(&mut bytes);
            }
        }
        bytes
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Length(length) => bytes.resize(*length as usize, 0),
            Self::Write(offset, written) => {
                let (start, end) = (*offset as usize, *offset as usize + written.len());
                bytes.resize(bytes.len().max(end), 0);
                bytes[start..end].copy_from_slice(written);
            }
        }
    }
}

/// Asked before every step.
pub(super) fn before(step: Step<'_>) -> io::Result<Then> {
    let state = {
        let disks = lock(&DISKS);
        let found = disks.iter().find(|(folder, _)| step.path().starts_with(folder));
        found.map(|(_, state)| Arc::clone(state))
    };
    match state {
        None => Ok(Then::Go),
        Some(state) => lock(&state).before(step),
    }
}

impl State {
    fn before(&mut self, step: Step<'_>) -> io::Result<Then> {
        let killed = || io::Error::other("killed");
        if self.dead {
            return Err(killed());
        }
        let number = self.steps.len();
        self.steps.push(step.line());
        match self.planned.filter(|(at, _)| *at == number).map(|(_, fault)| fault) {
            None => {}
            Some(Fault::Error(number)) => {
                // Linux drops what a failed sync could not write, and does not fail again.
                if let Step::Sync(path) = step {
                    if let Some(content) = self.content(path) {
                        content.unsynced.clear();
                    }
                }
                return Err(io::Error::from_raw_os_error(number));
            }
            Some(fault) => {
                self.dead = true;
                if let (Fault::Torn, Step::Write { file, bytes, offset, .. }) = (fault, step) {
                    file.write_all_at(&bytes[..bytes.len() / 2], offset)?;
                }
                if let Fault::PowerCut(kept) = fault {
                    self.cut = Some(kept);
                }
                return Err(killed());
            }
        }
        self.note(step);
        let done = matches!(step, Step::Sync(_) | Step::SyncFolder(_));
        Ok(if done { Then::Done } else { Then::Go })
    }

    fn content(&mut self, path: &Path) -> Option<&mut Content> {
        self.names.get(path).map(|file| &mut self.files[*file])
    }

    fn note(&mut self, step: Step<'_>) {
        match step {
            Step::Create(path) => {
                // A name that is taken makes the step fail.
                if !path.exists() {
                    self.names.insert(path.to_path_buf(), self.files.len());
                    self.files.push(Content::default());
                }
            }
            Step::Write { path, bytes, offset, .. } => {
                let change = Change::Write(offset, bytes.to_vec());
                self.content(path).unwrap().unsynced.push(change);
            }
            Step::Zero { path, offset, length } => {
                let change = Change::Write(offset, vec![0; length as usize]);
                self.content(path).unwrap().unsynced.push(change);
            }
            Step::SetLength { path, length } => self.content(path).unwrap().unsynced.push(Change::Length(length)),
            Step::Sync(path) => {
                let content = self.content(path).unwrap();
                for change in std::mem::take(&mut content.unsynced) {
                    change.apply(&mut content.synced);
                }
            }
            Step::SyncFolder(folder) => {
                let inside = |path: &Path| path.parent() == Some(folder);
                self.synced_names.retain(|path, _| !inside(path));
                let now = self.names.iter().filter(|(path, _)| inside(path)).map(|(path, file)| (path.clone(), *file));
                self.synced_names.extend(now);
            }
            Step::Rename { from, to } => {
                if let Some(file) = self.names.remove(from) {
                    self.names.insert(to.to_path_buf(), file);
                }
            }
            Step::Remove(path) => {
                self.names.remove(path);
            }
        }
    }
}

impl Step<'_> {
    fn path(&self) -> &Path {
        match self {
            Self::Create(path) | Self::Sync(path) | Self::SyncFolder(path) | Self::Remove(path) => path,
            Self::Write { path, .. } | Self::SetLength { path, .. } | Self::Zero { path, .. } => path,
            Self::Rename { from, .. } => from,
        }
    }

    fn line(&self) -> String {
        let name = self.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        match self {
            Self::Create(_) => format!("create {name}"),
            Self::Write { bytes, offset, .. } => format!("write {name} {} at {offset}", bytes.len()),
            Self::SetLength { length, .. } => format!("truncate {name} to {length}"),
            Self::Zero { offset, length, .. } => format!("zero {name} {length} at {offset}"),
            Self::Sync(_) => format!("sync {name}"),
            Self::SyncFolder(_) => format!("sync folder {name}"),
            Self::Rename { .. } => format!("rename {name}"),
            Self::Remove(_) => format!("remove {name}"),
        }
    }
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! What holds for every question to a guest, whoever asks: a folder that cannot be read (a ring of symlinks, millions of entries) is
//! a finding and not the end of a plan, and a file that is reached by two names is changed once.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use vmdk2kvm_plugin_api::model::{
    Action, Applied, Change, Finding, FixerPlan, OsFamily, PlanContext, Severity, Storage,
};
use vmdk2kvm_plugin_api::{Entry, ErrorKind, FileKind, Fixer, Guest, PluginError, Result, Stat, paths};

use crate::fix::{Grow, with_room};
use crate::space;

/// A guest in which a name that leads nowhere is nothing.
pub(crate) struct Careful<'a> {
    guest: &'a dyn Guest,
    /// Sentences about what could not be looked at.
    odd: Mutex<BTreeSet<String>>,
}

impl<'a> Careful<'a> {
    /// A guest that is asked carefully.
    pub fn new(guest: &'a dyn Guest) -> Self {
        Self { guest, odd: Mutex::default() }
    }

    /// What could not be looked at.
    pub fn findings(self) -> impl Iterator<Item = Finding> {
        let odd = self.odd.into_inner().unwrap_or_else(PoisonError::into_inner);
        odd.into_iter().map(|message| {
            Finding::new("unreadable-folder", Severity::Warn, message)
                .hint("look at it by hand; what is below it was left as it is")
        })
    }

    fn or_nothing<T>(&self, found: Result<Option<T>>) -> Result<Option<T>> {
        match found {
            Err(error) if error.kind == ErrorKind::Unusable => {
                self.odd.lock().unwrap_or_else(PoisonError::into_inner).insert(error.message);
                Ok(None)
            }
            other => other,
        }
    }
}

impl Guest for Careful<'_> {
    fn stat(&self, path: &str) -> Result<Option<Stat>> {
        self.or_nothing(self.guest.stat(path))
    }

    fn read(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        self.guest.read(path, limit)
    }

    fn stat_many(&self, paths: &[&str]) -> Vec<Result<Option<Stat>>> {
        self.guest.stat_many(paths).into_iter().map(|found| self.or_nothing(found)).collect()
    }

    fn read_many(&self, paths: &[&str], limit: u64) -> Vec<Result<Option<Vec<u8>>>> {
        self.guest.read_many(paths, limit)
    }

    fn folds_case(&self) -> bool {
        self.guest.folds_case()
    }

    fn list(&self, path: &str) -> Result<Option<Vec<Entry>>> {
        self.or_nothing(self.guest.list(path))
    }

    fn read_link(&self, path: &str) -> Result<String> {
        self.guest.read_link(path)
    }

    fn storage(&self) -> Result<Storage> {
        self.guest.storage()
    }

    fn apply(&self, _change: &Change) -> Result<Applied> {
        Err(PluginError::defect("this guest is only read"))
    }

    fn close(&self) -> Result<()> {
        Ok(())
    }
}

/// A fixer that asks carefully.
pub(crate) struct CarefulFixer(pub Box<dyn Fixer>);

impl Fixer for CarefulFixer {
    fn name(&self) -> String {
        self.0.name()
    }

    fn guests(&self) -> Vec<OsFamily> {
        self.0.guests()
    }

    fn order(&self) -> u32 {
        self.0.order()
    }

    fn live(&self) -> bool {
        self.0.live()
    }

    fn plan(&self, context: &PlanContext, guest: &dyn Guest) -> Result<FixerPlan> {
        let guest = Careful::new(guest);
        let mut plan = self.0.plan(context, &guest)?;
        plan.changes = once(plan.changes, &guest)?;
        let mounts = &context.inspection.mounts;
        let mut lacking = space::lacking(mounts, &plan.changes, &guest)?;
        if !lacking.is_empty() && !context.grown.is_empty() {
            let growth = Grow.plan(context, &guest)?.changes;
            lacking = space::lacking(&with_room(mounts, &growth), &plan.changes, &guest)?;
        }
        plan.findings.extend(lacking);
        plan.findings.extend(guest.findings());
        Ok(plan)
    }
}

/// The changes without those of a file that an earlier one changes under another name: `menu.lst` is a link to `grub.conf`,
/// `grubenv` one to the EFI system partition, and both are looked at by both names.
fn once(changes: Vec<Change>, guest: &dyn Guest) -> Result<Vec<Change>> {
    let mut seen = BTreeSet::new();
    let mut kept = Vec::with_capacity(changes.len());
    for mut change in changes {
        let place = match &change.action {
            Action::WriteFile { .. } => Some(real_path(guest, &change.target, true)?),
            Action::Remove { .. } => Some(real_path(guest, &change.target, false)?),
            _ => None,
        };
        let Some(place) = place else {
            kept.push(change);
            continue;
        };
        // A link is removed as a link: what it points to may be somebody else's.
        if let Action::Remove { old_sha256: old @ Some(_) } = &mut change.action {
            if guest.stat(&place)?.is_some_and(|stat| stat.kind == FileKind::Symlink) {
                *old = None;
            }
        }
        if seen.insert(place) {
            kept.push(change);
        }
    }
    Ok(kept)
}

/// The path without symlinks in its folders, and without one in its last part when `follow`; the path itself when it leads in a
/// ring.
pub(crate) fn real_path(guest: &dyn Guest, path: &str, follow: bool) -> Result<String> {
    match paths::resolve_in(guest, path, follow) {
        Ok(place) => Ok(place.into_path()),
        Err(error) if error.kind == ErrorKind::Unusable => Ok(path.to_owned()),
        Err(error) => Err(error),
    }
}

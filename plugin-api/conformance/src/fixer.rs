//! What every `Fixer` promises: it writes nothing, and its plan is deterministic, complete, and enough.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use vmdk2kvm_plugin_api::model::{Applied, AppliedStatus, Change, FixerPlan, PlanContext, Storage};
use vmdk2kvm_plugin_api::{Entry, Fixer, Guest, PluginError, Result, Stat};

use crate::{Checks, MemoryGuest, Node, Report, Why, failed, is_plain, skipped, well_refused};

/// So many of the paths that a fixer looks at are put to the test.
const PATHS: usize = 64;

/// Checks a fixer on a guest for which it has something to do. The guest itself is never changed.
pub fn fixer(fixer: &dyn Fixer, context: &PlanContext, guest: &MemoryGuest) -> Report {
    let mut checks = Checks::of(format!("fixer {}", fixer.name()));
    checks.check("its name is lower case letters, digits and dashes", || {
        if is_plain(&fixer.name()) { Ok(()) } else { failed(format!("its name is {:?}", fixer.name())) }
    });
    checks.check("it names the guests that it understands", || {
        if fixer.guests().is_empty() { failed("there is none, so that it is never asked") } else { Ok(()) }
    });
    checks.check("a guest without any file is no error", || {
        Ok(fixer.plan(context, &MemoryGuest::default()).map(drop)?)
    });
    let spy = Spy { guest, paths: Mutex::default() };
    let (files, asked) = (guest.tree(), guest.asked().len());
    let plan = checks.check("it plans for the guest", || Ok(fixer.plan(context, &spy)?));
    let Some(plan) = plan else { return checks.report };
    checks.check("planning writes nothing", || {
        if guest.asked().len() == asked && guest.tree() == files {
            Ok(())
        } else {
            failed("it applied a change itself")
        }
    });
    checks.check("the same guest gives the same plan", || match fixer.plan(context, guest)? {
        again if again == plan => Ok(()),
        _ => failed("the second plan differs from the first"),
    });
    checks.check("changes and findings say what, where and why", || {
        plan.changes.iter().try_for_each(whole)?;
        let codes = plan.findings.iter().map(|finding| (&finding.code, &finding.message));
        match codes.into_iter().find(|(code, message)| !is_plain(code) || message.is_empty()) {
            Some((code, message)) => {
                failed(format!("the finding {code:?} {message:?} has no plain code, or no message"))
            }
            None => Ok(()),
        }
    });
    checks.check("planning again after applying gives nothing", || applied(fixer, context, guest, &plan));
    let paths: Vec<String> = spy.paths.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().collect();
    checks.check("a guest that is odd where it looks is no defect", || odd(fixer, context, guest, &paths));
    checks.report
}

fn whole(change: &Change) -> Result<(), Why> {
    let one_line = |text: &str| !text.is_empty() && !text.contains('\n');
    if change.target.is_empty() || !one_line(&change.summary) || !one_line(&change.reason) {
        return failed(format!("{:?}: target, summary and reason are one line each: {change:?}", change.target));
    }
    if !change.id.is_empty() || !change.fixer.is_empty() || change.diff.is_some() {
        return failed(format!("{}: id, fixer and diff are filled in by the host", change.target));
    }
    Ok(())
}

fn applied(fixer: &dyn Fixer, context: &PlanContext, guest: &MemoryGuest, plan: &FixerPlan) -> Result<(), Why> {
    if let Some(change) = plan.changes.iter().find(|change| !MemoryGuest::can_apply(&change.action)) {
        return skipped(format!("{}: only a real guest can {}", change.target, change.action.kind()));
    }
    let guest = guest.clone();
    for change in &plan.changes {
        let status = guest.apply(change).map_err(|error| Why::Failed(error.message))?.status;
        if status != AppliedStatus::Done {
            return failed(format!("{}: what is right already gives no change", change.target));
        }
    }
    match fixer.plan(context, &guest)?.changes.first() {
        Some(change) => failed(format!("{}: {} is planned again", change.target, change.summary)),
        None => Ok(()),
    }
}

/// The guest with something odd in the place of each path that the fixer looks at.
fn odd(fixer: &dyn Fixer, context: &PlanContext, guest: &MemoryGuest, paths: &[String]) -> Result<(), Why> {
    let garbage = || Node::File { content: (0..=255).cycle().take(5000).collect(), mode: 0o644 };
    for path in paths.iter().filter(|path| path.len() > 1).take(PATHS) {
        let up = Node::Symlink("../../../../../etc".to_owned());
        for node in
            [garbage(), Node::File { content: Vec::new(), mode: 0 }, Node::Other, Node::Symlink(path.clone()), up]
        {
            let Some(odd) = guest.replaced(path, node.clone()) else { continue };
            if let Err(error) = fixer.plan(context, &odd) {
                well_refused(&error).map_err(|why| match why {
                    Why::Failed(why) => Why::Failed(format!("{path} as {}: {why}", word(&node))),
                    skipped => skipped,
                })?;
            }
        }
    }
    Ok(())
}

fn word(node: &Node) -> &'static str {
    match node {
        Node::File { content, .. } if content.is_empty() => "an empty file",
        Node::File { .. } => "a file of garbage",
        Node::Dir => "a folder",
        Node::Symlink(_) => "a symlink",
        Node::Other => "a device",
    }
}

/// A guest that remembers which paths were looked at.
struct Spy<'a> {
    guest: &'a MemoryGuest,
    paths: Mutex<BTreeSet<String>>,
}

impl Spy<'_> {
    fn see(&self, path: &str) -> &MemoryGuest {
        self.paths.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned());
        self.guest
    }
}

impl Guest for Spy<'_> {
    fn stat(&self, path: &str) -> Result<Option<Stat>> {
        self.see(path).stat(path)
    }
    fn read(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        self.see(path).read(path, limit)
    }
    fn list(&self, path: &str) -> Result<Option<Vec<Entry>>> {
        self.see(path).list(path)
    }
    fn read_link(&self, path: &str) -> Result<String> {
        self.see(path).read_link(path)
    }
    fn storage(&self) -> Result<Storage> {
        self.guest.storage()
    }
    fn apply(&self, change: &Change) -> Result<Applied> {
        self.guest.apply(change)
    }
    fn close(&self) -> Result<()> {
        Err(PluginError::defect("a fixer closes no guest"))
    }
}

#[cfg(test)]
#[path = "fixer_tests.rs"]
mod tests;

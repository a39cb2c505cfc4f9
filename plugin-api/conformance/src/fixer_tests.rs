//! The kit must find out a fixer that breaks a promise, each by its own check.

use std::sync::atomic::{AtomicU32, Ordering};

use vmdk2kvm_plugin_api::model::{Action, OsFamily};

use super::*;
use crate::sample;

/// Rewrites a file, and breaks one promise.
struct Breaks(&'static str, AtomicU32);

impl Fixer for Breaks {
    fn name(&self) -> String {
        if self.0 == "name" { "My Fixer".into() } else { "breaks".into() }
    }
    fn guests(&self) -> Vec<OsFamily> {
        if self.0 == "guests" { vec![] } else { vec![OsFamily::Linux] }
    }
    fn plan(&self, _: &PlanContext, guest: &dyn Guest) -> Result<FixerPlan> {
        let mut plan = FixerPlan::default();
        let text = match guest.read("/etc/x", 10_000)? {
            None if self.0 == "empty" => return Err(PluginError::unusable("/etc/x is missing")),
            None => return Ok(plan),
            Some(bytes) => String::from_utf8(bytes).map_err(|_| match self.0 {
                "odd" => PluginError::defect("panicked in Fixer::plan: not UTF-8 at lib.rs:7"),
                _ => PluginError::unusable("/etc/x: it is not UTF-8 text"),
            })?,
        };
        let new = match self.0 {
            "stable" => format!("new {}\n", self.1.fetch_add(1, Ordering::Relaxed)),
            "enough" => format!("{text}more\n"),
            _ => "new\n".to_owned(),
        };
        if text != new || self.0 == "done" {
            let reason = if self.0 == "reason" { "" } else { "why" };
            let change = Change::new(Action::write_file(Some(text.as_bytes()), new), "/etc/x", "what", reason);
            if self.0 == "writes" {
                guest.apply(&change)?;
            }
            plan.changes.push(change);
        }
        Ok(plan)
    }
}

#[test]
fn each_broken_promise_is_found() {
    for (how, why) in [
        ("", None),
        ("name", Some("its name is lower case letters, digits and dashes: its name is \"My Fixer\"")),
        ("guests", Some("it names the guests that it understands: there is none, so that it is never asked")),
        ("empty", Some("a guest without any file is no error: /etc/x is missing")),
        ("writes", Some("planning writes nothing: it applied a change itself")),
        ("stable", Some("the same guest gives the same plan: the second plan differs from the first")),
        (
            "reason",
            Some(
                "changes and findings say what, where and why: \"/etc/x\": target, summary and reason are one line each",
            ),
        ),
        ("enough", Some("planning again after applying gives nothing: /etc/x: what is planned again")),
        ("done", Some("planning again after applying gives nothing: /etc/x: what is planned again")),
        ("odd", Some("/etc/x as a file of garbage: bad input is reported as a defect: panicked in Fixer::plan")),
    ] {
        let guest = MemoryGuest::new(&[("/etc/x", "old\n")]);
        let report = fixer(&Breaks(how, AtomicU32::new(0)), &sample::linux(), &guest);
        let failures: Vec<String> = report.failures().map(ToString::to_string).collect();
        match why {
            None => report.assert(),
            Some(why) => assert!(failures.iter().any(|failure| failure.contains(why)), "{how}: {failures:#?}"),
        }
    }
}

#[test]
fn what_only_a_real_guest_can_do_is_skipped() {
    let package =
        Action::RemovePackages { manager: vmdk2kvm_plugin_api::model::PackageManager::Dpkg, packages: vec![] };
    let change = Change::new(package, "open-vm-tools", "what", "why");
    let plan = FixerPlan::default().with(|it| it.changes = vec![change]);
    let fixer = Breaks("", AtomicU32::new(0));
    let Err(Why::Skipped(why)) = applied(&fixer, &sample::linux(), &MemoryGuest::default(), &plan) else { panic!() };
    assert_eq!(why, "open-vm-tools: only a real guest can remove_packages");
}

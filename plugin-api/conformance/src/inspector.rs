//! What every `Inspector` promises.

use std::path::{Path, PathBuf};

use vmdk2kvm_plugin_api::Inspector;
use vmdk2kvm_plugin_api::model::OpenGuest;

use crate::{CancelSwitch, Checks, Report, failed, is_plain, sample, skipped, state_of};

/// Checks an inspector, with a guest that it can open for reading; without one only what needs none. `host` is the one that its plugin was
/// made with.
pub fn inspector(inspector: &dyn Inspector, host: &dyn CancelSwitch, request: Option<&OpenGuest>) -> Report {
    let mut checks = Checks::of("inspector");
    checks.check("a guest without disks and without an origin is left to others", || {
        let nothing = OpenGuest::new(sample::vm("nothing"), sample::source("nothing"), "/nonexistent");
        match inspector.accepts(&nothing)? {
            0 => Ok(()),
            score => failed(format!("it accepts it with {score}")),
        }
    });
    let Some(request) = request else {
        checks.check("it opens the guest", || skipped::<()>("no guest was given"));
        return checks.report;
    };
    let request = request.clone().with(|it| it.writable = false);
    let images: Vec<PathBuf> = request.disks.iter().map(|disk| PathBuf::from(&disk.path)).collect();
    let states = || images.iter().map(|image| state_of(Path::new(image))).collect::<Result<Vec<_>, _>>();
    let before = checks.check("the images can be read", states);
    let opened = checks.check("it opens the guest", || {
        if inspector.accepts(&request)? == 0 {
            return failed("it does not accept it");
        }
        Ok(inspector.open(&request)?)
    });
    if let Some(opened) = opened {
        checks.check("the inspection makes sense", || {
            let inspection = &opened.inspection;
            if inspection.schema != 1 {
                return failed(format!("its schema number is {}", inspection.schema));
            }
            match inspection.findings.iter().find(|finding| !is_plain(&finding.code)) {
                Some(finding) => failed(format!("the finding {:?} has no plain code", finding.code)),
                None => Ok(()),
            }
        });
        checks.report.extend(crate::guest(&*opened.guest));
        checks.check("it closes the guest", || Ok(opened.guest.close()?));
        checks.check("opened for reading, it writes nothing", || {
            if Some(states()?) == before { Ok(()) } else { failed("an image changed") }
        });
    }
    checks.check_cancel(host, || inspector.open(&request).and_then(|opened| opened.guest.close()));
    checks.report
}

//! What every `Tester` promises: a verdict needs evidence, and images are only read.

use std::path::PathBuf;

use vmdk2kvm_plugin_api::model::{TestRequest, VerdictKind};
use vmdk2kvm_plugin_api::{PluginError, Tester};

use crate::folder::Folder;
use crate::{CancelSwitch, Checks, Report, Why, failed, sample, state_of};

/// Size of the disk that has nothing on it, in bytes.
const SIZE: u64 = 1 << 20;

/// Checks a tester on a disk that has nothing on it. `host` is the one that its plugin was made with.
pub fn tester(tester: &dyn Tester, host: &dyn CancelSwitch) -> Report {
    let mut checks = Checks::of("tester");
    let Some((_folder, image, request)) = checks.check("there is room for an image", room) else {
        return checks.report;
    };
    let before = checks.check("the image can be read", || state_of(&image));
    checks.check("a disk with nothing on it does not pass", || {
        let verdict = tester.test(&request)?;
        if verdict.verdict == VerdictKind::Passed {
            return failed(format!("it passed, because of {:?}", verdict.reason));
        }
        if verdict.schema != 1 || verdict.reason.is_empty() {
            return failed(format!("schema {}, reason {:?}", verdict.schema, verdict.reason));
        }
        Ok(())
    });
    checks.check_cancel(host, || tester.test(&request));
    checks.check("the image is only read", || {
        if Some(state_of(&image)?) == before { Ok(()) } else { failed("the image changed") }
    });
    checks.report
}

fn room() -> Result<(Folder, PathBuf, TestRequest), Why> {
    let failed = |error| Why::from(PluginError::from_io("a folder for an image", &error));
    let folder = Folder::new().map_err(failed)?;
    let image = folder.path().join("blank.raw");
    std::fs::File::create(&image).and_then(|file| file.set_len(SIZE)).map_err(failed)?;
    for name in ["boot", "work"] {
        std::fs::create_dir(folder.path().join(name)).map_err(failed)?;
    }
    let request = sample::test_request(&image, SIZE);
    Ok((folder, image, request))
}

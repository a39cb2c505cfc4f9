//! How a watch ended, and how a verdict shows it.

use vmdk2kvm_plugin_api::model::{Evidence, Verdict, VerdictKind};

use crate::log::LOG;
use crate::screen::PICTURE;
use crate::text::shown;

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The guest came up.
    pub up: bool,
    /// Stable word.
    pub reason: &'static str,
    /// Line that proves it, on the console or the screen, or what happened.
    pub line: Option<String>,
    /// Identification of the sshd that answered.
    pub banner: Option<String>,
    /// Last text on the screen.
    pub screen: Option<Vec<String>>,
}

impl Seen {
    /// The verdict with its evidence, the deciding line first. `sshd`: where it was looked for; `picture`: size of the saved picture
    /// in pixels. The time and the accelerator are the tester's to add.
    pub fn verdict(&self, sshd: &str, picture: Option<(u32, u32)>) -> Verdict {
        let kind = if self.up { VerdictKind::Passed } else { VerdictKind::Failed };
        Verdict::new(kind, self.reason).with(|verdict| verdict.evidence = self.evidence(sshd, picture))
    }

    fn evidence(&self, sshd: &str, picture: Option<(u32, u32)>) -> Vec<Evidence> {
        let detail = match (&self.line, self.up) {
            (Some(line), _) => shown(line),
            (None, true) => "nothing that decides".to_owned(),
            (None, false) => "nothing at all".to_owned(),
        };
        let mut evidence = vec![Evidence::new("console", detail).with(|it| it.file = Some(LOG.into()))];
        if let Some(banner) = &self.banner {
            evidence.push(Evidence::new("network", format!("{banner} at {sshd}")));
        }
        if let Some((width, height)) = picture {
            let detail = format!("{width} x {height} pixels");
            evidence.push(Evidence::new("screenshot", detail).with(|it| it.file = Some(PICTURE.into())));
        }
        evidence
    }
}

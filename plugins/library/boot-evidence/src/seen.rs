//! How a watch ended, and how a verdict shows it.

use vmdk2kvm_plugin_api::model::{Evidence, Verdict, VerdictKind};

use crate::log::LOG;
use crate::picture::PICTURE;
use crate::text::shown;

/// Who decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Witness {
    /// A line on the serial console or in the screen's text, or an event.
    #[default]
    Console,
    /// A picture of the screen.
    Picture,
    /// A service of the guest.
    Network,
    /// The guest agent.
    Agent,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Whether the guest came up, or nothing proves either.
    pub verdict: VerdictKind,
    /// Stable word.
    pub reason: &'static str,
    /// Who says so.
    pub by: Witness,
    /// Line that proves it, on the console or the screen, or what happened.
    pub line: Option<String>,
    /// Identification of the sshd that answered.
    pub banner: Option<String>,
    /// Last text on the screen.
    pub screen: Option<Vec<String>>,
    /// What else was seen.
    pub more: Vec<Evidence>,
}

impl Seen {
    /// The verdict with its evidence, the deciding line first. `sshd`: where it was looked for; `picture`: size of the saved picture
    /// in pixels. The time and the accelerator are the tester's to add.
    pub fn verdict(&self, sshd: &str, picture: Option<(usize, usize)>) -> Verdict {
        Verdict::new(self.verdict, self.reason).with(|verdict| verdict.evidence = self.evidence(sshd, picture))
    }

    fn evidence(&self, sshd: &str, picture: Option<(usize, usize)>) -> Vec<Evidence> {
        let detail = match (&self.line, self.verdict) {
            (Some(line), _) => shown(line),
            (None, VerdictKind::Passed) => "nothing that decides".to_owned(),
            (None, _) => "nothing at all".to_owned(),
        };
        let console = |detail| Evidence::new("console", detail).with(|it| it.file = Some(LOG.into()));
        let size = picture.map(|(width, height)| format!("{width} x {height} pixels"));
        let screenshot = |detail| Evidence::new("screenshot", detail).with(|it| it.file = Some(PICTURE.into()));
        let mut evidence = match self.by {
            Witness::Console => vec![console(detail)],
            Witness::Picture => match &size {
                Some(size) => vec![screenshot(format!("{detail} ({size})"))],
                None => vec![Evidence::new("screenshot", detail)],
            },
            Witness::Network => vec![Evidence::new("network", detail)],
            Witness::Agent => vec![Evidence::new("guest-agent", detail)],
        };
        if self.by != Witness::Console {
            evidence.push(console("nothing that decides".to_owned()));
        }
        if let Some(banner) = &self.banner {
            evidence.push(Evidence::new("network", format!("{banner} at {sshd}")));
        }
        evidence.extend(self.more.iter().cloned());
        if self.by != Witness::Picture {
            evidence.extend(size.map(screenshot));
        }
        evidence
    }
}

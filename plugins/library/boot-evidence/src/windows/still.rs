//! How long a screen has been as it is. What only looks like a failure is one when it stays.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use super::codes;
use super::look::{Look, look};
use crate::classify::Sign;
use crate::picture::Picture;

/// A stop screen that is told by a code or a face is whole after this time.
const WHOLE: Duration = Duration::from_secs(2);
/// Longer than anything that Windows shows on its way stands still: its progress and its dots move.
const STANDS: Duration = Duration::from_secs(20);
/// The boot manager's menus count down from 30 seconds.
const MENU: Duration = Duration::from_secs(45);

/// The reason of a screen that waits for somebody to sign in.
const SIGN_IN: &str = "sign-in-screen";

/// The screen as it was seen last.
#[derive(Debug, Default)]
pub struct Still {
    signs_in: bool,
    last: Option<Seen>,
}

#[derive(Debug)]
struct Seen {
    look: Look,
    digest: u64,
    /// It has looked so.
    looks: Instant,
    /// It has been the same in every pixel.
    same: Instant,
}

impl Still {
    /// Nothing seen yet. `signs_in`: a picture that fills the screen is one that waits for somebody to sign in.
    pub fn new(signs_in: bool) -> Self {
        Self { signs_in, last: None }
    }

    /// The guest began anew.
    pub fn restarted(&mut self) {
        self.last = None;
    }

    /// Takes the picture of a moment, and says what it proves together with those before.
    pub fn see(&mut self, picture: &Picture, now: Instant) -> Option<(Sign, String)> {
        let mut hasher = DefaultHasher::new();
        picture.hash(&mut hasher);
        let digest = hasher.finish();
        let seen = match self.last.take() {
            Some(last) if last.digest == digest => last,
            Some(last) => {
                let look = look(picture);
                let looks = if look == last.look { last.looks } else { now };
                Seen { look, digest, looks, same: now }
            }
            None => Seen { look: look(picture), digest, looks: now, same: now },
        };
        let found = seen.proves(now).filter(|(sign, _)| !sign.up || self.signs_in);
        self.last = Some(seen);
        found
    }

    /// What the screen looked like last.
    pub fn look(&self) -> Option<Look> {
        self.last.as_ref().map(|last| last.look)
    }
}

impl Seen {
    fn proves(&self, now: Instant) -> Option<(Sign, String)> {
        let (looks, same) = (now.duration_since(self.looks), now.duration_since(self.same));
        let (up, reason, holds) = match self.look {
            Look::Stop { .. } => (false, "stop-screen", looks >= WHOLE),
            Look::OldStop => (false, "stop-screen", same >= STANDS),
            Look::BlueText => (false, "stop-or-recovery-screen", same >= STANDS),
            Look::BootManager => (false, "boot-manager-screen", same >= MENU),
            Look::Photograph => (true, SIGN_IN, looks >= STANDS),
            Look::Blank | Look::CentredText | Look::Other => return None,
        };
        let mut line = self.look.words().to_owned();
        if let Look::Stop { code: Some(code), .. } = self.look {
            line = format!("stop code {}: {line}", codes::named(code));
        }
        holds.then_some((Sign { up, reason }, line))
    }
}

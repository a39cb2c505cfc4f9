//! Watches a booting guest until it is known whether it came up.
//!
//! Five witnesses are heard again and again: the serial console, the text on the screen, the machine's events, an sshd, and the
//! machine itself, which may end. Passing takes a word of the guest's user space; silence never passes.

use std::time::{Duration, Instant};

use vmdk2kvm_plugin_api::model::{Evidence, VerdictKind};
use vmdk2kvm_plugin_api::{Host, Result};

use crate::classify::{Classifier, Sign, is_complaint};
use crate::log::Log;
use crate::picture::Picture;
use crate::screen;
use crate::seen::{Seen, Witness};
use crate::service::Service;
use crate::terminal::Terminal;
use crate::text::shown;
use crate::windows::{self, Windows};

/// How long a silent console is waited for before the other witnesses are asked.
const TICK: Duration = Duration::from_millis(200);
/// How long the console is heard at a time. Text comes through the terminal with megabytes a second, line feeds alone much slower.
const LONGEST_SPEECH: Duration = Duration::from_millis(500);
/// How often the screen is read: a machine does nothing else meanwhile.
const SCREEN_EVERY: Duration = Duration::from_millis(500);
/// Resets a guest may ask for: a fallback loader, an SELinux relabelling and a first boot ask for one each.
const RESETS: u32 = 3;
/// An sshd that is expected starts within this time of a login prompt, even translated on a busy machine.
const SSHD_AFTER_LOGIN: Duration = Duration::from_secs(180);

/// Complaints of a guest's that are kept: the first ones have the cause among them.
const COMPLAINTS: usize = 5;

/// After a failure the console is heard until it is silent for the first time, at most for the second: the cause often follows.
const AFTERWORDS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(3));

/// A machine that runs, and whose guest is watched.
pub trait Watched {
    /// What the serial console said since the last call: 0 bytes when nothing. Does not wait.
    fn console(&mut self, buffer: &mut [u8]) -> usize;

    /// Waits until the console speaks, at most this long.
    fn wait(&self, longest: Duration);

    /// The oldest event not seen yet. Does not wait.
    fn event(&mut self) -> Option<Event>;

    /// The adapter's text page, [`crate::TEXT_PAGE_BYTES`] bytes; `None` when it cannot be read. Reading it may load the adapter's
    /// latches: only planar graphics modes care, where a pixel could be lost.
    fn text_page(&mut self) -> Option<Vec<u8>>;

    /// A picture of the screen: a binary PPM or a PNG of 8 bits.
    fn picture(&mut self) -> Result<Vec<u8>>;

    /// How and with what words the machine ended by itself, if it did. An error when its end says nothing about the guest.
    fn ended(&mut self) -> Result<Option<String>>;
}

/// What happened to a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The guest reset it.
    Reset,
    /// The guest switched it off.
    PoweredOff,
    /// The guest told a device of its panic.
    Panicked,
}

/// What is to be seen, and until when.
pub struct Watch<'a> {
    /// The host, for cancellation.
    host: &'a Host,
    /// Reads the lines.
    classifier: Classifier,
    /// The forwarded sshd.
    pub sshd: Option<Service>,
    /// Its answer is required; otherwise it is one evidence among others.
    pub sshd_required: bool,
    /// The guest is a Windows, which is heard and seen by other means, too. That it says nothing proves nothing then.
    pub windows: Option<Windows>,
    /// Give up after this time.
    timeout: Duration,
}

/// The verdict, the stable word, and the line that proves it.
type Ending = (VerdictKind, &'static str, Option<String>);

/// What the watch has gathered so far.
#[derive(Default)]
struct State {
    terminal: Terminal,
    login: Option<(Sign, String, Instant)>,
    banner: Option<String>,
    screen: Option<Vec<String>>,
    screen_read: Option<Instant>,
    resets: u32,
    by: Witness,
    /// Lines of the console that say what went wrong, each once.
    complaints: Vec<String>,
}

impl<'a> Watch<'a> {
    /// Waits for a guest of this host name (empty when not known); no sshd is looked for.
    pub fn new(host: &'a Host, hostname: &str, timeout: Duration) -> Self {
        Self { host, classifier: Classifier::new(hostname), sshd: None, sshd_required: false, windows: None, timeout }
    }

    /// Watches until it is known. An error means that the watching failed, or was interrupted.
    pub fn run(mut self, machine: &mut dyn Watched, log: &mut Log) -> Result<Seen> {
        let begin = Instant::now();
        let mut state = State::default();
        loop {
            self.host.check_cancelled()?;
            let ended = self.look(machine, log, &mut state, begin)?;
            if let Some((verdict, reason, mut line)) = ended {
                if verdict != VerdictKind::Passed {
                    machine.ended()?;
                    self.afterwords(machine, log, &mut state, &mut line);
                }
                let unfinished = state.terminal.unfinished();
                log.line(&unfinished);
                let State { banner, screen, by, complaints, .. } = state;
                let mut more = Vec::new();
                if verdict == VerdictKind::Failed {
                    more.extend(complaints.iter().map(|line| Evidence::new("console", shown(line))));
                }
                if let Some(windows) = &self.windows {
                    more.extend(windows.evidence(by));
                    let rows = screen.as_deref().unwrap_or_default();
                    if verdict == VerdictKind::Failed && by == Witness::Console {
                        line = line.map(|line| windows::with_code(&line, rows));
                    }
                }
                return Ok(Seen { verdict, reason, by, line, banner, screen, more });
            }
            machine.wait(TICK);
        }
    }

    /// Lets the console finish what it says, and `line` with it.
    fn afterwords(&self, machine: &mut dyn Watched, log: &mut Log, state: &mut State, line: &mut Option<String>) {
        let (silence, longest) = AFTERWORDS;
        let begin = Instant::now();
        let mut heard = begin;
        let mut buffer = [0; 16 << 10];
        while heard.elapsed() < silence && begin.elapsed() < longest && !self.host.cancelled() {
            machine.wait(TICK);
            let read = machine.console(&mut buffer);
            if read > 0 {
                heard = Instant::now();
            } else if !matches!(machine.ended(), Ok(None)) {
                return;
            }
            state.terminal.feed(&buffer[..read], |whole| {
                log.line(whole);
                if let Some(line) = line.as_mut().filter(|line| whole.starts_with(line.as_str())) {
                    *line = whole.to_owned();
                }
            });
        }
    }

    /// Hears every witness once.
    fn look(
        &mut self,
        machine: &mut dyn Watched,
        log: &mut Log,
        state: &mut State,
        begin: Instant,
    ) -> Result<Option<Ending>> {
        let mut sign = self.console(machine, log, state);
        if sign.is_none() {
            sign = self.screen(machine, state);
        }
        if let (None, Some(windows)) = (&sign, &mut self.windows) {
            let picture = || Picture::parse(&machine.picture().ok()?);
            sign = windows.look(picture, Instant::now());
            if let (Some((sign, _)), None) = (&sign, &state.login) {
                state.by = windows::witness(sign.reason);
            }
        }
        match sign {
            Some((sign, line)) if !sign.up => return Ok(Some((VerdictKind::Failed, sign.reason, Some(line)))),
            Some((sign, line)) if state.login.is_none() => state.login = Some((sign, line, Instant::now())),
            _ => {}
        }
        let resets = state.resets;
        let event = events(machine, state);
        if let (Some(windows), true) = (&mut self.windows, state.resets > resets) {
            windows.restarted(Instant::now());
        }
        if let Some((reason, line)) = event {
            return Ok(Some((VerdictKind::Failed, reason, Some(line))));
        }
        if state.banner.is_none() {
            let banner = self.sshd.as_mut().and_then(Service::poll);
            // Inside an initramfs a dropbear may wait for a passphrase: no sign of a finished boot unless asked for.
            state.banner = banner.filter(|banner| self.sshd_required || !banner.contains("dropbear"));
        }
        if let Some(words) = machine.ended()? {
            return Ok(Some((VerdictKind::Failed, "qemu-died", Some(words))));
        }
        match (&state.login, &state.banner) {
            (Some((sign, line, _)), banner) if banner.is_some() || !self.sshd_required => {
                return Ok(Some((VerdictKind::Passed, sign.reason, Some(line.clone()))));
            }
            (None, Some(_)) => return Ok(Some((VerdictKind::Passed, "sshd", None))),
            (Some((_, line, since)), None) if since.elapsed() > SSHD_AFTER_LOGIN => {
                return Ok(Some((VerdictKind::Failed, "sshd-silent", Some(line.clone()))));
            }
            _ => {}
        }
        if begin.elapsed() > self.timeout {
            return Ok(Some(self.too_late(log, state)));
        }
        Ok(None)
    }

    /// The time is over.
    fn too_late(&self, log: &Log, state: &mut State) -> Ending {
        if let Some((_, line, _)) = &state.login {
            return (VerdictKind::Failed, "sshd-silent", Some(line.clone()));
        }
        let last = Some(log.last().to_owned()).filter(|line| !line.is_empty());
        let Some(windows) = &self.windows else { return (VerdictKind::Failed, "timeout", last) };
        if let Some((sign, line)) = windows.so_far() {
            state.by = windows::witness(sign.reason);
            return match self.sshd_required {
                false => (VerdictKind::Passed, sign.reason, Some(line)),
                true => (VerdictKind::Failed, "sshd-silent", Some(line)),
            };
        }
        let shows = windows.shows();
        state.by = if shows.is_some() { Witness::Picture } else { Witness::Console };
        (VerdictKind::Inconclusive, "timeout", shows.or(last))
    }

    /// All that the serial console has to say now.
    fn console(&self, machine: &mut dyn Watched, log: &mut Log, state: &mut State) -> Option<(Sign, String)> {
        let mut buffer = [0; 16 << 10];
        let mut found: Option<(Sign, String)> = None;
        let begin = Instant::now();
        // A guest that never stops talking must not keep the other witnesses from being heard.
        while begin.elapsed() < LONGEST_SPEECH {
            let read = machine.console(&mut buffer);
            if read == 0 {
                break;
            }
            let State { terminal, complaints, .. } = state;
            terminal.feed(&buffer[..read], |line| {
                log.line(line);
                if is_complaint(line) && complaints.len() < COMPLAINTS && !complaints.iter().any(|known| known == line)
                {
                    complaints.push(line.to_owned());
                }
                if let Some(sign) = self.judge(line, true) {
                    found.get_or_insert((sign, line.to_owned()));
                }
            });
        }
        found.or_else(|| {
            let line = state.terminal.unfinished();
            self.judge(&line, false).map(|sign| (sign, line))
        })
    }

    /// What a line proves of this guest.
    fn judge(&self, line: &str, ended: bool) -> Option<Sign> {
        let windows = self.windows.as_ref().and_then(|_| windows::down(line));
        windows.map(|reason| Sign { up: false, reason }).or_else(|| self.classifier.line(line, ended))
    }

    /// The text on the screen, when it is time to read it. The last line is the one the cursor stands in.
    fn screen(&self, machine: &mut dyn Watched, state: &mut State) -> Option<(Sign, String)> {
        if state.screen_read.is_some_and(|read| read.elapsed() < SCREEN_EVERY) {
            return None;
        }
        state.screen_read = Some(Instant::now());
        let rows = screen::decode(&machine.text_page()?)?;
        let last = rows.iter().rposition(|row| !row.is_empty())?;
        let found = rows[..=last]
            .iter()
            .enumerate()
            .find_map(|(index, row)| self.judge(row, index != last).map(|sign| (sign, row.clone())));
        state.screen = Some(rows);
        found
    }
}

/// What the machine reported: resets that the guest asked for, a shutdown, a panic.
fn events(machine: &mut dyn Watched, state: &mut State) -> Option<(&'static str, String)> {
    while let Some(event) = machine.event() {
        match event {
            Event::Reset => {
                state.resets += 1;
                state.login = None;
                if state.resets > RESETS {
                    return Some(("reboot-loop", format!("the guest reset itself {} times", state.resets)));
                }
            }
            Event::PoweredOff => return Some(("powered-off", "the guest switched itself off".to_owned())),
            Event::Panicked => {
                return Some(("panic", "the guest reported a panic to its pvpanic device".to_owned()));
            }
        }
    }
    None
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;

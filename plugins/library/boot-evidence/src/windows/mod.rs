//! The witnesses of a Windows, which writes to no console: its guest agent, its services, and the looks of its screen.

mod codes;
mod face;
mod ink;
mod look;
mod qr;
mod still;
#[cfg(test)]
mod tests;
mod text;

use std::time::{Duration, Instant};

use vmdk2kvm_plugin_api::model::{Evidence, OsFamily, TestRequest};

pub use look::{Look, look};
use still::Still;
pub(crate) use text::{down, with_code};

use crate::agent::Agent;
use crate::classify::Sign;
use crate::picture::Picture;
use crate::seen::Witness;
use crate::service::{Protocol, Service};
use crate::text::shown;

/// The reason of an agent that answers.
const AGENT: &str = "guest-agent";
/// How often a picture is taken.
const PICTURE_EVERY: Duration = Duration::from_secs(2);
/// Before it, the recovery environment shows a picture, too.
const BUILD_OF_8: u32 = 9200;
/// A first start that is not over is waited for so long after the agent's first word.
const FIRST_START: Duration = Duration::from_secs(300);
/// An agent that is to come speaks within this time of another sign, even translated on a busy machine.
const AGENT_AFTER_SIGN: Duration = Duration::from_secs(120);

/// The guest is a Windows, as its disks say.
pub fn is_windows(request: &TestRequest) -> bool {
    request.inspection.as_ref().is_some_and(|inspection| inspection.os.family == OsFamily::Windows)
}

/// The number of its build, the last of its version.
pub fn windows_build(request: &TestRequest) -> Option<u32> {
    request.inspection.as_ref()?.os.version.rsplit('.').next()?.parse().ok()
}

fn answers(system: &str) -> String {
    shown(&format!("the guest agent answers for {system}"))
}

/// Who gives this reason of [`Windows::look`].
pub(crate) fn witness(reason: &str) -> Witness {
    match reason {
        AGENT => Witness::Agent,
        _ if reason == Protocol::Rdp.reason() || reason == Protocol::WinRm.reason() => Witness::Network,
        _ => Witness::Picture,
    }
}

/// What of a Windows can be heard and seen beside its consoles.
#[derive(Debug, Default)]
pub struct Windows {
    agent: Option<Agent>,
    services: Vec<Service>,
    still: Still,
    pictured: Option<Instant>,
    answered: Option<Instant>,
    sign: Option<(Sign, String, Instant)>,
}

impl Windows {
    /// `agent`: its channel, where the machine has one. `services`: forwarded ports and how they are asked. `build`: the number of its
    /// build, where it is known.
    pub fn new(agent: Option<Agent>, services: Vec<Service>, build: Option<u32>) -> Self {
        let signs_in = build.is_some_and(|build| build >= BUILD_OF_8);
        Self { agent, services, still: Still::new(signs_in), ..Self::default() }
    }

    /// The guest began anew: what was seen before does not count.
    pub(crate) fn restarted(&mut self, now: Instant) {
        if let Some(agent) = &mut self.agent {
            agent.restarted(now);
        }
        self.still.restarted();
        (self.answered, self.sign) = (None, None);
    }

    /// Hears and sees everything once. `picture` is asked for one when it is time.
    pub(crate) fn look(&mut self, picture: impl FnOnce() -> Option<Picture>, now: Instant) -> Option<(Sign, String)> {
        let mut seen = None;
        if self.pictured.is_none_or(|taken| now.duration_since(taken) >= PICTURE_EVERY) {
            self.pictured = Some(now);
            seen = picture().and_then(|picture| self.still.see(&picture, now));
        }
        if let Some((sign, line)) = seen {
            if !sign.up {
                return Some((sign, line));
            }
            self.sign.get_or_insert((sign, line, now));
        }
        for service in &mut self.services {
            if let Some(words) = service.poll() {
                let (reason, port) = (service.protocol().reason(), service.protocol().port());
                let line = format!("{words} answers at port {port}");
                self.sign.get_or_insert((Sign { up: true, reason }, line, now));
            }
        }
        if let Some(words) = self.agent_says(now) {
            return Some((Sign { up: true, reason: AGENT }, words));
        }
        let (sign, line, since) = self.sign.as_ref()?;
        // An agent that has begun to speak is heard to its end.
        let waits = self.agent.is_some() && (self.answered.is_some() || now.duration_since(*since) < AGENT_AFTER_SIGN);
        (!waits).then(|| (sign.clone(), line.clone()))
    }

    /// Whom the agent speaks for, once nothing more is to be learned from it.
    fn agent_says(&mut self, now: Instant) -> Option<String> {
        let agent = self.agent.as_mut()?;
        agent.poll(now);
        let system = agent.system()?;
        let late = now.duration_since(*self.answered.get_or_insert(now)) >= FIRST_START;
        (agent.is_done() || late).then(|| answers(system))
    }

    /// The best sign that it came up, though more was waited for.
    pub(crate) fn so_far(&self) -> Option<(Sign, String)> {
        let system = self.agent.as_ref().and_then(Agent::system);
        let agent = system.map(|system| (Sign { up: true, reason: AGENT }, answers(system)));
        agent.or_else(|| self.sign.as_ref().map(|(sign, line, _)| (sign.clone(), line.clone())))
    }

    /// What a report shows beside the line that decides.
    pub(crate) fn evidence(&self, by: Witness) -> Vec<Evidence> {
        let mut evidence = Vec::new();
        let signs =
            self.sign.iter().filter(|(sign, ..)| by != Witness::Network && witness(sign.reason) == Witness::Network);
        evidence.extend(signs.map(|(_, line, _)| Evidence::new("network", line)));
        let Some(agent) = &self.agent else { return evidence };
        let Some(system) = agent.system() else { return evidence };
        if by != Witness::Agent {
            evidence.push(Evidence::new("guest-agent", shown(system)));
        }
        let first_start = match agent.first_start() {
            Some(first_start) => Some(first_start.words()),
            None if agent.is_done() => None,
            None => Some("its result was waited for in vain".to_owned()),
        };
        evidence.extend(first_start.map(|words| Evidence::new("first-start", words)));
        evidence
    }

    /// What the screen looked like last, for people.
    pub(crate) fn shows(&self) -> Option<String> {
        self.still.look().map(|look| look.words().to_owned())
    }
}

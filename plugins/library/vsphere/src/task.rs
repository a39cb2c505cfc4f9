//! Waiting for what a server does in its own time.

use std::time::{Duration, Instant};

use vmdk2kvm_plugin_api::{ErrorKind, Host, PluginError, Result};

use crate::collector;
use crate::fault::Fault;
use crate::request::{Elements, Moref, Request};
use crate::session::{Failed, Session};
use crate::tree::Tree;

/// How soon, and then how often it is looked.
const LOOKS: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(1)];
/// How long a task may take: removing a large snapshot takes hours, and nobody can know how many.
const LIMIT: Duration = Duration::from_secs(12 * 3600);
/// How long a task that was given up may go on.
const GIVEN_UP: Duration = Duration::from_secs(60);

/// The task that a call began.
pub fn of(answer: &Tree) -> Option<Moref> {
    answer.find("returnval").and_then(Moref::of)
}

/// Waits until a task has ended, and gives its result. When the run of `host` is stopped the server is asked to give the task up, and may have
/// ended it all the same: whoever made something looks afterwards. Without a `host` it is waited for whatever happens: what gives back must be done.
pub fn wait(session: &Session, host: Option<&Host>, task: &Moref, what: &str) -> Result<Tree, Failed> {
    let began = Instant::now();
    let mut stopped: Option<Instant> = None;
    for look in 0.. {
        let info = collector::try_read(session, task, &["info"])?;
        let info = info.get("info").cloned().unwrap_or_default();
        let ended = match info.text("state") {
            Some("success") => Some(Ok(info.find("result").cloned().unwrap_or_default())),
            Some("error") => Some(Err(Failed::Fault(Fault::of_task(info.find("error").unwrap_or(&Tree::default()))))),
            _ => None,
        };
        if stopped.is_some_and(|since| ended.is_some() || since.elapsed() > GIVEN_UP) {
            return Err(Failed::Unheard(PluginError::interrupted()));
        }
        if let Some(ended) = ended {
            return ended;
        }
        if let (Some(host), Some(percent)) = (host, info.number("progress")) {
            host.progress(what, percent, 100);
        }
        if stopped.is_none() && host.is_some_and(Host::cancelled) {
            let _ = session.order(&Request::new("CancelTask", task, Elements::new()));
            stopped = Some(Instant::now());
        }
        if began.elapsed() > LIMIT {
            let late = format!("{} has not ended it after {} hours", session.server(), LIMIT.as_secs() / 3600);
            return Err(Failed::Unheard(PluginError::new(ErrorKind::Temporary, late)));
        }
        std::thread::sleep(LOOKS[usize::from(look > 3)]);
    }
    unreachable!("the numbers do not end")
}

/// Begins a task by a call that is made once, and waits for it.
pub fn run(session: &Session, host: Option<&Host>, request: &Request, what: &str) -> Result<Tree, Failed> {
    let answer = session.order(request)?;
    let task = of(&answer)
        .ok_or_else(|| Failed::Unheard(PluginError::unusable(format!("{what}: {} began no task", session.server()))))?;
    wait(session, host, &task, what)
}

//! In the plugin's process: loads the plugin, answers calls, and ends when the host does.

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use vmdk2kvm_plugin_api::{ErrorKind, Fetcher, HostServices, PluginError, Result};

use super::channel::Channel;
use super::far_host::FarHost;
use super::home::Home;
use super::message::{Call, FromPlugin, Start, ToPlugin};
use super::serve_lanes::ServedLanes;
use crate::plugins::Loaded;
use crate::plugins::discovery::examine_as;
use crate::worker::{crash, signals};

/// Is the home of one plugin, for as long as the host on standard input wants it. Returns the exit code.
pub fn serve() -> u8 {
    crash::install();
    signals::leave_to_parent();
    let Ok((channel, door)) = take_standard_streams() else { return ErrorKind::Defect.exit_code() };
    let channel = Arc::new(Channel::new(channel));
    let Ok(Some(ToPlugin::Start(start))) = channel.receive() else { return ErrorKind::Usage.exit_code() };
    let host = Arc::new(FarHost::new(Arc::clone(&channel), start.log_level));
    // Loading may ask the host, whose answers are taken below.
    let (loading_channel, loading_host) = (Arc::clone(&channel), Arc::clone(&host));
    let home = Arc::new(Home::default());
    let Ok(lanes) = ServedLanes::start(door, &home, &host) else { return ErrorKind::Io.exit_code() };
    let loading_home = Arc::clone(&home);
    std::thread::spawn(move || {
        let loaded = load(&start, loading_host).map(|fetcher| {
            let has_one = fetcher.is_some();
            loading_home.set_fetcher(fetcher);
            has_one
        });
        // A host that is gone ends this process.
        let _ = loading_channel.send(&FromPlugin::Started(loaded));
    });
    while let Ok(Some(said)) = channel.receive() {
        match said {
            ToPlugin::Call(id, call) => answer(&channel, &home, id, call),
            ToPlugin::Told(id, answer) => host.told(id, answer),
            ToPlugin::Cancel(cancelled) => host.set_cancelled(cancelled),
            ToPlugin::Drop(object) => home.objects.forget(object),
            ToPlugin::Start(_) => break,
        }
    }
    // Calls that are under way have nobody to answer to.
    host.set_cancelled(true);
    lanes.end();
    home.objects.wait_for_the_dropped();
    0
}

/// Keeps the channel and the door for lanes; what else reads standard input finds nothing, and what is printed goes to standard error, which is the log.
fn take_standard_streams() -> std::io::Result<(UnixStream, UnixStream)> {
    let channel = rustix::io::fcntl_dupfd_cloexec(std::io::stdin().as_fd(), 3)?;
    let door = rustix::io::fcntl_dupfd_cloexec(std::io::stdout().as_fd(), 3)?;
    let nothing = std::fs::File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(nothing.as_fd())?;
    rustix::stdio::dup2_stdout(std::io::stderr().as_fd())?;
    Ok((channel.into(), door.into()))
}

fn load(start: &Start, host: Arc<FarHost>) -> Result<Option<Arc<dyn Fetcher>>> {
    let candidate = examine_as(start.path.clone(), start.kind, start.digest.clone(), start.manifest.clone())
        .ok_or_else(|| PluginError::missing("it changed while it was being loaded"))?;
    let loaded = Loaded::load_here(&candidate, host as Arc<dyn HostServices>, &start.settings)?;
    let fetcher = loaded.fetcher()?.map(Arc::from);
    // Never unloaded: its threads live until the process ends.
    std::mem::forget(loaded);
    Ok(fetcher)
}

/// Answers a call on a thread of its own, so that calls go side by side, as they would in the host's process.
fn answer(channel: &Arc<Channel>, home: &Arc<Home>, id: u64, call: Call) {
    let (answering, at_home) = (Arc::clone(channel), Arc::clone(home));
    let what = format!("the answer of {}", call.method());
    let thread = std::thread::Builder::new().name("plugin-call".to_owned()).spawn(move || {
        let answer = at_home.call(call);
        // A host that is gone ends this process.
        let _ = answering.send_answer(&what, answer, |answer| FromPlugin::Answer(id, answer));
    });
    if let Err(error) = thread {
        let error = PluginError::io(format!("no thread could be started in the plugin's process: {error}"));
        let _ = channel.send(&FromPlugin::Answer(id, Err(error)));
    }
}

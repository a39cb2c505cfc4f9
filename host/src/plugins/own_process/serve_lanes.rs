//! In the plugin's process: takes the lanes that the host hands over, and answers on each what is asked there.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;

use vmdk2kvm_plugin_api::{Extent, HostServices, PluginError};

use super::channel::Channel;
use super::far_host::FarHost;
use super::handover;
use super::home::Home;
use super::message::{Ask, Run};
use super::window::WriteWindow;

/// The lanes of this process.
pub(super) struct ServedLanes {
    door: UnixStream,
    taking: JoinHandle<()>,
}

/// A lane, and the thread that answers on it.
struct Lane {
    channel: Weak<Channel>,
    answering: JoinHandle<()>,
}

impl ServedLanes {
    /// Takes lanes from now on.
    pub(super) fn start(door: UnixStream, home: &Arc<Home>, host: &Arc<FarHost>) -> std::io::Result<Self> {
        let (taken_from, home, host) = (door.try_clone()?, Arc::clone(home), Arc::clone(host));
        let taking = std::thread::Builder::new().name("plugin-lanes".to_owned());
        let taking = taking.spawn(move || take_all(&taken_from, &home, &host))?;
        Ok(Self { door, taking })
    }

    /// Takes no more, and waits for the requests under way: what they read from is to hear a goodbye before this process ends.
    pub(super) fn end(self) {
        // A host that is gone has closed it.
        let _ = self.door.shutdown(std::net::Shutdown::Both);
        // The log has the panic of one that did.
        let _ = self.taking.join();
    }
}

fn take_all(door: &UnixStream, home: &Arc<Home>, host: &FarHost) {
    let mut lanes: Vec<Lane> = Vec::new();
    let why = loop {
        match handover::receive(door).and_then(|lane| lane.map(|lane| begin(lane, home)).transpose()) {
            Ok(Some(lane)) => lanes.push(lane),
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
        lanes.retain(|lane| !lane.answering.is_finished());
    };
    if let Some(why) = why {
        host.warn(&format!("its disks cannot be read any more: {why}"));
        // The host is not to wait for an answer on a lane that nobody takes.
        let _ = door.shutdown(std::net::Shutdown::Both);
    }
    for lane in lanes {
        if let Some(channel) = lane.channel.upgrade() {
            channel.close();
        }
        // The log has the panic of one that did.
        let _ = lane.answering.join();
    }
}

fn begin([socket, memory]: [OwnedFd; 2], home: &Arc<Home>) -> std::io::Result<Lane> {
    let mut window = WriteWindow::new(&memory)?;
    let lane = Arc::new(Channel::new(socket.into()));
    let (channel, home) = (Arc::downgrade(&lane), Arc::clone(home));
    let answering = std::thread::Builder::new().name("plugin-lane".to_owned());
    let answering = answering.spawn(move || {
        while let Ok(Some(ask)) = lane.receive() {
            if answer(&lane, &home, window.bytes(), ask).is_err() {
                break;
            }
        }
    })?;
    Ok(Lane { channel, answering })
}

fn answer(lane: &Channel, home: &Home, window: &mut [u8], ask: Ask) -> std::io::Result<()> {
    match ask {
        Ask::Read { source, offset, length } => {
            let read = home.source(source).and_then(|source| {
                let buffer = window.get_mut(..length as usize).ok_or_else(too_long)?;
                source.read_at(offset, buffer).map(|read| read as u64)
            });
            lane.send_answer("the answer of BlockSource::read_at", read, std::convert::identity)
        }
        Ask::Extents { source, offset, length } => {
            let extents = home.source(source).and_then(|source| source.extents(offset, length));
            let runs = extents.map(runs);
            lane.send_answer("the answer of BlockSource::extents", runs, std::convert::identity)
        }
    }
}

fn runs(extents: Vec<Extent>) -> Vec<Run> {
    extents.into_iter().map(|extent| (extent.length, extent.kind.into())).collect()
}

fn too_long() -> PluginError {
    PluginError::defect("the host asks for more than a window holds")
}

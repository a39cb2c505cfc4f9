//! A running qemu as the library that judges a boot looks at it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::{Value, json};
use vmdk2kvm_boot_evidence::{Event, TEXT_PAGE_ADDRESS, TEXT_PAGE_BYTES, Watched};
use vmdk2kvm_plugin_api::{PluginError, Result};

use crate::machine::{Running, killed_error};

/// A machine, and a private folder through which its monitor hands things over.
pub struct Window<'a> {
    /// The machine.
    pub running: &'a mut Running,
    /// The test's own folder.
    pub folder: &'a Path,
    /// Whether to stop waiting for the monitor.
    pub stop: &'a dyn Fn() -> bool,
}

impl Watched for Window<'_> {
    fn console(&mut self, buffer: &mut [u8]) -> usize {
        self.running.console(buffer)
    }

    fn wait(&self, longest: Duration) {
        let console = self.running.console_fd();
        let longest = Timespec::try_from(longest).ok();
        // A signal that ends the wait early does no harm.
        let _ = poll(&mut [PollFd::new(&console, PollFlags::IN)], longest.as_ref());
    }

    fn event(&mut self) -> Option<Event> {
        // What the guest did not do itself is of no interest, nor what the monitor has to say beside.
        std::iter::from_fn(|| self.running.event()).find_map(|event| told(&event))
    }

    fn text_page(&mut self) -> Option<Vec<u8>> {
        let file = self.folder.join("text-page");
        let arguments = json!({ "val": TEXT_PAGE_ADDRESS, "size": TEXT_PAGE_BYTES, "filename": file });
        self.running.call("pmemsave", arguments, self.stop).ok()?;
        fs::read(&file).ok()
    }

    fn picture(&mut self) -> Result<Vec<u8>> {
        // Every qemu writes PPM; PNG is known to newer ones only.
        let file = self.folder.join("screen.ppm");
        self.running
            .call("screendump", json!({ "filename": file }), self.stop)
            .map_err(|error| PluginError::io(format!("the screen could not be saved: {error}")))?;
        fs::read(&file).map_err(|error| PluginError::from_io(file.display(), &error))
    }

    fn ended(&mut self) -> Result<Option<String>> {
        if self.running.was_killed() { Err(killed_error()) } else { Ok(self.running.died()) }
    }
}

/// The event of a guest that the monitor tells of.
fn told(event: &Value) -> Option<Event> {
    match event["event"].as_str()? {
        "RESET" if event["data"]["guest"] == true => Some(Event::Reset),
        "SHUTDOWN" => Some(Event::PoweredOff),
        "GUEST_PANICKED" => Some(Event::Panicked),
        _ => None,
    }
}

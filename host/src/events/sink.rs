//! `EventSink`: the one place events are sent to, and `Reporter`, what receives them.

use std::sync::{Arc, Mutex, PoisonError};

use super::Event;

/// Receives every event of a run, in order. A reporter never fails the run: what it cannot write it gives up.
pub trait Reporter: Send {
    /// Takes an event.
    fn event(&mut self, event: &Event);
}

/// Where events are sent. Clones share the same reporters; may be used from any thread.
#[derive(Clone, Default)]
pub struct EventSink {
    reporters: Arc<Mutex<Vec<Box<dyn Reporter>>>>,
}

impl EventSink {
    /// A sink that feeds these reporters, in this order.
    pub fn new(reporters: Vec<Box<dyn Reporter>>) -> Self {
        Self { reporters: Arc::new(Mutex::new(reporters)) }
    }

    /// Adds a reporter; it gets the events from now on.
    pub fn add(&self, reporter: Box<dyn Reporter>) {
        self.reporters.lock().unwrap_or_else(PoisonError::into_inner).push(reporter);
    }

    /// Sends an event to every reporter, and returns when all have taken it.
    pub fn emit(&self, event: Event) {
        for reporter in self.reporters.lock().unwrap_or_else(PoisonError::into_inner).iter_mut() {
            reporter.event(&event);
        }
    }

    /// Sends a warning.
    pub fn warn(&self, message: impl Into<String>) {
        self.emit(Event::Warning { message: message.into() });
    }
}

/// Keeps every event, for tests and for building a report.
#[derive(Clone, Default)]
pub struct Recorder {
    events: Arc<Mutex<Vec<Event>>>,
}

impl Recorder {
    /// What was recorded so far, oldest first.
    pub fn events(&self) -> Vec<Event> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Reporter for Recorder {
    fn event(&mut self, event: &Event) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push(event.clone());
    }
}

//! Judges what a booting guest shows, whoever runs it.
//!
//! A tester gives its machine as a [`Watched`]; [`Watch`] hears the serial console ([`Terminal`], [`Classifier`]), the text on the screen,
//! the machine's events, an sshd ([`Service`]) and what a [`Windows`] shows beside, until it is known whether the guest came up. [`Log`] and
//! [`Picture`] keep what was seen.
//! Nothing here starts a machine or knows what runs it; a guest's words are bounded, and escaped before they are shown.
#![warn(missing_docs)]

mod agent;
mod classify;
mod first_start;
mod log;
mod picture;
mod screen;
mod seen;
mod service;
mod terminal;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod text;
mod watch;
mod windows;

pub use agent::Agent;
pub use classify::{Classifier, Sign};
pub use log::{LOG, Log};
pub use picture::{PICTURE, Picture, save};
pub use screen::{TEXT_PAGE_ADDRESS, TEXT_PAGE_BYTES};
pub use seen::{Seen, Witness};
pub use service::{Protocol, Service};
pub use terminal::Terminal;
pub use text::shown;
pub use watch::{Event, Watch, Watched};
pub use windows::{Look, Windows, is_windows, look, windows_build};

//! Judges what a booting guest shows, whoever runs it.
//!
//! A tester gives its machine as a [`Watched`]; [`Watch`] hears the serial console ([`Terminal`], [`Classifier`]), the text on the screen,
//! the machine's events and an sshd ([`Service`]) until it is known whether the guest came up. [`Log`] and [`save`] keep what was seen.
//! Nothing here starts a machine or knows what runs it; a guest's words are bounded, and escaped before they are shown.
#![warn(missing_docs)]

mod classify;
mod log;
mod screen;
mod seen;
mod service;
mod terminal;
mod text;
mod watch;

pub use classify::{Classifier, Sign};
pub use log::{LOG, Log};
pub use screen::{PICTURE, TEXT_PAGE_ADDRESS, TEXT_PAGE_BYTES, save};
pub use seen::Seen;
pub use service::Service;
pub use terminal::Terminal;
pub use text::shown;
pub use watch::{Event, Watch, Watched};

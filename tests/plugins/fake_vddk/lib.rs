//! A fake of VDDK for tests: a library with the functions that are used of it, named as it is, which serves raw
//! files from a folder. Nothing of the vendor's is in it; it was never held against the real one. It is strict
//! where that one is said to be strict: whoever breaks a rule finds the process aborted, with a line that says
//! which.
//!
//! `FAKE_VDDK_ROOT` is the folder: `now/DATASTORE/PATH` has the disks of VMs that are off,
//! `SNAPSHOT/DATASTORE/PATH` those of a snapshot, `held/DATASTORE/PATH` those of any other snapshot.
//! `FAKE_VDDK_SERVER` (host:port), `FAKE_VDDK_THUMBPRINT`, `FAKE_VDDK_USER` and `FAKE_VDDK_PASSWORD` (files)
//! are what it has to be told right. `FAKE_VDDK_FAULT` is a fault, see `fault`. `FAKE_VDDK_NOTES` is a file
//! that gets a line for each call that counts.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod core;
mod fault;
mod reads;
mod rules;
mod say;
mod since_67;

/// As which version the record of a disk's facts is made.
const IS_OLD: bool = false;

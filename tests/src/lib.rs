//! What the whole tests share: the program as a user runs it, the lab's guests, a guest that is booted and logged into.
//!
//! Every test here runs the real binary with the real plugins. A tool that is missing fails the test by name.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod bad;
mod browser;
mod clean_root;
mod esxi;
pub mod esxi_disk;
mod exporter;
mod grow;
mod guest;
mod lab;
mod libvirtd;
mod live;
mod loop_device;
mod many;
mod matrix;
mod nested;
mod peer;
mod planted;
mod program;
mod release;
mod repository;
mod room;
mod running;
mod site;
mod slurm;
mod small_disk;
mod turn;
mod vcenter;
mod windows;
pub mod windows_run;
mod yard;

pub use bad::{Library, lone_program, misbehaving, private_folder};
pub use browser::looks_well;
pub use clean_root::CleanRoot;
pub use esxi::Esxi;
pub use exporter::Exporter;
pub use grow::grown_model;
pub use guest::{Booted, boot, is_whole};
pub use lab::{LabGuest, digest, lab, lab_files};
pub use libvirtd::{Libvirtd, open_for_driver};
pub use live::{Relay, Tree, snapshot};
pub use loop_device::LoopDevice;
pub use many::{Many, most_at_once, started};
pub use matrix::{lives_on, planned_without_an_appliance, same_plans};
pub use nested::{nested_environment, nested_target, patient, tested_and_built};
pub use planted::Planted;
pub use program::{Outcome, alone, binary, command, example, outcome, plugin_folder, run, run_with};
pub use release::Release;
pub use repository::{Repository, installs_and_migrates_on, make_packages};
pub use room::{Room, STAGES, contents, names};
pub use running::{Running, Signal, processes, send};
pub use site::{By, DISK, Site, disk_name, noise, uri_path, vm};
pub use slurm::{Slurm, Task};
pub use small_disk::SmallDisk;
pub use vcenter::Vcenter;
pub use windows::{Beside, Inside, PhonyWindows, write_inside};
pub use yard::Yard;

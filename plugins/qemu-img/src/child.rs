//! One run of the program: its output handed on as it comes, and how it ended.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

use vmdk2kvm_child::{Failure, Limits, Stream};
use vmdk2kvm_plugin_api::Host;

use crate::failure::Failed;

/// Runs `program` and gives its standard output to `output` as it comes.
pub fn run(program: &Path, arguments: &[String], host: &Host, mut output: impl FnMut(&[u8])) -> Result<(), Failed> {
    let mut command = Command::new(program);
    // Complaints are told apart by their text.
    command.args(arguments).env("LC_ALL", "C");
    let stop = || host.cancelled();
    let ended = vmdk2kvm_child::run(&mut command, &Limits { time: None, stop: &stop }, |stream, bytes| {
        if stream == Stream::Output {
            output(bytes);
        }
    });
    let ended = ended.map_err(|failure| match failure {
        Failure::Stopped | Failure::Late(_) => Failed::Interrupted,
        Failure::Start(error) | Failure::Streams(error) => Failed::Run(error),
    })?;
    match (ended.status.code(), ended.status.signal()) {
        (Some(0), _) => Ok(()),
        (Some(code), _) => Err(Failed::Exit { code, stderr: ended.stderr }),
        (None, signal) => Err(Failed::Signal(signal.unwrap_or_default())),
    }
}

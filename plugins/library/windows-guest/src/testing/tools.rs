//! Programs that make what a test reads.

use std::io::{ErrorKind, Write};
use std::process::{Command, Stdio};

/// Runs a program with this input, and gives its output. Panics with the program's words when it fails, and with its name when it is missing.
pub fn run(program: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut command = Command::new(program);
    let command = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| match error.kind() {
        ErrorKind::NotFound => panic!("{program} is missing: install the package {program}"),
        _ => panic!("{program}: {error}"),
    });
    // The inputs are small: they fit into the pipe.
    child.stdin.take().into_iter().for_each(|mut pipe| pipe.write_all(input).expect("a program that reads its input"));
    let output = child.wait_with_output().expect("a program that ends");
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

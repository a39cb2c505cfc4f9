//! Commands on files.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use rustix::process::{Pid, Signal, getppid, kill_process};

use crate::faults::{self, Fault};
use crate::{Bad, Done, Host, vim};

/// `cat`.
pub fn cat(host: &Host, path: &str) -> Done {
    let file = open(host, "cat", path)?;
    send(host, "cat", path, file, u64::MAX)
}

/// `dd if=F bs=N skip=N count=N`; what it did it says as a host does.
pub fn dd(host: &Host, options: &[&str]) -> Done {
    let get = |name: &str| options.iter().find_map(|option| option.strip_prefix(name)?.strip_prefix('='));
    let number = |name: &str| get(name).and_then(|text| text.parse::<u64>().ok());
    let (Some(path), Some(size), 4) = (get("if"), number("bs"), options.len()) else {
        return Err(Bad::new("dd: bad usage"));
    };
    let (Some(skip), Some(count)) = (number("skip"), number("count")) else { return Err(Bad::new("dd: bad usage")) };
    // A host's memory for a shell is small.
    if size > 1 << 20 || size * count > 64 << 20 {
        return Err(Bad::new("dd: out of memory"));
    }
    let mut file = open(host, "dd", path)?;
    file.seek(SeekFrom::Start(size * skip)).unwrap();
    send(host, "dd", path, file, size * count)?;
    eprintln!("{count}+0 records in\n{count}+0 records out");
    Ok(())
}

/// `stat -L -c '%s %Y %F'`.
pub fn stat(host: &Host, path: &str) -> Done {
    if let Some(Fault::Says(words)) = faults::next(host, "stat", path) {
        return Err(Bad::new(format!("stat: {words}")));
    }
    let found = host.file(path).and_then(|file| file.metadata().ok());
    let found = found.ok_or_else(|| Bad::new(format!("stat: can't stat '{path}': No such file or directory")))?;
    let kind = if found.is_dir() { "directory" } else { "regular file" };
    println!("{} {} {kind}", found.len(), found.mtime());
    Ok(())
}

fn open(host: &Host, command: &str, path: &str) -> Result<File, Bad> {
    let cannot = |why: &str| Bad::new(format!("{command}: can't open '{path}': {why}"));
    let file = host.file(path).filter(|file| file.is_file()).ok_or_else(|| cannot("No such file or directory"))?;
    if vim::is_locked(host, &file) {
        return Err(cannot("Device or resource busy"));
    }
    File::open(&file).map_err(|_| cannot("Permission denied"))
}

/// Sends bytes, or what a fault makes of them.
fn send(host: &Host, command: &str, path: &str, mut file: File, length: u64) -> Done {
    let fault = faults::next(host, command, path);
    if let Some(Fault::Says(words)) = &fault {
        return Err(Bad::new(format!("{command}: can't open '{path}': {words}")));
    }
    let bound = match &fault {
        Some(Fault::Cut(after) | Fault::Status(after) | Fault::Short(after) | Fault::Stall(after)) => *after as u64,
        _ => u64::MAX,
    };
    let mut rest = length.min(bound);
    let mut output = std::io::stdout().lock();
    let mut piece = vec![0; 64 << 10];
    while rest > 0 {
        let wanted = rest.min(piece.len() as u64) as usize;
        let read = file.read(&mut piece[..wanted]).unwrap();
        if read == 0 || output.write_all(&piece[..read]).is_err() {
            break;
        }
        rest -= read as u64;
        if let Some(Fault::Slow(milliseconds)) = fault {
            std::thread::sleep(Duration::from_millis(milliseconds));
        }
    }
    let _ = output.flush();
    match fault {
        Some(Fault::Cut(_)) => {
            // Time for what was sent to arrive: it is the middle of an answer that breaks.
            std::thread::sleep(Duration::from_millis(100));
            end_connection();
            Err(Bad::new("cut"))
        }
        Some(Fault::Status(_)) => Err(Bad::new(format!("{command}: {path}: Input/output error"))),
        Some(Fault::Long(more)) => {
            let _ = output.write_all(&vec![b'x'; more]).and_then(|()| output.flush());
            Ok(())
        }
        Some(Fault::Stall(_)) => {
            let parent = getppid();
            while getppid() == parent {
                std::thread::sleep(Duration::from_millis(50));
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Kills the server's process of this connection: the nearest ancestor that is one.
fn end_connection() {
    let mut pid = getppid();
    while let Some(here) = pid {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", here.as_raw_nonzero())).unwrap_or_default();
        let Some((name, rest)) = stat.split_once(')') else { return };
        if name.contains("sshd") {
            let _ = kill_process(here, Signal::KILL);
            return;
        }
        let parent = rest.split_whitespace().nth(1).and_then(|parent| parent.parse().ok());
        pid = parent.and_then(Pid::from_raw);
    }
}

//! A process by name, as a record keeps it: whether it still lives can be said later, by another process, even when its number was given away again.

use std::fmt;
use std::str::FromStr;

/// A process of some machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    number: u32,
    /// In ticks since the machine started: two processes with one number do not begin in the same one.
    began: u64,
    /// The machine since its start, and the namespace in which the number counts.
    place: String,
}

impl Process {
    /// The process with this number, as long as it lives.
    pub fn of(number: u32) -> Option<Self> {
        Some(Self { number, began: began(number)?, place: place()? })
    }

    /// Whether it has ended. A process of another machine, or of another namespace, is not known to have.
    pub fn has_ended(&self) -> bool {
        place().is_some_and(|here| here == self.place) && began(self.number) != Some(self.began)
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.number, self.began, self.place)
    }
}

impl FromStr for Process {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut words = text.split(' ');
        let (Some(number), Some(began), Some(place), None) = (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(());
        };
        let number = number.parse().map_err(drop)?;
        Ok(Self { number, began: began.parse().map_err(drop)?, place: place.to_owned() })
    }
}

/// When a process began; `None` when there is none that lives. One that only waits for its parent to look has ended.
fn began(number: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
    // The program's name is in brackets, and may hold anything; the state is the first word behind it, the start the twentieth (proc_pid_stat(5)).
    let mut words = text.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = words.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    words.nth(18)?.parse().ok()
}

fn place() -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = std::fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{}/{}", boot.trim(), namespace.to_str()?))
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_process_lives_until_it_has_ended_not_until_it_is_waited_for() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let process = Process::of(child.id()).unwrap();
        assert!(!process.has_ended());
        assert_eq!(process.to_string().parse(), Ok(process.clone()));
        rustix::process::waitid(rustix::process::WaitId::Pid(rustix::process::Pid::from_child(&child)), {
            drop(child.stdin.take());
            rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT
        })
        .unwrap();
        assert!(process.has_ended(), "it is a zombie");
        child.wait().unwrap();
        assert!(process.has_ended());
        assert_eq!(Process::of(process.number), None);
    }

    #[test]
    fn a_number_that_was_given_away_again_is_another_process() {
        let me = Process::of(std::process::id()).unwrap();
        assert!(!me.has_ended());
        assert!(Process { began: me.began - 1, ..me.clone() }.has_ended());
        // What another machine says of its processes cannot be looked up here.
        assert!(!Process { began: me.began - 1, place: "elsewhere".to_owned(), ..me }.has_ended());
        for text in ["", "1", "1 2", "1 2 3 4", "x 2 3"] {
            assert_eq!(text.parse::<Process>(), Err(()), "{text}");
        }
    }
}

//! A program that runs, and the end of it and of all that it started.

use std::io::{Error, Result};
use std::os::unix::process::CommandExt;
use std::process::{ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus};

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, getpid, getppid, ioctl_tiocsctty, kill_process_group,
    set_parent_process_death_signal, setsid, waitid,
};
use rustix::stdio::stdin;

/// "No such process", which is what a child has for a parent that died while it was being started.
const NO_SUCH_PROCESS: i32 = 3;

/// A running program. Dropped, it is ended with all that it started.
#[derive(Debug)]
pub struct Child {
    process: std::process::Child,
    is_gone: bool,
}

impl Child {
    /// Starts the command. Must be called from a thread that lives as long as the program is needed: the kernel sends the
    /// parent-death signal when the thread that started it ends.
    pub fn start(command: &mut Command) -> Result<Self> {
        // Out of the terminal's foreground group: Ctrl-C reaches us, and we stop the program.
        command.process_group(0);
        Self::spawn(command)
    }

    /// Starts the command in a session of its own, whose terminal is its standard input: what it asks a person goes there, and not to ours. The same
    /// holds for the thread.
    pub fn start_on_terminal(command: &mut Command) -> Result<Self> {
        // SAFETY: between fork and exec only two async-signal-safe system calls are made, and nothing is allocated or locked.
        unsafe {
            command.pre_exec(|| {
                // The session begins with a group of the same number, as `start` makes one.
                setsid()?;
                Ok(ioctl_tiocsctty(stdin())?)
            });
        }
        Self::spawn(command)
    }

    fn spawn(command: &mut Command) -> Result<Self> {
        let parent = getpid();
        // SAFETY: between fork and exec only two async-signal-safe system calls are made, and nothing is allocated or locked.
        unsafe {
            command.pre_exec(move || {
                set_parent_process_death_signal(Some(Signal::KILL))?;
                // The parent may have died before the signal was asked for.
                if getppid() == Some(parent) { Ok(()) } else { Err(Error::from_raw_os_error(NO_SUCH_PROCESS)) }
            });
        }
        Ok(Self { process: command.spawn()?, is_gone: false })
    }

    /// Its standard input, if the command asked for a pipe, once.
    pub fn stdin(&mut self) -> Option<ChildStdin> {
        self.process.stdin.take()
    }

    /// Its standard output, likewise.
    pub fn stdout(&mut self) -> Option<ChildStdout> {
        self.process.stdout.take()
    }

    /// Its standard error, likewise.
    pub fn stderr(&mut self) -> Option<ChildStderr> {
        self.process.stderr.take()
    }

    /// Whether the program has ended; what it started may still run.
    pub fn has_ended(&self) -> Result<bool> {
        if self.is_gone {
            return Ok(true);
        }
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let Some(pid) = self.pid() else { return Ok(true) };
        Ok(waitid(WaitId::Pid(pid), options)?.is_some())
    }

    /// Ends whoever is left of its group, and says how the program itself ended.
    pub fn end(&mut self) -> Result<ExitStatus> {
        if let Some(group) = self.pid().filter(|_| !self.is_gone) {
            // The number cannot have passed to others: the program has not been waited for. This fails only when nobody is left.
            let _ = kill_process_group(group, Signal::KILL);
        }
        self.is_gone = true;
        self.process.wait()
    }

    fn pid(&self) -> Option<Pid> {
        i32::try_from(self.process.id()).ok().and_then(Pid::from_raw)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // There is nobody to tell, and no way on.
        let _ = self.end();
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::os::unix::process::ExitStatusExt;
    use std::process::Stdio;
    use std::time::{Duration, Instant};

    use super::*;

    /// A shell that starts another program, tells its number, and waits; and that number.
    fn with_grandchild() -> (Child, String) {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 600 & echo $!; wait"]).stdout(Stdio::piped());
        let mut child = Child::start(&mut command).unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout().unwrap()).read_line(&mut line).unwrap();
        (child, line.trim().to_owned())
    }

    fn runs(pid: &str) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // proc(5): the state follows the name's parenthesis. A dead one waits for init.
        stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
    }

    fn eventually_ends(pid: &str) {
        let begin = Instant::now();
        while runs(pid) {
            assert!(begin.elapsed() < Duration::from_secs(60), "{pid} still runs");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn dropped_it_is_gone_with_all_that_it_started() {
        let (child, grandchild) = with_grandchild();
        assert!(runs(&grandchild) && !child.has_ended().unwrap());
        drop(child);
        eventually_ends(&grandchild);
    }

    #[test]
    fn what_it_left_behind_ends_with_it_and_its_status_is_its_own() {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 600 >/dev/null & echo $!; exit 7"]).stdout(Stdio::piped());
        let mut child = Child::start(&mut command).unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout().unwrap()).read_line(&mut line).unwrap();
        let begin = Instant::now();
        while !child.has_ended().unwrap() {
            assert!(begin.elapsed() < Duration::from_secs(60), "it does not end");
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(child.end().unwrap().code(), Some(7));
        assert_eq!(child.end().unwrap().code(), Some(7), "asked again");
        eventually_ends(line.trim());
    }

    #[test]
    fn what_a_program_asks_its_terminal_it_asks_the_one_that_it_was_given() {
        use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap().into_string().unwrap();
        let theirs = std::fs::File::options().read(true).write(true).open(&name).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "read -r line </dev/tty && echo \"$line\""]).stdin(theirs).stdout(Stdio::piped());
        let mut child = Child::start_on_terminal(&mut command).unwrap();
        std::io::Write::write_all(&mut std::fs::File::from(ours), b"an answer\n").unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "an answer\n");
    }

    #[test]
    fn a_program_that_runs_is_killed_and_one_that_is_not_there_is_an_error() {
        let (mut child, _) = with_grandchild();
        assert_eq!(child.end().unwrap().signal(), Some(Signal::KILL.as_raw()));
        let error = Child::start(&mut Command::new("/no/such/program")).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    }

    #[test]
    fn it_does_not_outlive_us() {
        const ROLE: &str = "CHILD_TEST_PARENT";
        if std::env::var_os(ROLE).is_some() {
            // The second copy of this test, which gets killed.
            let child = Child::start(Command::new("sleep").arg("600")).unwrap();
            println!("\npid={}", child.process.id());
            std::thread::sleep(Duration::from_secs(600));
            return;
        }
        let mut parent = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child::tests::it_does_not_outlive_us", "--nocapture"])
            .env(ROLE, "1")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(parent.stdout.take().unwrap()).lines();
        let pid = lines.map_while(std::result::Result::ok).find_map(|line| Some(line.split_once("pid=")?.1.to_owned()));
        let pid = pid.expect("the parent says which child it has");
        assert!(runs(&pid));
        parent.kill().unwrap();
        parent.wait().unwrap();
        eventually_ends(&pid);
    }
}

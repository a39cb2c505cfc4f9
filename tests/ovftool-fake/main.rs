//! A fake: VMware's ovftool, which is proprietary and cannot be had here. Strict where the real one is strict: options that it does not have, a source without a
//! login, a certificate of another digest are refused; what it exports is a real OVF with a manifest and streamOptimized disks, made by qemu-img. What it
//! serves, and its faults, are in `ovftool.json` beside it.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, reason = "a fake that cannot go on panics")]

mod package;
mod say;

use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};

use say::Say;

/// Every option that is used, and no other.
const OPTIONS: [&str; 8] = [
    "--machineOutput",
    "--acceptAllEulas",
    "--shaAlgorithm",
    "--exportFlags",
    "-o",
    "-n",
    "--sourceSSLThumbprint",
    "--I:sourceSessionTicket",
];

/// What it knows.
pub struct Lab {
    folder: PathBuf,
    all: Value,
}

impl Lab {
    fn open() -> Self {
        let folder = std::env::current_exe().unwrap().parent().unwrap().to_owned();
        let all = serde_json::from_slice(&std::fs::read(folder.join("ovftool.json")).unwrap()).unwrap();
        Self { folder, all }
    }

    fn text(&self, name: &str) -> &str {
        self.all[name].as_str().unwrap_or_default()
    }

    /// Whether it has this fault.
    pub fn has(&self, fault: &str) -> bool {
        self.text("fault") == fault
    }

    fn log(&self, what: &Value) {
        let mut log = std::fs::OpenOptions::new().append(true).create(true).open(self.folder.join("log")).unwrap();
        log.write_all(format!("{what}\n").as_bytes()).unwrap();
    }
}

fn main() -> ExitCode {
    let lab = Lab::open();
    let all: Vec<String> = std::env::args().skip(1).collect();
    lab.log(&json!({"arguments": all, "environment": std::env::vars().map(|(name, _)| name).collect::<Vec<_>>()}));
    let machine = all.iter().any(|it| it == "--machineOutput") && lab.all["human"] != true;
    let say = Say { machine };
    if lab.has("hang") {
        say.progress(1);
        std::thread::sleep(Duration::from_secs(600));
    }
    match run(&lab, &all, &say) {
        Ok(()) => {
            say.result(!lab.has("lies"));
            ExitCode::SUCCESS
        }
        Err(why) => {
            say.error(&why);
            say.result(false);
            ExitCode::from(1)
        }
    }
}

fn run(lab: &Lab, all: &[String], say: &Say) -> Result<(), String> {
    let (options, places): (Vec<&String>, Vec<&String>) = all.iter().partition(|it| it.starts_with('-'));
    let unknown = options.iter().find(|option| !OPTIONS.contains(&option.split('=').next().unwrap()));
    if let Some(unknown) = unknown {
        return Err(format!("Unknown option: '{unknown}'"));
    }
    let get = |name: &str| options.iter().find_map(|option| option.strip_prefix(name)?.strip_prefix('='));
    let [source, target] = places.as_slice() else { return Err("Expected a source and a target".to_owned()) };
    let rest = source.strip_prefix("vi://").ok_or("Unknown source type")?;
    let (user, rest) = rest.split_once('@').map_or((None, rest), |(user, rest)| (Some(user), rest));
    let (server, vm) = rest.split_once("?moref=vim.VirtualMachine:").ok_or("Could not find the VM")?;
    if server != lab.text("server") {
        return Err(format!("Could not resolve {server}"));
    }
    if get("--sourceSSLThumbprint") != Some(lab.text("sha1")) || lab.has("certificate") {
        return Err("SSL error: certificate verify failed, thumbprint mismatch".to_owned());
    }
    log_in(lab, get("--I:sourceSessionTicket"), user)?;
    let disks = lab.all["vms"][vm].as_array().ok_or("Could not find the VM")?;
    let target = Path::new(target.as_str());
    if lab.has("garbage") {
        std::io::stdout().write_all(b"WARNING\n+ \xff\xfe\n\n").unwrap();
    }
    say.progress(0);
    package::export(lab, disks, target, get("-n").unwrap_or("vm"), say)
}

/// By a ticket, once; else by the terminal, again and again until it is right or there is no more.
fn log_in(lab: &Lab, ticket: Option<&str>, user: Option<&str>) -> Result<(), String> {
    if let Some(ticket) = ticket {
        let used = lab.folder.join("tickets");
        let known = std::fs::read_to_string(&used).unwrap_or_default();
        if ticket.is_empty() || known.lines().any(|line| line == ticket) || lab.has("login") {
            return Err("Failed to login with the session ticket".to_owned());
        }
        std::fs::write(used, format!("{known}{ticket}\n")).unwrap();
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        // The real one waits for ever.
        std::thread::sleep(Duration::from_secs(600));
    }
    // Of a session with a terminal of its own: what it asks goes to no other.
    std::fs::File::open("/dev/tty").map_err(|error| format!("no terminal: {error}"))?;
    let mut lines = std::io::stdin().lock().lines();
    let mut ask = |question: &str| {
        print!("{question}");
        std::io::stdout().flush().unwrap();
        lines.next().and_then(Result::ok)
    };
    println!("Enter login information for source vi://{}/", lab.text("server"));
    loop {
        let (Some(name), Some(password)) = (ask("Username: "), ask("Password: ")) else {
            return Err("Failed to login".to_owned());
        };
        println!();
        let is_user = |it: &str| it.replace("%40", "@").replace("%5c", "\\") == lab.text("user");
        let right = name == lab.text("user") && user.is_none_or(is_user);
        if right && password == lab.text("password") && !lab.has("login") {
            return Ok(());
        }
    }
}

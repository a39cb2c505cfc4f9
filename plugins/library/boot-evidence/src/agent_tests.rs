//! The agent's client against a real `qemu-ga` of this machine, and against a fake that says what a real one does not say on demand.
//! Requires: qemu-ga (package qemu-guest-agent).

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use super::*;

/// Polls until it is done, with time that passes ten times as fast; `None` when it is not within so many looks.
fn heard(agent: &mut Agent, looks: u32) -> Option<(Option<String>, Option<String>)> {
    let begin = Instant::now();
    for look in 0..looks {
        agent.poll(begin + Duration::from_millis(10) * look);
        if agent.is_done() {
            return Some((agent.system().map(str::to_owned), agent.first_start().map(FirstStart::words)));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    None
}

/// A fake agent: `answer` gets each command and its path or number, and says what is written back.
fn fake(mut answer: impl FnMut(&str, &Value) -> String + Send + 'static) -> Agent {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    std::thread::spawn(move || {
        let lines = BufReader::new(theirs.try_clone().unwrap()).split(b'\n');
        for line in lines.map_while(Result::ok) {
            let start = line.iter().rposition(|byte| *byte == SENTINEL).map_or(0, |at| at + 1);
            let command: Value = serde_json::from_slice(&line[start..]).unwrap();
            let arguments = &command["arguments"];
            let said = answer(command["execute"].as_str().unwrap(), arguments);
            if theirs.write_all(&latin(&said)).is_err() {
                return;
            }
        }
    });
    Agent::new(ours, Instant::now()).unwrap()
}

/// Text whose letters stand for bytes.
fn latin(text: &str) -> Vec<u8> {
    text.chars().map(|letter| letter as u8).collect()
}

/// A sound answer to a greeting.
fn greeting(arguments: &Value) -> String {
    format!("\u{ff}{{\"return\": {}}}\n", arguments["id"])
}

const REFUSED: &str = "{\"error\": {\"class\": \"GenericError\", \"desc\": \"no\"}}\n";
const DONE: &str = "{\"return\": {}}\n";

fn result(text: &str) -> String {
    format!(
        "{{\"return\": {{\"count\": {}, \"buf-b64\": \"{}\", \"eof\": true}}}}\n",
        text.len(),
        STANDARD.encode(text)
    )
}

#[test]
fn a_first_start_that_runs_is_waited_for() {
    let mut looks = 0;
    let mut agent = fake(move |command, arguments| match command {
        // Left from somebody who asked before.
        "guest-sync-delimited" => {
            format!("{{\"return\": 7}}\nhalf a li\u{ff}{{\"return\": 999}}\n{}", greeting(arguments))
        }
        "guest-get-osinfo" => {
            "{\"return\": {\"id\": \"mswindows\", \"pretty-name\": \"Windows Server 2019\"}}\n".to_owned()
        }
        "guest-file-open" if arguments["path"] == RUNNING => "{\"return\": 1001}\n".to_owned(),
        "guest-file-open" => {
            assert_eq!((&arguments["path"], &arguments["mode"]), (&json!(RESULT), &json!("r")));
            looks += 1;
            if looks < 3 { REFUSED.to_owned() } else { "{\"return\": 1000}\n".to_owned() }
        }
        "guest-file-read" => {
            assert_eq!(arguments["handle"], 1000);
            result(
                "{\"schema\":1,\"runs\":1,\"steps\":[{\"name\":\"agent\",\"code\":0},{\"name\":\"end\",\"code\":0}]}",
            )
        }
        "guest-file-close" => DONE.to_owned(),
        other => panic!("{other}"),
    });
    let found = heard(&mut agent, 60_000).unwrap();
    assert_eq!(found, (Some("Windows Server 2019".to_owned()), Some("1 of 1 steps done".to_owned())));
}

#[test]
fn an_old_agent_without_a_first_start_is_there_all_the_same() {
    let mut agent = fake(|command, arguments| match command {
        "guest-sync-delimited" => greeting(arguments),
        _ => REFUSED.to_owned(),
    });
    let found = heard(&mut agent, 60_000).unwrap();
    assert_eq!(found, (Some("a system that it does not name".to_owned()), None));
}

#[test]
fn what_is_no_agent_is_never_taken_for_one() {
    let table = [
        "{\"return\": 1}\n".to_owned(),
        "\u{ff}{\"return\": 4711}\n".to_owned(),
        "\u{ff}{\"error\": {\"desc\": \"no\"}}\n".to_owned(),
        "\u{ff}\u{ff}\n\n[]\nnull\n\u{ff}\"x\"\n".to_owned(),
        "x".repeat(3 << 20),
    ];
    for said in table {
        let mut agent = fake({
            let said = said.clone();
            move |_, _| said.clone()
        });
        assert_eq!(heard(&mut agent, 1500), None);
        assert_eq!(agent.system(), None, "{:.40}", said);
        assert!(agent.heard.len() <= LONGEST_LINE + (16 << 10) && agent.unsent.len() <= 2 * LONGEST_LINE);
    }
}

#[test]
fn a_restart_makes_it_ask_anew() {
    let mut agent = fake(|command, arguments| match command {
        "guest-sync-delimited" => greeting(arguments),
        _ => REFUSED.to_owned(),
    });
    heard(&mut agent, 60_000).unwrap();
    agent.restarted(Instant::now());
    assert_eq!((agent.system(), agent.is_done()), (None, false));
    assert!(heard(&mut agent, 60_000).is_some());
}

/// A `qemu-ga` of this machine. On Linux the paths of Windows are names of files in the folder where it runs.
#[test]
fn a_real_agent_is_heard() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(
        at(RESULT),
        "{\"schema\":1,\"runs\":2,\"steps\":[\r\n{\"name\":\"network\",\"code\":3},\r\n{\"name\":\"end\",\"code\":0}]}",
    )
    .unwrap();
    let mut child = Command::new("qemu-ga")
        .args(["-m", "unix-listen", "-p"])
        .arg(at("socket"))
        .arg("-t")
        .arg(folder.path())
        .arg("-f")
        .arg(at("pid"))
        .current_dir(folder.path())
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .stderr(Stdio::null())
        .spawn()
        .expect("qemu-ga is installed");
    let begin = Instant::now();
    let stream = loop {
        match UnixStream::connect(at("socket")) {
            Ok(stream) => break stream,
            Err(error) => assert!(begin.elapsed() < Duration::from_secs(60), "{error}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let found = heard(&mut Agent::new(stream, Instant::now()).unwrap(), 60_000);
    child.kill().unwrap();
    child.wait().unwrap();
    let (system, first_start) = found.unwrap();
    assert_eq!(first_start.as_deref(), Some("0 of 1 steps done; network ended with 3"));
    let name = std::fs::read_to_string("/etc/os-release").unwrap();
    assert!(name.contains(&system.unwrap()), "{name}");
}

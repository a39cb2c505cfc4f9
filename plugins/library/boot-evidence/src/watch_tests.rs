//! Watches of a machine that is a fake: its console, screen and events are the test's, its services are real sockets.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;

use vmdk2kvm_plugin_api::model::Verdict;
use vmdk2kvm_plugin_api::model::VerdictKind::{Failed, Inconclusive, Passed};
use vmdk2kvm_plugin_testing::FakeHost;

use super::*;
use crate::testing::{Screen, paint};
use crate::{Agent, Protocol};

/// A machine that shows one screen.
struct Fake {
    screen: Screen,
    events: VecDeque<Event>,
}

impl Watched for Fake {
    fn console(&mut self, _: &mut [u8]) -> usize {
        0
    }

    fn wait(&self, longest: Duration) {
        std::thread::sleep(longest / 20);
    }

    fn event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn text_page(&mut self) -> Option<Vec<u8>> {
        None
    }

    fn picture(&mut self) -> Result<Vec<u8>> {
        let picture = paint(self.screen, 640, 480, false);
        let head = format!("P6\n{} {}\n255\n", picture.width(), picture.height());
        Ok(head.into_bytes().into_iter().chain(picture.colours().flatten()).collect())
    }

    fn ended(&mut self) -> Result<Option<String>> {
        Ok(None)
    }
}

/// The verdict on a Windows with this screen, these witnesses and so many seconds.
fn verdict(screen: Screen, events: &[Event], windows: Windows, required: bool, seconds: u64) -> Verdict {
    let folder = tempfile::tempdir().unwrap();
    let services = FakeHost::new();
    let host = services.host(serde_json::json!({}));
    let mut watch = Watch::new(&host, "", Duration::from_secs(seconds));
    (watch.windows, watch.sshd_required) = (Some(windows), required);
    let mut machine = Fake { screen, events: events.iter().cloned().collect() };
    let seen = watch.run(&mut machine, &mut Log::create(folder.path()).unwrap()).unwrap();
    seen.verdict("10.0.2.15:22", Some((640, 480)))
}

fn shown(verdict: &Verdict) -> Vec<(&str, &str)> {
    verdict.evidence.iter().map(|evidence| (evidence.kind.as_str(), evidence.detail.as_str())).collect()
}

/// A fake service at a port of its own, which hears a first word and answers.
fn service(protocol: Protocol, answer: &'static [u8]) -> Service {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let heard = stream.read(&mut [0; 64]).unwrap();
            assert!(heard >= 19, "{heard}");
            let _ = stream.write_all(answer);
            std::mem::forget(stream);
        }
    });
    Service::new(protocol, port)
}

/// A fake agent of a Windows without the result of a first start; `script`: what opening the script of one says.
fn agent(script: &'static str) -> Agent {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    std::thread::spawn(move || {
        for line in BufReader::new(theirs.try_clone().unwrap()).split(b'\n').map_while(std::result::Result::ok) {
            let text = String::from_utf8_lossy(&line).trim_start_matches('\u{fffd}').to_owned();
            let command: serde_json::Value = serde_json::from_str(&text).unwrap();
            let mut answer = Vec::new();
            match command["execute"].as_str().unwrap() {
                "guest-sync-delimited" => {
                    answer.push(0xff);
                    answer.extend(format!("{{\"return\":{}}}", command["arguments"]["id"]).into_bytes());
                }
                "guest-get-osinfo" => answer.extend(br#"{"return":{"id":"mswindows","pretty-name":"Windows 11 Pro"}}"#),
                "guest-file-open" if text.contains("result.json") => answer.extend(NO_FILE.bytes()),
                "guest-file-open" => answer.extend(script.bytes()),
                _ => answer.extend(br#"{"return":{}}"#),
            }
            answer.push(b'\n');
            if theirs.write_all(&answer).is_err() {
                return;
            }
        }
    });
    Agent::new(ours, Instant::now()).unwrap()
}

const NO_FILE: &str = r#"{"error":{"class":"GenericError","desc":"no such file"}}"#;
/// Of a first start that never ends.
const RUNS: &str = r#"{"return":5}"#;

#[test]
fn a_remote_desktop_that_answers_passes_with_its_screenshot() {
    let confirm = &[3, 0, 0, 19, 14, 0xd0, 0, 0, 0x12, 0x34, 0, 2, 0x1f, 8, 0, 2, 0, 0, 0];
    let windows = Windows::new(None, vec![service(Protocol::Rdp, confirm)], Some(19045));
    let verdict = verdict(Screen::Spinner, &[], windows, false, 60);
    assert_eq!((verdict.verdict, verdict.reason.as_str()), (Passed, "rdp"));
    let wanted = [
        ("network", "a remote desktop answers at port 3389"),
        ("console", "nothing that decides"),
        ("screenshot", "640 x 480 pixels"),
    ];
    assert_eq!(shown(&verdict), wanted);
}

#[test]
fn an_agent_that_answers_passes() {
    let verdict = verdict(Screen::Spinner, &[], Windows::new(Some(agent(NO_FILE)), Vec::new(), None), false, 60);
    assert_eq!((verdict.verdict, verdict.reason.as_str()), (Passed, "guest-agent"));
    assert_eq!(shown(&verdict)[0], ("guest-agent", "the guest agent answers for Windows 11 Pro"));
}

/// The time ends before what is waited for: what was seen counts.
#[test]
fn a_sign_counts_when_the_time_is_over() {
    let windows = || Windows::new(Some(agent(RUNS)), Vec::new(), None);
    let came_up = verdict(Screen::Spinner, &[], windows(), false, 4);
    assert_eq!((came_up.verdict, came_up.reason.as_str()), (Passed, "guest-agent"));
    assert!(shown(&came_up).contains(&("first-start", "its result was waited for in vain")), "{came_up:?}");
    let without_sshd = verdict(Screen::Spinner, &[], windows(), true, 4);
    assert_eq!((without_sshd.verdict, without_sshd.reason.as_str()), (Failed, "sshd-silent"));
}

#[test]
fn silence_is_inconclusive_and_a_stop_screen_is_not() {
    let nothing = verdict(Screen::Spinner, &[], Windows::new(None, Vec::new(), None), false, 2);
    assert_eq!((nothing.verdict, nothing.reason.as_str()), (Inconclusive, "timeout"));
    let wanted = ("screenshot", "a screen that says nothing by its looks (640 x 480 pixels)");
    assert_eq!(shown(&nothing), [wanted, ("console", "nothing that decides")]);
    let stopped = verdict(Screen::Stop8, &[], Windows::new(None, Vec::new(), None), false, 60);
    assert_eq!((stopped.verdict, stopped.reason.as_str()), (Failed, "stop-screen"));
}

#[test]
fn a_restart_forgets_what_was_seen_and_four_are_a_loop() {
    let resets = [Event::Reset, Event::Reset, Event::Reset, Event::Reset];
    let few = verdict(Screen::Spinner, &resets[..3], Windows::new(Some(agent(NO_FILE)), Vec::new(), None), false, 60);
    assert_eq!((few.verdict, few.reason.as_str()), (Passed, "guest-agent"));
    let many = verdict(Screen::Spinner, &resets, Windows::new(Some(agent(NO_FILE)), Vec::new(), None), false, 60);
    assert_eq!((many.verdict, many.reason.as_str()), (Failed, "reboot-loop"));
}

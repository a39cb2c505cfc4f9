//! A browser that opens the pages of reports: what it says of them, whom it asks for what, and how they look.
//!
//! It is driven by Chromium's DevTools protocol over a pair of pipes: JSON documents, each ended by a NUL.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

/// The width of a phone, in pixels.
const PHONE: u32 = 375;
/// Each way in which people look at a page: width, night, on paper.
const LOOKS: [(u32, bool, bool); 5] =
    [(1280, false, false), (1280, true, false), (PHONE, false, false), (PHONE, true, false), (794, true, true)];

/// Elements that are wider than the place they have, with the page itself.
const SIDEWAYS: &str = "[...document.querySelectorAll('*')].filter(one => one.scrollWidth > one.clientWidth + 1 && one.clientWidth > 0)\
    .map(one => `${one.tagName}.${one.className}: ${one.scrollWidth} in ${one.clientWidth}: ${one.textContent.slice(0, 60)}`)";

/// A browser; gone when dropped.
struct Browser {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// What was said without being asked.
    events: Vec<Value>,
    asked: u32,
    _profile: tempfile::TempDir,
}

impl Browser {
    fn start() -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut shell = Command::new("sh");
        // The pipes of the protocol are its descriptors 3 and 4. As root it has no sandbox of its own; it reads pages that the tests made.
        shell.args(["-c", "exec 3<&0 4>&1 </dev/null >/dev/null; exec \"$@\"", "sh", "chromium-headless-shell"]);
        shell.args(["--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]);
        shell.arg(format!("--user-data-dir={}", profile.path().display()));
        let mut child = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output, events: Vec::new(), asked: 0, _profile: profile }
    }

    fn next(&mut self) -> Value {
        let mut document = Vec::new();
        self.output.read_until(0, &mut document).unwrap();
        assert_eq!(document.pop(), Some(0), "chromium-headless-shell (package chromium-headless-shell) has ended");
        serde_json::from_slice(&document).unwrap()
    }

    /// Asks for something, and waits for the answer.
    fn ask(&mut self, session: Option<&str>, method: &str, params: Value) -> Value {
        self.asked += 1;
        let mut question = json!({"id": self.asked, "method": method, "params": params});
        if let Some(session) = session {
            question["sessionId"] = session.into();
        }
        self.input.write_all(question.to_string().as_bytes()).unwrap();
        self.input.write_all(&[0]).unwrap();
        loop {
            let answer = self.next();
            if answer["id"] == self.asked {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].clone();
            }
            self.events.push(answer);
        }
    }

    fn wait_for(&mut self, method: &str) {
        while !self.events.iter().any(|event| event["method"] == method) {
            let event = self.next();
            self.events.push(event);
        }
    }

    /// Opens a page in one of the ways, and finds nothing wrong with it. Returns its picture.
    fn look(&mut self, page: &Path, (width, night, paper): (u32, bool, bool)) -> Vec<u8> {
        let what = format!("{} at {width} pixels, night: {night}, paper: {paper}", page.display());
        let url = format!("file://{}", page.display());
        let target = self.ask(None, "Target.createTarget", json!({"url": "about:blank"}));
        let attached =
            self.ask(None, "Target.attachToTarget", json!({"targetId": target["targetId"], "flatten": true}));
        let session = attached["sessionId"].as_str().unwrap().to_owned();
        let session = Some(session.as_str());
        for domain in ["Page", "Runtime", "Log", "Network"] {
            self.ask(session, &format!("{domain}.enable"), json!({}));
        }
        let size = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width == PHONE});
        self.ask(session, "Emulation.setDeviceMetricsOverride", size);
        let scheme = json!([{"name": "prefers-color-scheme", "value": if night { "dark" } else { "light" }}]);
        let media = json!({"media": if paper { "print" } else { "screen" }, "features": scheme});
        self.ask(session, "Emulation.setEmulatedMedia", media);
        self.events.clear();
        self.ask(session, "Page.navigate", json!({"url": url}));
        self.wait_for("Page.loadEventFired");

        let mut evaluate = |expression: &str| {
            let answer =
                self.ask(session, "Runtime.evaluate", json!({"expression": expression, "returnByValue": true}));
            answer["result"]["value"].clone()
        };
        assert_eq!(evaluate(SIDEWAYS), json!([]), "{what}: this is to be scrolled sideways");
        assert!(evaluate("document.body.innerText.length").as_u64().unwrap() > 100, "{what}");
        let height = evaluate("document.documentElement.scrollHeight");
        let clip = json!({"x": 0, "y": 0, "width": width, "height": height, "scale": 1});
        let picture = json!({"format": "png", "captureBeyondViewport": true, "clip": clip});
        let picture = self.ask(session, "Page.captureScreenshot", picture);
        let picture = BASE64_STANDARD.decode(picture["data"].as_str().unwrap()).unwrap();

        let bad = ["Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"];
        let complaints: Vec<_> =
            self.events.iter().filter(|event| bad.iter().any(|bad| event["method"] == *bad)).collect();
        assert!(complaints.is_empty(), "{what}: {complaints:#?}");
        let requests = self.events.iter().filter(|event| event["method"] == "Network.requestWillBeSent");
        let asked: Vec<&str> = requests.map(|event| event["params"]["request"]["url"].as_str().unwrap()).collect();
        assert!(asked.contains(&url.as_str()), "{what}: {asked:?}");
        let others: Vec<_> = asked.iter().filter(|asked| **asked != url && !asked.starts_with("data:")).collect();
        assert!(others.is_empty(), "{what}: it asks for {others:?}");
        self.ask(None, "Target.closeTarget", json!({"targetId": target["targetId"]}));
        picture
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A picture's most frequent colour as its mean of red, green and blue, the part of the picture that has it, and the number of colours.
fn colours(picture: &[u8]) -> (u32, f64, usize) {
    let mut reader = png::Decoder::new(picture).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size()];
    let frame = reader.next_frame(&mut pixels).unwrap();
    let samples = frame.color_type.samples();
    assert!(samples >= 3, "{frame:?}");
    let mut counts: HashMap<[u8; 3], usize> = HashMap::new();
    let pixels = pixels[..frame.buffer_size()].chunks(samples);
    let all = pixels.len();
    pixels.for_each(|pixel| *counts.entry([pixel[0], pixel[1], pixel[2]]).or_default() += 1);
    let (most, count) = counts.iter().max_by_key(|(_, count)| **count).unwrap();
    (most.iter().map(|part| u32::from(*part)).sum::<u32>() / 3, *count as f64 / all as f64, counts.len())
}

/// Opens a page of this program as people do: at a desk and on a phone, by day and by night, and on paper. Nothing is to be scrolled sideways,
/// nobody complains, nobody else is asked for anything, and something is to be seen on the right ground. With `VMDK2KVM_TEST_PICTURES` the
/// pictures are kept in that folder.
#[track_caller]
pub fn looks_well(page: &Path) {
    let mut browser = Browser::start();
    for look in LOOKS {
        let picture = browser.look(page, look);
        if let Some(folder) = std::env::var_os("VMDK2KVM_TEST_PICTURES") {
            let (width, night, paper) = look;
            let name = page.file_stem().unwrap().to_str().unwrap();
            let name =
                format!("{name}-{width}{}{}.png", if night { "-night" } else { "" }, if paper { "-paper" } else { "" });
            std::fs::write(Path::new(&folder).join(name), &picture).unwrap();
        }
        let (ground, part, count) = colours(&picture);
        let is_dark = look.1 && !look.2;
        assert!(if is_dark { ground < 64 } else { ground > 200 }, "{look:?}: the ground has {ground}");
        assert!(part < 0.98 && count > 32, "{look:?}: {part:.3} of it has one of {count} colours");
    }
}

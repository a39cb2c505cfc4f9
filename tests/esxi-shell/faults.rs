//! Faults, from `faults.json`: `[{"command": "dd", "path": "-flat", "kind": "cut", "after": 1000, "skip": 1, "count": 2}]`. `command` and `path` are parts of the
//! command's words; `skip` commands are spared, then `count` (1) are not.

use serde_json::Value;

use crate::Host;
use crate::lock::Lock;

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The connection is cut after so many bytes.
    Cut(usize),
    /// The command ends with status 1 after so many bytes.
    Status(usize),
    /// It ends well after so many bytes.
    Short(usize),
    /// It ends well, with so many bytes more than there are.
    Long(usize),
    /// It says nothing more after so many bytes.
    Stall(usize),
    /// So many milliseconds for each 64 KiB.
    Slow(u64),
    /// It fails with these words.
    Says(String),
}

/// The fault of a command on something, if it has one now.
pub fn next(host: &Host, command: &str, on: &str) -> Option<Fault> {
    let _one = Lock::take(&host.root);
    let path = host.root.join("faults.json");
    let mut all: Vec<Value> = serde_json::from_slice(&std::fs::read(&path).unwrap_or_default()).unwrap_or_default();
    let is_part = |fault: &Value, member: &str, of: &str| fault[member].as_str().is_none_or(|part| of.contains(part));
    let at = all.iter().position(|fault| is_part(fault, "command", command) && is_part(fault, "path", on))?;
    let fault = all[at].clone();
    let number = |member: &str, other: u64| fault[member].as_u64().unwrap_or(other);
    let (skip, count) = (number("skip", 0), number("count", 1));
    if skip > 0 {
        all[at]["skip"] = (skip - 1).into();
    } else if count > 1 {
        all[at]["count"] = (count - 1).into();
    } else {
        all.remove(at);
    }
    std::fs::write(&path, Value::from(all).to_string()).unwrap();
    if skip > 0 {
        return None;
    }
    let after = number("after", 0) as usize;
    Some(match fault["kind"].as_str().unwrap() {
        "cut" => Fault::Cut(after),
        "status" => Fault::Status(after),
        "short" => Fault::Short(after),
        "long" => Fault::Long(after),
        "stall" => Fault::Stall(after),
        "slow" => Fault::Slow(number("milliseconds", 1)),
        "says" => Fault::Says(fault["words"].as_str().unwrap().to_owned()),
        other => panic!("{other} is no fault"),
    })
}

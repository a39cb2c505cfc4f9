//! Commands that make interfaces while the network comes up: iproute2, brctl(8), ifenslave(8), vconfig(8).
//!
//! Only what they make over which interface counts; everything else of a command is somebody else's.

use super::graph::{Graph, Kind};

/// Reads a command line, of which `path` speaks.
pub(super) fn read(line: &str, path: &str, graph: &mut Graph) {
    for command in line.split([';', '&', '|']) {
        let words: Vec<&str> = command.split_whitespace().collect();
        // A variable is the interface that is coming up, whose name is known already.
        if words.iter().any(|word| word.contains('$')) {
            continue;
        }
        let program = words.first().and_then(|word| word.rsplit('/').next()).unwrap_or_default();
        match (program, words.get(1..).unwrap_or_default()) {
            ("ip", rest) => ip(rest, path, graph),
            ("brctl", ["addbr", bridge, ..]) => {
                graph.device(bridge, Kind::Bridge, path).active = true;
            }
            ("brctl", ["addif", bridge, ports @ ..]) => made(bridge, Kind::Bridge, ports, path, graph),
            ("ifenslave", [bond, ports @ ..]) => {
                let ports: Vec<&str> = ports.iter().copied().filter(|word| !word.starts_with('-')).collect();
                made(bond, Kind::Bond, &ports, path, graph);
            }
            ("vconfig", ["add", card, id, ..]) => made(&format!("{card}.{id}"), Kind::Vlan, &[card], path, graph),
            _ => {}
        }
    }
}

/// `ip link add [link CARD] [name] NAME type KIND` and `ip link set [dev] PORT master UPPER`.
fn ip(words: &[&str], path: &str, graph: &mut Graph) {
    let words: Vec<&str> = words.iter().copied().skip_while(|word| word.starts_with('-')).collect();
    // Behind `link add`.
    let options = words.get(2..).unwrap_or_default();
    let after = |key: &str| options.iter().position(|word| *word == key).and_then(|at| options.get(at + 1)).copied();
    match words[..] {
        ["link" | "l", "add" | "a", first, ..] => {
            let named = after("name").or(after("dev"));
            let first = if first == "link" { words.get(4).copied() } else { Some(first) };
            let (Some(name), Some(kind)) = (named.or(first), after("type")) else { return };
            let lower: Vec<&str> = after("link").into_iter().collect();
            made(name, Kind::of_word(kind), &lower, path, graph);
        }
        ["link" | "l", "set" | "s", first, ..] => {
            let port = if first == "dev" { words.get(3).copied() } else { Some(first) };
            if let (Some(port), Some(upper)) = (port, after("master")) {
                made(upper, Kind::Virtual, &[port], path, graph);
            }
        }
        _ => {}
    }
}

fn made(name: &str, kind: Kind, lowers: &[&str], path: &str, graph: &mut Graph) {
    let interface = graph.interface(name, path);
    interface.active = true;
    interface.kind = interface.kind.or(Some(kind));
    for lower in lowers {
        graph.stack(name, lower, path);
    }
}

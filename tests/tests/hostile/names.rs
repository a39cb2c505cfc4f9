//! Names inside of files that lead elsewhere: each in every place where a file can name another one.

use std::path::Path;

use crate::case::Case;
use crate::made_by::qcow2;
use crate::made_by::vhd::builder as vhd;
use crate::made_by::vmdk::descriptor;

const OUTSIDE: &str = "is refused: it is a path that leads outside of its folder";
const ABSOLUTE: &str = "is refused: it is an absolute path";
const WINDOWS: &str = "is refused: it is an absolute path of a Windows machine";
const GONE: &str = "there is no such file";
const NO_ARCHIVE: &str = "this is not a supported archive";
const LINK: &str = "it is a symbolic link, which is not followed, not a regular file";
const FIFO: &str = "it is a FIFO, not a regular file";
const THROUGH: &str = "the path leads through a symbolic link, which is not followed";

/// Names, and why each is refused.
const NAMES: &[(&str, &str)] = &[
    ("/etc/passwd", ABSOLUTE),
    ("/dev/zero", ABSOLUTE),
    ("/proc/self/environ", ABSOLUTE),
    ("../secret", OUTSIDE),
    ("./../secret", OUTSIDE),
    ("folder/../../secret", OUTSIDE),
    ("..\\secret", OUTSIDE),
    ("C:\\vm\\base.vmdk", WINDOWS),
    ("link-inside", LINK),
    ("link-outside", LINK),
    ("link-absolute", LINK),
    ("link-loop", LINK),
    ("link-device", LINK),
    ("up/secret", THROUGH),
    ("root/etc/passwd", THROUGH),
    ("folder", "it is a folder, not a regular file"),
    ("fifo", FIFO),
    ("socket", "it is a socket, not a regular file"),
    ("gone", GONE),
    ("plain/under", NO_ARCHIVE),
    ("json:{}", GONE),
    ("nbd:127.0.0.1:10809", GONE),
    ("file:plain", GONE),
    ("-o", GONE),
    ("$(reboot)", GONE),
];

pub fn all() -> Vec<Case> {
    NAMES
        .iter()
        .flat_map(|(name, reason)| cases(name, reason))
        .chain(parents())
        .chain(quotes())
        .chain(sources())
        .collect()
}

/// What the transport says of a name that `from` holds.
fn sentence(from: &str, name: &str, reason: &str) -> String {
    if reason == NO_ARCHIVE {
        format!("DIR/plain: {reason}")
    } else if reason.starts_with("is refused") {
        format!("DIR/{from}: the name '{name}' {reason}")
    } else {
        format!("DIR/{}: {reason}", name.trim_start_matches("./"))
    }
}

fn cases(name: &str, reason: &str) -> Vec<Case> {
    let shown: String = name.chars().flat_map(char::escape_debug).collect();
    let said = sentence("d.vmdk", name, reason);
    let extent = descriptor("vmfs", 1, None, &format!("RW 8 VMFS \"{name}\""));
    let sparse = descriptor("vmfsSparse", 1, None, &format!("RW 8 VMFSSPARSE \"{name}\""));
    let child = descriptor("vmfs", 1, Some((7, name)), "RW 8 ZERO");
    let line = format!("DIR/d.vmdk: extent {shown} (line 10 of the descriptor): {said}");
    let vmx = format!(
        "memsize = \"64\"\nscsi0.present = \"TRUE\"\nscsi0:0.present = \"TRUE\"\nscsi0:0.fileName = \"{name}\"\n"
    );
    vec![
        Case::of("names in a VMDK", &[("d.vmdk", extent.as_bytes())], line.clone()),
        Case::of("names in a VMDK", &[("d.vmdk", sparse.as_bytes())], line),
        Case::of("names in a VMDK", &[("d.vmdk", child.as_bytes())], format!("DIR/d.vmdk: its parent {shown}: {said}")),
        Case::of(
            "names in a VMX",
            &[("d.vmx", vmx.as_bytes())],
            // A name that cannot be one is refused before it is looked for.
            match sentence("d.vmx", name, reason) {
                refused if reason.starts_with("is refused") => refused,
                not_opened => format!("DIR/d.vmx: disk scsi0:0: {not_opened}"),
            },
        ),
    ]
}

/// A quote in a name that a descriptor says: what follows it is not taken for an offset or a device.
fn quotes() -> Vec<Case> {
    ["RW 8 FLAT \"a\"b\" 0", "RW 8 FLAT \"a\" /dev/sda\" 0", "RW 8 VMFS \"\"a\"", "RW 8 SPARSE \"a\"b\""]
        .map(|extent| {
            let said =
                "DIR/d.vmdk: the extent in line 10 of its descriptor has a file name that goes on behind a quote";
            Case::of("names in a VMDK", &[("d.vmdk", descriptor("vmfs", 1, None, extent).as_bytes())], said)
        })
        .into()
}

/// A source that is itself no plain file.
fn sources() -> Vec<Case> {
    let is = |name: &str, what: &str| Case::new("names given", name, format!("DIR/{name}: {what}"), |_: &Path| {});
    vec![is("fifo", "it is a FIFO, not a file or a folder"), is("socket", "it is a socket, not a file or a folder")]
}

/// Parents of the other formats.
fn parents() -> Vec<Case> {
    let qcow2 = |name: &str, format: Option<&str>, sentence: &str| {
        let reached = [LINK, FIFO].contains(&sentence);
        let mut image = qcow2::damaged::image();
        image.backing = Some((name.into(), format.map(String::from)));
        Case::of(
            "names in a QCOW2",
            &[("x.qcow2", &image.build())],
            format!("DIR/{}: {sentence}", if reached { name } else { "x.qcow2" }),
        )
    };
    let protocol = "is a protocol's address, not a file";
    let vhd = |name: &str, sentence: &str| {
        let parent = vhd::Parent { id: 7, relative: name, plain: "" };
        Case::of(
            "names in a VHD",
            &[("x.vhd", &vhd::sparse(1 << 20, 1, Some(&parent), &[]))],
            format!("DIR/x.vhd: {sentence}"),
        )
    };
    vec![
        qcow2("plain", None, "it does not state the format of its backing file 'plain'"),
        qcow2("plain", Some("vmdk"), "its backing file 'plain' has format 'vmdk'; qcow2 and raw are read"),
        qcow2("json:{\"file\":{}}", Some("raw"), &format!("its backing file 'json:{{\\\"file\\\":{{}}}}' {protocol}")),
        qcow2("nbd:127.0.0.1:10809", Some("raw"), &format!("its backing file 'nbd:127.0.0.1:10809' {protocol}")),
        qcow2("../secret", Some("raw"), &format!("the name '../secret' {OUTSIDE}")),
        qcow2("/etc/shadow", Some("raw"), &format!("the name '/etc/shadow' {ABSOLUTE}")),
        qcow2("x.qcow2", Some("qcow2"), "the backing chain comes back to this file"),
        qcow2("link-outside", Some("raw"), LINK),
        qcow2("fifo", Some("raw"), FIFO),
        vhd("..\\secret", &format!("its parent: DIR/x.vhd: the name '..\\secret' {OUTSIDE}")),
        vhd("C:\\secret", &format!("its parent: DIR/x.vhd: the name 'C:\\secret' {WINDOWS}")),
        vhd("x.vhd", "the chain of parents comes back to this file"),
        vhd("link-outside", &format!("its parent: DIR/link-outside: {LINK}")),
        vhd("fifo", &format!("its parent: DIR/fifo: {FIFO}")),
    ]
}

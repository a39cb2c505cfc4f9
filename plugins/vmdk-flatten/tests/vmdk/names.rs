//! Names inside of descriptors that lead elsewhere: extents and parents that are not plain files below the folder. The transport
//! here is as strict as the host's, and the reader must go through it and name the line that is at fault.

use crate::made::descriptor;
use crate::support::failure;
use crate::trap::trap;
use vmdk2kvm_plugin_api::ErrorKind;

const OUTSIDE: &str = "leads outside of the source's folder";
const GONE: &str = "No such file or directory (os error 2)";
const LINK: &str = "Too many levels of symbolic links (os error 40)";
const ODD: &str = "it is not a regular file";

/// Names, and why each of them is refused.
const NAMES: &[(&str, &str)] = &[
    ("/etc/passwd", OUTSIDE),
    ("/", OUTSIDE),
    ("/dev/sda", OUTSIDE),
    ("/dev/zero", OUTSIDE),
    ("/proc/self/environ", OUTSIDE),
    ("/vmfs/volumes/5f0a/vm/base-flat.vmdk", OUTSIDE),
    ("..", OUTSIDE),
    ("../secret", OUTSIDE),
    ("./../secret", OUTSIDE),
    ("folder/../../secret", OUTSIDE),
    ("folder/../plain", OUTSIDE),
    ("gone", GONE),
    ("gone/plain", GONE),
    ("plain/under", "Not a directory (os error 20)"),
    ("link-inside", LINK),
    ("link-outside", LINK),
    ("link-absolute", LINK),
    ("link-loop", LINK),
    ("link-dangling", LINK),
    ("link-device", LINK),
    ("up/secret", LINK),
    ("root/etc/passwd", LINK),
    ("folder", ODD),
    ("folder/.", ODD),
    ("fifo", ODD),
    ("socket", "No such device or address (os error 6)"),
    // Protocols, drivers and drives of other programs are names like any other here.
    ("json:{\"driver\":\"file\",\"filename\":", GONE),
    ("nbd:127.0.0.1:10809", GONE),
    ("file:plain", GONE),
    ("C:\\vm\\base.vmdk", GONE),
    ("..\\secret", GONE),
    ("-o", GONE),
    ("$(reboot)", GONE),
    ("\u{202e}kdmv", GONE),
];

/// A name as messages show it, which begins with the name as the descriptor has it and goes on with the file's.
fn shown(name: &str) -> String {
    name.chars().flat_map(char::escape_debug).collect()
}

#[test]
fn extents_that_are_not_plain_files_below_the_folder() {
    let outer = tempfile::tempdir().unwrap();
    let folder = trap(outer.path());
    for (kind, extent, rest) in [
        ("vmfs", "VMFS", ""),
        ("monolithicFlat", "FLAT", " 0"),
        ("twoGbMaxExtentSparse", "SPARSE", ""),
        ("vmfsSparse", "VMFSSPARSE", ""),
        ("seSparse", "SESPARSE", ""),
    ] {
        for (name, reason) in NAMES {
            // A quote ends a name.
            let name = name.split('"').next().unwrap();
            std::fs::write(folder.join("d"), descriptor(kind, 1, None, &format!("RW 8 {extent} \"{name}\"{rest}")))
                .unwrap();
            let error = failure(&folder, "d");
            let (start, end) =
                (format!("d: extent {} (line 10 of the descriptor): ", shown(name)), format!(": {reason}"));
            assert!(error.message.starts_with(&start) && error.message.ends_with(&end), "{extent} {name}: {error}");
            assert!(matches!(error.kind, ErrorKind::Unusable | ErrorKind::Io), "{error:?}");
            assert!(error.hint.is_some());
        }
    }
}

#[test]
fn parents_that_are_not_plain_files_below_the_folder() {
    let outer = tempfile::tempdir().unwrap();
    let folder = trap(outer.path());
    for (name, reason) in NAMES {
        let name = name.split('"').next().unwrap();
        std::fs::write(folder.join("d"), descriptor("vmfs", 1, Some((7, name)), "RW 8 ZERO")).unwrap();
        let error = failure(&folder, "d");
        let (start, end) = (format!("d: its parent {}: ", shown(name)), format!(": {reason}"));
        assert!(error.message.starts_with(&start) && error.message.ends_with(&end), "{name}: {error}");
        assert!(error.hint.unwrap().contains("parentFileNameHint") || *reason == OUTSIDE);
    }
}

#[test]
fn the_disk_itself_as_a_part_of_it() {
    let outer = tempfile::tempdir().unwrap();
    let folder = trap(outer.path());
    for extent in ["SPARSE", "VMFSSPARSE", "SESPARSE"] {
        std::fs::write(folder.join("d"), descriptor("vmfs", 1, None, &format!("RW 8 {extent} \"./d\""))).unwrap();
        assert_eq!(
            failure(&folder, "d").message,
            "d: the sparse extent in line 10 of its descriptor is a file that the disk has already: ./d"
        );
    }
}

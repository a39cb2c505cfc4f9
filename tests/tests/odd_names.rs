//! Names that break programs: of disks, of machines, of folders. Through the whole program, each works or is refused by name.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;
use vmdk2kvm_tests::{Outcome, alone, binary, outcome};

/// Bytes of a disk.
const DISK: usize = 1 << 20;

/// Names of files. All but the last can be handed to the program.
const NAMES: [&[u8]; 15] = [
    b"a b",
    b"a\"b",
    b"a'b",
    b"a\nb",
    b"a\tb",
    b"-rf",
    b"--output=x",
    b"a,b=c",
    b"nbd:x",
    b"json:{}",
    b"a%20b",
    b"$(id)`id`",
    b"a\\b",
    b"a\x1b[2Jb",
    b"a\xffb",
];

/// Runs the program in a folder, with arguments of any bytes.
fn run_in(folder: &Path, arguments: &[&[u8]]) -> Outcome {
    let mut command = Command::new(binary());
    alone(command.arg("--json").args(arguments.iter().map(|word| OsStr::from_bytes(word)))).current_dir(folder);
    outcome(&command.output().unwrap())
}

/// What was said names the file, with what no terminal should get escaped.
#[track_caller]
fn assert_names(outcome: &Outcome, name: &str) {
    assert!(outcome.message().contains(name), "{name}: {}", outcome.message());
    assert!(!outcome.message().contains(['\n', '\x1b', '\t']), "{:?}", outcome.message());
}

/// The raw image that `flatten` left holds these bytes, and is alone in its folder.
#[track_caller]
fn assert_flattened(output: &Path, seeds: &[u8]) {
    let mut images: Vec<_> = fs::read_dir(output).unwrap().map(|entry| entry.unwrap().path()).collect();
    images.sort();
    assert_eq!(images.len(), seeds.len(), "{images:?}");
    for (image, seed) in images.iter().zip(seeds) {
        assert!(fs::read(image).unwrap() == vec![*seed; DISK], "{}", image.display());
    }
}

/// Writes a flat VMDK, its descriptor and its extent.
fn write_disk(folder: &Path, name: &[u8], seed: u8) {
    fs::create_dir_all(folder).unwrap();
    let extent = [name, b"-flat.vmdk"].concat();
    let mut descriptor =
        b"# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\n".to_vec();
    descriptor.extend([b"RW 2048 FLAT \"", &*extent, b"\" 0\n"].concat());
    fs::write(folder.join(OsStr::from_bytes(&[name, b".vmdk"].concat())), descriptor).unwrap();
    fs::write(folder.join(OsStr::from_bytes(&extent)), vec![seed; DISK]).unwrap();
}

/// Writes `m.vmx`, a machine of this name with these disks. What VMX files cannot hold is written as they write it.
fn write_vmx(folder: &Path, name: &[u8], disks: &[&[u8]]) {
    let escaped = |text: &[u8]| {
        let special = |byte: &u8| match byte {
            b'|' | b'"' | b'\n' => format!("|{byte:02X}").into_bytes(),
            byte => vec![*byte],
        };
        text.iter().flat_map(special).collect::<Vec<u8>>()
    };
    let mut vmx = b".encoding = \"UTF-8\"\nmemsize = \"512\"\nscsi0.present = \"TRUE\"\n".to_vec();
    vmx.extend([b"displayName = \"", &*escaped(name), b"\"\n"].concat());
    for (unit, disk) in disks.iter().enumerate() {
        vmx.extend(format!("scsi0:{unit}.present = \"TRUE\"\nscsi0:{unit}.fileName = \"").bytes());
        vmx.extend([&*escaped(disk), b"\"\n"].concat());
    }
    fs::write(folder.join("m.vmx"), vmx).unwrap();
}

/// An OVF of a machine with a raw disk in each of these files.
fn ovf(files: &[&[u8]]) -> Vec<u8> {
    let mut references = Vec::new();
    let (mut disks, mut items) = (String::new(), String::new());
    for (unit, file) in files.iter().enumerate() {
        references.extend(format!("<File ovf:id=\"f{unit}\" ovf:href=\"").bytes());
        for byte in *file {
            match byte {
                b'"' | b'&' | b'<' | b'\t' | b'\n' => references.extend(format!("&#{byte};").bytes()),
                byte => references.push(*byte),
            }
        }
        references.extend(b"\"/>");
        disks += &format!(
            "<Disk ovf:diskId=\"d{unit}\" ovf:fileRef=\"f{unit}\" ovf:capacity=\"{DISK}\" ovf:format=\"raw\"/>"
        );
        items += &format!(
            "<Item><rasd:AddressOnParent>{unit}</rasd:AddressOnParent><rasd:HostResource>ovf:/disk/d{unit}</rasd:HostResource>\
             <rasd:InstanceID>{}</rasd:InstanceID><rasd:Parent>1</rasd:Parent><rasd:ResourceType>17</rasd:ResourceType></Item>",
            unit + 2
        );
    }
    let head = "<Envelope xmlns=\"http://schemas.dmtf.org/ovf/envelope/1\" xmlns:ovf=\"http://schemas.dmtf.org/ovf/envelope/1\" \
        xmlns:rasd=\"http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData\"><References>";
    let rest = format!(
        "</References><DiskSection><Info/>{disks}</DiskSection><VirtualSystem ovf:id=\"m\"><Info/><VirtualHardwareSection>\
         <Item><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>6</rasd:ResourceType></Item>{items}\
         </VirtualHardwareSection></VirtualSystem></Envelope>"
    );
    [head.as_bytes(), &references, rest.as_bytes()].concat()
}

/// Writes `m.ova`: a tar of an OVF and the disks that it names.
fn write_ova(folder: &Path, disks: &[(&[u8], u8)]) {
    let mut tar = tar::Builder::new(fs::File::create(folder.join("m.ova")).unwrap());
    let mut append = |name: &[u8], content: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.set_size(content.len() as u64);
        header.set_cksum();
        tar.append(&header, content).unwrap();
    };
    let names: Vec<_> = disks.iter().map(|(name, _)| *name).collect();
    append(b"m.ovf", &ovf(&names));
    disks.iter().for_each(|(name, seed)| append(name, &vec![*seed; DISK]));
    tar.finish().unwrap();
}

#[test]
fn a_disk_of_any_name_given_on_the_command_line() {
    for name in NAMES {
        let folder = TempDir::new().unwrap();
        let shown = name.escape_ascii();
        fs::write(folder.path().join(OsStr::from_bytes(name)), vec![7; DISK]).unwrap();
        let found = run_in(folder.path(), &[b"inventory", b"--", name]);
        let flattened = run_in(folder.path(), &[b"flatten", b"--format=raw", b"-o", b"out", b"--", name]);
        if name.is_ascii() {
            assert_eq!(found.expect(0).json["vms"][0]["disks"][0]["capacity_bytes"], DISK, "{shown}");
            flattened.expect(0);
            assert_flattened(&folder.path().join("out"), &[7]);
        } else {
            for refused in [found.expect(65), flattened.expect(65)] {
                assert_eq!(refused.message(), "a\\xffb: the name is not UTF-8");
            }
        }
    }
}

#[test]
fn a_disk_of_any_name_in_a_vmx_and_in_a_descriptor() {
    for name in NAMES {
        let folder = TempDir::new().unwrap();
        write_disk(folder.path(), name, 7);
        write_vmx(folder.path(), name, &[&[name, b".vmdk"].concat()]);
        let found = run_in(folder.path(), &[b"inventory", b"m.vmx"]);
        let flattened = run_in(folder.path(), &[b"flatten", b"m.vmx", b"--format=raw", b"-o", b"out"]);
        // A descriptor has no way to write a quote or a line feed in a name; a backslash parts folders, as on Windows; bytes that are
        // not of the encoding that is stated stand for no name.
        let refused = match name {
            b"a\"b" => {
                Some("a\\\"b.vmdk: the extent in line 6 of its descriptor has a file name that goes on behind a quote")
            }
            b"a\nb" => Some("a\\nb.vmdk"),
            b"a\\b" => Some("a/b.vmdk"),
            b"a\xffb" => Some("a\u{fffd}b.vmdk"),
            _ => None,
        };
        if let Some(shown) = refused {
            assert_names(&found.expect(65), shown);
            assert_names(&flattened.expect(65), shown);
            assert!(!folder.path().join("out").exists());
        } else {
            assert_eq!(found.expect(0).json["vms"][0]["name"].as_str().unwrap().as_bytes(), name);
            flattened.expect(0);
            assert_flattened(&folder.path().join("out"), &[7]);
        }
    }
}

/// In an OVF beside the disk, and in a tar with both.
#[test]
fn a_disk_of_any_name_in_a_package() {
    for name in NAMES {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join(OsStr::from_bytes(name)), vec![7; DISK]).unwrap();
        fs::write(folder.path().join("m.ovf"), ovf(&[name])).unwrap();
        write_ova(folder.path(), &[(name, 7)]);
        for (package, output) in [("m.ovf", "from-ovf"), ("m.ova", "from-ova")] {
            let found = run_in(folder.path(), &[b"inventory", package.as_bytes()]);
            let output_option = format!("-o{output}");
            let arguments = ["flatten", package, "--format=raw", &output_option].map(str::as_bytes);
            let flattened = run_in(folder.path(), &arguments);
            // A backslash parts folders. XML cannot hold control characters, and what is no text has no place in it or in a report.
            let refused = match (name, package) {
                (b"a\\b", "m.ovf") => Some("m.ovf: disk 'd0': a/b: there is no such file"),
                (b"a\x1b[2Jb", "m.ovf") => {
                    Some("m.ovf: its XML is malformed: a non-XML character '\\u{1b}' found at 1:247")
                }
                (b"a\x1b[2Jb", _) => {
                    Some("m.ova/m.ovf: its XML is malformed: a non-XML character '\\u{1b}' found at 1:247")
                }
                (b"a\xffb", "m.ovf") => Some("m.ovf: it is not UTF-8, as it should be"),
                (b"a\xffb", _) => Some("m.ova: the member 'a\\xffb' has a name that is not UTF-8"),
                _ => None,
            };
            let here = format!("{}/", folder.path().canonicalize().unwrap().display());
            if let Some(sentence) = refused {
                let refused = flattened.expect(65);
                assert_eq!(refused.message().replace(&here, ""), sentence, "{package}");
                // A disk that cannot be read is no reason not to list its machine.
                let listed = name == b"a\\b";
                let found = found.expect(if listed { 0 } else { 65 });
                let said = match listed {
                    true => found.json["vms"][0]["findings"][0]["message"].as_str().unwrap(),
                    false => found.message(),
                };
                assert_eq!(said.replace(&here, ""), sentence, "{package}");
                assert!(!folder.path().join(output).exists());
            } else {
                assert_eq!(found.expect(0).json["vms"][0]["disks"][0]["capacity_bytes"], DISK, "{package}");
                flattened.expect(0);
                assert_flattened(&folder.path().join(output), &[7]);
            }
        }
    }
}

/// The machine's name becomes the name of files: a plain one, in the output folder.
#[test]
fn a_machine_of_any_name() {
    let long = "x".repeat(400);
    for (name, image) in [
        ("../../etc/x", "_.._etc_x-disk1.raw"),
        ("-rf", "rf-disk1.raw"),
        ("a\"b\nc", "a_b-c-disk1.raw"),
        ("", "m-disk1.raw"),
        ("..", "vm-disk1.raw"),
        ("<&>", "_-disk1.raw"),
        (&long, ""),
    ] {
        let folder = TempDir::new().unwrap();
        write_disk(folder.path(), b"disk", 7);
        write_vmx(folder.path(), name.as_bytes(), &[b"disk.vmdk"]);
        let report = run_in(folder.path(), &[b"flatten", b"m.vmx", b"--format=raw", b"-o", b"out"]).expect(0).json;
        assert_flattened(&folder.path().join("out"), &[7]);
        let written = report["images"][0]["path"].as_str().unwrap();
        assert!(image.is_empty() || written == image, "{name:?} became {written}");
        // The name on the command line goes the same way.
        let given = ["--name=".as_bytes(), name.as_bytes()].concat();
        if !name.is_empty() {
            run_in(folder.path(), &[b"flatten", b"disk.vmdk", b"--format=raw", b"-o", b"given", &given]).expect(0);
            assert!(folder.path().join("given").join(written).is_file(), "{name:?}");
        }
    }
}

#[test]
fn disks_of_equal_names_stay_apart() {
    let folder = TempDir::new().unwrap();
    write_disk(&folder.path().join("a"), b"disk", 1);
    write_disk(&folder.path().join("b"), b"disk", 2);
    write_vmx(folder.path(), b"m", &[b"a/disk.vmdk", b"b/disk.vmdk"]);
    run_in(folder.path(), &[b"flatten", b"m.vmx", b"--format=raw", b"-o", b"vmx"]).expect(0);
    assert_flattened(&folder.path().join("vmx"), &[1, 2]);
    let given: [&[u8]; 7] = [b"flatten", b"b/disk.vmdk", b"--disk", b"a/disk.vmdk", b"--format=raw", b"-o", b"given"];
    run_in(folder.path(), &given).expect(0);
    assert_flattened(&folder.path().join("given"), &[2, 1]);
    fs::write(folder.path().join("m.ovf"), ovf(&[b"a/disk-flat.vmdk", b"b/disk-flat.vmdk"])).unwrap();
    write_ova(folder.path(), &[(b"b/disk", 2), (b"a/disk", 1)]);
    for (package, seeds) in [("m.ovf", [1, 2]), ("m.ova", [2, 1])] {
        let output = format!("-oof-{package}");
        run_in(folder.path(), &["flatten", package, "--format=raw", &output].map(str::as_bytes)).expect(0);
        assert_flattened(&folder.path().join(&output[2..]), &seeds);
    }
    // The same file twice is no second disk.
    write_vmx(folder.path(), b"m", &[b"a/disk.vmdk", b"a/disk.vmdk"]);
    let refused = run_in(folder.path(), &[b"inventory", b"m.vmx"]).expect(65);
    assert!(refused.message().ends_with("disk scsi0:1: another disk has the same file 'a/disk.vmdk'"), "{refused:?}");
    let twice = run_in(folder.path(), &[b"inventory", b"a/disk.vmdk", b"--disk", b"a/disk.vmdk"]).expect(2);
    assert!(twice.message().ends_with("a/disk.vmdk: the disk is given twice"), "{twice:?}");
}

/// An output folder is the user's own word; the converter's program gets it as it is.
#[test]
fn an_output_folder_of_any_name() {
    let folder = TempDir::new().unwrap();
    write_disk(folder.path(), b"disk", 7);
    for name in NAMES {
        let output = [b"-o", name].concat();
        let outcome = run_in(folder.path(), &[b"flatten", b"disk.vmdk", b"--format=vdi", &output]);
        let path = folder.path().join(OsStr::from_bytes(name));
        if name.is_ascii() {
            outcome.expect(0);
            assert!(path.join("disk-disk1.vdi").is_file(), "{}", path.display());
        } else {
            assert_eq!(outcome.expect(65).message(), "-oa\\xffb: the name is not UTF-8");
            assert!(!path.exists());
        }
    }
    // Nor is a result written to a folder whose name only looks like that of the current one.
    let here = folder.path().join(OsStr::from_bytes(b"here\xff"));
    fs::create_dir(&here).unwrap();
    let refused = run_in(&here, &[b"flatten", b"../disk.vmdk", b"-o", b"out"]).expect(65);
    assert!(refused.message().ends_with("here\\xff: the name is not UTF-8"), "{}", refused.message());
}

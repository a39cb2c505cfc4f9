//! What large registries cost an inspection: one made Windows with hives of some kilobytes, and the same with a SOFTWARE of 80 MiB and a SYSTEM
//! of 11 MiB, inspected in turns.
//!
//! Argument: the program. Prints the seconds of each, and how many more the large one takes. With `--make FOLDER` it leaves both in that
//! folder, as `small/windows.vmx` and `large/windows.vmx`, and measures nothing.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark reports to whoever runs it")]

use std::path::{Path, PathBuf};
use std::time::Instant;

use vmdk2kvm_plugin_api::model::{RegistryEdit, RegistryValue};
use vmdk2kvm_tests::{PhonyWindows, alone, outcome};
use vmdk2kvm_windows_guest::hive;

/// The most that large hives may add, in seconds.
const GOAL: f64 = 3.0;
/// Rounds of each; the best counts, since everything else on the machine only adds.
const ROUNDS: usize = 3;

fn software() -> String {
    "[Microsoft\\Windows NT\\CurrentVersion]\n\"CurrentBuildNumber\"=\"20348\"\n\"ProductName\"=\"Windows Server 2022\"\n".to_owned()
}

fn system() -> String {
    "[Select]\n\"Current\"=dword:00000001\n[ControlSet001\\Control\\ProductOptions]\n\"ProductType\"=\"ServerNT\"\n\
     [ControlSet001\\Control\\Session Manager\\Environment]\n\"PROCESSOR_ARCHITECTURE\"=\"AMD64\"\n[DriverDatabase]\n"
        .to_owned()
}

/// A hive with so many mebibytes of classes of a kilobyte each, a hundred below one key.
fn of_size(text: &str, mebibytes: usize) -> Vec<u8> {
    let data = RegistryValue::new(3, &[0x5a; 1000]);
    let edit = |at: usize| {
        let key = format!("Classes\\Group{:04}\\{{{at:08x}-0000-0000-0000-000000000000}}", at / 100);
        RegistryEdit::new(key, "Data", None, Some(data.clone()))
    };
    let edits: Vec<_> = (0..mebibytes * 900).map(edit).collect();
    hive::edit(hive::build(text).unwrap(), &edits).unwrap()
}

fn inspect(program: &str, vmx: &Path) -> f64 {
    let began = Instant::now();
    let mut command = std::process::Command::new(program);
    let done = outcome(&alone(command.arg("inspect").arg(vmx).arg("--json")).output().unwrap()).expect(0);
    assert_eq!(done.json["os"]["product"], "Windows Server 2022");
    began.elapsed().as_secs_f64()
}

/// Makes a Windows in a folder of its own; returns the description of its VM.
fn make(folder: &Path, name: &str, system: &[u8], software: &[u8]) -> PathBuf {
    let folder = folder.join(name);
    std::fs::create_dir(&folder).unwrap();
    println!("{name}: SYSTEM {} MiB, SOFTWARE {} MiB", system.len() >> 20, software.len() >> 20);
    PhonyWindows::new("Windows", &[("SYSTEM", system), ("SOFTWARE", software)]).make(&folder, &[])
}

fn make_both(folder: &Path) -> [PathBuf; 2] {
    [
        make(folder, "small", &of_size(&system(), 0), &of_size(&software(), 0)),
        make(folder, "large", &of_size(&system(), 10), &of_size(&software(), 76)),
    ]
}

fn main() -> std::process::ExitCode {
    // Cargo adds words of its own.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let program = match &words[..] {
        [make, folder] if make == "--make" => {
            make_both(Path::new(folder));
            return 0.into();
        }
        [program] => program,
        _ => {
            println!("needs the path of the program, or --make FOLDER");
            return 64.into();
        }
    };
    let folder = tempfile::tempdir().unwrap();
    let made = make_both(folder.path());
    let mut best = [f64::INFINITY; 2];
    for _ in 0..ROUNDS {
        for (best, vmx) in best.iter_mut().zip(&made) {
            *best = best.min(inspect(program, vmx));
        }
    }
    let more = best[1] - best[0];
    println!("small {:.1} s, large {:.1} s: {more:.1} s more (goal {GOAL})", best[0], best[1]);
    u8::from(more > GOAL).into()
}

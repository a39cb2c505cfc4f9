//! Plugin files that are wrong before any of their code runs: broken, made for another machine or another contract, lying, or writable by
//! others. The message names the file and says what is wrong with it, the exit code is 69, and the other plugins go on working.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use tempfile::TempDir;
use vmdk2kvm_tests::{Library, Outcome, lone_program, misbehaving, plugin_folder, private_folder, run_with};

/// The program with a good copy of the plugin; shared, as nothing writes to it.
static PROGRAM: LazyLock<TempDir> = LazyLock::new(lone_program);

/// The program without any plugin.
static BARE: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = private_folder();
    fs::copy(vmdk2kvm_tests::binary(), folder.path().join("vmdk2kvm")).unwrap();
    folder
});

fn inventory(program: &Path, plugins: &Path) -> Outcome {
    run_with(&program.join("vmdk2kvm"), &["inventory", "bad:vm", "--plugin-dir", plugins.to_str().unwrap()])
}

/// What `plugin list` says of a file.
fn state(plugins: &Path, file: &Path) -> String {
    let arguments = ["plugin", "list", "--plugin-dir", plugins.to_str().unwrap()];
    let list = run_with(&BARE.path().join("vmdk2kvm"), &arguments).expect(0).json;
    let rows = list["plugins"].as_array().unwrap();
    let row = rows.iter().find(|row| row["path"] == file.to_str().unwrap());
    let row = row.unwrap_or_else(|| panic!("{} is not listed: {list:#}", file.display()));
    row["problem"].as_str().unwrap_or("available").to_owned()
}

/// A file that does not even say that it is a plugin. With a good plugin of that name elsewhere the run goes well, and a warning names the
/// file; without one nobody can do the stage. `plugin list` says the same.
#[track_caller]
fn assert_passed_over(plugins: &Path, file: &Path, why: &str) {
    assert_eq!(state(plugins, file), format!("refused: {why}"));
    let warning = format!("{} is not used: {why}", file.display());
    let outcome = inventory(PROGRAM.path(), plugins).expect(0);
    assert!(outcome.stderr.contains(&warning), "{warning}\n{}", outcome.stderr);
    let outcome = inventory(BARE.path(), plugins).expect(69);
    assert!(outcome.stderr.contains(&warning), "{warning}\n{}", outcome.stderr);
    assert_eq!(outcome.message(), "no plugin can fetch from bad:vm");
    assert_eq!(outcome.error("stage"), "fetch");
}

/// The same of a file that says which plugin it is: the error itself names both.
#[track_caller]
fn assert_refused(plugins: &Path, file: &Path, why: &str) {
    assert_eq!(state(plugins, file), format!("refused: {why}"));
    let outcome = inventory(PROGRAM.path(), plugins).expect(0);
    let warning = format!("{} is not used: {why}", file.display());
    assert!(outcome.stderr.contains(&warning), "{warning}\n{}", outcome.stderr);
    assert_unusable(plugins, file, why);
}

/// A file whose trouble shows only when it is loaded.
#[track_caller]
fn assert_unusable(plugins: &Path, file: &Path, why: &str) {
    let outcome = inventory(BARE.path(), plugins).expect(69);
    let expected = format!(
        "no plugin can fetch from bad:vm, and one could not be asked: plugin {} cannot be used: {why}",
        file.display()
    );
    assert_eq!(outcome.message(), expected);
    assert_eq!(outcome.error("plugin"), "bad 0.1.0");
    assert_eq!(outcome.error("stage"), "fetch");
}

fn library() -> Library {
    Library::read(&misbehaving())
}

/// A folder with this library in it.
fn folder_with(library: &Library) -> (TempDir, PathBuf) {
    let folder = private_folder();
    let file = library.write(folder.path(), "libbad.so");
    (folder, file)
}

#[test]
fn what_is_no_plugin_is_passed_over() {
    let (folder, file) = folder_with(&library().replace(".vmdk2kvm.plugin\0", ".vmdk2kvm.plugix\0"));
    assert_passed_over(folder.path(), &file, "it has no manifest: it is not a vmdk2kvm plugin");
    fs::write(&file, "#!/bin/sh\nexit 0 # not a library\n").unwrap();
    assert_passed_over(folder.path(), &file, "it is not an ELF file");
    fs::write(&file, "").unwrap();
    assert_passed_over(folder.path(), &file, "it is not an ELF file");
}

#[test]
fn a_truncated_library_is_passed_over() {
    let whole = library().length();
    for length in [64, 4096, whole / 2, whole - 1] {
        let (folder, file) = folder_with(&library().truncate(length));
        let said = state(folder.path(), &file);
        assert!(said.starts_with("refused: it is not a whole ELF file: "), "{length} of {whole}: {said}");
        let outcome = inventory(PROGRAM.path(), folder.path()).expect(0);
        assert!(outcome.stderr.contains(file.to_str().unwrap()), "{}", outcome.stderr);
        inventory(BARE.path(), folder.path()).expect(69);
    }
}

#[test]
fn a_library_for_another_machine_is_passed_over() {
    // `e_machine` is at 18 (ELF-64 object file format, section 3); 40 is 32-bit ARM.
    let (folder, file) = folder_with(&library().set(18, &40u16.to_le_bytes()));
    let why = format!("it was built for another machine (ELF machine 40), not for {}", std::env::consts::ARCH);
    assert_passed_over(folder.path(), &file, &why);
    // `EI_CLASS` is at 4; 1 is 32-bit.
    let (folder, file) = folder_with(&library().set(4, &[1]));
    assert_passed_over(folder.path(), &file, "it is not a 64-bit library");
}

#[test]
fn another_api_is_refused_with_both_versions() {
    for (api, why) in [
        ("2.0.0", "it was built for plugin API 2.0.0, this host has 1.0.0"),
        ("0.9.0", "it was built for plugin API 0.9.0, this host has 1.0.0"),
        ("1.7.0", "it needs plugin API 1.7.0, this host has 1.0.0"),
    ] {
        let (folder, file) = folder_with(&library().replace(r#""api":"1.0.0""#, &format!(r#""api":"{api}""#)));
        assert_refused(folder.path(), &file, why);
    }
    // A kind of plugin that only a later contract has.
    let later = library().replace(r#""api":"1.0.0""#, r#""api":"1.7.0""#).replace(r#"["fetcher""#, r#"["fetchex""#);
    let (folder, file) = folder_with(&later);
    assert_eq!(state(folder.path(), &file), "refused: it needs plugin API 1.7.0, this host has 1.0.0");
}

#[test]
fn a_manifest_that_is_not_the_codes_own_is_refused() {
    for (old, new) in [(r#""summary":"Mis"#, r#""summary":"Nev"#), (r#"["fetcher","#, r#"["fetcher","fetcher","#)] {
        let (folder, file) = folder_with(&library().other_manifest(old, new));
        assert_eq!(state(folder.path(), &file), "available");
        assert_unusable(folder.path(), &file, "its code and its manifest section disagree");
        let outcome = inventory(PROGRAM.path(), folder.path());
        // It hides the good one of its name, as any plugin in a given folder does.
        outcome.expect(69);
    }
}

#[test]
fn an_answer_that_lacks_a_member_is_told_with_the_call() {
    let (folder, _) = folder_with(&library().replace("memory_bytes", "memory_bytex"));
    let outcome = inventory(BARE.path(), folder.path()).expect(1);
    assert_eq!(outcome.error("plugin"), "bad 0.1.0");
    let blamed = "Catalog::inventory gave an answer that cannot be read: missing field `memory_bytes`";
    assert!(outcome.message().starts_with(blamed), "{}", outcome.message());
}

#[test]
fn a_missing_library_is_named_with_the_plugin() {
    let (folder, file) = folder_with(&library().replace("libgcc_s.so.1\0", "libgcx_s.so.1\0"));
    assert_eq!(state(folder.path(), &file), "missing library libgcx_s.so.1");
    let why = "it needs the library libgcx_s.so.1, which is not installed";
    assert_unusable(folder.path(), &file, why);
    let arguments = ["doctor", "--plugin-dir", folder.path().to_str().unwrap()];
    let needs = run_with(&BARE.path().join("vmdk2kvm"), &arguments).expect(0).json["needs"].clone();
    let need = needs.as_array().unwrap().iter().find(|need| need["name"] == "libgcx_s.so.1").unwrap().clone();
    assert_eq!((&need["present"], &need["needed_by"][0]), (&false.into(), &"bad".into()));
}

#[test]
fn two_of_one_name_in_one_folder_are_both_refused() {
    let folder = private_folder();
    let (a, b) = (library().write(folder.path(), "liba.so"), library().write(folder.path(), "libb.so"));
    let why = format!("{} and {} are both called `bad`", a.display(), b.display());
    assert_eq!(state(folder.path(), &b), format!("refused: {why}"));
    assert_refused(folder.path(), &a, &why);
}

#[test]
fn what_others_could_have_written_is_refused() {
    let (folder, file) = folder_with(&library());
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    for bits in [0o666, 0o664] {
        mode(&file, bits);
        assert_refused(folder.path(), &file, &format!("{} can be written by others (mode {bits:o})", file.display()));
    }
    mode(&file, 0o644);
    let canonical = folder.path().canonicalize().unwrap();
    mode(folder.path(), 0o1777);
    let why = format!("{} can be written by others (mode 1777)", canonical.display());
    assert_refused(folder.path(), &file, &why);
    mode(folder.path(), 0o755);
    inventory(BARE.path(), folder.path()).expect(0);
}

/// Only root can give a file away: a user who runs the tests is asked for `sudo`, as tests/install asks.
#[test]
fn another_users_file_is_refused() {
    let (folder, file) = folder_with(&library());
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let mut give_away = Command::new(if is_root { "chown" } else { "sudo" });
    let given = give_away.args((!is_root).then_some("chown")).arg("65534").arg(&file).status();
    assert!(given.expect("sudo, or root").success());
    assert_refused(folder.path(), &file, &format!("{} belongs to user 65534, not to root or you", file.display()));
}

#[test]
fn links_are_refused() {
    let (folder, target) = folder_with(&library());
    let plugins = private_folder();
    let file = plugins.path().canonicalize().unwrap().join("libbad.so");
    symlink(&target, &file).unwrap();
    assert_passed_over(plugins.path(), &file, &format!("{} is a symbolic link", file.display()));
    fs::remove_file(&file).unwrap();
    fs::hard_link(&target, &file).unwrap();
    assert_refused(plugins.path(), &file, &format!("{} has 2 names (hard links)", file.display()));
    drop(folder);
}

/// A folder full of bad files does not stand in the way of the stock plugins.
#[test]
fn the_next_machine_is_not_affected() {
    let stock = plugin_folder(&[]);
    let plugins = private_folder();
    library().truncate(4096).write(plugins.path(), "libtruncated.so");
    library().set(18, &40u16.to_le_bytes()).write(plugins.path(), "libforeign.so");
    library().replace(r#""api":"1.0.0""#, r#""api":"2.0.0""#).write(plugins.path(), "libfuture.so");
    let disk = plugins.path().join("disk.raw");
    fs::File::create(&disk).unwrap().set_len(1 << 20).unwrap();
    let arguments = ["inventory", disk.to_str().unwrap(), "--plugin-dir", plugins.path().to_str().unwrap()];
    let outcome = run_with(&stock.path().join("vmdk2kvm"), &arguments).expect(0);
    assert_eq!(outcome.json["vms"][0]["disks"][0]["capacity_bytes"], 1 << 20);
}

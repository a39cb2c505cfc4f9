//! The documents are true: what they print is run, what they list is compared with the program.
//!
//! Needs cargo, and the dependencies of the workspace already fetched.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::path::{Path, PathBuf};
use std::process::Command;

use vmdk2kvm_tests::{alone, binary, nested_environment, nested_target, run};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path.as_ref()).unwrap_or_else(|error| panic!("{}: {error}", path.as_ref().display()))
}

/// The first fenced block of a language.
fn block<'a>(text: &'a str, language: &str) -> &'a str {
    let opening = format!("```{language}\n");
    let at = text.find(&opening).unwrap_or_else(|| panic!("no block of {language}")) + opening.len();
    &text[at..at + text[at..].find("```").unwrap()]
}

/// Runs the commands of a console block in `folder` and compares what each prints with what the document shows.
#[track_caller]
fn follow(session: &str, folder: &Path, environment: &[(&str, &str)]) {
    let mut path = vec![binary().parent().unwrap().to_path_buf()];
    path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap()));
    for step in session.split("$ ").skip(1) {
        let (command, shown) = step.split_once('\n').unwrap();
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).current_dir(folder).env("PATH", std::env::join_paths(&path).unwrap());
        let output = alone(shell.envs(environment.iter().copied())).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "$ {command}\n{stderr}");
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim_end(), shown.trim_end(), "$ {command}\n{stderr}");
    }
}

#[test]
fn the_first_plugin_of_the_manual_is_built_and_used_as_it_says() {
    let manual = read(root().join("PLUGINS.md"));
    // Outside of the workspace. The folder stays: in another one cargo would build it again.
    let krate = Path::new(env!("CARGO_TARGET_TMPDIR")).join("serial-console");
    for made in ["plugins", "guest"] {
        let _ = std::fs::remove_dir_all(krate.join(made));
    }
    std::fs::create_dir_all(krate.join("src")).unwrap();
    let api = format!("path = \"{}\"", root().join("plugin-api").display());
    let toml = block(&manual, "toml");
    assert!(toml.contains("path = \"../vmdk2kvm/plugin-api\""), "{toml}");
    // Its own workspace: here the crate lies below the target folder of another one.
    let toml = toml.replace("path = \"../vmdk2kvm/plugin-api\"", &api) + "\n[workspace]\n";
    std::fs::write(krate.join("Cargo.toml"), toml).unwrap();
    std::fs::write(krate.join("src/lib.rs"), block(&manual, "rust")).unwrap();
    // The same versions as the workspace: nothing is fetched.
    std::fs::copy(root().join("Cargo.lock"), krate.join("Cargo.lock")).unwrap();
    // Where the manual copies from.
    let target = krate.join("target");
    if !target.is_symlink() {
        std::os::unix::fs::symlink(nested_target(), target).unwrap();
    }
    let environment = nested_environment();
    let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    follow(block(&manual, "console"), &krate, &environment);
}

#[test]
fn the_script_of_the_manual_is_used_as_it_says() {
    let manual = read(root().join("PLUGINS.md"));
    let section = manual.split("\n## ").find(|section| section.starts_with("A script instead\n")).unwrap();
    let script = block(section, "python");
    assert_eq!(script, read(root().join("examples/script/host-clock")), "the manual and the example are one script");
    let folder = vmdk2kvm_tests::private_folder();
    std::fs::write(folder.path().join("host-clock"), script).unwrap();
    follow(block(section, "console"), folder.path(), &[]);
}

#[test]
fn every_example_job_is_valid() {
    let mut jobs = 0;
    for entry in std::fs::read_dir(root().join("examples/jobs")).unwrap() {
        let path = entry.unwrap().path();
        let checked = run(&["config", "check", "-c", path.to_str().unwrap()]).expect(0);
        assert_eq!((checked.json["valid"].as_bool(), checked.stderr.as_str()), (Some(true), ""), "{}", path.display());
        let name = format!("jobs/{}", path.file_name().unwrap().to_str().unwrap());
        assert!(read(root().join("examples/README.md")).contains(&name), "examples/README.md does not list {name}");
        jobs += 1;
    }
    assert!(jobs >= 3, "{jobs}");
}

/// The rows of the table below `## Settings`: key and default.
fn settings_of_readme(text: &str) -> Vec<(String, String)> {
    let section = text.split("\n## ").find(|section| section.starts_with("Settings\n")).unwrap_or_default();
    let cells = section.lines().filter(|line| line.starts_with("| `")).map(|line| {
        let mut cells = line.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`').to_owned());
        (cells.next().unwrap_or_default(), cells.next().unwrap_or_default())
    });
    let cells: Vec<_> = cells.collect();
    assert!(!cells.is_empty() || section.contains("\nNone.\n"), "a section `## Settings` with a table or `None.`");
    cells
}

#[test]
fn each_plugins_page_lists_the_settings_of_its_manifest() {
    let list = run(&["plugin", "list"]).expect(0);
    let plugins = list.json["plugins"].as_array().unwrap();
    for entry in std::fs::read_dir(root().join("plugins")).unwrap() {
        let folder = entry.unwrap().path();
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let manifest = folder.join("Cargo.toml");
        let is_plugin = manifest.is_file() && read(manifest).contains("cdylib");
        assert!(!is_plugin || plugins.iter().any(|plugin| plugin["name"] == name.as_str()), "{name} is not built");
        if !is_plugin {
            continue;
        }
        let shown = run(&["plugin", "show", &name]).expect(0).json;
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let settings = shown["settings"].as_array().unwrap();
        let listed: Vec<_> = settings.iter().map(|s| (text(&s["key"]), text(&s["default"]))).collect();
        let page = read(folder.join("README.md"));
        assert_eq!(settings_of_readme(&page), listed, "plugins/{name}/README.md");
        for need in shown["programs"].as_array().unwrap().iter().chain(shown["libraries"].as_array().unwrap()) {
            let package = text(&need["packages"]["deb"]);
            assert!(page.contains(&package), "plugins/{name}/README.md does not name the package {package}");
        }
    }
}

#[test]
fn the_pages_list_every_plugin_and_exit_code() {
    let (readme, program) = (read(root().join("README.md")), read(root().join("host/README.md")));
    for plugin in run(&["plugin", "list"]).expect(0).json["plugins"].as_array().unwrap() {
        let name = plugin["name"].as_str().unwrap();
        assert!(readme.contains(&format!("(plugins/{name})")), "README.md does not link plugins/{name}");
    }
    let help = Command::new(binary()).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    for line in help.split("Exit codes:\n").nth(1).unwrap().lines() {
        let (code, meaning) = line.trim().split_once(' ').unwrap();
        assert!(
            program.contains(&format!("| {code} | {} |", meaning.trim())),
            "host/README.md lacks exit code {code}: {meaning}"
        );
    }
}

#[test]
fn the_page_on_packaging_lists_the_packages_of_the_bundle() {
    let (manual, bundle) = (read(root().join("host/packaging/README.md")), read(root().join("plugins/stock.toml")));
    for plugin in bundle.parse::<toml::Table>().unwrap()["plugin"].as_array().unwrap() {
        let (name, package) = (plugin["name"].as_str().unwrap(), plugin["package"].as_str().unwrap());
        let row = manual.lines().find(|line| line.starts_with(&format!("| `{package}` |")));
        assert!(
            row.is_some_and(|row| row.contains(&format!("`{name}`"))),
            "host/packaging/README.md: {package} with {name}"
        );
    }
}

/// Every page of the tree.
fn pages() -> Vec<PathBuf> {
    let listed = Command::new("git").args(["ls-files", "*.md"]).current_dir(root()).output().expect("git");
    let pages: Vec<_> = String::from_utf8(listed.stdout).unwrap().lines().map(|page| root().join(page)).collect();
    assert!(pages.len() > 20, "{pages:?}");
    pages
}

/// The name by which a heading is linked to.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[test]
fn every_link_of_a_page_leads_somewhere() {
    for page in pages() {
        let text = read(&page);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.starts_with("http") || link.contains(char::is_whitespace) {
                continue;
            }
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { page.clone() } else { page.parent().unwrap().join(path) };
            assert!(target.exists(), "{}: {link}", page.display());
            if !heading.is_empty() {
                let target = if target.is_dir() { target.join("README.md") } else { target };
                let known = read(&target)
                    .lines()
                    .any(|line| line.starts_with('#') && anchor(line.trim_start_matches('#')) == heading);
                assert!(known, "{}: {link}", page.display());
            }
        }
    }
}

#[test]
fn the_first_page_is_short() {
    assert!(read(root().join("README.md")).lines().count() < 150);
}

#[test]
fn both_licences_are_there_and_every_crate_names_them() {
    assert!(read(root().join("LICENSE-APACHE")).contains("Version 2.0, January 2004"));
    assert!(read(root().join("LICENSE-MIT")).contains("Permission is hereby granted, free of charge"));
    let metadata = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .expect("cargo");
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout).unwrap();
    for package in metadata["packages"].as_array().unwrap() {
        assert_eq!(package["license"], "Apache-2.0 OR MIT", "{}", package["name"]);
    }
}

//! The test binaries that cargo built, from its messages.

use std::collections::BTreeSet;
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Whether this user may make namespaces of mounts: without that right tests cannot mount anything either.
static MAY_UNSHARE: LazyLock<bool> = LazyLock::new(|| {
    let tried = Command::new("unshare").args(["--mount", "true"]).output();
    tried.is_ok_and(|output| output.status.success())
});

/// One of them.
#[derive(Debug, Clone)]
pub struct Binary {
    /// Where it is told from the others: its crate's folder in the tree, and its own name.
    pub name: String,
    /// The name that `--test` means.
    pub target: String,
    pub program: PathBuf,
    /// The folder of its crate, where cargo would run it.
    pub krate: PathBuf,
}

/// Every one in cargo's messages, but benchmarks.
pub fn binaries(messages: impl BufRead) -> Result<Vec<Binary>> {
    let mut found: Vec<Binary> = Vec::new();
    for line in messages.lines() {
        let message: Value = serde_json::from_str(&line?).context("not what cargo says of a build")?;
        let is_test = message["profile"]["test"] == true && message["target"]["kind"][0] != "bench";
        let (Some(program), true) = (message["executable"].as_str(), is_test) else { continue };
        if !found.iter().any(|binary| binary.program == Path::new(program)) {
            found.push(binary(&message, program)?);
        }
    }
    if found.is_empty() {
        bail!("the build has no test binaries");
    }
    Ok(found)
}

fn binary(message: &Value, program: &str) -> Result<Binary> {
    let text = |value: &Value| value.as_str().map(str::to_owned).context("not what cargo says of a target");
    let krate = PathBuf::from(text(&message["manifest_path"])?).parent().map(Path::to_owned).unwrap_or_default();
    let target = text(&message["target"]["name"])?;
    let kinds: BTreeSet<&str> =
        message["target"]["kind"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let own = match kinds.contains("test") {
        true => target.clone(),
        false => if kinds.contains("bin") { "bin" } else { "lib" }.to_owned(),
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("/"));
    let name = format!("{}/{own}", krate.strip_prefix(root).unwrap_or(&krate).display());
    Ok(Binary { name, target, program: program.into(), krate })
}

/// The folder of all profiles, in which the binaries are.
pub fn target(binaries: &[Binary]) -> Result<PathBuf> {
    let folder = binaries.first().and_then(|binary| binary.program.ancestors().nth(3));
    folder.map(Path::to_owned).context("the test binaries are in no target folder")
}

impl Binary {
    /// Whether its tests run the whole program.
    pub fn is_whole(&self) -> bool {
        self.krate == Path::new(env!("CARGO_MANIFEST_DIR"))
    }

    /// The binary as cargo would start it, but with mounts of its own: a test that makes a namespace copies every mount that is there, and would
    /// keep those of other tests in use.
    pub fn command(&self) -> Command {
        let mut command = if *MAY_UNSHARE {
            let mut unshare = Command::new("unshare");
            unshare.args(["--mount", "--"]).arg(&self.program);
            unshare
        } else {
            Command::new(&self.program)
        };
        command.current_dir(&self.krate).env("CARGO_MANIFEST_DIR", &self.krate);
        command
    }

    /// The names of its tests with one of these parts.
    pub fn tests(&self, filters: &[String]) -> Result<Vec<String>> {
        let output = self.command().arg("--list").args(filters).output().with_context(|| self.name.clone())?;
        if !output.status.success() {
            bail!("{} does not list its tests: {}", self.name, String::from_utf8_lossy(&output.stderr));
        }
        let list = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(list.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect())
    }
}

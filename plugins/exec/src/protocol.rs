//! What is spoken: one JSON document a line, in the model of the plugin contract. PLUGINS.md has it in words.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use vmdk2kvm_plugin_api::model::{Change, Content, Finding, FixerPlan, PlanContext, TestRequest, Verdict};
use vmdk2kvm_plugin_api::{Entry, ErrorKind, Guest, PluginError, Result, Stat};

/// The version of the protocol, in the first line that a program reads. Rises when the meaning of a member changes; members may be added.
pub(crate) const PROTOCOL: u32 = 1;
/// A file is read up to this size, in bytes, unless the program says less.
const FILE_LIMIT: u64 = 16 << 20;

/// The first line: what is to be done.
#[derive(Serialize)]
pub(crate) struct Call<'a> {
    pub protocol: u32,
    #[serde(flatten)]
    pub task: Task<'a>,
}

/// What a program is asked for.
#[derive(Serialize)]
#[serde(tag = "call", rename_all = "snake_case")]
pub(crate) enum Task<'a> {
    Plan { fixer: &'a str, context: &'a PlanContext },
    Test { request: &'a TestRequest },
}

/// A line of the program.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Said {
    /// A question about the guest; one line answers it.
    Read(Read),
    Stat(String),
    List(String),
    ReadLink(String),
    /// What has to change: the last line of a fixer.
    Plan(Plan),
    /// What was seen: the last line of a tester.
    Verdict(Verdict),
    /// Why there is no answer: the last line, too.
    Error(Failure),
}

/// Which file to read: its path, or that with a limit.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Read {
    Path(String),
    Limited { path: String, limit: u64 },
}

/// A plan as a program writes it: a member that is misspelt must not make an empty plan of it.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Plan {
    findings: Vec<Finding>,
    changes: Vec<Change>,
    drives: Vec<String>,
    wants: Vec<String>,
}

impl From<Plan> for FixerPlan {
    fn from(plan: Plan) -> Self {
        Self::default().with(|it| {
            it.findings = plan.findings;
            it.changes = plan.changes;
            it.drives = plan.drives;
            it.wants = plan.wants;
        })
    }
}

/// An error in the words of a program.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Failure {
    #[serde(default = "unusable")]
    kind: ErrorKind,
    message: String,
    #[serde(default)]
    hint: Option<String>,
}

fn unusable() -> ErrorKind {
    ErrorKind::Unusable
}

impl From<Failure> for PluginError {
    fn from(failure: Failure) -> Self {
        let mut error = Self::new(failure.kind, failure.message);
        error.hint = failure.hint;
        error
    }
}

/// The answer to a question about the guest. `null`: there is nothing at that path.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Read(Option<File>),
    Stat(Option<Stat>),
    List(Option<Vec<Entry>>),
    ReadLink(String),
    Error(PluginError),
}

/// A file's content, with the digest that a change of it must state.
#[derive(Serialize)]
struct File {
    #[serde(flatten)]
    content: Content,
    sha256: String,
}

/// Answers a question as one line; `None` when it is none.
pub(crate) fn answer(said: &Said, guest: &dyn Guest) -> Option<Result<Vec<u8>>> {
    let answer = match said {
        Said::Read(Read::Path(path)) => read(guest, path, FILE_LIMIT).map(Answer::Read),
        Said::Read(Read::Limited { path, limit }) => read(guest, path, *limit).map(Answer::Read),
        Said::Stat(path) => guest.stat(path).map(Answer::Stat),
        Said::List(path) => guest.list(path).map(Answer::List),
        Said::ReadLink(path) => guest.read_link(path).map(Answer::ReadLink),
        Said::Plan(_) | Said::Verdict(_) | Said::Error(_) => return None,
    };
    Some(match answer {
        // The run itself is over: that is not the program's to handle.
        Err(error) if error.kind == ErrorKind::Interrupted => Err(error),
        answer => line(&answer.unwrap_or_else(Answer::Error)),
    })
}

fn read(guest: &dyn Guest, path: &str, limit: u64) -> Result<Option<File>> {
    let file =
        |bytes: Vec<u8>| File { sha256: format!("{:x}", Sha256::digest(&bytes)), content: Content::from_bytes(bytes) };
    Ok(guest.read(path, limit.min(FILE_LIMIT))?.map(file))
}

/// One document as one line.
pub(crate) fn line(document: &impl Serialize) -> Result<Vec<u8>> {
    let mut line = serde_json::to_vec(document).map_err(|error| PluginError::defect(error.to_string()))?;
    line.push(b'\n');
    Ok(line)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use vmdk2kvm_plugin_api::model::{Action, Severity};

    use super::*;

    #[test]
    fn a_program_can_say_all_that_a_fixer_says() {
        let change = Change::new(Action::remove_file(b"x"), "/etc/acme", "no acme", "it waits for VMware");
        let plan = FixerPlan::new(vec![change]).with(|plan| {
            plan.findings = vec![Finding::new("acme", Severity::Info, "acme is there")];
            plan.drives = vec!["virtio-blk".to_owned()];
            plan.wants = vec!["clock-local".to_owned()];
        });
        let said: Said = serde_json::from_value(json!({ "plan": plan })).unwrap();
        let Said::Plan(read) = said else { panic!("{said:?}") };
        assert_eq!(FixerPlan::from(read), plan);
    }

    #[test]
    fn a_misspelt_member_is_no_empty_plan() {
        let error = serde_json::from_value::<Said>(json!({"plan": {"change": []}})).unwrap_err();
        assert!(error.to_string().contains("unknown field `change`"), "{error}");
    }
}

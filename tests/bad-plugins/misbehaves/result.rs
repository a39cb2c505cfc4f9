//! PLAN, CONVERT and TEST for the machine in memory.

use std::fs;
use std::sync::Arc;

use vmdk2kvm_plugin_api::model::{
    Action, Change, CommitOverlay, Content, Convert, CreateOverlay, FixerPlan, OsFamily, PlanContext, Render, Rendered,
    RenderedFile, TestRequest, Verdict, VerdictKind,
};
use vmdk2kvm_plugin_api::{Converter, Fixer, Guest, PluginError, Result, Tester};

use crate::fault::{Fault, How};

/// The file that the fixer wants in the guest.
const MARK: &str = "/etc/fixed";
/// A symlink of the guest.
pub const LINK: &str = "/etc/issue";

pub struct Outcome {
    fault: Arc<Fault>,
}

impl Outcome {
    pub fn new(fault: &Arc<Fault>) -> Self {
        Self { fault: Arc::clone(fault) }
    }
}

impl Fixer for Outcome {
    fn name(&self) -> String {
        self.fault.at("Fixer::name");
        "bad-mark".to_owned()
    }

    fn guests(&self) -> Vec<OsFamily> {
        self.fault.at("Fixer::guests");
        vec![OsFamily::Linux]
    }

    fn order(&self) -> u32 {
        self.fault.at("Fixer::order");
        500
    }

    fn live(&self) -> bool {
        self.fault.at("Fixer::live");
        false
    }

    fn plan(&self, _: &PlanContext, guest: &dyn Guest) -> Result<FixerPlan> {
        self.fault.at("Fixer::plan");
        // One call of each, so that each can go wrong.
        guest.list("/etc")?;
        guest.stat("/etc/motd")?;
        guest.read_link(LINK)?;
        guest.read("/etc/motd", 1 << 10)?;
        if guest.read(MARK, 1 << 10)?.is_some() {
            return Ok(FixerPlan::default());
        }
        // A digest that the file cannot have is a plan that cannot be carried out.
        let old_sha256 = self.fault.is("Fixer::plan", How::Lie).then(|| "0".repeat(64));
        let change = Change::new(
            Action::WriteFile { content: Content::Text("fixed\n".to_owned()), mode: None, old_sha256 },
            MARK.to_owned(),
            self.fault.text("Fixer::plan", "leave a mark"),
            "to see that it is done".to_owned(),
        )
        .with(|it| it.critical = true);
        Ok(FixerPlan::default().with(|it| it.changes = vec![change]))
    }
}

impl Converter for Outcome {
    fn formats(&self) -> Vec<String> {
        self.fault.at("Converter::formats");
        vec!["qcow2".to_owned(), "vdi".to_owned()]
    }

    fn targets(&self) -> Vec<String> {
        self.fault.at("Converter::targets");
        vec!["bad".to_owned()]
    }

    fn render(&self, request: &Render) -> Result<Rendered> {
        self.fault.at("Converter::render");
        Ok(Rendered::new(vec![RenderedFile::new(format!("{}.bad", request.file_name), "a machine\n")]))
    }

    fn create_overlay(&self, request: &CreateOverlay) -> Result<()> {
        self.fault.at("Converter::create_overlay");
        write(&request.overlay, "an overlay")
    }

    fn commit_overlay(&self, _: &CommitOverlay) -> Result<()> {
        self.fault.at("Converter::commit_overlay");
        Ok(())
    }

    fn convert(&self, request: &Convert) -> Result<()> {
        self.fault.at("Converter::convert");
        write(&request.target, "an image")
    }
}

fn write(path: &str, text: &str) -> Result<()> {
    fs::write(path, text).map_err(|error| PluginError::from_io(path, &error))
}

impl Tester for Outcome {
    fn test(&self, _: &TestRequest) -> Result<Verdict> {
        self.fault.at("Tester::test");
        Ok(Verdict::new(VerdictKind::Passed, "it always does".to_owned())
            .with(|it| it.schema = self.fault.schema("Tester::test")))
    }
}

//! The commands that work on a machine, and their stages.

use serde::{Deserialize, Serialize};

use crate::events::Stage;

/// The commands that run the pipeline, or a part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Every stage.
    Migrate,
    /// What the source has, from its descriptors alone.
    Inventory,
    /// FETCH to INSPECT, read only.
    Inspect,
    /// FETCH to PLAN, read only.
    Plan,
    /// Every stage, with a saved plan in place of PLAN.
    Apply,
    /// FETCH and FLATTEN.
    Flatten,
    /// INSPECT to FIX on copies of flat images.
    Fix,
    /// CONVERT alone.
    Convert,
    /// The end of a migration in rounds: the last round, then every stage.
    Cutover,
    /// TEST alone.
    Test,
    /// The definition of a finished result for further targets.
    Render,
    /// No stage: defines a finished result at its target.
    Define,
    /// No stage: gives back what a former run holds at its source.
    Release,
    /// PLAN and FIX in a guest that runs.
    LiveFix,
    /// No stage but FIX: takes back what was done to a guest that runs.
    RollBack,
}

impl Command {
    /// Every command that works on a machine.
    pub const ALL: [Self; 13] = [
        Self::Migrate,
        Self::Inventory,
        Self::Inspect,
        Self::Plan,
        Self::Apply,
        Self::Flatten,
        Self::Fix,
        Self::Convert,
        Self::Cutover,
        Self::Test,
        Self::Render,
        Self::Define,
        Self::LiveFix,
    ];

    /// The word on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Migrate => "migrate",
            Self::Inventory => "inventory",
            Self::Inspect => "inspect",
            Self::Plan => "plan",
            Self::Apply => "apply",
            Self::Flatten => "flatten",
            Self::Fix => "fix",
            Self::Convert => "convert",
            Self::Cutover => "cutover",
            Self::Test => "test",
            Self::Render => "render",
            Self::Define => "define",
            Self::Release => "release",
            Self::LiveFix | Self::RollBack => "live-fix",
        }
    }

    /// The stages of the command, in order. Whatever leaves images behind ends with CONVERT (for `migrate`: but TEST),
    /// which is what gives them their format and their final names.
    pub const fn stages(self) -> &'static [Stage] {
        use Stage::{Convert, Fetch, Fix, Flatten, Inspect, Plan};
        match self {
            Self::Migrate | Self::Apply | Self::Cutover => &Stage::ALL,
            Self::Inventory => &[Fetch],
            Self::Inspect => &[Fetch, Flatten, Inspect],
            Self::Plan => &[Fetch, Flatten, Inspect, Plan],
            Self::Flatten | Self::Convert => &[Fetch, Flatten, Convert],
            Self::Fix => &[Fetch, Flatten, Inspect, Plan, Fix, Convert],
            Self::LiveFix => &[Fetch, Inspect, Plan, Fix],
            Self::RollBack => &[Fetch, Fix],
            Self::Test => &[Stage::Test],
            Self::Render | Self::Define | Self::Release => &[],
        }
    }

    /// Whether a new machine comes with the images.
    pub const fn makes_machine(self) -> bool {
        matches!(self, Self::Migrate | Self::Apply | Self::Cutover)
    }

    /// Whether the command leaves something in a folder of this machine.
    pub const fn has_output(self) -> bool {
        !self.is_read_only() && !matches!(self, Self::LiveFix | Self::RollBack)
    }

    /// Whether the command only looks: it has no output folder and changes nothing.
    pub const fn is_read_only(self) -> bool {
        matches!(self, Self::Inventory | Self::Inspect | Self::Plan)
    }
}

/// The stages that can be left out: the others are those that a later one works on the result of.
pub const SKIPPABLE: [Stage; 2] = [Stage::Fix, Stage::Test];

//! `Stage`: the seven steps of the pipeline, in their order.
//!
//! Owns the words by which stages are named in files, arguments, events and reports. Runs nothing.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A step of the pipeline. The order of declaration is the order of execution, and `Ord` follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Finds the virtual machine and opens its bytes.
    Fetch,
    /// Opens each disk's chain as one flat view.
    Flatten,
    /// Reads what the guest is.
    Inspect,
    /// Decides what has to change.
    Plan,
    /// Carries the changes out.
    Fix,
    /// Writes the final images.
    Convert,
    /// Boots a throw-away copy of the result.
    Test,
}

impl Stage {
    /// Every stage in order.
    pub const ALL: [Self; 7] =
        [Self::Fetch, Self::Flatten, Self::Inspect, Self::Plan, Self::Fix, Self::Convert, Self::Test];

    /// The word in files, arguments and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::Flatten => "flatten",
            Self::Inspect => "inspect",
            Self::Plan => "plan",
            Self::Fix => "fix",
            Self::Convert => "convert",
            Self::Test => "test",
        }
    }
}

/// In upper case, as people read it in a log.
impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Fetch => "FETCH",
            Self::Flatten => "FLATTEN",
            Self::Inspect => "INSPECT",
            Self::Plan => "PLAN",
            Self::Fix => "FIX",
            Self::Convert => "CONVERT",
            Self::Test => "TEST",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_agree_with_serde_and_with_the_order() {
        assert!(Stage::ALL.is_sorted());
        for stage in Stage::ALL {
            assert_eq!(serde_json::to_value(stage).unwrap(), stage.as_str());
            assert_eq!(stage.to_string(), stage.as_str().to_uppercase());
        }
    }
}

//! What the first start of a migrated Windows leaves: how each of its steps ended.

use serde::Deserialize;

use crate::text::shown;

/// The steps of a first start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstStart {
    steps: Option<Vec<Step>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Step {
    name: String,
    code: i64,
}

#[derive(Deserialize)]
struct Written {
    steps: Vec<Step>,
}

/// Ends the list, and is no step.
const END: &str = "end";
/// No more failed steps are named.
const MOST_NAMED: usize = 8;

impl FirstStart {
    /// Reads its result; text that is none is kept as that.
    pub fn parse(bytes: &[u8]) -> Self {
        let steps = serde_json::from_slice::<Written>(bytes).ok().map(|written| written.steps);
        Self { steps: steps.map(|steps| steps.into_iter().filter(|step| step.name != END).collect()) }
    }

    /// For people: how many steps were done, and which were not.
    pub fn words(&self) -> String {
        let Some(steps) = &self.steps else { return "its result cannot be read".to_owned() };
        let failed: Vec<_> = steps.iter().filter(|step| step.code != 0).collect();
        let done = format!("{} of {} steps done", steps.len() - failed.len(), steps.len());
        if failed.is_empty() {
            return done;
        }
        let named = failed.iter().take(MOST_NAMED).map(|step| format!("{} ended with {}", step.name, step.code));
        shown(&format!("{done}; {}", named.collect::<Vec<_>>().join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_that_failed_are_named() {
        let result = "{\"schema\":1,\"runs\":1,\"steps\":[\r\n{\"name\":\"driver netkvm.inf\",\"code\":0},\r\n\
            {\"name\":\"network\",\"code\":1},\r\n{\"name\":\"end\",\"code\":0}]}\r\n";
        let table = [
            (result, "1 of 2 steps done; network ended with 1"),
            ("{\"steps\":[{\"name\":\"end\",\"code\":0}]}", "0 of 0 steps done"),
            ("{\"steps\":[{\"name\":\"a\\u001b[2J\",\"code\":-1}]}", "0 of 1 steps done; a\\x1b[2J ended with -1"),
            ("{\"steps\":[", "its result cannot be read"),
            ("", "its result cannot be read"),
        ];
        for (text, wanted) in table {
            assert_eq!(FirstStart::parse(text.as_bytes()).words(), wanted, "{text}");
        }
    }
}

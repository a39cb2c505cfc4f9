//! Which commands work on this machine with the plugins that are usable here. No plugin's code runs.

use vmdk2kvm_plugin_api::{Kind, Manifest};

use super::discovery::Candidate;
use super::needs::missing_needs;
use crate::cli::render::Ability;
use crate::config::PluginOptions;

/// What a command needs: a stage, and the word that a plugin's manifest must have among its capabilities.
struct Stage {
    kind: Kind,
    word: Option<&'static str>,
    lacking: &'static str,
}

const FETCH: Stage = Stage { kind: Kind::Fetcher, word: None, lacking: "no plugin reads a source" };
const LOOK: Stage = Stage { kind: Kind::Inspector, word: None, lacking: "no plugin looks into guests" };
/// A reader of flat views changes nothing.
const CHANGE: Stage =
    Stage { kind: Kind::Inspector, word: Some("images"), lacking: "no plugin opens guests to change them" };
const WRITE: Stage = Stage { kind: Kind::Converter, word: Some("qcow2"), lacking: "no plugin writes images" };
const BOOT: Stage = Stage { kind: Kind::Tester, word: None, lacking: "no plugin boots a result" };

/// What the commands need; the last stage is that whose plugins are named.
const COMMANDS: [(&str, &[Stage]); 4] = [
    ("inventory", &[FETCH]),
    ("inspect, plan", &[FETCH, LOOK]),
    ("migrate, without its boot test", &[FETCH, WRITE, CHANGE]),
    ("boot test", &[BOOT]),
];

/// A line for each command: by which plugins it works here, or why it does not.
pub fn abilities(candidates: &[Candidate], options: &PluginOptions) -> Vec<Ability> {
    let usable: Vec<&Manifest> = candidates.iter().filter_map(|candidate| usable(candidate, options)).collect();
    COMMANDS
        .iter()
        .map(|(command, stages)| {
            let lacking = stages.iter().find(|stage| !usable.iter().any(|manifest| stage.is_done_by(manifest)));
            let by = usable.iter().filter(|manifest| stages.last().is_some_and(|stage| stage.is_done_by(manifest)));
            Ability {
                command: (*command).to_owned(),
                works: lacking.is_none(),
                detail: match lacking {
                    Some(stage) => stage.lacking.to_owned(),
                    None => by.map(|manifest| manifest.name.as_str()).collect::<Vec<_>>().join(","),
                },
            }
        })
        .collect()
}

impl Stage {
    fn is_done_by(&self, manifest: &Manifest) -> bool {
        manifest.kinds.iter().any(|kind| kind == self.kind.as_str())
            && self.word.is_none_or(|word| manifest.capabilities.iter().any(|has| has == word))
    }
}

fn usable<'a>(candidate: &'a Candidate, options: &PluginOptions) -> Option<&'a Manifest> {
    let manifest = candidate.manifest.as_ref().filter(|_| candidate.refused.is_none())?;
    let whole = missing_needs(manifest, &candidate.needed).is_empty();
    (whole && !options.disabled.contains(&manifest.name)).then_some(manifest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugins::SearchKind;

    fn candidate(name: &str, kind: &str, words: &[&str], program: &str) -> Candidate {
        let manifest = serde_json::json!({
            "schema": 1, "name": name, "version": "0.1.0", "api": "1.0.0", "summary": "", "license": "MIT",
            "kinds": [kind], "capabilities": words,
            "programs": if program.is_empty() { serde_json::json!([]) } else { serde_json::json!([{"name": program, "packages": {}}]) },
        });
        Candidate {
            path: name.into(),
            kind: SearchKind::Given,
            manifest: Some(serde_json::from_value(manifest).unwrap()),
            needed: Vec::new(),
            digest: None,
            refused: None,
        }
    }

    #[test]
    fn commands_work_when_their_stages_do() {
        let candidates = [
            candidate("files", "fetcher", &["path"], ""),
            candidate("views", "inspector", &["sources"], ""),
            candidate("appliance", "inspector", &["images"], "no-such-program"),
            candidate("images", "converter", &["qcow2"], ""),
            candidate("boots", "tester", &[], ""),
        ];
        let shown = |options: &PluginOptions| {
            let shown = abilities(&candidates, options).into_iter();
            shown.map(|ability| (ability.command, ability.works, ability.detail)).collect::<Vec<_>>()
        };
        let mut options = PluginOptions::default();
        let line = |command: &str, works: bool, detail: &str| (command.to_owned(), works, detail.to_owned());
        let expected = [
            line("inventory", true, "files"),
            line("inspect, plan", true, "views"),
            line("migrate, without its boot test", false, "no plugin opens guests to change them"),
            line("boot test", true, "boots"),
        ];
        assert_eq!(shown(&options), expected);
        options.disabled = vec!["views".to_owned(), "boots".to_owned()];
        let fewer = shown(&options);
        assert_eq!(fewer[1], line("inspect, plan", false, "no plugin looks into guests"));
        assert_eq!(fewer[3], line("boot test", false, "no plugin boots a result"));
    }
}

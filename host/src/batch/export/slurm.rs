//! Slurm: an array of tasks for each set of places, with the places as licences, which Slurm counts over all nodes. What may be cured by a
//! retry is requeued by the controller (`RequeueExit=75`).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use vmdk2kvm_plugin_api::{PluginError, Result};

use super::{Written, arguments};
use crate::batch::request::{Around, Asked};
use crate::batch::rows::Batch;
use crate::shell::quoted;

/// Tasks of one array; `MaxArraySize` is one more by default.
const ARRAY: usize = 1000;
/// A task is asked to stop so long before its time is over, in seconds.
const NOTICE: u32 = 120;

/// The scripts, the lines for `slurm.conf`, and the command.
pub(super) fn export(batch: &Batch, asked: &Asked, around: &Around<'_>) -> Result<(Vec<Written>, Vec<String>, String)> {
    let mut licences: BTreeMap<String, (String, u32)> = BTreeMap::new();
    let mut sets: BTreeMap<Vec<String>, Vec<usize>> = BTreeMap::new();
    for (index, vm) in batch.vms.iter().enumerate() {
        let mut names = Vec::new();
        for key in &vm.keys {
            let Some(places) = batch.limits.of(key) else { continue };
            let name = licence(key);
            let (other, _) = licences.entry(name.clone()).or_insert_with(|| (key.clone(), places));
            if other != key {
                return Err(PluginError::config(format!(
                    "the keys {} and {} become one licence, {name}",
                    crate::events::escape(other),
                    crate::events::escape(key)
                ))
                .hint("name one of them otherwise"));
            }
            names.push(name);
        }
        names.sort();
        names.dedup();
        sets.entry(names).or_default().push(index);
    }
    let mut files = Vec::new();
    let mut submit = String::from(
        "#!/bin/sh\n# Submits all arrays of the batch. The folder is that of this script.\nset -eu\ncd \"$(dirname \"$0\")\"\n",
    );
    // Slurm has no licence for all tasks together: each array gets its part of them.
    let at_once = (batch.limits.total() as usize).div_ceil(sets.len().max(1)).max(1);
    for (names, rows) in &sets {
        for part in rows.chunks(ARRAY) {
            let name = format!("array-{}.sh", files.len() + 1);
            let wanted: Vec<String> = names.iter().map(|name| format!("{name}:1")).collect();
            let _ = writeln!(submit, "sbatch {name}");
            files.push(Written { text: script(batch, asked, around, &wanted, part, at_once)?, name });
        }
    }
    let mut administrator = vec!["RequeueExit=75".to_owned()];
    if !licences.is_empty() {
        let list: Vec<String> = licences.iter().map(|(name, (_, places))| format!("{name}:{places}")).collect();
        administrator.push(format!("Licenses={}", list.join(",")));
    }
    files.push(Written { name: "submit.sh".to_owned(), text: submit });
    Ok((files, administrator, "sh {folder}/submit.sh".to_owned()))
}

fn script(
    batch: &Batch,
    asked: &Asked,
    around: &Around<'_>,
    licences: &[String],
    rows: &[usize],
    at_once: usize,
) -> Result<String> {
    let absolute = |path: &std::path::Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut words = vec!["batch".to_owned(), "run".to_owned(), absolute(&asked.list).display().to_string()];
    words.extend(["-o".to_owned(), batch.dir.display().to_string()]);
    for file in &around.layers.files {
        words.extend(["-c".to_owned(), absolute(file).display().to_string()]);
    }
    words.extend(arguments::settings(around.layers)?);
    let limit_dir = asked.limit_dir.as_deref().map(|folder| absolute(folder).display().to_string());
    words.extend(arguments::of_batch(asked, limit_dir.as_deref()));
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    let rows: Vec<String> = rows.iter().map(ToString::to_string).collect();
    let mut text = String::from("#!/bin/bash\n#SBATCH --job-name=vmdk2kvm\n#SBATCH --ntasks=1\n");
    if !licences.is_empty() {
        let _ = writeln!(text, "#SBATCH --licenses={}", licences.join(","));
    }
    let _ = writeln!(text, "#SBATCH --array=0-{}%{at_once}", rows.len() - 1);
    // SIGTERM in time, to be at a safe point when the time is over.
    let _ = writeln!(text, "#SBATCH --requeue\n#SBATCH --open-mode=append\n#SBATCH --signal=B:TERM@{NOTICE}");
    let _ = writeln!(text, "rows=({})", rows.join(" "));
    let _ = writeln!(
        text,
        "exec \"${{VMDK2KVM:-vmdk2kvm}}\" {} --index \"${{rows[$SLURM_ARRAY_TASK_ID]}}\"",
        words.join(" ")
    );
    Ok(text)
}

/// A key as the name of a licence.
fn licence(key: &str) -> String {
    key.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
}

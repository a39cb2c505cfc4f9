//! Kubernetes: one Indexed Job, its list in a ConfigMap. What a retry may cure is retried per index, every other code fails its index at once,
//! and an evicted pod counts for nothing. Places are files in a folder of the output volume, since nothing there counts them.

use serde_json::{Value, json};
use vmdk2kvm_plugin_api::{PluginError, Result};

use super::{Written, arguments};
use crate::batch::request::{Around, Asked};
use crate::batch::rows::Batch;
use crate::config::secret::mask;

/// What a pod is made of.
pub(super) struct Pod<'a> {
    pub image: &'a str,
    pub claim: &'a str,
    pub secret: Option<&'a str>,
}

/// The largest ConfigMap, in bytes, with room for what is around it.
const LARGEST: usize = 1_000_000;
/// Exit codes that no retry cures.
const FINAL: [u8; 9] = [1, 2, 65, 69, 73, 77, 78, 80, 81];
/// Seconds until a pod that was asked to stop is killed: more than the way to the next safe point.
const GRACE: u32 = 120;
const LIST: &str = "/batch";
const OUTPUT: &str = "/output";
const SECRETS: &str = "/secrets";

/// The manifest, nothing for an administrator, and the command.
pub(super) fn export(
    batch: &Batch,
    asked: &Asked,
    around: &Around<'_>,
    pod: &Pod<'_>,
) -> Result<(Vec<Written>, Vec<String>, String)> {
    if asked.list.is_dir() {
        return Err(PluginError::config("a folder cannot be a list in a ConfigMap")
            .hint("make one table of it, in TOML or CSV"));
    }
    let (mut data, mut words) = (serde_json::Map::new(), vec!["batch".to_owned(), "run".to_owned()]);
    let list = text(&asked.list)?;
    let ending =
        asked.list.extension().map_or_else(|| "toml".to_owned(), |ending| ending.to_string_lossy().into_owned());
    let name = format!("jobs.{ending}");
    words.push(format!("{LIST}/{name}"));
    data.insert(name, json!(list));
    words.extend(["-o".to_owned(), OUTPUT.to_owned()]);
    for (index, path) in around.layers.files.iter().enumerate() {
        let layer = crate::config::read_tree(path, LARGEST as u64)?;
        let tree = layer.map(|layer| Value::Object(layer.tree)).unwrap_or_default();
        let mut masked = tree.clone();
        mask(&mut masked);
        if masked != tree {
            return Err(PluginError::config(format!("{} holds a secret, which an export never does", path.display()))
                .hint("name a place for it under [secrets]"));
        }
        let ending = path.extension().unwrap_or_default().to_string_lossy().into_owned();
        let name = format!("settings-{}.{ending}", index + 1);
        words.extend(["-c".to_owned(), format!("{LIST}/{name}")]);
        data.insert(name, json!(text(path)?));
    }
    if data.values().filter_map(Value::as_str).map(str::len).sum::<usize>() > LARGEST {
        return Err(PluginError::config(format!(
            "the list and its settings are larger than a ConfigMap of {LARGEST} bytes"
        ))
        .hint("cut the list into several batches"));
    }
    words.extend(arguments::settings(around.layers)?);
    let folder = asked.limit_dir.as_ref().map(|folder| folder.display().to_string());
    let counted = batch.vms.iter().flat_map(|vm| &vm.keys).any(|key| batch.limits.of(key).is_some());
    let folder = folder.or_else(|| counted.then(|| format!("{OUTPUT}/.vmdk2kvm-places")));
    words.extend(arguments::of_batch(asked, folder.as_deref()));
    words.extend(["--index".to_owned(), "$(JOB_COMPLETION_INDEX)".to_owned()]);
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "vmdk2kvm-batch"}, "data": data,
    });
    let documents = [map, job(batch, pod, &words)];
    let mut manifest = String::new();
    for document in documents {
        let yaml = serde_norway::to_string(&document).map_err(|error| PluginError::defect(error.to_string()))?;
        manifest.push_str("---\n");
        manifest.push_str(&yaml);
    }
    let files = vec![Written { name: "job.yaml".to_owned(), text: manifest }];
    Ok((files, Vec::new(), "kubectl apply -f {folder}/job.yaml".to_owned()))
}

fn text(path: &std::path::Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| PluginError::from_io(path.display(), &error))
}

fn job(batch: &Batch, pod: &Pod<'_>, words: &[String]) -> Value {
    let mut volumes = vec![
        json!({"name": "batch", "configMap": {"name": "vmdk2kvm-batch"}}),
        json!({"name": "output", "persistentVolumeClaim": {"claimName": pod.claim}}),
        // Unfinished work lies on the output volume; this is for what a run needs beside it.
        json!({"name": "scratch", "emptyDir": {"sizeLimit": "8Gi"}}),
    ];
    let mut mounts = vec![
        json!({"name": "batch", "mountPath": LIST, "readOnly": true}),
        json!({"name": "output", "mountPath": OUTPUT}),
        json!({"name": "scratch", "mountPath": "/var/tmp", "subPath": "var"}),
        json!({"name": "scratch", "mountPath": "/tmp", "subPath": "tmp"}),
    ];
    if let Some(secret) = pod.secret {
        volumes.push(json!({"name": "secrets", "secret": {"secretName": secret, "defaultMode": 0o400}}));
        mounts.push(json!({"name": "secrets", "mountPath": SECRETS, "readOnly": true}));
    }
    let count = batch.vms.len();
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "vmdk2kvm-batch"},
        "spec": {
            "completionMode": "Indexed",
            "completions": count,
            "parallelism": (batch.limits.total() as usize).min(count),
            "backoffLimitPerIndex": 3,
            // Otherwise the Job ends with the first index that fails for good.
            "maxFailedIndexes": count,
            // No second pod of an index while the first one still ends: they would wait for each other's locks.
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {"rules": [
                {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                {"action": "FailIndex", "onExitCodes": {"containerName": "vmdk2kvm", "operator": "In", "values": FINAL}},
            ]},
            "template": {"spec": {
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": GRACE,
                "automountServiceAccountToken": false,
                "securityContext": {"runAsNonRoot": true, "runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 1000,
                    "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [{
                    "name": "vmdk2kvm",
                    "image": pod.image,
                    "command": ["vmdk2kvm"],
                    "args": words,
                    "env": [{"name": "HOME", "value": "/var/tmp"}],
                    "resources": {"requests": {"cpu": "2", "memory": "2Gi"}},
                    "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                        "capabilities": {"drop": ["ALL"]}},
                    "volumeMounts": mounts,
                }],
                "volumes": volumes,
            }},
        },
    })
}

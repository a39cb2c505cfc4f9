//! What was released stays: the frozen part of the binary interface, and the JSON documents of the model.
//!
//! `tests/contract` holds both as they were released. A plugin that was built then is still about, and so are plans and reports on disk.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;
use std::path::Path;

use serde_json::Value;
use vmdk2kvm_plugin_api::model::{
    Applied, ChainReport, Change, Changed, CommitOverlay, Convert, CreateOverlay, Define, Defined, Delivered,
    FixerPlan, FlattenDisk, Hold, HoldWish, Inspection, Link, Machine, OpenGuest, Plan, PlanContext, Render, Rendered,
    RolledBack, SourceRef, StatedDigest, Storage, TestRequest, Verdict, VmSpec, VmSummary, Way,
};
use vmdk2kvm_plugin_api::{LogRecord, Manifest, PluginError};

const ABI: &str = "tests/contract/abi-1.txt";
const WHOLE: &str = "tests/contract/documents-1.json";

fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A type of the binary interface with its fields or methods, one a line.
struct Item {
    head: String,
    lines: Vec<String>,
    /// How many of the lines are frozen; for a struct of values all of them.
    frozen: usize,
}

/// The types that cross the boundary, from their source.
fn items() -> Vec<Item> {
    let mut items = Vec::new();
    for file in ["src/abi/traits.rs", "src/abi/types.rs", "src/abi/root.rs"] {
        let text = read(file);
        let mut lines = text.lines().peekable();
        let mut is_abi = false;
        while let Some(line) = lines.next() {
            is_abi |= line.contains("sabi_trait]") || line.contains("StableAbi");
            let is_head = line.starts_with("pub trait ") || (line.starts_with("pub struct ") && line.ends_with('{'));
            if line.is_empty() {
                is_abi = false;
            }
            if !is_head || !is_abi {
                continue;
            }
            let mut item = Item { head: line.trim_end_matches(" {").to_owned(), lines: Vec::new(), frozen: 0 };
            let (mut last_comes, mut depth) = (false, 0i32);
            for line in lines.by_ref().take_while(|line| *line != "}").map(str::trim) {
                if line.contains("last_prefix_field") {
                    last_comes = true;
                } else if !line.starts_with("//") && !line.starts_with('#') && !line.is_empty() {
                    if depth == 0 {
                        item.lines.push(line.to_owned());
                        if last_comes {
                            (item.frozen, last_comes) = (item.lines.len(), false);
                        }
                    }
                    depth += line.matches('{').count() as i32 - line.matches('}').count() as i32;
                }
            }
            if item.frozen == 0 {
                item.frozen = item.lines.len();
            }
            items.push(item);
        }
    }
    assert!(items.len() >= 20, "only {} types were found: this test does not read the source as it is", items.len());
    items
}

#[test]
fn the_frozen_part_of_the_binary_interface_is_as_it_was_released() {
    let frozen = |item: &Item| format!("{}\n    {}\n", item.head, item.lines[..item.frozen].join("\n    "));
    let today: String = items().iter().map(frozen).collect();
    assert_eq!(
        today,
        read(ABI),
        "a frozen type or method changed, and no plugin that is about would load any more: put it back, and add what is new as a method \
         with a default body behind the one marked `last_prefix_field`. Only a new major version of plugin-api changes {ABI}."
    );
}

#[test]
fn what_came_after_the_frozen_part_has_a_default() {
    for item in items() {
        for line in &item.lines[item.frozen..] {
            let has_default = item.head.starts_with("pub struct") || line.ends_with('{');
            assert!(
                has_default,
                "{}: `{line}` has no default body: it would panic in a plugin that was built before it. Give it one.",
                item.head
            );
        }
    }
}

/// Reads a document as the type that its name says, and writes it again.
fn again(name: &str, document: &Value) -> Value {
    macro_rules! by_name {
        ($($type:ident),*) => {
            match name {
                $(stringify!($type) => {
                    let read: $type = serde_json::from_value(document.clone()).unwrap_or_else(|error| {
                        panic!("a {name} of plugin-api 1 cannot be read any more ({error}): a new member needs a default, and a \
                                changed one a new schema number\n{document:#}")
                    });
                    serde_json::to_value(read).unwrap()
                })*
                _ => panic!("{WHOLE} has a document of the type {name}, which this test does not know"),
            }
        };
    }
    by_name!(
        Applied,
        ChainReport,
        Change,
        Changed,
        CommitOverlay,
        Convert,
        CreateOverlay,
        Define,
        Defined,
        Delivered,
        FixerPlan,
        FlattenDisk,
        Hold,
        HoldWish,
        Inspection,
        Link,
        LogRecord,
        Machine,
        Manifest,
        OpenGuest,
        Plan,
        PlanContext,
        PluginError,
        Render,
        Rendered,
        RolledBack,
        SourceRef,
        StatedDigest,
        Storage,
        TestRequest,
        Verdict,
        VmSpec,
        VmSummary,
        Way
    )
}

/// Where `now` lacks something that `then` has, or has another value.
fn lost(at: &str, then: &Value, now: &Value) -> Option<String> {
    match (then, now) {
        (Value::Object(then), Value::Object(now)) => then.iter().find_map(|(key, value)| {
            let at = format!("{at}.{key}");
            now.get(key).map_or_else(|| Some(at.clone()), |now| lost(&at, value, now))
        }),
        (Value::Array(then), Value::Array(now)) if then.len() == now.len() => {
            then.iter().zip(now).enumerate().find_map(|(n, (then, now))| lost(&format!("{at}[{n}]"), then, now))
        }
        _ if then == now => None,
        _ => Some(at.to_owned()),
    }
}

/// Each type's documents: the first has every member, the next words of each kind, the last only what must be there.
#[test]
fn documents_of_the_release_are_read_and_written_as_they_were() {
    let types: Value = serde_json::from_str(&read(WHOLE)).unwrap();
    for (name, documents) in types.as_object().unwrap() {
        for document in documents.as_array().unwrap() {
            let now = again(name, document);
            if let Some(member) = lost(name, document, &now) {
                panic!(
                    "{member} of plugin-api 1 is not written as it was: a member is never renamed, removed or given another form; add a \
                     new one beside it, or raise the schema number when the meaning changes\n{document:#}\n{now:#}"
                );
            }
        }
    }
}

/// A member that is not in the documents would not be guarded.
#[test]
fn the_documents_have_every_member() {
    let types: Value = serde_json::from_str(&read(WHOLE)).unwrap();
    for (name, documents) in types.as_object().unwrap() {
        let whole = &documents.as_array().unwrap()[0];
        if let Some(member) = lost(name, &again(name, whole), whole) {
            panic!(
                "{member} is new: add it to the first document of {name} in {WHOLE}; the last one, without it, must still be read"
            );
        }
    }
}

//! What govc says with `-xml`: objects as the API has them, with their types, and faults likewise.

use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{ErrorKind, PluginError, Result};
use vmdk2kvm_vsphere::Tree;
use vmdk2kvm_vsphere::collector::Object;
use vmdk2kvm_vsphere::fault::Fault;
use vmdk2kvm_vsphere::session::Failed;

/// The longest description of one object, in bytes.
const LIMIT: usize = 64 << 20;
/// An object ends with it, at the end of a line: within a text it would be escaped.
const END: &str = "</ObjectUpdate>";
/// Who says it, for messages.
pub const WHO: &str = "govc";

/// Objects as they come.
pub struct Objects<'a> {
    pending: Vec<u8>,
    /// So much of it has no end of an object in it.
    searched: usize,
    take: &'a mut dyn FnMut(Object) -> Result<()>,
}

impl<'a> Objects<'a> {
    /// Each is given to `take`.
    pub fn new(take: &'a mut dyn FnMut(Object) -> Result<()>) -> Self {
        Self { pending: Vec::new(), searched: 0, take }
    }

    /// Takes what was printed next.
    pub fn push(&mut self, bytes: &[u8]) -> Result<()> {
        self.pending.extend_from_slice(bytes);
        let mut begin = 0;
        while let Some(end) = self.pending[self.searched..].iter().position(|byte| *byte == b'\n') {
            let line_end = self.searched + end;
            self.searched = line_end + 1;
            let object = &self.pending[begin..line_end];
            if object.ends_with(END.as_bytes()) {
                let text = std::str::from_utf8(object).map_err(|_| wrong("what is not UTF-8"))?;
                let object = Object::of(&Tree::parse(text, WHO)?).ok_or_else(|| wrong("an object without an id"))?;
                (self.take)(object)?;
                begin = line_end + 1;
            }
        }
        self.pending.drain(..begin);
        self.searched = self.pending.len();
        if self.pending.len() > LIMIT { Err(wrong("an object of more than 64 MiB")) } else { Ok(()) }
    }

    /// Nothing more comes.
    pub fn end(self) -> Result<()> {
        if self.pending.iter().all(u8::is_ascii_whitespace) { Ok(()) } else { Err(wrong("half an object")) }
    }
}

fn wrong(what: &str) -> PluginError {
    PluginError::unusable(format!("govc prints {what}"))
        .hint("install another version of govc, or leave it out with --set plugins.fetcher=vsphere-soap")
}

/// Why govc failed, from what it says on standard error.
pub fn failure(complaint: &str) -> Failed {
    let text = complaint.trim();
    match fault(text) {
        Some(fault) => Failed::Fault(fault),
        None => Failed::Unheard(other(text)),
    }
}

fn fault(text: &str) -> Option<Fault> {
    let tree = Tree::parse(text.strip_prefix(WHO).unwrap_or(text), WHO).ok()?;
    match tree.name.as_str() {
        "Fault" => Fault::of_element(&tree),
        "LocalizedMethodFault" => Some(Fault::of_task(&tree)),
        // A fault of the API alone.
        kind => Some(Fault { kind: kind.to_owned(), text: String::new() }),
    }
}

fn other(text: &str) -> PluginError {
    let last = text.lines().last().unwrap_or_default();
    // The program's own name, by its path.
    let why = last.split_once("govc: ").map_or(last, |(_, why)| why);
    let shown = escape(why);
    let has = |words: &[&str]| words.iter().any(|word| why.contains(word));
    if has(&["flag provided but not defined", "Usage:"]) || text.contains("Usage:") {
        return PluginError::missing(format!("this govc is too old: {shown}"))
            .hint("install version 0.30 or newer, or leave it out with --set plugins.fetcher=vsphere-soap");
    }
    if has(&["x509:", "certificate", "thumbprint"]) {
        return PluginError::new(ErrorKind::Auth, format!("govc does not believe the server's certificate: {shown}"))
            .hint("pin it by ?thumbprint= in the source, or name its authorities in the setting `ca`");
    }
    if has(&["429 ", "502 ", "503 ", "504 "]) {
        return PluginError::new(ErrorKind::Temporary, format!("the server has too much to do: {shown}"))
            .hint("run the same command again; a proxy in between may be the one that answers");
    }
    PluginError::io(format!("govc: {shown}"))
        .hint("check the address and the way to it, then run the same command again")
}

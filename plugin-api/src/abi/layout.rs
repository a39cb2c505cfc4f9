//! Is a plugin's idea of the interface compatible with ours? Asked before anything of the plugin is called.
//!
//! abi_stable's own check wants the plugin's interface to be at least the host's. For a host of plugins that is backwards: a plugin
//! built against 1.0 must load in a host of 1.1. So the check runs with the older side as the interface that the newer one has
//! to fulfil; a method that the older side lacks falls to its default body, because tables are length-checked when called.

use abi_stable::abi_stability::abi_checking::{AbiInstability, AbiInstabilityErrors, check_layout_compatibility};
use abi_stable::library::AbiHeaderRef;
use abi_stable::type_layout::{TLField, TLFieldOrFunction};

use super::root::PluginRootRef;
use crate::{ErrorKind, PluginError, Result};

/// Why a root module was not taken.
#[derive(Debug)]
pub struct LoadError {
    /// One line for people.
    pub message: String,
}

impl From<LoadError> for PluginError {
    fn from(error: LoadError) -> Self {
        Self::new(ErrorKind::Missing, error.message)
    }
}

/// Checks the header and the layout behind it, and returns the plugin's root.
///
/// `plugin_is_older`: the plugin was built against a lower version of the contract than this host's.
///
/// # Safety
///
/// `header` is the symbol [`super::ROOT_SYMBOL`] of a library that is never unloaded.
pub unsafe fn load_root(header: AbiHeaderRef, plugin_is_older: bool) -> Result<PluginRootRef, LoadError> {
    let header = header.upgrade().map_err(|_| LoadError {
        message: "it was built with another version of abi_stable than this host's".to_owned(),
    })?;
    let theirs = header.layout().ok_or_else(|| LoadError { message: "it does not describe its layout".to_owned() })?;
    let ours = <PluginRootRef as abi_stable::StableAbi>::LAYOUT;
    let (interface, implementation) = if plugin_is_older { (theirs, ours) } else { (ours, theirs) };
    check_layout_compatibility(interface, implementation)
        .map_err(|errors| LoadError { message: describe(&errors, plugin_is_older) })?;
    // SAFETY: the layout was just found compatible in the direction that matters.
    unsafe { header.init_root_module_with_unchecked_layout::<PluginRootRef>() }
        .map_err(|error| LoadError { message: first_line(&error.to_string()) })
}

/// `GuestAbi / fn list / AbiEntry: host has the field name: RString, plugin has the field kind: u32`, for the deepest difference.
fn describe(errors: &AbiInstabilityErrors, plugin_is_older: bool) -> String {
    let deepest = errors.errors.iter().max_by_key(|error| error.stack_trace.len());
    let Some((error, first)) = deepest.and_then(|error| Some((error, error.errs.first()?))) else {
        return "its interface differs from this host's".to_owned();
    };
    let mut path: Vec<String> = error.stack_trace.iter().filter_map(|step| own_name(&step.expected)).collect();
    path.dedup();
    if path.is_empty() {
        path.push(errors.interface.name().to_owned());
    }
    let path = path.split_off(path.len().saturating_sub(3)).join(" / ");
    let difference = match difference(first) {
        (_, Some((expected, found))) if plugin_is_older => format!("host has {found}, plugin has {expected}"),
        (_, Some((expected, found))) => format!("host has {expected}, plugin has {found}"),
        (what, None) => what,
    };
    format!("its interface differs from this host's: {path}: {difference}")
}

/// The name of a step on the way to a difference, where it is of this crate: what lies between are the insides of vectors and pointers.
fn own_name(step: &TLFieldOrFunction) -> Option<String> {
    match step {
        TLFieldOrFunction::Field(field) => {
            let layout = field.layout();
            (layout.package().as_str() == env!("CARGO_PKG_NAME")).then(|| layout.name().to_owned())
        }
        TLFieldOrFunction::Function(function) => Some(format!("fn {}", function.name)),
    }
}

/// What differs, in one word of abi_stable's, and both sides where they can be said in a few.
fn difference(error: &AbiInstability) -> (String, Option<(String, String)>) {
    let field = |field: &TLField| format!("the field {}: {}", field.name(), field.layout().name());
    let both = match error {
        AbiInstability::UnexpectedField(fields) => Some((field(&fields.expected), field(&fields.found))),
        AbiInstability::FieldCountMismatch(count) => {
            Some((format!("{} fields", count.expected), format!("{} fields", count.found)))
        }
        AbiInstability::Name(name) => Some((name.expected.to_string(), name.found.to_string())),
        AbiInstability::Size(size) => Some((format!("{} bytes", size.expected), format!("{} bytes", size.found))),
        _ => None,
    };
    let debug = first_line(&format!("{error:?}"));
    (debug.split(['(', ' ']).next().unwrap_or_default().to_owned(), both)
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(300).collect()
}

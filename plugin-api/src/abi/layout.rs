//! Is a plugin's idea of the interface compatible with ours? Asked before anything of the plugin is called.
//!
//! abi_stable's own check wants the plugin's interface to be at least the host's. For a host of plugins that is backwards: a plugin
//! built against 1.0 must load in a host of 1.1. So the check runs with the older side as the interface that the newer one has
//! to fulfil; a method that the older side lacks falls to its default body, because tables are length-checked when called.

use abi_stable::abi_stability::abi_checking::check_layout_compatibility;
use abi_stable::library::AbiHeaderRef;
use abi_stable::type_layout::TypeLayout;

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

/// `TypeA / field b: host has u64, plugin has i64`, for the deepest difference.
fn describe(errors: &abi_stable::abi_stability::abi_checking::AbiInstabilityErrors, plugin_is_older: bool) -> String {
    let Some(deepest) = errors.errors.iter().max_by_key(|error| error.stack_trace.len()) else {
        return "its interface differs from this host's".to_owned();
    };
    let name = |layout: &TypeLayout| layout.name().to_owned();
    let mut path = vec![name(errors.interface)];
    path.extend(deepest.stack_trace.iter().map(|step| field_name(&step.expected)));
    path.dedup();
    let tail = path.split_off(path.len().saturating_sub(3));
    let difference = deepest.errs.iter().next().map_or_else(
        || "differs".to_owned(),
        |error| {
            let text = first_line(&format!("{error:?}"));
            match split_expected_found(&text) {
                Some((expected, found)) if plugin_is_older => format!("host has {found}, plugin has {expected}"),
                Some((expected, found)) => format!("host has {expected}, plugin has {found}"),
                None => text,
            }
        },
    );
    format!("its interface differs from this host's: {}: {difference}", tail.join(" / "))
}

fn field_name(step: &abi_stable::type_layout::TLFieldOrFunction) -> String {
    use abi_stable::type_layout::TLFieldOrFunction as F;
    match step {
        F::Field(field) => format!("{} {}", field.name(), field.layout().name()),
        F::Function(function) => format!("fn {}", function.name),
    }
}

/// Takes `X(ExpectedFound { expected: A, found: B })` apart.
fn split_expected_found(text: &str) -> Option<(String, String)> {
    let (_, rest) = text.split_once("expected: ")?;
    let (expected, found) = rest.split_once(", found: ")?;
    let found = found.trim_end_matches([')', '}', ' ', '\n']);
    let short = |part: &str| part.chars().take(80).collect::<String>();
    Some((short(expected), short(found)))
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(300).collect()
}

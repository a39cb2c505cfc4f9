//! Values of single arguments, checked while clap can still point at the argument.

use vmdk2kvm_plugin_api::Kind;

/// A kind of plugin by its word.
pub(super) fn kind(text: &str) -> Result<Kind, String> {
    Kind::ALL
        .into_iter()
        .find(|kind| kind.as_str() == text)
        .ok_or_else(|| format!("no kind is called `{text}`; the kinds are {}", Kind::ALL.map(Kind::as_str).join(", ")))
}

/// `KEY=VALUE`, kept as text: the layers take it apart.
pub(super) fn set(text: &str) -> Result<String, String> {
    crate::config::parse_set(text).map(|_| text.to_owned())
}

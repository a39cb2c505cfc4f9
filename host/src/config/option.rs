//! One setting: its name, what values it takes, one line about it, and the option of the command line that stands for it.
//!
//! [`options!`] writes a section of the settings as a type and as a table of [`Key`]s at once. Layers are checked against the table; `--help`
//! and the manual print it.

use super::command::Command;

/// A setting.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its name within its section.
    pub name: &'static str,
    /// What values it takes.
    pub kind: Kind,
    /// One line, with a space before it.
    doc: &'static str,
    /// The option that stands for it.
    pub flag: Option<Flag>,
}

/// An option of the command line that stands for a setting.
#[derive(Debug, Clone, Copy)]
pub struct Flag {
    /// Without its dashes.
    pub long: &'static str,
    /// As one letter.
    pub short: Option<char>,
    /// Stands for the value in help.
    pub value: &'static str,
    /// The commands that have it; `None`: every one.
    pub commands: Option<&'static [Command]>,
}

impl Key {
    /// For the macro.
    pub(super) const fn new(name: &'static str, kind: Kind, doc: &'static str, flag: Option<Flag>) -> Self {
        Self { name, kind, doc, flag }
    }

    /// One line about it.
    pub fn doc(&self) -> &'static str {
        self.doc.trim_start()
    }
}

impl Flag {
    /// An option of every command.
    pub(super) const fn new(long: &'static str, value: &'static str) -> Self {
        Self { long, short: None, value, commands: None }
    }

    /// Also as one letter.
    pub(super) const fn short(mut self, short: char) -> Self {
        self.short = Some(short);
        self
    }

    /// Of these commands alone.
    pub(super) const fn of(mut self, commands: &'static [Command]) -> Self {
        self.commands = Some(commands);
        self
    }
}

/// Every setting below these, with its dotted path, sections opened.
pub fn paths(keys: &'static [Key]) -> Vec<(String, &'static Key)> {
    let mut found = Vec::new();
    for key in keys {
        match key.kind {
            Kind::Section(inner) => {
                found.extend(paths(inner).into_iter().map(|(path, inner)| (format!("{}.{path}", key.name), inner)))
            }
            _ => found.push((key.name.to_owned(), key)),
        }
    }
    found
}

/// A section of the settings: for each its documentation, name and type, its default where that is not the type's, its [`Kind`], and its
/// [`Flag`] where it has one.
macro_rules! options {
    ($(#[$about:meta])* $section:ident {
        $($(#[doc = $doc:literal])+ $name:ident: $type:ty $(= $default:expr)?, $kind:expr $(, $flag:expr)?;)+
    }) => {
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $section {
            $($(#[doc = $doc])+ pub $name: $type,)+
        }

        impl $section {
            /// The settings of this section.
            pub const KEYS: &'static [crate::config::option::Key] = &[$(crate::config::option::Key::new(
                stringify!($name),
                $kind,
                concat!($($doc),+),
                crate::config::option::options!(@flag $($flag)?),
            )),+];
        }

        impl Default for $section {
            fn default() -> Self {
                Self { $($name: crate::config::option::options!(@default $($default)?),)+ }
            }
        }
    };
    (@flag) => { None };
    (@flag $flag:expr) => { Some($flag) };
    (@default) => { Default::default() };
    (@default $default:expr) => { $default };
}
pub(super) use options;

/// What values a setting takes.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// Any text.
    Text,
    /// Several texts.
    Texts,
    /// `true` or `false`.
    Flag,
    /// A whole number within these bounds.
    Number(u64, u64),
    /// One of these words.
    Word(fn() -> Vec<&'static str>),
    /// Several of these words.
    Words(fn() -> Vec<&'static str>),
    /// A path; in a file it is relative to the file's folder.
    Path,
    /// Several paths.
    Paths,
    /// A path or a URI.
    Uri,
    /// Several of those.
    Uris,
    /// Several of `SELECTOR:file:PATH`.
    Keys,
    /// Several of `DISK=SIZE`.
    Resizes,
    /// Several of `DISK=DEVICE`.
    DiskOuts,
    /// A table: old network name (`*` for all others) to a network, or to `{ network = "..." }` or `{ bridge = "..."
    /// }`.
    Networks,
    /// A table: the name of a secret to `{ file = "..." }`, `{ env = "..." }` or `{ credential = "..." }`.
    Secrets,
    /// A table for each of what this word says, which the plugin itself checks.
    Tables(&'static str),
    /// A table of further settings.
    Section(&'static [Key]),
}

impl Kind {
    /// What a value must be, to stand after "must be".
    pub fn wanted(self) -> String {
        match self {
            Self::Text => "a text".into(),
            Self::Texts => "a list of texts".into(),
            Self::Flag => "true or false".into(),
            Self::Number(low, high) => format!("a whole number from {low} to {high}"),
            Self::Word(words) => format!("one of {}", words().join(", ")),
            Self::Words(words) => format!("a list of some of {}", words().join(", ")),
            Self::Path => "a path".into(),
            Self::Paths => "a list of paths".into(),
            Self::Uri => "a path or a URI".into(),
            Self::Uris => "a list of paths or URIs".into(),
            Self::Keys => "a list of SELECTOR:file:PATH".into(),
            Self::DiskOuts => "a list of DISK=DEVICE, e.g. 1=/dev/vg/web".into(),
            Self::Resizes => "a list of DISK=SIZE, e.g. 1=+20G".into(),
            Self::Networks => "a table of network names, each with a network or `{ bridge = \"...\" }`".into(),
            Self::Secrets => "a table of secrets, each with `file`, `env` or `credential`".into(),
            Self::Tables(each) => format!("a table for each {each}"),
            Self::Section(_) => "a table".into(),
        }
    }
}

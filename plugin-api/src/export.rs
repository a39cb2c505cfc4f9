//! The export macro: one registration at the end of a plugin's `lib.rs`.

/// Exports a type that implements [`crate::Plugin`] as this library's plugin, with its manifest.
///
/// Every text is a literal without quotes, backslashes or control characters. The version and the licence are the crate's own.
/// Lists stand in this order; all but `kinds` may be left out: `kinds_by_settings`, `guests`, `capabilities`, `libraries` and `programs` (name,
/// Debian's package, Fedora's package), `settings` (key, type, default, one line), `setting_files` (key, paths below its folder), `flags` (flag, key),
/// `secrets`, `preference`, `own_process` (variables of its environment). Their meaning is [`Manifest`](crate::Manifest)'s.
///
/// ```
/// use vmdk2kvm_plugin_api::{Host, Plugin, Result};
///
/// struct Nothing;
/// impl Plugin for Nothing {
///     fn new(_: Host) -> Result<Self> {
///         Ok(Self)
///     }
/// }
///
/// vmdk2kvm_plugin_api::export_plugin! {
///     plugin: Nothing,
///     name: "nothing",
///     summary: "Does nothing, to show how little a plugin needs",
///     kinds: [],
///     programs: [("qemu-img", "qemu-utils", "qemu-img")],
///     settings: [("depth", "integer", "3", "how deep it does nothing")],
/// }
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! export_plugin {
    (
        plugin: $plugin:ty,
        name: $name:literal,
        summary: $summary:literal,
        kinds: [$($kind:literal),* $(,)?]
        $(, kinds_by_settings: $by_settings:literal)?
        $(, guests: [$($guest:literal),* $(,)?])?
        $(, capabilities: [$($capability:literal),* $(,)?])?
        $(, libraries: [$(($library:literal, $library_deb:literal, $library_rpm:literal)),* $(,)?])?
        $(, programs: [$(($program:literal, $program_deb:literal, $program_rpm:literal)),* $(,)?])?
        $(, settings: [$(($key:literal, $type:literal, $default:literal, $doc:literal)),* $(,)?])?
        $(, setting_files: [$(($folder:literal, [$($file:literal),+ $(,)?])),* $(,)?])?
        $(, flags: [$(($flag:literal, $flag_key:literal)),* $(,)?])?
        $(, secrets: [$($secret:literal),* $(,)?])?
        $(, preference: $preference:literal)?
        $(, own_process: [$(($variable:literal, $value:literal)),* $(,)?])?
        $(,)?
    ) => {
        // A panic could not be caught and would end the host.
        #[cfg(panic = "abort")]
        compile_error!("a plugin must be built with panic = \"unwind\"");

        const _: () = {
            $crate::export::assert_plain(&[
                $name, $summary, $($kind,)* $($($guest,)*)? $($($capability,)*)? $($($library, $library_deb, $library_rpm,)*)?
                $($($program, $program_deb, $program_rpm,)*)? $($($key, $type, $default, $doc,)*)?
                $($($folder, $($file,)+)*)? $($($flag, $flag_key,)*)? $($($secret,)*)? $($($variable, $value,)*)?
                env!("CARGO_PKG_VERSION"), env!("CARGO_PKG_LICENSE"),
            ]);

            const PARTS: &[&str] = &[
                concat!(
                    "{\"schema\":1,\"name\":\"", $name, "\",\"version\":\"", env!("CARGO_PKG_VERSION"),
                    "\",\"license\":\"", env!("CARGO_PKG_LICENSE"), "\",\"summary\":\"", $summary, "\",\"api\":\"",
                ),
                $crate::API_VERSION,
                "\",\"kinds\":[",
                $crate::__json_list!($($kind),*),
                concat!("]", $(",\"kinds_by_settings\":", $by_settings,)? ",\"guests\":["),
                $crate::__json_list!($($($guest),*)?),
                "],\"capabilities\":[",
                $crate::__json_list!($($($capability),*)?),
                "],\"libraries\":[",
                $crate::__json_needs!($($(($library, $library_deb, $library_rpm))*)?),
                "],\"programs\":[",
                $crate::__json_needs!($($(($program, $program_deb, $program_rpm))*)?),
                "],\"settings\":[",
                $crate::__json_objects!(("key", "type", "default", "doc") $($(($key, $type, $default, $doc))*)?),
                "]",
                $(",\"setting_files\":[", $crate::__json_files!($(($folder, $($file),+))*), "]",)?
                ",\"flags\":[",
                $crate::__json_objects!(("flag", "key") $($(($flag, $flag_key))*)?),
                "],\"secrets\":[",
                $crate::__json_list!($($($secret),*)?),
                concat!("]", $(",\"preference\":", $preference,)? ""),
                $($crate::__json_process!($(($variable, $value))*),)?
                "}",
            ];
            const LENGTH: usize = $crate::export::length(PARTS);

            #[used]
            #[unsafe(no_mangle)]
            #[unsafe(link_section = ".vmdk2kvm.plugin")]
            pub static VMDK2KVM_PLUGIN_MANIFEST: [u8; LENGTH] = $crate::export::join(PARTS);

            extern "C" fn manifest() -> $crate::export::RStr<'static> {
                $crate::export::text(&VMDK2KVM_PLUGIN_MANIFEST)
            }

            extern "C" fn create(
                host: $crate::export::HostObj,
                settings: $crate::export::RStr<'_>,
            ) -> $crate::export::AbiResult<$crate::export::PluginObj> {
                $crate::abi::create_plugin::<$plugin>(host, settings)
            }

            fn make() -> $crate::abi::PluginRootRef {
                $crate::abi::root_module(manifest, create)
            }

            extern "C" fn root() -> $crate::abi::RootModuleResult {
                $crate::abi::root_result(make)
            }

            #[unsafe(no_mangle)]
            pub static VMDK2KVM_PLUGIN_1: $crate::abi::LibHeader = $crate::export::header(root);
        };
    };
}

/// `"a","b"` of literals.
#[doc(hidden)]
#[macro_export]
macro_rules! __json_list {
    () => { "" };
    ($first:literal $(, $rest:literal)*) => { concat!("\"", $first, "\"" $(, ",\"", $rest, "\"")*) };
}

/// `{"name":"a","packages":{"deb":"b","rpm":"c"}},...` of literals.
#[doc(hidden)]
#[macro_export]
macro_rules! __json_needs {
    () => { "" };
    (($a:literal, $b:literal, $c:literal) $(($d:literal, $e:literal, $f:literal))*) => {
        concat!("{\"name\":\"", $a, "\",\"packages\":{\"deb\":\"", $b, "\",\"rpm\":\"", $c, "\"}}"
            $(, ",{\"name\":\"", $d, "\",\"packages\":{\"deb\":\"", $e, "\",\"rpm\":\"", $f, "\"}}")*)
    };
}

/// `{"key":"a","any_of":["b","c"]},...` of literals.
#[doc(hidden)]
#[macro_export]
macro_rules! __json_files {
    () => { "" };
    (($a:literal, $($b:literal),+) $(($c:literal, $($d:literal),+))*) => {
        concat!("{\"key\":\"", $a, "\",\"any_of\":[", $crate::__json_list!($($b),+), "]}"
            $(, ",{\"key\":\"", $c, "\",\"any_of\":[", $crate::__json_list!($($d),+), "]}")*)
    };
}

/// `,"process":{"own":true,"environment":{"A":"b",...}}` of literals.
#[doc(hidden)]
#[macro_export]
macro_rules! __json_process {
    () => { ",\"process\":{\"own\":true}" };
    (($a:literal, $b:literal) $(($c:literal, $d:literal))*) => {
        concat!(",\"process\":{\"own\":true,\"environment\":{\"", $a, "\":\"", $b, "\""
            $(, ",\"", $c, "\":\"", $d, "\"")* , "}}")
    };
}

/// `{"flag":"a","key":"b"},...` of literals.
#[doc(hidden)]
#[macro_export]
macro_rules! __json_objects {
    (($($key:literal),*)) => { "" };
    (($k1:literal, $k2:literal) ($a:literal, $b:literal) $(($c:literal, $d:literal))*) => {
        concat!("{\"", $k1, "\":\"", $a, "\",\"", $k2, "\":\"", $b, "\"}"
            $(, ",{\"", $k1, "\":\"", $c, "\",\"", $k2, "\":\"", $d, "\"}")*)
    };
    (($k1:literal, $k2:literal, $k3:literal, $k4:literal) ($a:literal, $b:literal, $c:literal, $d:literal)
        $(($e:literal, $f:literal, $g:literal, $h:literal))*) => {
        concat!("{\"", $k1, "\":\"", $a, "\",\"", $k2, "\":\"", $b, "\",\"", $k3, "\":\"", $c, "\",\"", $k4, "\":\"", $d, "\"}"
            $(, ",{\"", $k1, "\":\"", $e, "\",\"", $k2, "\":\"", $f, "\",\"", $k3, "\":\"", $g, "\",\"", $k4, "\":\"", $h, "\"}")*)
    };
}

#[doc(hidden)]
pub use crate::abi::export_types::{AbiResult, HostObj, PluginObj, RStr};

/// Fails the build when a text could break the JSON it is put into.
#[doc(hidden)]
pub const fn assert_plain(texts: &[&str]) {
    let mut i = 0;
    while i < texts.len() {
        let bytes = texts[i].as_bytes();
        let mut j = 0;
        while j < bytes.len() {
            assert!(
                bytes[j] >= b' ' && bytes[j] != b'"' && bytes[j] != b'\\',
                "a text of the manifest holds a quote, a backslash or a control character"
            );
            j += 1;
        }
        i += 1;
    }
}

/// Length of the parts together.
#[doc(hidden)]
pub const fn length(parts: &[&str]) -> usize {
    let mut total = 0;
    let mut i = 0;
    while i < parts.len() {
        total += parts[i].len();
        i += 1;
    }
    total
}

/// The parts together.
#[doc(hidden)]
pub const fn join<const N: usize>(parts: &[&str]) -> [u8; N] {
    let mut out = [0; N];
    let mut at = 0;
    let mut i = 0;
    while i < parts.len() {
        let bytes = parts[i].as_bytes();
        let mut j = 0;
        while j < bytes.len() {
            out[at] = bytes[j];
            at += 1;
            j += 1;
        }
        i += 1;
    }
    out
}

/// The manifest as text; it was made of text.
#[doc(hidden)]
pub fn text(bytes: &'static [u8]) -> RStr<'static> {
    RStr::from_str(std::str::from_utf8(bytes).unwrap_or_default())
}

/// The header of a library whose root is made by `root`.
#[doc(hidden)]
pub const fn header(root: extern "C" fn() -> crate::abi::RootModuleResult) -> crate::abi::LibHeader {
    // SAFETY: `root` is `abi::root_module` of this crate, which returns a `PluginRootRef`.
    unsafe {
        crate::abi::LibHeader::from_constructor::<crate::abi::PluginRootRef>(root, crate::abi::CheckTypeLayout::Yes)
    }
}

//! The files that boot loaders read: which of their lines hold a kernel command line.

use super::arguments::Arguments;
use crate::textfile::map_lines;

/// The whole file is a command line.
pub(super) fn whole(text: &str, arguments: &mut Arguments<'_>) -> String {
    arguments.rewrite(text)
}

/// Assignments that hold a command line or a part of one; comments stay.
pub(super) fn settings(text: &str, arguments: &mut Arguments<'_>) -> String {
    by_first_word(text, arguments, |first, _| !first.starts_with('#'))
}

/// dracut's own: only what becomes a command line.
pub(super) fn dracut(text: &str, arguments: &mut Arguments<'_>) -> String {
    by_first_word(text, arguments, |first, _| first.starts_with("kernel_cmdline"))
}

/// A Boot Loader Specification entry.
pub(super) fn boot_entry(text: &str, arguments: &mut Arguments<'_>) -> String {
    by_first_word(text, arguments, |first, _| first == "options")
}

/// GRUB legacy: `kernel` lines, and the options that Debian's update-grub keeps in comments.
pub(super) fn menu_lst(text: &str, arguments: &mut Arguments<'_>) -> String {
    by_first_word(text, arguments, |first, line| {
        first == "kernel" || ["# kopt=", "# defoptions=", "# altoptions="].iter().any(|key| line.starts_with(key))
    })
}

/// SYSLINUX and EXTLINUX.
pub(super) fn syslinux(text: &str, arguments: &mut Arguments<'_>) -> String {
    by_first_word(text, arguments, |first, _| first.eq_ignore_ascii_case("append"))
}

/// GRUB's environment block: exactly 1024 bytes, `key=value` lines, `#` behind them (GRUB manual, "Environment block").
pub(super) fn grubenv(text: &str, arguments: &mut Arguments<'_>) -> String {
    const SIZE: usize = 1024;
    if text.len() != SIZE || !text.starts_with("# GRUB Environment Block\n") {
        return text.to_owned();
    }
    let new = map_lines(text, |line| {
        let value = line.strip_prefix("kernelopts=")?;
        Some(format!("kernelopts={}", arguments.rewrite(value)))
    });
    if new == text {
        return new;
    }
    let body = new.trim_end_matches('#');
    if body.len() > SIZE {
        return text.to_owned();
    }
    format!("{body}{}", "#".repeat(SIZE - body.len()))
}

fn by_first_word(text: &str, arguments: &mut Arguments<'_>, wanted: impl Fn(&str, &str) -> bool) -> String {
    map_lines(text, |line| {
        let first = line.split_whitespace().next()?;
        wanted(first, line).then(|| match line.strip_prefix("# kopt=") {
            Some(rest) => format!("# kopt={}", arguments.rewrite(rest)),
            None => arguments.rewrite(line),
        })
    })
}

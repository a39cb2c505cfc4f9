//! Paths of the guest as text: split, joined, without `.` and `..`. Touches no file.

/// The folder of an absolute path; `/` has itself.
pub fn parent(path: &str) -> &str {
    match path.rfind('/') {
        Some(0) | None => "/",
        Some(at) => &path[..at],
    }
}

/// The last part.
pub fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

/// `name` in `folder`.
pub fn join(folder: &str, name: &str) -> String {
    if folder == "/" { format!("/{name}") } else { format!("{folder}/{name}") }
}

/// The parts between slashes; empty ones and `.` left out, `..` kept.
pub fn parts(path: &str) -> impl DoubleEndedIterator<Item = &str> {
    path.split('/').filter(|part| !part.is_empty() && *part != ".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_and_joins() {
        assert_eq!((parent("/etc/fstab"), name("/etc/fstab")), ("/etc", "fstab"));
        assert_eq!((parent("/etc"), parent("/")), ("/", "/"));
        assert_eq!((join("/", "etc"), join("/etc", "fstab")), ("/etc".to_owned(), "/etc/fstab".to_owned()));
        assert_eq!(parts("//a/./b/../c/").collect::<Vec<_>>(), ["a", "b", "..", "c"]);
    }
}

//! What every `Guest` promises of its files. Writes nothing: an inspector's guest may be somebody's system.

use vmdk2kvm_plugin_api::{ErrorKind, FileKind, Guest};

use crate::{Checks, Report, failed, skipped};

/// So many entries of the root folder are looked at.
const ENTRIES: usize = 64;
/// No file of the root folder or of /etc is read beyond this, in bytes.
const LIMIT: u64 = 1 << 20;

/// Checks a guest's files.
pub fn guest(guest: &dyn Guest) -> Report {
    let mut checks = Checks::of("guest");
    checks.check("its root is a folder", || match guest.stat("/")? {
        Some(stat) if stat.kind == FileKind::Dir => Ok(()),
        other => failed(format!("there is {other:?}")),
    });
    checks.check("what is not there is no error", || {
        let path = "/vmdk2kvm-conformance/nothing";
        match (guest.stat(path)?, guest.read(path, LIMIT)?, guest.list(path)?) {
            (None, None, None) => Ok(()),
            _ => failed(format!("{path} is said to be there")),
        }
    });
    checks.check("no path leads out of it", || {
        let inside = guest.list("/")?;
        if guest.list("/../../../..")? == inside { Ok(()) } else { failed("/../../../.. lists other names than /") }
    });
    checks.check("a path that is not absolute is refused", || match guest.stat("etc/passwd") {
        Ok(Some(_)) => failed("etc/passwd was found"),
        Err(error) if error.kind == ErrorKind::Defect => failed(error.message),
        _ => Ok(()),
    });
    checks.check("folders are listed in order, and agree with what is in them", || {
        let Some(entries) = guest.list("/")? else { return failed("/ cannot be listed") };
        if !entries.is_sorted_by(|a, b| a.name < b.name) {
            return failed("the names are not sorted, or not distinct");
        }
        for entry in entries.iter().take(ENTRIES) {
            match guest.stat(&format!("/{}", entry.name))? {
                Some(stat) if stat.kind == entry.kind => {}
                other => {
                    return failed(format!("/{} is listed as {:?} and found as {other:?}", entry.name, entry.kind));
                }
            }
        }
        Ok(())
    });
    checks.check("a file is read whole or not at all", || {
        let entries = guest.list("/etc")?.unwrap_or_default();
        let files = entries.iter().filter(|entry| entry.kind == FileKind::File).take(ENTRIES);
        for path in files.map(|entry| format!("/etc/{}", entry.name)) {
            let Some(stat) = guest.stat(&path)?.filter(|stat| (2..LIMIT).contains(&stat.size)) else { continue };
            let content = guest.read(&path, LIMIT)?.unwrap_or_default();
            if content.len() as u64 != stat.size {
                return failed(format!("{path} has {} bytes and {} were read", stat.size, content.len()));
            }
            return match guest.read(&path, stat.size - 1) {
                Ok(_) => failed(format!("{path} was read beyond the limit")),
                Err(_) => Ok(()),
            };
        }
        skipped("there is no file in /etc")
    });
    checks.report
}

#[cfg(test)]
mod tests {
    use crate::MemoryGuest;

    #[test]
    fn a_guest_in_memory_passes() {
        let guest = MemoryGuest::new(&[("/etc/fstab", "a line\n"), ("/a", "b")]).symlink("/lib", "usr/lib");
        let report = super::guest(&guest);
        report.assert();
        assert_eq!(report.skipped().count(), 0);
    }
}

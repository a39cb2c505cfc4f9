//! What is said of a plugin's process that is gone.

use std::os::unix::process::ExitStatusExt;

use vmdk2kvm_plugin_api::{ErrorKind, PluginError};

use super::start::End;

/// What makes a run that was cut off go on.
const CONTINUES: &str = "run the same command again: it continues where this run stopped";

/// The error for a call that a process did not live to answer. `why`: it was ended for that.
pub(super) fn error(label: &str, method: &str, why: Option<&str>, end: Option<&End>) -> PluginError {
    // Where it died is known better by itself.
    let place = end.and_then(|end| end.crumb.as_ref()).map_or(method, |crumb| &crumb.method);
    let process = format!("the process of the plugin {label}");
    let signal = end.and_then(|end| end.status.signal());
    let error = match (why, signal) {
        (Some(why), _) => PluginError::defect(format!("{process} does not keep to the protocol: {why}, in {place}")),
        // Code does not die by this signal: somebody sent it, most likely the kernel.
        (None, Some(libc::SIGKILL)) => {
            PluginError::new(ErrorKind::Temporary, format!("{process} was killed by signal 9 in {place}"))
                .hint(format!("look for an out-of-memory kill (dmesg), and {CONTINUES}"))
        }
        (None, Some(signal)) => PluginError::defect(format!("{process} was killed by signal {signal} in {place}")),
        (None, None) if end.is_some() => PluginError::defect(format!("{process} ended by itself in {place}")),
        (None, None) => PluginError::defect(format!("{process} closed its connection in {place}")),
    };
    let error = match error.kind {
        ErrorKind::Defect => error.hint(format!("{CONTINUES}; or {}", crate::plugins::leave_out(label))),
        _ => error,
    };
    error.blamed_on(label)
}

/// The error for a question that a process owes the answer to for too long.
pub(super) fn silent(label: &str, method: &str) -> PluginError {
    PluginError::new(ErrorKind::Temporary, format!("the process of the plugin {label} does not answer in {method}"))
        .hint(format!("look at the storage and the network that it reads from, and {CONTINUES}"))
        .blamed_on(label)
}

#[cfg(test)]
mod tests {
    use std::process::ExitStatus;

    use super::*;
    use crate::worker::crash::Crumb;

    #[test]
    fn the_end_of_a_process_is_told_with_the_plugin_and_the_call() {
        let end = |status, crumb: Option<&str>| {
            let crumb = crumb.map(|method| Crumb { plugin: "far 0.1.0".into(), method: method.into() });
            Some(End { status: ExitStatus::from_raw(status), crumb })
        };
        let said = |why, end: Option<End>| {
            let error = error("far 0.1.0", "Transport::open", why, end.as_ref());
            assert_eq!(error.plugin.as_deref(), Some("far 0.1.0"));
            assert!(error.hint.is_some_and(|hint| hint.contains("run the same command again")));
            (error.kind, error.message)
        };
        let defect = |text: &str| (ErrorKind::Defect, format!("the process of the plugin far 0.1.0 {text}"));
        let killed = "the process of the plugin far 0.1.0 was killed by signal 9 in Transport::open";
        assert_eq!(said(None, end(libc::SIGKILL, None)), (ErrorKind::Temporary, killed.to_owned()));
        let segv = end(libc::SIGSEGV, Some("BlockSource::read_at"));
        assert_eq!(said(None, segv), defect("was killed by signal 11 in BlockSource::read_at"));
        assert_eq!(said(None, end(0, None)), defect("ended by itself in Transport::open"));
        assert_eq!(said(None, None), defect("closed its connection in Transport::open"));
        let garbled = said(Some("expected value"), end(libc::SIGKILL, None));
        assert_eq!(garbled, defect("does not keep to the protocol: expected value, in Transport::open"));
    }
}

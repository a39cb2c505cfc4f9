//! What the API answers when it will not: a fault with a type, which decides what kind of failure it is.

use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{ErrorKind, PluginError};

use crate::tree::Tree;

/// A fault of a call or of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Its type in the API, e.g. `InvalidLogin`; empty when the server states none.
    pub kind: String,
    /// The server's own sentence.
    pub text: String,
}

impl Fault {
    /// That of a SOAP answer; `None` when it is no fault.
    pub fn of_answer(envelope: &Tree) -> Option<Self> {
        Self::of_element(envelope.find("Body.Fault")?)
    }

    /// That of the element `Fault` of an answer.
    pub fn of_element(fault: &Tree) -> Option<Self> {
        let detail = fault.find("detail").and_then(|detail| detail.children.first());
        // The element's name is TYPEFault; its xsi:type is the type itself.
        let kind = detail.map(|detail| {
            if detail.kind.is_empty() {
                detail.name.strip_suffix("Fault").unwrap_or(&detail.name)
            } else {
                &detail.kind
            }
        });
        let text = fault.text("faultstring").unwrap_or_default().to_owned();
        let kind = kind.unwrap_or_default().to_owned();
        (!kind.is_empty() || !text.is_empty()).then_some(Self { kind, text })
    }

    /// That of a task's `info.error`.
    pub fn of_task(error: &Tree) -> Self {
        let kind = error.find("fault").map(|fault| fault.kind.clone()).unwrap_or_default();
        Self { kind, text: error.text("localizedMessage").unwrap_or_default().to_owned() }
    }

    /// Whether the session is gone.
    pub fn is_not_authenticated(&self) -> bool {
        self.kind == "NotAuthenticated"
    }

    /// Whether what was asked about does not exist (any more).
    pub fn is_gone(&self) -> bool {
        self.kind == "ManagedObjectNotFound"
    }

    /// The error of `what` (`making a snapshot of web`) at `server`.
    pub fn error(&self, what: &str, server: &str) -> PluginError {
        let (kind, hint) = match self.kind.as_str() {
            "InvalidLogin" => {
                (ErrorKind::Auth, "check the user before the @ of the source, and the file of --password-file")
            }
            "NotAuthenticated" => (ErrorKind::Auth, "run the same command again: it logs in anew"),
            "NoPermission" => (
                ErrorKind::Auth,
                "the role needs, on the VM and its datastores: Virtual machine > Provisioning (allow disk access, read-only disk access, virtual machine download), \
                 Snapshot management, Toggle disk change tracking; Datastore > Browse and Low level file operations",
            ),
            "RestrictedVersion" => (
                ErrorKind::Auth,
                "a free licence of ESXi has an API that only reads: shut the VM down, and run without --snapshot",
            ),
            "ManagedObjectNotFound" => (
                ErrorKind::Unusable,
                "it may have been removed meanwhile: run `vmdk2kvm inventory` to see what is there",
            ),
            "TaskInProgress" | "ResourceInUse" | "Timedout" | "RequestCanceled" | "InsufficientResourcesFault" => {
                (ErrorKind::Temporary, "something else works on it: run the same command again later")
            }
            "InvalidState" | "InvalidPowerState" => {
                (ErrorKind::Temporary, "look at the VM's recent tasks, and run the same command again")
            }
            "NotSupported" | "MethodNotFound" => (ErrorKind::Cannot, ""),
            _ => (ErrorKind::Io, "the server's log has more (vpxd.log or hostd.log)"),
        };
        let mut message = format!("{what}: {server} refuses it");
        if !self.kind.is_empty() {
            message.push_str(&format!(" with {}", escape(&self.kind)));
        }
        if !self.text.is_empty() {
            message.push_str(&format!(": {}", escape(self.text.trim_end_matches('.'))));
        }
        if self.kind == "NoPermission" {
            message.push_str(" (privilege-missing)");
        }
        let error = PluginError::new(kind, message);
        if hint.is_empty() { error } else { error.hint(hint) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_and_have_their_kinds() {
        let answer = |kind: &str| {
            format!(
                r#"<e:Envelope xmlns:e="e" xmlns:xsi="x"><e:Body><e:Fault><faultcode>ServerFaultCode</faultcode><faultstring>No way.</faultstring>
                <detail><{kind}Fault xsi:type="{kind}"/></detail></e:Fault></e:Body></e:Envelope>"#
            )
        };
        for (kind, expected, code) in [
            ("InvalidLogin", ErrorKind::Auth, 77),
            ("NoPermission", ErrorKind::Auth, 77),
            ("RestrictedVersion", ErrorKind::Auth, 77),
            ("ManagedObjectNotFound", ErrorKind::Unusable, 65),
            ("TaskInProgress", ErrorKind::Temporary, 75),
            ("NotSupported", ErrorKind::Cannot, 69),
            ("FileFault", ErrorKind::Io, 74),
        ] {
            let fault = Fault::of_answer(&Tree::parse(&answer(kind), "vc").unwrap()).unwrap();
            let error = fault.error("making a snapshot of web", "vc");
            assert_eq!((error.kind, error.kind.exit_code()), (expected, code));
            let code = if kind == "NoPermission" { " (privilege-missing)" } else { "" };
            assert_eq!(error.message, format!("making a snapshot of web: vc refuses it with {kind}: No way{code}"));
        }
        let untyped = answer("X").replace(" xsi:type=\"X\"", "");
        assert_eq!(Fault::of_answer(&Tree::parse(&untyped, "vc").unwrap()).unwrap().kind, "X");
        let fine = Tree::parse("<Envelope><Body><LoginResponse/></Body></Envelope>", "vc").unwrap();
        assert_eq!(Fault::of_answer(&fine), None);
    }
}

//! What went wrong, as it is said on stderr.

use crate::events::{ErrorDocument, escape};

/// The error as one line, and its hint as another.
pub fn error(error: &ErrorDocument) -> String {
    let place = match (error.stage, &error.plugin) {
        (Some(stage), Some(plugin)) => format!("{stage} ({}): ", escape(plugin)),
        (Some(stage), None) => format!("{stage}: "),
        (None, Some(plugin)) => format!("{}: ", escape(plugin)),
        (None, None) => String::new(),
    };
    let mut text = format!("vmdk2kvm: {place}{}\n", escape(&error.message));
    if let Some(hint) = &error.hint {
        text.push_str(&format!("hint: {}\n", escape(hint)));
    }
    text
}

#[cfg(test)]
mod tests {
    use vmdk2kvm_plugin_api::PluginError;

    use super::*;
    use crate::events::Stage;

    #[test]
    fn an_error_is_a_line_and_a_hint() {
        let mut failure = PluginError::unusable("web\x1b.vmdk: torn").hint("copy it again");
        assert_eq!(error(&ErrorDocument::new(&failure, None)), "vmdk2kvm: web\\x1b.vmdk: torn\nhint: copy it again\n");
        failure.plugin = Some("vmdk-flatten 0.1.0".into());
        failure.hint = None;
        let text = error(&ErrorDocument::new(&failure, Some(Stage::Flatten)));
        assert_eq!(text, "vmdk2kvm: FLATTEN (vmdk-flatten 0.1.0): web\\x1b.vmdk: torn\n");
    }
}

//! Errors of a disk on their way through NBD, which has a number and a text for them: the text is the error as a document.

use vmdk2kvm_plugin_api::{BlockSource, Extent, Hints, PluginError, Result};

use crate::nbd::MAX_ERROR_TEXT;

/// A source whose errors can be had back from their message.
pub(super) struct Documented(pub Box<dyn BlockSource>);

impl BlockSource for Documented {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        self.0.read_at(offset, buffer).map_err(wrap)
    }

    fn extents(&self, offset: u64, length: u64) -> Result<Vec<Extent>> {
        self.0.extents(offset, length).map_err(wrap)
    }

    fn hints(&self) -> Hints {
        self.0.hints()
    }
}

/// An error whose message is the whole error as a document, shortened where it would be too long.
fn wrap(mut error: PluginError) -> PluginError {
    loop {
        let text = serde_json::to_string(&error).unwrap_or_default();
        if text.len() <= MAX_ERROR_TEXT {
            error.message = text;
            return error;
        }
        error.hint = error.hint.as_deref().map(half).filter(|hint| !hint.is_empty());
        error.message = half(&error.message);
        error.plugin = error.plugin.filter(|plugin| plugin.len() < MAX_ERROR_TEXT / 4);
    }
}

fn half(text: &str) -> String {
    text.chars().take(text.chars().count() / 2).collect()
}

/// The error that a text stands for.
pub(super) fn unwrap(text: &str) -> Option<PluginError> {
    serde_json::from_str(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_come_back_whole_or_shortened() {
        let mut error = PluginError::missing("the disk is gone").hint("look for it");
        error.plugin = Some("far 0.1.0".to_owned());
        assert_eq!(unwrap(&wrap(error.clone()).message), Some(error.clone()));
        error.message = "\u{1}ä".repeat(5000);
        error.hint = Some("x".repeat(9000));
        let wrapped = wrap(error.clone()).message;
        assert!(wrapped.len() <= MAX_ERROR_TEXT);
        let short = unwrap(&wrapped).unwrap();
        assert!(error.message.starts_with(&short.message) && short.message.len() > 200, "{}", short.message.len());
        assert_eq!((short.kind, short.plugin), (error.kind, error.plugin));
        assert_eq!(unwrap("the disk is gone"), None);
    }
}

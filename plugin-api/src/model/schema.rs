//! The schema number that every document which stands alone bears.
//!
//! A number rises only when the meaning of an existing member changes, so that a document of a higher number cannot be understood and
//! must not be half understood: it is refused wherever it is read, from a plugin or from a file.

use serde::{Deserialize, Deserializer, de::Error};

/// The number of every document of this version of the contract.
pub const SCHEMA: u32 = 1;

/// Reads a schema number, and refuses one from the future.
pub(crate) fn known<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let schema = u32::deserialize(deserializer)?;
    if schema > SCHEMA {
        return Err(D::Error::custom(format_args!("schema {schema} is newer than {SCHEMA}, the newest known here")));
    }
    Ok(schema)
}

#[cfg(test)]
mod tests {
    use crate::model::Verdict;

    #[test]
    fn a_document_from_the_future_is_refused() {
        let verdict = |schema: u32| {
            let text = format!(r#"{{"schema":{schema},"verdict":"passed","reason":"","evidence":[],"seconds":1.0}}"#);
            serde_json::from_str::<Verdict>(&text).map_err(|error| error.to_string())
        };
        assert_eq!(verdict(1).map(|verdict| verdict.schema), Ok(1));
        assert_eq!(verdict(2).unwrap_err(), "schema 2 is newer than 1, the newest known here at line 1 column 11");
    }
}

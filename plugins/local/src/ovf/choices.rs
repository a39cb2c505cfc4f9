//! What the user chooses where a package leaves it open: its configuration, and values of its properties.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The user's choices.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choices {
    /// Id of the configuration.
    pub configuration: Option<String>,
    /// Values of properties by their names.
    pub properties: BTreeMap<String, String>,
}

/// A value in the table of properties.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// `true`
    Switch(bool),
    /// A whole number.
    Whole(i64),
    /// Any other number.
    Number(f64),
    /// A text.
    Text(String),
    /// A name with a dot, which settings take apart: `disk.size = 8`.
    Table(BTreeMap<String, Value>),
}

impl Choices {
    /// The choices of these settings.
    pub fn new(configuration: Option<String>, properties: BTreeMap<String, Value>) -> Self {
        let mut choices = Self { configuration, properties: BTreeMap::new() };
        choices.add("", properties);
        choices
    }

    fn add(&mut self, before: &str, table: BTreeMap<String, Value>) {
        for (name, value) in table {
            let name = format!("{before}{name}");
            let text = match value {
                Value::Table(table) => {
                    self.add(&format!("{name}."), table);
                    continue;
                }
                Value::Text(text) => text,
                Value::Whole(number) => number.to_string(),
                Value::Number(number) => number.to_string(),
                Value::Switch(switch) => switch.to_string(),
            };
            self.properties.insert(name, text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_dots_are_put_together_again() {
        let table = serde_json::json!({"size": 8, "disk": {"size": "16", "thin": true, "share": 0.5}});
        let choices = Choices::new(None, serde_json::from_value(table).unwrap());
        let pairs: Vec<_> = choices.properties.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(pairs, [("disk.share", "0.5"), ("disk.size", "16"), ("disk.thin", "true"), ("size", "8")]);
    }
}

//! Elements, and their one way to text: everything goes through quick-xml's escaping writer.

use quick_xml::Writer;
use quick_xml::events::{BytesEnd, BytesStart, BytesText, Event};

/// An element.
#[derive(Debug, Clone)]
pub(super) struct Element {
    name: &'static str,
    attributes: Vec<(&'static str, String)>,
    text: Option<String>,
    children: Vec<Element>,
}

/// An empty element.
pub(super) fn element(name: &'static str) -> Element {
    Element { name, attributes: Vec::new(), text: None, children: Vec::new() }
}

/// An element that holds only text.
pub(super) fn text(name: &'static str, text: impl Into<String>) -> Element {
    Element { text: Some(text.into()), ..element(name) }
}

impl Element {
    /// With an attribute.
    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.attributes.push((name, value.into()));
        self
    }

    /// With a child.
    pub(super) fn child(mut self, child: Element) -> Self {
        self.children.push(child);
        self
    }

    /// With several children, or none.
    pub(super) fn children(mut self, children: impl IntoIterator<Item = Element>) -> Self {
        self.children.extend(children);
        self
    }

    /// The document of which this is the root.
    pub(super) fn render(&self) -> std::io::Result<String> {
        let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
        self.write(&mut writer)?;
        let mut document = String::from_utf8_lossy(&writer.into_inner()).into_owned();
        document.push('\n');
        Ok(document)
    }

    fn write(&self, writer: &mut Writer<Vec<u8>>) -> std::io::Result<()> {
        let mut start = BytesStart::new(self.name);
        for (name, value) in &self.attributes {
            start.push_attribute((*name, clean(value).as_str()));
        }
        match &self.text {
            None if self.children.is_empty() => return writer.write_event(Event::Empty(start)),
            None => {
                writer.write_event(Event::Start(start))?;
                self.children.iter().try_for_each(|child| child.write(writer))?;
            }
            Some(text) => {
                writer.write_event(Event::Start(start))?;
                writer.write_event(Event::Text(BytesText::new(&clean(text))))?;
            }
        }
        writer.write_event(Event::End(BytesEnd::new(self.name)))
    }
}

/// XML cannot hold most control characters, not even escaped; what could hide text from a reader goes too.
pub(super) fn clean(text: &str) -> String {
    let forbidden = |letter| vmdk2kvm_plugin_api::text::is_unsafe(letter) || matches!(letter, '\u{fffe}' | '\u{ffff}');
    text.chars().map(|letter| if forbidden(letter) { '_' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_markup() {
        let document =
            element("a").with("b", "<'\"&\n>").child(text("c", "</c><d/>\0\u{202e}\u{ffff}")).render().unwrap();
        assert_eq!(document, "<a b=\"&lt;&apos;&quot;&amp;_&gt;\">\n  <c>&lt;/c&gt;&lt;d/&gt;___</c>\n</a>\n");
    }
}

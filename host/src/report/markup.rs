//! The one writer of HTML: whatever passes through it is escaped, and control characters are made visible.

use crate::events::escape_lines;

/// A growing HTML document. Element and attribute names are constants of this program; everything else is hostile.
#[derive(Default)]
pub(crate) struct Markup {
    out: String,
}

/// Elements without content.
const VOID: [&str; 3] = ["meta", "img", "br"];

impl Markup {
    /// The style sheet of every page.
    pub(crate) const STYLE: &str = include_str!("style.css");

    /// An element with attributes and what `inside` writes.
    pub(crate) fn tag(
        &mut self,
        name: &'static str,
        attributes: &[(&'static str, &str)],
        inside: impl FnOnce(&mut Self),
    ) -> &mut Self {
        self.out.push('<');
        self.out.push_str(name);
        for (attribute, value) in attributes {
            self.out.push_str(&format!(" {attribute}=\"{}\"", escape_html(value)));
        }
        self.out.push('>');
        if !VOID.contains(&name) {
            inside(self);
            self.out.push_str(&format!("</{name}>"));
        }
        self
    }

    /// An element that holds only text.
    pub(crate) fn leaf(&mut self, name: &'static str, attributes: &[(&'static str, &str)], text: &str) -> &mut Self {
        self.tag(name, attributes, |inside| {
            inside.text(text);
        })
    }

    /// Text.
    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.out.push_str(&escape_html(text));
        self
    }

    /// A constant of this program, as it is.
    pub(crate) fn constant(&mut self, text: &'static str) -> &mut Self {
        self.out.push_str(text);
        self
    }

    /// The document.
    pub(crate) fn finish(self) -> String {
        self.out
    }
}

/// Text that is text in an element and in a quoted attribute.
fn escape_html(text: &str) -> String {
    let text = escape_lines(text);
    let mut safe = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            letter => safe.push(letter),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_markup() {
        let mut markup = Markup::default();
        markup.tag("p", &[("title", "\"><script>'")], |inside| {
            inside.text("</p><script>&\x1b\u{202e}").tag("br", &[], |_| ()).leaf("b", &[], "x\ny");
        });
        assert_eq!(
            markup.finish(),
            "<p title=\"&quot;&gt;&lt;script&gt;&#39;\">&lt;/p&gt;&lt;script&gt;&amp;\\x1b\\u{202e}<br><b>x\ny</b></p>"
        );
    }
}

//! Tables of pages: on a narrow screen each row becomes a card, whose cells say what they are.

use super::Markup;

/// The rows of a table.
pub(crate) struct Rows<'m> {
    markup: &'m mut Markup,
    headings: &'m [&'static str],
}

/// The cells of a row, in the order of the headings.
pub(crate) struct Cells<'m> {
    markup: &'m mut Markup,
    headings: std::slice::Iter<'m, &'static str>,
}

/// A table with an id that scripts know it by; empty: none does.
pub(crate) fn table(body: &mut Markup, id: &str, headings: &[&'static str], rows: impl FnOnce(&mut Rows<'_>)) {
    let attributes = [("id", id)];
    body.tag("table", &attributes[usize::from(id.is_empty())..], |table| {
        table.tag("thead", &[], |head| {
            head.tag("tr", &[], |row| headings.iter().for_each(|heading| _ = row.leaf("th", &[], heading)));
        });
        table.tag("tbody", &[], |markup| rows(&mut Rows { markup, headings }));
    });
}

impl Rows<'_> {
    /// A row.
    pub(crate) fn row(&mut self, cells: impl FnOnce(&mut Cells<'_>)) {
        let headings = self.headings;
        self.markup.tag("tr", &[], |markup| cells(&mut Cells { markup, headings: headings.iter() }));
    }
}

impl Cells<'_> {
    /// The next cell.
    pub(crate) fn cell(&mut self, attributes: &[(&'static str, &str)], inside: impl FnOnce(&mut Markup)) -> &mut Self {
        let heading = self.headings.next().copied().unwrap_or_default();
        self.markup.tag("td", &[attributes, &[("data-label", heading)]].concat(), inside);
        self
    }

    /// The next cell, which holds only text.
    pub(crate) fn text(&mut self, class: &str, text: &str) -> &mut Self {
        let attributes = [("class", class)];
        self.cell(&attributes[usize::from(class.is_empty())..], |cell| _ = cell.text(text))
    }
}

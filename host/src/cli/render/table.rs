//! Columns of text. Every cell is made safe to show.

use crate::events::escape;

/// A table with a head line and columns two spaces apart.
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings.
    pub(super) fn new(headings: &[&str]) -> Self {
        Self { rows: vec![headings.iter().map(|heading| (*heading).to_owned()).collect()] }
    }

    /// Adds a row; empty cells are shown as `-`.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let shown = |cell: String| if cell.is_empty() { "-".to_owned() } else { escape(&cell).into_owned() };
        self.rows.push(cells.into_iter().map(shown).collect());
    }

    /// The table as lines, each behind `indent`; nothing when there are no rows below the headings.
    pub(super) fn render(&self, indent: &str) -> String {
        if self.rows.len() < 2 {
            return String::new();
        }
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width =
            |column| self.rows.iter().filter_map(|row| row.get(column)).map(|cell: &String| cell.chars().count()).max();
        let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
        let mut text = String::new();
        for row in &self.rows {
            let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            text.push_str(format!("{indent}{}", cells.join("  ")).trim_end());
            text.push('\n');
        }
        text
    }
}

/// A heading on a line of its own.
pub(super) fn heading(text: &str) -> String {
    format!("\n{text}\n")
}

/// Label and value lines, the values aligned; empty values are left out.
pub(super) fn facts(facts: &[(&str, String)]) -> String {
    let width = facts.iter().filter(|(_, value)| !value.is_empty()).map(|(label, _)| label.len()).max().unwrap_or(0);
    let shown = facts.iter().filter(|(_, value)| !value.is_empty());
    shown.map(|(label, value)| format!("{label:<width$}  {}\n", escape(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_cells_are_safe() {
        let mut table = Table::new(&["NAME", "SIZE"]);
        assert_eq!(table.render(""), "");
        table.row(["a\x1b[31m".into(), "1".into()]);
        table.row(["äöü".into(), String::new()]);
        assert_eq!(table.render("  "), "  NAME       SIZE\n  a\\x1b[31m  1\n  äöü        -\n");
        assert_eq!(facts(&[("a", "1".into()), ("bcd", "2".into()), ("longer", String::new())]), "a    1\nbcd  2\n");
    }
}

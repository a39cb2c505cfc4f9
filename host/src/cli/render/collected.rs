//! What `collect` says.

use crate::collect::Collected;
use crate::events::escape;

/// The archive, and what is and is not in it.
pub fn collected(collected: &Collected) -> String {
    let lines = |word: &str, items: &[String]| -> String {
        items.iter().map(|item| format!("{word:<9}{}\n", escape(item))).collect()
    };
    format!(
        "{}{}masked   {} names, addresses and secrets\narchive  {}\nRead it before you give it to anybody.\n",
        lines("in it", &collected.files),
        lines("left out", &collected.left_out),
        collected.masked,
        escape(&collected.archive.to_string_lossy())
    )
}

//! Finds the word that was most likely meant.

/// Nobody meant a known word who wrote more letters.
const LONGEST: usize = 64;

/// The candidate nearest to `word`, when it is near enough to be a slip of the fingers: letters inserted, removed, replaced, or swapped
/// with their neighbour. Of equally near ones the first.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let letters = word.chars().count();
    if letters > LONGEST {
        return None;
    }
    candidates
        .into_iter()
        .map(|candidate| (strsim::osa_distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= 1 + letters / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_found_and_other_words_are_not() {
        let known = ["format", "from", "output", "compress"];
        for (given, meant) in [
            ("fromat", Some("format")),
            ("ouput", Some("output")),
            ("compres", Some("compress")),
            ("banana", None),
            ("", None),
            ("formatformatformatformatformatformatformatformatformatformatformatformat", None),
        ] {
            assert_eq!(nearest(given, known), meant, "{given}");
        }
    }
}

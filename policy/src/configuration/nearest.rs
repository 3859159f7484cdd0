//! "Did you mean ...?"

/// The word of `known` that `found` was most likely meant to be; `None` when none is near.
pub(crate) fn nearest<'a>(
    found: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    // A hostile word costs no more than a long honest one.
    if found.len() > 128 {
        return None;
    }
    let found = found.to_lowercase();
    known
        .into_iter()
        .map(|word| (distance(&found, &word.to_lowercase()), word))
        .filter(|(distance, word)| *distance <= 1 + word.chars().count() / 5)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// How many letters must be inserted, removed or replaced (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (at, letter) in from.chars().enumerate() {
        let mut left = at + 1;
        let mut next = vec![left];
        for (above, (&diagonal_above, &other)) in row.iter().skip(1).zip(row.iter().zip(to.iter()))
        {
            let replaced = diagonal_above + usize::from(letter != other);
            left = replaced.min(left + 1).min(above + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_single_letter_edits() {
        for (from, to, expected) in
            [("", "", 0), ("abc", "", 3), ("", "abc", 3), ("kitten", "sitting", 3), ("ab", "ba", 2)]
        {
            assert_eq!(distance(from, to), expected, "{from} {to}");
        }
    }

    #[test]
    fn a_slip_of_the_finger_finds_the_word() {
        let words = ["trusted", "semi-trusted", "untrusted"];
        assert_eq!(nearest("untrustd", words), Some("untrusted"));
        assert_eq!(nearest("semitrusted", words), Some("semi-trusted"));
        assert_eq!(nearest("Trusted", words), Some("trusted"));
        assert_eq!(nearest("paranoid", words), None);
        assert_eq!(nearest(&"x".repeat(100_000), words), None);
    }
}

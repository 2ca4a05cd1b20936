//! "Did you mean": the known word nearest to a misspelt one.

/// The word of `known` with the fewest single-letter changes to `found`, when they are few enough
/// for a slip of the fingers.
pub(crate) fn nearest<'a>(
    found: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let most = (found.chars().count() / 2).clamp(1, 4);
    let distance = |word: &str| changes(&found.to_lowercase(), &word.to_lowercase());
    let words = known.into_iter().map(|word| (distance(word), word));
    let (few, word) = words.min_by_key(|(distance, _)| *distance)?;
    (few <= most).then_some(word)
}

/// Levenshtein's distance.
fn changes(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replace = corner + usize::from(x != *y);
            corner = row[j + 1];
            row[j + 1] = replace.min(corner + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// Adds the nearest known key to serde's message about an unknown one.
pub(crate) fn with_suggestion(message: &str) -> String {
    let quoted = |text: &str| -> Vec<String> {
        text.split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect()
    };
    let Some(at) = message.find("unknown field `") else {
        return message.to_owned();
    };
    let words = quoted(&message[at..]);
    let known = words.iter().skip(1).map(String::as_str);
    match words.first().and_then(|found| nearest(found, known)) {
        Some(word) => format!("{message}; did you mean `{word}`?"),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_named() {
        assert_eq!(
            nearest("dimention", ["distance", "dimension"]),
            Some("dimension")
        );
        assert_eq!(nearest("colour", ["distance", "dimension"]), None);
        let message = "unknown field `taget`, expected one of `source`, `target`";
        assert!(with_suggestion(message).ends_with("did you mean `target`?"));
        assert_eq!(
            with_suggestion("a number is missing"),
            "a number is missing"
        );
    }
}

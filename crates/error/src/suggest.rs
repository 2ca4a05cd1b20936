//! "Did you mean": the known word nearest to a misspelt one.

/// The word of `known` with the fewest single-letter changes to `found`, if they are few enough for a typing error.
pub fn nearest<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let most = (found.chars().count() / 2).clamp(1, 4);
    let found = found.to_lowercase();
    let distance = |word: &str| strsim::levenshtein(&found, &word.to_lowercase());
    let words = known.into_iter().map(|word| (distance(word), word));
    let (few, word) = words.min_by_key(|(distance, _)| *distance)?;
    (few <= most).then_some(word)
}

/// Adds the nearest known key or word to serde's message about an unknown one.
pub fn with_suggestion(message: &str) -> String {
    let quoted = |text: &str| -> Vec<String> {
        text.split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect()
    };
    let kinds = ["unknown field `", "unknown variant `"];
    let Some(at) = kinds.iter().find_map(|kind| message.find(kind)) else {
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
    fn the_nearest_word_is_found() {
        let known = ["distance", "dimension"];
        assert_eq!(nearest("dimention", known), Some("dimension"));
        assert_eq!(nearest("Dimension", known), Some("dimension"));
    }

    #[test]
    fn a_word_unlike_all_others_has_no_nearest() {
        assert_eq!(nearest("colour", ["distance", "dimension"]), None);
    }

    #[test]
    fn only_messages_about_unknown_keys_get_a_suggestion() {
        let message = "unknown field `taget`, expected one of `source`, `target`";
        assert!(with_suggestion(message).ends_with("did you mean `target`?"));
        assert_eq!(
            with_suggestion("a number is missing"),
            "a number is missing"
        );
    }
}

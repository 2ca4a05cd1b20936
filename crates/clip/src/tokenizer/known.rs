//! Which words of a text a vocabulary has.
//!
//! Byte-pair encoding takes any text, and what training never saw comes apart into letters that say nothing. A vocabulary
//! of one's own holds the words of its captions whole; the published one holds parts of words too, and knows a word
//! that it cuts in few pieces.

use super::{Tokenizer, damaged, vocabulary::END_OF_WORD};
use crate::Result;

/// Fewer ids than this are made of a few captions' words; the published vocabulary has 49 408.
const OWN: usize = 10_000;
/// In the published vocabulary a known word has at least so many letters a piece.
const LETTERS_A_PIECE: usize = 2;
/// How alike, as a share of equal letters, two words must be for one to stand in for the other.
const ALIKE: f64 = 0.6;

/// A word that a network has hardly seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownWord {
    /// The word.
    pub word: String,
    /// Those most like it that the vocabulary has, the nearest first; at most three.
    pub nearest: Vec<String>,
}

impl Tokenizer {
    /// Whether the vocabulary was made of a few captions' words, and reads nothing else.
    pub fn is_closed(&self) -> bool {
        self.len() < OWN
    }

    /// The words of a text that the vocabulary does not have, each once. None where it has no words at all, but letters.
    ///
    /// ```
    /// let unknown = domex_clip::Tokenizer::new()?.unknown_words("a photo of a qwzx")?;
    /// assert_eq!(unknown[0].word, "qwzx");
    /// # Ok::<(), domex_clip::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of the crate `tokenizers`.
    pub fn unknown_words(&self, text: &str) -> Result<Vec<UnknownWord>> {
        let mut unknown: Vec<UnknownWord> = Vec::new();
        let vocabulary = self.inner.get_vocab(false);
        let whole = |piece: &String| piece.strip_suffix(END_OF_WORD).is_some_and(is_word);
        let whole: Vec<String> = vocabulary.into_keys().filter(whole).collect();
        if whole.is_empty() {
            return Ok(unknown);
        }
        let clean = self.clean(text);
        let words = clean.split(|c: char| !c.is_alphabetic());
        for word in words.filter(|word| !word.is_empty()) {
            let letters = word.chars().count();
            let encoding = self.inner.encode_fast(word, false).map_err(damaged)?;
            let pieces = encoding.get_ids().len();
            let known = match self.is_closed() {
                true => pieces == 1,
                false => pieces == 1 || letters >= LETTERS_A_PIECE * pieces,
            };
            if !known && !unknown.iter().any(|earlier| earlier.word == word) {
                unknown.push(UnknownWord {
                    word: word.to_owned(),
                    nearest: nearest(word, &whole),
                });
            }
        }
        Ok(unknown)
    }
}

/// More than one sign, and all of them letters.
fn is_word(text: &str) -> bool {
    text.chars().count() > 1 && text.chars().all(char::is_alphabetic)
}

/// The most alike of the whole words of a vocabulary, which end as [`END_OF_WORD`] says.
fn nearest(word: &str, whole: &[String]) -> Vec<String> {
    let known = whole
        .iter()
        .filter_map(|piece| piece.strip_suffix(END_OF_WORD));
    let mut near: Vec<(f64, &str)> = known
        .map(|known| (strsim::normalized_damerau_levenshtein(word, known), known))
        .filter(|(alike, _)| *alike >= ALIKE)
        .collect();
    // The vocabulary has no order of its own.
    near.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    near.iter()
        .take(3)
        .map(|(_, word)| (*word).to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unknown(tokenizer: &Tokenizer, text: &str) -> Vec<String> {
        let words = tokenizer.unknown_words(text).unwrap();
        words.into_iter().map(|unknown| unknown.word).collect()
    }

    #[test]
    fn the_published_vocabulary_knows_what_people_write() {
        let tokenizer = Tokenizer::new().unwrap();
        for text in [
            "a pencil sketch",
            "Van Gogh painting",
            "steampunk cyborg",
            "Ukiyo-e woodblock print",
            "3D render in the style of Pixar",
        ] {
            assert_eq!(unknown(&tokenizer, text), [""; 0], "{text}");
        }
    }

    #[test]
    fn a_vocabulary_of_letters_is_not_asked_for_words() {
        let tokenizer = Tokenizer::with_merges("").unwrap();
        assert_eq!(unknown(&tokenizer, "zombie"), [""; 0]);
    }

    #[test]
    fn letters_without_meaning_are_not_known() {
        let tokenizer = Tokenizer::new().unwrap();
        assert_eq!(
            unknown(&tokenizer, "a qwzx of xkcdqj, qwzx"),
            ["qwzx", "xkcdqj"]
        );
    }

    #[test]
    fn a_vocabulary_of_its_own_knows_whole_words_and_names_the_nearest() {
        // "zombie" and "zone".
        let merges = "z o\nzo m\nzom b\nzomb i\nzombi e</w>\nzo n\nzon e</w>";
        let tokenizer = Tokenizer::with_merges(merges).unwrap();
        assert_eq!(unknown(&tokenizer, "zombie zone"), [""; 0]);
        let words = tokenizer.unknown_words("zombi").unwrap();
        assert_eq!(words[0].nearest, ["zombie"]);
        assert!(
            tokenizer.unknown_words("gogh").unwrap()[0]
                .nearest
                .is_empty()
        );
    }
}

//! A vocabulary of one's own: byte-pair merges of the words that captions are made of.
//!
//! The captions are cut into words by CLIP's own tokenizer; `tokenizers` counts pairs and finds the merges
//! (Sennrich et al. 2016, arXiv 1508.07909). The result is a list in the published file's format, which
//! [`domex_clip::Tokenizer::with_merges`] reads. Every word has ids, known or not: what no merge
//! joins stays bytes.

use std::collections::BTreeMap;

use domex_clip::Tokenizer;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::tokenizer::Trainer as _;

use crate::{Error, Result};

/// Marks the part that ends a word.
const END_OF_WORD: &str = "</w>";

/// At most `most` merges, earliest first, one a line.
///
/// # Errors
///
/// Texts without a word.
pub fn train<S: AsRef<str>>(texts: impl IntoIterator<Item = S>, most: usize) -> Result<String> {
    let cutter = Tokenizer::with_merges("")?;
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for text in texts {
        for word in cutter.words(text.as_ref())? {
            *counts.entry(word).or_default() += 1;
        }
    }
    // Bytes outside ASCII have signs of their own in the list; captions have none, so words with them stay bytes.
    counts.retain(|word, _| word.is_ascii());
    if counts.is_empty() {
        return Err(Error::Vocabulary(
            "the captions have no word of ASCII letters".into(),
        ));
    }
    let mut trainer = BpeTrainer::builder()
        .show_progress(false)
        .min_frequency(2)
        .vocab_size(most.saturating_add(letters(&counts)))
        .end_of_word_suffix(END_OF_WORD.into())
        .build();
    let fault = |error: tokenizers::Error| Error::Vocabulary(error.to_string());
    let words = counts
        .iter()
        .flat_map(|(word, &count)| std::iter::repeat_n(word, count));
    trainer
        .feed(words.map(String::as_str), |word| Ok(vec![word.to_owned()]))
        .map_err(fault)?;
    let mut model = BPE::default();
    trainer.train(&mut model).map_err(fault)?;
    lines(&model, most)
}

/// The signs that the trainer's vocabulary begins with: all letters, and those that end a word once more.
fn letters(counts: &BTreeMap<String, usize>) -> usize {
    let mut signs = std::collections::BTreeSet::new();
    for word in counts.keys() {
        signs.extend(word.chars().map(|letter| (letter, false)));
        signs.extend(word.chars().next_back().map(|letter| (letter, true)));
    }
    signs.len()
}

/// The merges of a trained model, read from its JSON form.
fn lines(model: &BPE, most: usize) -> Result<String> {
    let json = serde_json::to_value(model).map_err(Error::json("the trained merges"))?;
    let merges = json.get("merges").and_then(|merges| merges.as_array());
    let merges =
        merges.ok_or_else(|| Error::Vocabulary("the trained model has no merges".into()))?;
    let mut text = String::new();
    for merge in merges.iter().take(most) {
        let line = match merge.as_array().map(Vec::as_slice) {
            Some([left, right]) => left
                .as_str()
                .zip(right.as_str())
                .map(|(a, b)| format!("{a} {b}\n")),
            _ => merge.as_str().map(|line| format!("{line}\n")),
        };
        text += &line.ok_or_else(|| Error::Vocabulary(format!("a merge is {merge}")))?;
    }
    // Read back: what is written is what the tokenizer takes.
    Tokenizer::with_merges(&text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: [&str; 3] = [
        "a pencil sketch of a man with red hair",
        "a pencil drawing of a woman with glasses",
        "a photo of a man, with a red beard",
    ];

    #[test]
    fn words_of_the_captions_become_single_ids() {
        let texts: Vec<&str> = TEXTS.iter().copied().cycle().take(30).collect();
        let merges = train(&texts, 500).unwrap();
        let tokenizer = Tokenizer::with_merges(&merges).unwrap();
        for word in ["pencil", "glasses", "a"] {
            assert_eq!(tokenizer.encode(word).unwrap().len(), 1, "{word}");
        }
        assert!(tokenizer.encode("zebra").unwrap().len() > 1);
        assert_eq!(merges, train(&texts, 500).unwrap(), "the same again");
    }

    #[test]
    fn the_number_of_merges_is_kept_to() {
        let merges = train(TEXTS.iter().cycle().take(30), 7).unwrap();
        assert_eq!(merges.lines().count(), 7);
    }

    #[test]
    fn captions_without_words_are_refused() {
        assert!(train(["", "  "], 10).is_err());
    }
}

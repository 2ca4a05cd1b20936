//! Byte-pair encoding by the crate `tokenizers`, from a list of merges.
//!
//! Ids, in order: 256 bytes inside a word, 256 bytes that end one, one for each merge, start, end.
//! Bytes stand in the order of their printable signs: `!` to `~`, `¡` to `¬`, `®` to `ÿ`, then the other
//! 68, which the merges' file writes as U+0100 onwards. A merge is a line of two signs or earlier
//! merges; `</w>` marks the end of a word. Should two merges make the same, it has the later one's id.

use std::io::Read;

use flate2::read::GzDecoder;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, SplitDelimiterBehavior};

use crate::{Error, Result};

/// See `assets/README.md`.
static MERGES: &[u8] = include_bytes!("../../assets/merges.txt.gz");

const FIRST_MERGE: u32 = 2 * 256;
pub(super) const END_OF_WORD: &str = "</w>";

/// Kinds of words, the first that fits wins. The classes are outside of `(?i: )`, because folding
/// their cases would move a few signs from one to another.
const WORDS: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+";

/// The published list of merges.
pub(super) fn published() -> Result<String> {
    let mut text = String::new();
    GzDecoder::new(MERGES)
        .read_to_string(&mut text)
        .map_err(damaged)?;
    Ok(text)
}

/// A tokenizer for clean text, and the id before a text. The id after it is the next and the last.
///
/// `merges` has one merge a line; a first line that starts with `#version` is left out.
pub(super) fn build(merges: &str) -> Result<(tokenizers::Tokenizer, u32)> {
    let mut vocab = bytes();
    let mut pairs = Vec::new();
    let lines = merges.lines().enumerate();
    let lines = lines.filter(|(row, line)| *row > 0 || !line.starts_with("#version"));
    for ((_, line), id) in lines.zip(FIRST_MERGE..) {
        let rank = id - FIRST_MERGE;
        let (left, right) = line
            .split_once(' ')
            .ok_or_else(|| damaged(format!("merge {rank} is {line:?}, expected two parts")))?;
        if let Some(part) = [left, right].into_iter().find(|&p| !vocab.contains_key(p)) {
            return Err(damaged(format!(
                "merge {rank} joins {part:?}, expected a byte's sign or an earlier merge"
            )));
        }
        vocab.insert(format!("{left}{right}"), id);
        pairs.push((left.to_owned(), right.to_owned()));
    }
    let start = FIRST_MERGE + pairs.len() as u32;
    let special = ["<|startoftext|>", "<|endoftext|>"];
    vocab.extend(special.map(str::to_owned).into_iter().zip(start..));

    let model = BPE::builder()
        .vocab_and_merges(vocab, pairs)
        .end_of_word_suffix(END_OF_WORD.into())
        .build()
        .map_err(damaged)?;
    let words = SplitPattern::Regex(WORDS.into());
    let words = Split::new(words, SplitDelimiterBehavior::Removed, true).map_err(damaged)?;
    let signs = ByteLevel::new(false, false, false);
    let mut tokenizer = tokenizers::Tokenizer::new(model);
    tokenizer
        .with_pre_tokenizer(Some(Sequence::new(vec![words.into(), signs.into()])))
        .with_decoder(Some(signs))
        .add_special_tokens(special.map(|text| AddedToken::from(text, true)))
        .map_err(damaged)?;
    Ok((tokenizer, start))
}

/// The ids of bytes, by their signs.
fn bytes() -> Vocab {
    let mut signs: Vec<char> = ByteLevel::alphabet().into_iter().collect();
    signs.sort_unstable();
    let inside = signs.iter().map(char::to_string);
    let last = signs.iter().map(|sign| format!("{sign}{END_OF_WORD}"));
    inside.chain(last).zip(0..).collect()
}

pub(super) fn damaged(problem: impl Into<tokenizers::Error>) -> Error {
    Error::Vocabulary {
        problem: problem.into().to_string(),
    }
}

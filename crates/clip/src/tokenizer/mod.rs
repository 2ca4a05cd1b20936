//! Token ids of a text, as CLIP's published tokenizer makes them.
//!
//! 1. HTML entities, curly quotes and wide signs become plain, white space is reduced to single blanks, and all is
//!    lower-cased: [`Tokenizer::clean`].
//! 2. The text is cut into words: runs of letters, single digits, runs of other signs, and the English endings
//!    `'s 't 're 've 'm 'll 'd`.
//! 3. The UTF-8 bytes of a word become ids by byte-pair merges (Sennrich et al. 2016, arXiv 1508.07909),
//!    with ids of their own for the end of a word.
//!
//! The last two are done by the crate `tokenizers`. A text stands between the ids of start and end, and zeros fill it up
//! to the context length. Source: openai/CLIP `clip/simple_tokenizer.py` and `clip/clip.py`.
//!
//! # What differs from the published tokenizer
//!
//! There, the library ftfy first repairs text that was damaged on its way. Kept of it is what keyboards write: curly
//! quotes, wide signs, accents as characters of their own. Left out is what nobody types, so the ids differ for
//!
//! - UTF-8 that was read in another encoding: `schÃ¶n` for `schön`;
//! - ligatures and digraphs in one character (`ﬁ`, `ǆ`), and other forms of width (half-width katakana, `￥`);
//! - control characters, byte order marks, and terminals' colour codes;
//! - HTML entities without their `;` or in capitals, and those of characters that HTML does not allow.
//!
//! Of the reference cases these are eight, which the test of `golden/clip/tokens.json` names.

mod clean;
mod known;
mod vocabulary;

use std::sync::{Arc, OnceLock};

use candle_core::{Device, Tensor};
use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};

use crate::{Error, Result};
pub use known::UnknownWord;
use vocabulary::{END_OF_WORD, damaged};

/// The id before a text in the published vocabulary.
pub const START: u32 = 49_406;

/// The id after a text there, the highest of all.
pub const END: u32 = 49_407;

/// What to do with a text of more tokens than fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Overflow {
    /// Return an error.
    Refuse,
    /// Cut it off; the last token becomes the end.
    Truncate,
}

/// CLIP's tokenizer, with its published vocabulary or another list of merges. See the [module docs](self).
/// Cloning it copies nothing.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    inner: Arc<tokenizers::Tokenizer>,
    start: u32,
}

impl Tokenizer {
    /// The tokenizer with the built-in vocabulary. The first call of a process builds it, which takes some hundredths of a
    /// second.
    ///
    /// # Errors
    ///
    /// Never, unless the program's own data is damaged.
    pub fn new() -> Result<Self> {
        static PUBLISHED: OnceLock<Tokenizer> = OnceLock::new();
        if let Some(published) = PUBLISHED.get() {
            return Ok(published.clone());
        }
        let built = Self::with_merges(&vocabulary::published()?)?;
        if built.start != START {
            let found = built.start;
            return Err(damaged(format!(
                "text starts with {found}, expected {START}"
            )));
        }
        Ok(PUBLISHED.get_or_init(|| built).clone())
    }

    /// The same tokenizer with other merges, in the published file's format: a line of two parts for
    /// each, earliest first, `</w>` after a part that ends a word.
    ///
    /// # Errors
    ///
    /// A line that is no merge of what stands before it, with its number.
    pub fn with_merges(merges: &str) -> Result<Self> {
        let (inner, start) = vocabulary::build(merges)?;
        Ok(Self {
            inner: Arc::new(inner),
            start,
        })
    }

    /// The id before a text: [`START`] in the published vocabulary.
    pub fn start(&self) -> u32 {
        self.start
    }

    /// The id after a text, the highest of all: [`END`] in the published vocabulary.
    pub fn end(&self) -> u32 {
        self.start + 1
    }

    /// The id of a token as vocabularies write it: bytes as printable signs, `</w>` where a word ends.
    pub fn id_of(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// Number of ids.
    pub fn len(&self) -> usize {
        self.end() as usize + 1
    }

    /// Never: bytes always have ids.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The words that [`encode`](Self::encode) cuts a text into, before merges: one sign for each byte, as the list of
    /// merges writes them. For ASCII these are the characters themselves.
    ///
    /// # Errors
    ///
    /// Those of the crate `tokenizers`.
    pub fn words(&self, text: &str) -> Result<Vec<String>> {
        let mut words = PreTokenizedString::from(self.clean(text));
        let cut = self.inner.get_pre_tokenizer();
        cut.map_or(Ok(()), |cut| cut.pre_tokenize(&mut words))
            .map_err(damaged)?;
        let words = words.get_splits(OffsetReferential::Original, OffsetType::None);
        Ok(words
            .into_iter()
            .map(|(word, ..)| word.to_owned())
            .collect())
    }

    /// The text that is cut into words.
    pub fn clean(&self, text: &str) -> String {
        clean::clean(text)
    }

    /// The ids of a text, without start and end.
    ///
    /// ```
    /// let tokenizer = domex_clip::Tokenizer::new()?;
    /// assert_eq!(tokenizer.encode("A photo of a CAT.")?, [320, 1125, 539, 320, 2368, 269]);
    /// assert_eq!(tokenizer.decode(&[320, 2368])?, "a cat ");
    /// # Ok::<(), domex_clip::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of the crate `tokenizers`.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self.inner.encode_fast(self.clean(text), false);
        Ok(encoding.map_err(damaged)?.get_ids().to_vec())
    }

    /// The ids of a text with start and end, at most `context` of them.
    ///
    /// # Errors
    ///
    /// [`Error::TooLong`] with [`Overflow::Refuse`]; a context without room for start and end.
    pub fn encode_within(
        &self,
        text: &str,
        context: usize,
        overflow: Overflow,
    ) -> Result<Vec<u32>> {
        if context < 2 {
            return Err(Error::config(
                "context length",
                context,
                "at least 2, for start and end",
            ));
        }
        let mut ids = vec![self.start()];
        ids.extend(self.encode(text)?);
        ids.push(self.end());
        if ids.len() <= context {
            return Ok(ids);
        }
        if overflow == Overflow::Refuse {
            let start = text.chars().take(24).collect();
            return Err(Error::TooLong {
                row: 0,
                start,
                tokens: ids.len(),
                context,
            });
        }
        ids.truncate(context - 1);
        ids.push(self.end());
        Ok(ids)
    }

    /// Ids `[n, context]` (`u32`) of `n` texts, filled up with zeros.
    ///
    /// # Errors
    ///
    /// No text, or those of [`encode_within`](Self::encode_within) with the text's number.
    pub fn tokenize<T: AsRef<str>>(
        &self,
        texts: &[T],
        context: usize,
        overflow: Overflow,
        device: &Device,
    ) -> Result<Tensor> {
        if texts.is_empty() {
            return Err(Error::config("number of texts", 0, "at least 1"));
        }
        let mut all = Vec::new();
        for (number, text) in texts.iter().enumerate() {
            let mut ids = self
                .encode_within(text.as_ref(), context, overflow)
                .map_err(|error| error.of_row(number))?;
            ids.resize(context, 0);
            all.extend(ids);
        }
        Ok(Tensor::from_vec(all, (texts.len(), context), device)?)
    }

    /// The text of ids, with a blank after each word. Ids outside the vocabulary are left out, bytes
    /// that are no UTF-8 become U+FFFD.
    ///
    /// # Errors
    ///
    /// Those of the crate `tokenizers`.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        let text = self.inner.decode(ids, false).map_err(damaged)?;
        Ok(text.replace(END_OF_WORD, " "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_list_is_refused() {
        for (merges, word) in [
            ("in", "\"in\""),
            ("i n\nq zz", "\"zz\""),
            ("i n x", "\"n x\""),
        ] {
            let message = Tokenizer::with_merges(merges).unwrap_err().to_string();
            assert!(message.contains(word), "{message}");
        }
    }

    #[test]
    fn a_list_of_ones_own() {
        let tokenizer = Tokenizer::with_merges("#version: 0.2\ni n</w>\nb in</w>\n").unwrap();
        assert_eq!((tokenizer.start(), tokenizer.end()), (514, 515));
        assert_eq!(tokenizer.encode("bin").unwrap(), [513]);
        assert_eq!(
            tokenizer.decode(&[514, 513, 9999, 515]).unwrap(),
            "<|startoftext|>bin <|endoftext|>"
        );
    }

    #[test]
    fn without_merges_the_ids_are_those_of_bytes() {
        let tokenizer = Tokenizer::with_merges("").unwrap();
        assert_eq!(tokenizer.len(), 514);
        // The first sign is `!`, the second `"`; `ï` is the bytes C3, which is the 128th, and AF, the 108th.
        assert_eq!(
            tokenizer.encode("!\"! ï").unwrap(),
            [0, 1, 256, 127, 256 + 107]
        );
    }

    #[test]
    fn a_token_has_its_id() {
        let tokenizer = Tokenizer::new().unwrap();
        let ids = ["!", "cat</w>", "<|endoftext|>"].map(|token| tokenizer.id_of(token));
        assert_eq!(ids, [Some(0), Some(2368), Some(END)]);
        assert_eq!(tokenizer.id_of("cat of"), None);
    }

    #[test]
    fn words_are_written_in_signs() {
        let tokenizer = Tokenizer::with_merges("").unwrap();
        assert_eq!(
            tokenizer.words("It’s 2 Cafés!!").unwrap(),
            ["it", "'s", "2", "cafÃ©s", "!!"]
        );
    }

    #[test]
    fn every_word_of_the_vocabulary_is_found_again() {
        let tokenizer = Tokenizer::new().unwrap();
        let mut found = 0;
        for id in 256..START {
            // Parts inside words have no blank after them; bytes alone are no UTF-8.
            let text = tokenizer.decode(&[id]).unwrap();
            let Some(word) = text.strip_suffix(' ').filter(|w| !w.contains('\u{fffd}')) else {
                continue;
            };
            let ids = tokenizer.encode(word).unwrap();
            let again = tokenizer.decode(&ids).unwrap().replace(' ', "");
            assert_eq!(again, tokenizer.clean(word), "{id}");
            found += usize::from(ids == [id]);
        }
        assert!(found > 30_000, "{found}");
    }
}

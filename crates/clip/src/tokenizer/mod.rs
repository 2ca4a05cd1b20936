//! Token ids of a text, as CLIP's published tokenizer makes them.
//!
//! 1. The text is mended (broken encodings, curly quotes, ligatures, wide letters, ...: `repair`), HTML
//!    entities are replaced twice over (`html`), white space is reduced to single blanks, and all is
//!    lower-cased: [`Tokenizer::clean`].
//! 2. It is cut into words: runs of letters, single digits, runs of other signs, and the English endings
//!    `'s 't 're 've 'm 'll 'd`.
//! 3. The UTF-8 bytes of a word become ids by byte-pair merges (Sennrich et al. 2016, arXiv 1508.07909),
//!    with ids of their own for the end of a word: `vocabulary`.
//!
//! A text stands between the ids of start and end, and zeros fill it up to the context length.
//! Source: openai/CLIP `clip/simple_tokenizer.py` and `clip/clip.py`.

mod html;
mod mojibake;
mod repair;
mod vocabulary;

use candle_core::{Device, Tensor};
use regex::Regex;

use crate::{Error, Result};
use html::Entities;
use repair::Repair;
use vocabulary::Vocabulary;

/// The id before a text in the published vocabulary.
pub const START: u32 = 49_406;

/// The id after a text there, the highest of all.
pub const END: u32 = 49_407;

/// Tokens of the longest text that the published networks take, with start and end.
pub const CONTEXT: usize = 77;

/// What to do with a text of more tokens than fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Overflow {
    /// Return an error.
    Refuse,
    /// Cut it off; the last token becomes the end.
    Truncate,
}

/// CLIP's tokenizer, with its published vocabulary or another list of merges. See the [module docs](self).
#[derive(Debug, Clone)]
pub struct Tokenizer {
    vocabulary: Vocabulary,
    words: Regex,
    blanks: Regex,
    entities: Entities,
    repair: Repair,
}

/// Kinds of words, the first that fits wins. The classes are outside of `(?i: )`, because folding
/// their cases would move a few signs from one to another.
const WORDS: &str =
    r"(?i:<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d)|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+";

impl Tokenizer {
    /// Unpacks the built-in vocabulary; takes some milliseconds.
    ///
    /// # Errors
    ///
    /// Never, unless the program's own data is damaged.
    pub fn new() -> Result<Self> {
        Self::of(Vocabulary::new()?)
    }

    /// The same tokenizer with other merges, in the published file's format: a line of two parts for
    /// each, earliest first, `</w>` after a part that ends a word.
    ///
    /// # Errors
    ///
    /// A line that is no merge of what stands before it, with its number.
    pub fn with_merges(merges: &str) -> Result<Self> {
        Self::of(Vocabulary::parse(merges)?)
    }

    fn of(vocabulary: Vocabulary) -> Result<Self> {
        Ok(Self {
            vocabulary,
            words: pattern(WORDS)?,
            blanks: pattern(r"\s+")?,
            entities: Entities::new()?,
            repair: Repair::new()?,
        })
    }

    /// The id before a text: [`START`] in the published vocabulary.
    pub fn start(&self) -> u32 {
        self.vocabulary.start()
    }

    /// The id after a text, the highest of all: [`END`] in the published vocabulary.
    pub fn end(&self) -> u32 {
        self.vocabulary.end()
    }

    /// Number of ids.
    pub fn len(&self) -> usize {
        self.end() as usize + 1
    }

    /// Never: bytes always have ids.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The words that [`encode`](Self::encode) cuts a text into, before merges.
    pub fn words(&self, text: &str) -> Vec<String> {
        let text = self.clean(text);
        let words = self.words.find_iter(&text);
        words.map(|word| word.as_str().to_owned()).collect()
    }

    /// The text that is cut into words.
    pub fn clean(&self, text: &str) -> String {
        let text = self.repair.apply(text, &self.entities);
        let once = self.entities.replace(&text);
        let text = self.entities.replace(&once);
        self.blanks.replace_all(&text, " ").trim().to_lowercase()
    }

    /// The ids of a text, without start and end.
    ///
    /// ```
    /// let tokenizer = domex_clip::Tokenizer::new()?;
    /// assert_eq!(tokenizer.encode("A photo of a CAT."), [320, 1125, 539, 320, 2368, 269]);
    /// assert_eq!(tokenizer.decode(&[320, 2368]), "a cat ");
    /// # Ok::<(), domex_clip::Error>(())
    /// ```
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let text = self.clean(text);
        let mut ids = Vec::new();
        for word in self.words.find_iter(&text) {
            match word.as_str() {
                "<|startoftext|>" => ids.push(self.start()),
                "<|endoftext|>" => ids.push(self.end()),
                word => self.vocabulary.encode(word, &mut ids),
            }
        }
        ids
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
        ids.extend(self.encode(text));
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
                .map_err(|error| match error {
                    Error::TooLong {
                        start,
                        tokens,
                        context,
                        ..
                    } => Error::TooLong {
                        row: number,
                        start,
                        tokens,
                        context,
                    },
                    other => other,
                })?;
            ids.resize(context, 0);
            all.extend(ids);
        }
        Ok(Tensor::from_vec(all, (texts.len(), context), device)?)
    }

    /// The text of ids, with a blank after each word. Ids outside the vocabulary are left out, bytes
    /// that are no UTF-8 become U+FFFD.
    pub fn decode(&self, ids: &[u32]) -> String {
        self.vocabulary.decode(ids)
    }
}

/// A built-in regular expression.
fn pattern(source: &str) -> Result<Regex> {
    Regex::new(source).map_err(|error| Error::Vocabulary {
        problem: error.to_string(),
    })
}

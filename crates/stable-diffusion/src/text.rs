//! The text encoder with its tokenizer: a text to the states of all its tokens, those of the padding among them.

use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use candle_nn::VarBuilder;
use domex_clip::Tokenizer;
use domex_clip::config::TextConfig;
use domex_clip::text::TextTransformer;
use serde_json::Value as Json;

use crate::entries::Entries;
use crate::{Error, Result};

/// The tokenizer of a folder, and the id that fills texts up.
#[derive(Debug, Clone)]
pub(crate) struct Words {
    tokenizer: Tokenizer,
    /// As it is written, and its id.
    padding: (String, u32),
}

impl Words {
    /// From `merges.txt` and `vocab.json`, which must say the same; of `special_tokens_map.json`, else `tokenizer_config.json` the
    /// token that fills up, which is the end where neither says it.
    pub fn read(folder: &Path) -> Result<Self> {
        let (merges, vocabulary) = (folder.join("merges.txt"), folder.join("vocab.json"));
        let text = std::fs::read_to_string(&merges)
            .map_err(|error| Error::file(&merges, error.to_string()))?;
        let tokenizer = Tokenizer::with_merges(&text)
            .map_err(|error| Error::file(&merges, error.to_string()))?;
        check_vocabulary(&vocabulary, &tokenizer)?;
        let mut padding = ("<|endoftext|>".to_owned(), tokenizer.end());
        for file in Self::optional(folder) {
            let mut entries = Entries::read(&file)?;
            let Some(said) = entries.take("pad_token") else {
                continue;
            };
            let token = said.get("content").unwrap_or(&said).as_str();
            let known = token.and_then(|token| Some((token.to_owned(), tokenizer.id_of(token)?)));
            padding =
                known.ok_or_else(|| entries.wrong("pad_token", &said, "a token of vocab.json"))?;
            break;
        }
        Ok(Self { tokenizer, padding })
    }

    /// The files of a tokenizer's folder that are read where they are there.
    pub fn optional(folder: &Path) -> impl Iterator<Item = PathBuf> {
        let names = ["special_tokens_map.json", "tokenizer_config.json"];
        names
            .map(|name| folder.join(name))
            .into_iter()
            .filter(|file| file.is_file())
    }

    /// Number of ids.
    pub fn len(&self) -> usize {
        self.tokenizer.len()
    }

    /// Ids `[1, context]` of a text. Where the token that fills up is a sign, `!` in Stable Diffusion 2, that sign in a text is this
    /// token too, as in the published tokenizer.
    fn ids(&self, text: &str, context: usize, device: &Device) -> Result<Tensor> {
        let mut ids = vec![self.tokenizer.start()];
        for (i, part) in text.split(&self.padding.0).enumerate() {
            ids.extend((i > 0).then_some(self.padding.1));
            ids.extend(self.tokenizer.encode(part)?);
        }
        ids.push(self.tokenizer.end());
        if ids.len() > context {
            let start = text.chars().take(24).collect();
            return Err(Error::from(domex_clip::Error::TooLong {
                row: 0,
                start,
                tokens: ids.len(),
                context,
            }));
        }
        ids.resize(context, self.padding.1);
        Ok(Tensor::from_vec(ids, (1, context), device)?)
    }
}

/// Whether a vocabulary has the ids that the merges give.
fn check_vocabulary(path: &Path, tokenizer: &Tokenizer) -> Result<()> {
    let text =
        std::fs::read_to_string(path).map_err(|error| Error::file(path, error.to_string()))?;
    let Ok(Json::Object(words)) = serde_json::from_str(&text) else {
        return Err(Error::file(path, "no JSON object of ids"));
    };
    for (word, id) in &words {
        let known = tokenizer.id_of(word).map(u64::from);
        if id.as_u64() != known || known.is_none() {
            let reason = match known {
                Some(known) => {
                    format!("token {word:?} is {id}, expected {known} as merges.txt has it")
                }
                None => format!("token {word:?} is none that merges.txt makes"),
            };
            return Err(Error::file(path, reason));
        }
    }
    match words.len() == tokenizer.len() {
        true => Ok(()),
        false => {
            let (found, expected) = (words.len(), tokenizer.len());
            let reason = format!("{found} tokens, expected {expected} as merges.txt has them");
            Err(Error::file(path, reason))
        }
    }
}

/// Reads texts.
#[derive(Debug, Clone)]
pub(crate) struct TextEncoder {
    words: Words,
    network: TextTransformer,
    context: usize,
    device: Device,
}

impl TextEncoder {
    pub fn new(vb: &VarBuilder<'_>, cfg: &TextConfig, words: Words) -> Result<Self> {
        Ok(Self {
            words,
            network: TextTransformer::without_projection(vb, cfg)?,
            context: cfg.context_length,
            device: vb.device().clone(),
        })
    }

    /// States `[1, context, width]` of a text.
    pub fn states(&self, text: &str) -> Result<Tensor> {
        let ids = self.words.ids(text, self.context, &self.device)?;
        Ok(self.network.states(&ids)?)
    }
}

//! Both encoders and the tokenizer that belongs to them, in one file.
//!
//! A model of the project's own stands in one container (kind `clip`): its tensors under the names of
//! [`layout`](crate::layout), its configuration, and its list of merges. Published checkpoints bring no
//! vocabulary, because all of them share one: with those comes the built-in tokenizer.

use std::path::Path;

use candle_core::{DType, Device};
use domex_checkpoint::container::{Container, Writer};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::layout::Tensors;
use crate::{Clip, Config, Error, Overflow, Result, Tokenizer, load};

/// The kind of such a container.
pub const KIND: &str = "clip";

/// What such a container says of itself.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    network: Config,
    /// One merge a line; see [`Tokenizer::with_merges`].
    merges: String,
}

/// A network and its tokenizer.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// Both encoders.
    pub clip: Clip,
    /// Makes the text encoder's ids.
    pub tokenizer: Tokenizer,
}

impl Bundle {
    /// Reads a container of this kind, or a published checkpoint.
    ///
    /// # Errors
    ///
    /// A file that is neither, or is not as it was written; NaN or infinity in it; a vocabulary of another size than the encoder's.
    pub fn load(path: impl AsRef<Path>, dtype: DType, device: &Device) -> Result<Self> {
        let path = path.as_ref();
        let (tensors, config, tokenizer) = match Container::find(path)? {
            Some(own) if own.kind() == KIND => {
                own.check_finite()?;
                let document: Document = own.config_as()?;
                let tokenizer = Tokenizer::with_merges(&document.merges)?;
                let tensors = load::to_tensors(own.tensors())?;
                // Heads, activation and ε leave no trace in the shapes.
                (tensors, document.network, tokenizer)
            }
            Some(other) => {
                return Err(Error::not_clip(format!(
                    "{} is a container of kind {:?}, expected {KIND:?}",
                    path.display(),
                    other.kind()
                )));
            }
            None => {
                let (tensors, config) = load::read_published(path)?;
                (tensors, config, Tokenizer::new()?)
            }
        };
        if tokenizer.len() != config.text.vocab_size {
            return Err(Error::config(
                "number of ids of the tokenizer",
                tokenizer.len(),
                format!("{} as the text encoder has", config.text.vocab_size),
            ));
        }
        Ok(Self {
            clip: Clip::from_tensors(tensors, &config, dtype, device)?,
            tokenizer,
        })
    }

    /// Features `[n, d]` of texts, at length 1.
    ///
    /// # Errors
    ///
    /// A text that is too long.
    pub fn encode_text<T: AsRef<str>>(&self, texts: &[T]) -> Result<candle_core::Tensor> {
        let device = self.clip.logit_scale().device();
        let context = self.clip.config().text.context_length;
        let ids = self
            .tokenizer
            .tokenize(texts, context, Overflow::Refuse, device)?;
        self.clip.encode_text(&ids)
    }
}

/// A container with these tensors, ready to be written.
///
/// # Errors
///
/// A tensor of a type that no file holds.
pub fn writer(
    tensors: &Tensors,
    config: &Config,
    merges: &str,
    provenance: &Json,
) -> Result<Writer> {
    let document = Document {
        network: config.clone(),
        merges: merges.to_owned(),
    };
    let json =
        serde_json::to_value(document).map_err(|error| Error::not_clip(error.to_string()))?;
    let mut writer = Writer::new(KIND, &json).provenance(provenance);
    for (name, tensor) in tensors {
        writer.tensor(name, tensor)?;
    }
    Ok(writer)
}

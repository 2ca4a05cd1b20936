//! What fixes the shapes of a CLIP network.
//!
//! [`Config::deduce`] tells nearly all of it from the names and shapes of a checkpoint. What leaves
//! no trace there keeps the published value: heads of 64 channels, quick GELU, ε = 1e-5, and texts
//! that end at their highest id. [`Config::with_hugging_face`] reads the rest from a `config.json`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Error, Result};

/// Channels of one attention head in every network that OpenAI published.
pub const HEAD_WIDTH: usize = 64;

/// No size of a network is larger: a bound for numbers that come from files.
const LARGEST: usize = 1 << 20;

/// A whole network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Length of the embeddings that both encoders end in.
    pub embed_dim: usize,
    /// The image encoder.
    pub vision: VisionConfig,
    /// The text encoder.
    pub text: TextConfig,
}

/// The two kinds of image encoders.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum VisionConfig {
    /// ViT-B/32, ViT-B/16, ViT-L/14 and their like.
    Vit(VitConfig),
    /// RN50, RN101, RN50x4 and their like.
    ResNet(ResNetConfig),
}

/// A stack of attention blocks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransformerConfig {
    /// Channels.
    pub width: usize,
    /// Blocks.
    pub layers: usize,
    /// Attention heads; they divide the width.
    pub heads: usize,
    /// Channels between the two linear layers of a block.
    pub mlp_width: usize,
    /// What stands between these layers.
    pub activation: Activation,
    /// Added to the variance in layer normalisation.
    pub eps: f64,
}

/// The activation of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `x · sigmoid(1.702 x)`, OpenAI's.
    QuickGelu,
    /// `x · Φ(x)`, of some later networks.
    Gelu,
}

/// A vision transformer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VitConfig {
    /// Its blocks.
    pub transformer: TransformerConfig,
    /// Height and width of the picture, in pixels.
    pub image_size: usize,
    /// Height and width of a patch, in pixels.
    pub patch_size: usize,
}

/// A modified ResNet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResNetConfig {
    /// Channels after the stem; the last stage ends with 32 times as many.
    pub width: usize,
    /// Blocks of each stage.
    pub layers: [usize; 4],
    /// Heads of the attention that pools.
    pub heads: usize,
    /// Height and width of the picture, in pixels.
    pub image_size: usize,
}

/// The text encoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextConfig {
    /// Its blocks.
    pub transformer: TransformerConfig,
    /// Number of token ids.
    pub vocab_size: usize,
    /// Tokens of the longest text, with start and end.
    pub context_length: usize,
    /// The id whose first place is where a text is read off. `None`: the first place of the text's
    /// highest id, which in the published vocabulary is the end token.
    pub end_token: Option<u32>,
}

impl VisionConfig {
    /// Height and width of the picture, in pixels.
    pub fn image_size(&self) -> usize {
        match self {
            Self::Vit(vit) => vit.image_size,
            Self::ResNet(resnet) => resnet.image_size,
        }
    }

    fn heads_mut(&mut self) -> &mut usize {
        match self {
            Self::Vit(vit) => &mut vit.transformer.heads,
            Self::ResNet(resnet) => &mut resnet.heads,
        }
    }
}

impl Config {
    /// The same network with these numbers of attention heads, which shapes do not tell.
    ///
    /// # Errors
    ///
    /// Heads that do not divide the width.
    pub fn with_heads(mut self, vision: usize, text: usize) -> Result<Self> {
        *self.vision.heads_mut() = vision;
        self.text.transformer.heads = text;
        self.validate()?;
        Ok(self)
    }

    /// The same network with what a Hugging Face `config.json` says about it beyond the shapes:
    /// heads, activation, ε and end token. What it says about sizes has to agree.
    ///
    /// # Errors
    ///
    /// A size that differs, an unknown activation, or a number out of range.
    pub fn with_hugging_face(mut self, json: &Value) -> Result<Self> {
        let part = |name: &str| {
            json.get(format!("{name}_config"))
                .or_else(|| json.get(name))
                .unwrap_or(&Value::Null)
        };
        let (vision, text) = (
            Entries {
                json: part("vision"),
                part: "vision",
            },
            Entries {
                json: part("text"),
                part: "text",
            },
        );
        Entries {
            json,
            part: "config",
        }
        .agree("projection_dim", self.embed_dim)?;
        if let VisionConfig::Vit(vit) = &mut self.vision {
            vision.agree("image_size", vit.image_size)?;
            vision.agree("patch_size", vit.patch_size)?;
            vision.apply(&mut vit.transformer)?;
        }
        text.agree("vocab_size", self.text.vocab_size)?;
        text.agree("max_position_embeddings", self.text.context_length)?;
        text.apply(&mut self.text.transformer)?;
        self.text.end_token = match text.count("eos_token_id")? {
            // Files from before the entry was used say 2, whatever the vocabulary.
            None | Some(2) => self.text.end_token,
            Some(id) => Some(
                u32::try_from(id)
                    .map_err(|_| Error::config("text eos_token_id", id, "an id below 2^32"))?,
            ),
        };
        self.validate()?;
        Ok(self)
    }

    /// Checks every number.
    ///
    /// # Errors
    ///
    /// The first one out of range.
    pub fn validate(&self) -> Result<()> {
        size("embed_dim", self.embed_dim)?;
        match &self.vision {
            VisionConfig::Vit(vit) => {
                vit.transformer.validate("vision")?;
                size("image_size", vit.image_size)?;
                size("patch_size", vit.patch_size)?;
                divides("patch_size", vit.patch_size, "image_size", vit.image_size)?;
            }
            VisionConfig::ResNet(resnet) => {
                size("vision width", resnet.width)?;
                size("image_size", resnet.image_size)?;
                for blocks in resnet.layers {
                    size("vision layers", blocks)?;
                }
                divides("2 (channels of the stem)", 2, "vision width", resnet.width)?;
                divides(
                    "32 (stride of the network)",
                    32,
                    "image_size",
                    resnet.image_size,
                )?;
                divides(
                    "vision heads",
                    resnet.heads,
                    "32 · vision width",
                    32 * resnet.width,
                )?;
            }
        }
        self.text.validate()
    }
}

impl TextConfig {
    /// Checks every number.
    ///
    /// # Errors
    ///
    /// The first one out of range.
    pub fn validate(&self) -> Result<()> {
        self.transformer.validate("text")?;
        size("vocab_size", self.vocab_size)?;
        size("context_length", self.context_length)?;
        match self.end_token {
            Some(id) if id as usize >= self.vocab_size => Err(Error::config(
                "end token",
                id,
                format!("an id below vocab_size {}", self.vocab_size),
            )),
            _ => Ok(()),
        }
    }
}

impl TransformerConfig {
    /// A block's published proportions: heads of 64 channels, four times the width between.
    pub(crate) fn published(width: usize, layers: usize) -> Self {
        Self {
            width,
            layers,
            heads: (width / HEAD_WIDTH).max(1),
            mlp_width: 4 * width,
            activation: Activation::QuickGelu,
            eps: 1e-5,
        }
    }

    fn validate(&self, encoder: &str) -> Result<()> {
        size(format!("{encoder} width"), self.width)?;
        size(format!("{encoder} layers"), self.layers)?;
        size(format!("{encoder} mlp_width"), self.mlp_width)?;
        divides(&format!("{encoder} heads"), self.heads, "width", self.width)?;
        if self.eps >= 0.0 && self.eps.is_finite() {
            return Ok(());
        }
        Err(Error::config(
            format!("{encoder} eps"),
            self.eps,
            "a number of at least 0",
        ))
    }
}

fn size(what: impl Into<String>, value: usize) -> Result<()> {
    if (1..=LARGEST).contains(&value) {
        return Ok(());
    }
    Err(Error::config(what, value, format!("1 to {LARGEST}")))
}

fn divides(what: &str, divisor: usize, of: &str, value: usize) -> Result<()> {
    if divisor > 0 && value.is_multiple_of(divisor) {
        return Ok(());
    }
    Err(Error::config(
        what,
        divisor,
        format!("a divisor of {of} {value}"),
    ))
}

/// The entries about one encoder.
struct Entries<'a> {
    json: &'a Value,
    part: &'static str,
}

impl Entries<'_> {
    fn get(&self, key: &str) -> Option<&Value> {
        self.json.get(key).filter(|value| !value.is_null())
    }

    fn wrong(&self, key: &str, expected: impl Into<String>) -> Error {
        Error::config(
            format!("{} {key}", self.part),
            self.json[key].to_string(),
            expected,
        )
    }

    fn count(&self, key: &str) -> Result<Option<usize>> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let count = value.as_u64().and_then(|n| usize::try_from(n).ok());
        count
            .map(Some)
            .ok_or_else(|| self.wrong(key, "a whole number"))
    }

    fn agree(&self, key: &str, ours: usize) -> Result<()> {
        match self.count(key)? {
            Some(stated) if stated != ours => {
                Err(self.wrong(key, format!("{ours} as the tensors have it")))
            }
            _ => Ok(()),
        }
    }

    fn apply(&self, transformer: &mut TransformerConfig) -> Result<()> {
        self.agree("hidden_size", transformer.width)?;
        self.agree("num_hidden_layers", transformer.layers)?;
        self.agree("intermediate_size", transformer.mlp_width)?;
        if let Some(heads) = self.count("num_attention_heads")? {
            transformer.heads = heads;
        }
        if let Some(value) = self.get("layer_norm_eps") {
            transformer.eps = value
                .as_f64()
                .ok_or_else(|| self.wrong("layer_norm_eps", "a number"))?;
        }
        if let Some(value) = self.get("hidden_act") {
            transformer.activation = match value.as_str() {
                Some("quick_gelu") => Activation::QuickGelu,
                Some("gelu") => Activation::Gelu,
                _ => return Err(self.wrong("hidden_act", "\"quick_gelu\" or \"gelu\"")),
            };
        }
        Ok(())
    }
}

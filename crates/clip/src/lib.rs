//! CLIP: pictures and texts in one space (Radford et al. 2021, arXiv 2103.00020).
//!
//! Two encoders give features of equal length `d`; the cosine between a picture's and a text's says how well
//! they fit. The image encoder is a vision transformer ([`vision`]) or a modified ResNet ([`resnet`]),
//! the text encoder a causal transformer ([`text`]).
//!
//! - [`Clip::load`] reads the public checkpoints in OpenAI's and Hugging Face's [`layout`]s.
//! - [`Preprocess`] makes an encoder's pixels of a generator's picture of any size.
//! - [`Tokenizer`] makes the published token ids of a text, or those of a vocabulary of one's own;
//!   [`Bundle`] is a network with its vocabulary.
//! - [`Prompts`] put a text into many sentences, and [`TextMeans`] keep what the text encoder makes of them.
//!
//! Everything is frozen: gradients reach the pixels and nothing else, but for a network from
//! [`Clip::trainable`]. Features are as projected; [`unit_length`] or [`Clip::encode_image`] brings
//! them to length 1.
//!
//! Left out on purpose: a training loop, losses, and anything that fetches a file.
//!
//! ```
//! use candle_core::{DType, Device, Tensor};
//! use candle_nn::VarBuilder;
//! use domex_clip::{Clip, Config, Overflow, Preprocess, Tokenizer};
//!
//! // A tiny network; zeros stand in for published weights.
//! let config: Config = serde_json::from_value(serde_json::json!({
//!     "embed_dim": 16,
//!     "vision": { "kind": "vit", "image_size": 32, "patch_size": 8, "transformer": {
//!         "width": 32, "layers": 1, "heads": 2, "mlp_width": 64, "activation": "quick_gelu", "eps": 1e-5 } },
//!     "text": { "vocab_size": 49408, "context_length": 77, "end_token": null, "transformer": {
//!         "width": 32, "layers": 1, "heads": 2, "mlp_width": 64, "activation": "quick_gelu", "eps": 1e-5 } }
//! }))?;
//! let clip = Clip::new(&VarBuilder::zeros(DType::F32, &Device::Cpu), &config)?;
//!
//! let pictures = Tensor::zeros((2, 3, 64, 48), DType::F32, &Device::Cpu)?;
//! let pixels = Preprocess::new(clip.image_size()).apply(&pictures)?;
//! assert_eq!(clip.image_features(&pixels)?.dims(), [2, 16]);
//!
//! let ids = Tokenizer::new()?.tokenize(&["a photo of a cat"], 77, Overflow::Refuse, &Device::Cpu)?;
//! assert_eq!(clip.text_features(&ids)?.dims(), [1, 16]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod beside;
pub mod bundle;
pub mod config;
mod deduce;
mod error;
pub mod layout;
pub mod load;
pub mod preprocess;
pub mod prompts;
pub mod resnet;
pub mod templates;
pub mod text;
pub mod text_means;
pub mod tokenizer;
pub mod transformer;
pub mod vision;
mod weights;

pub use bundle::Bundle;
pub use config::{Config, VisionConfig};
pub use error::{Error, Result};
pub use preprocess::Preprocess;
pub use prompts::{Prompts, direction, mean_of_units};
pub use text_means::TextMeans;
pub use tokenizer::{Overflow, Tokenizer};

use candle_core::Tensor;
use candle_nn::VarBuilder;
use domex_ops::matmul;

use resnet::ModifiedResNet;
use text::TextTransformer;
use vision::VisionTransformer;
use weights::Weights;

/// The image encoder.
#[derive(Debug, Clone)]
pub enum ImageEncoder {
    /// A vision transformer.
    Vit(VisionTransformer),
    /// A modified ResNet.
    ResNet(ModifiedResNet),
}

/// Both encoders. See the [crate docs](crate).
#[derive(Debug, Clone)]
pub struct Clip {
    image: ImageEncoder,
    /// `None` once it was [given up](Self::forget_texts).
    text: Option<TextTransformer>,
    logit_scale: Tensor, // []
    config: Config,
}

impl Clip {
    /// Reads both encoders from the root of our key tree (see [`layout`]).
    ///
    /// # Errors
    ///
    /// A number of `cfg` out of range, a missing tensor or a wrong shape, with its full name.
    pub fn new(vb: &VarBuilder<'_>, cfg: &Config) -> Result<Self> {
        Self::build(&Weights::frozen(vb), cfg)
    }

    /// The same network on the builder's own tensors: where they are variables, gradients reach them.
    ///
    /// What is derived from a variable here goes stale once an optimizer has written it, so a
    /// training builds the network anew at each step; that copies nothing. The statistics of batch
    /// normalisation are constants: it is a learned factor and shift, as at inference.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn trainable(vb: &VarBuilder<'_>, cfg: &Config) -> Result<Self> {
        Self::build(&Weights::trainable(vb), cfg)
    }

    fn build(vb: &Weights<'_>, cfg: &Config) -> Result<Self> {
        cfg.validate()?;
        let image = match &cfg.vision {
            VisionConfig::Vit(vit) => {
                ImageEncoder::Vit(VisionTransformer::new(vb, vit, cfg.embed_dim)?)
            }
            VisionConfig::ResNet(resnet) => {
                ImageEncoder::ResNet(ModifiedResNet::new(vb, resnet, cfg.embed_dim)?)
            }
        };
        let text = TextTransformer::new(vb, &cfg.text, cfg.embed_dim)?;
        let logit_scale = vb.get((), "logit_scale")?.exp()?;
        Ok(Self {
            image,
            text: Some(text),
            logit_scale,
            config: cfg.clone(),
        })
    }

    /// What fixes the shapes.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Height and width of the pixels that [`image_features`](Self::image_features) takes.
    pub fn image_size(&self) -> usize {
        self.config.vision.image_size()
    }

    /// The image encoder alone.
    pub fn image_encoder(&self) -> &ImageEncoder {
        &self.image
    }

    /// The factor on cosines that makes them logits, a scalar tensor: `exp` of the stored number,
    /// 100 in the published networks.
    pub fn logit_scale(&self) -> &Tensor {
        &self.logit_scale
    }

    /// Features `[n, d]` of `pixels: [n, 3, image_size, image_size]`, of any length. Differentiable.
    ///
    /// # Errors
    ///
    /// A wrong shape or type.
    pub fn image_features(&self, pixels: &Tensor) -> Result<Tensor> {
        match &self.image {
            ImageEncoder::Vit(vit) => vit.forward(pixels),
            ImageEncoder::ResNet(resnet) => resnet.forward(pixels),
        }
    }

    /// Features `[n, d]` of token ids `[n, t]`, of any length; `t` is at most the context length.
    ///
    /// # Errors
    ///
    /// A wrong shape, an id outside the vocabulary, or a text without its end token; a text encoder that was given up.
    pub fn text_features(&self, ids: &Tensor) -> Result<Tensor> {
        self.text()?.forward(ids)
    }

    /// Gives up the text encoder, and with it its memory where no clone of the network holds it: for those who have read all their
    /// texts.
    pub fn forget_texts(&mut self) {
        self.text = None;
    }

    /// The text encoder.
    pub(crate) fn text(&self) -> Result<&TextTransformer> {
        let given_up =
            || Error::config("text encoder", "none, as it was given up", "one to read by");
        self.text.as_ref().ok_or_else(given_up)
    }

    /// [`image_features`](Self::image_features) at length 1.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn encode_image(&self, pixels: &Tensor) -> Result<Tensor> {
        unit_length(&self.image_features(pixels)?)
    }

    /// [`text_features`](Self::text_features) at length 1.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn encode_text(&self, ids: &Tensor) -> Result<Tensor> {
        unit_length(&self.text_features(ids)?)
    }

    /// Logits `[n, m]` of pictures `[n, d]` against texts `[m, d]`, both of length 1.
    ///
    /// # Errors
    ///
    /// Shapes that do not fit.
    pub fn logits(&self, images: &Tensor, texts: &Tensor) -> Result<Tensor> {
        Ok(matmul(images, &texts.t()?)?.broadcast_mul(&self.logit_scale)?)
    }
}

/// `x / ‖x‖` along the last dimension of `x: [n, d]`.
///
/// # Errors
///
/// A tensor without dimensions.
pub fn unit_length(x: &Tensor) -> Result<Tensor> {
    let length = x.sqr()?.sum_keepdim(candle_core::D::Minus1)?.sqrt()?;
    Ok(x.broadcast_div(&length)?)
}

//! The vision transformer: pixels to features.
//!
//! A convolution whose stride is its kernel makes a token of each patch; a learned class token goes
//! before them, positions are added, and after the blocks the class token is the picture
//! (Dosovitskiy et al. 2021, arXiv 2010.11929; Radford et al. 2021, arXiv 2103.00020).
//! Keys: `vision_model.…` and `visual_projection.weight` of huggingface/transformers
//! `models/clip/modeling_clip.py`.

use candle_core::Tensor;
use candle_nn::VarBuilder;
use domex_ops::{conv2d, linear};

use crate::config::VitConfig;
use crate::transformer::{LayerNorm, Transformer};
use crate::{Error, Result, frozen};

/// A vision transformer, frozen.
#[derive(Debug, Clone)]
pub struct VisionTransformer {
    patches: Tensor,   // [w, 3, p, p]
    class: Tensor,     // [1, 1, w]
    positions: Tensor, // [1, 1 + g², w]
    norm_before: LayerNorm,
    blocks: Transformer,
    norm_after: LayerNorm,
    projection: Tensor, // [d, w]
    config: VitConfig,
}

impl VisionTransformer {
    pub(crate) fn new(vb: &VarBuilder<'_>, cfg: &VitConfig, embed_dim: usize) -> Result<Self> {
        let (tower, width, patch) = (vb.pp("vision_model"), cfg.transformer.width, cfg.patch_size);
        let positions = 1 + (cfg.image_size / patch).pow(2);
        let embeddings = tower.pp("embeddings");
        Ok(Self {
            patches: frozen(
                &embeddings,
                (width, 3, patch, patch),
                "patch_embedding.weight",
            )?,
            class: frozen(&embeddings, width, "class_embedding")?.reshape((1, 1, width))?,
            positions: frozen(&embeddings, (positions, width), "position_embedding.weight")?
                .unsqueeze(0)?,
            norm_before: LayerNorm::new(&tower.pp("pre_layrnorm"), width, cfg.transformer.eps)?,
            blocks: Transformer::new(&tower, &cfg.transformer)?,
            norm_after: LayerNorm::new(&tower.pp("post_layernorm"), width, cfg.transformer.eps)?,
            projection: frozen(vb, (embed_dim, width), "visual_projection.weight")?,
            config: cfg.clone(),
        })
    }

    /// The tokens after the last block, `[n, 1 + g², w]` for `g = image_size / patch_size`, of
    /// `pixels: [n, 3, image_size, image_size]`. The first is the class token.
    ///
    /// # Errors
    ///
    /// A wrong shape.
    pub fn tokens(&self, pixels: &Tensor) -> Result<Tensor> {
        let size = self.config.image_size;
        let n = match *pixels.dims() {
            [n, 3, h, w] if h == size && w == size => n,
            _ => {
                return Err(Error::shape(
                    "pixels",
                    pixels.dims(),
                    format!("[n, 3, {size}, {size}]"),
                ));
            }
        };
        let patches = conv2d(pixels, &self.patches, None, self.config.patch_size, 0)?; // [n, w, g, g]
        let patches = patches.flatten_from(2)?.transpose(1, 2)?;
        let class = self.class.expand((n, 1, self.config.transformer.width))?;
        let x = Tensor::cat(&[&class, &patches], 1)?.broadcast_add(&self.positions)?;
        self.blocks.forward(&self.norm_before.forward(&x)?, None)
    }

    /// Features `[n, d]` of `pixels: [n, 3, image_size, image_size]`.
    pub(crate) fn forward(&self, pixels: &Tensor) -> Result<Tensor> {
        let class = self.tokens(pixels)?.narrow(1, 0, 1)?.squeeze(1)?;
        Ok(linear(
            &self.norm_after.forward(&class)?,
            &self.projection,
            None,
        )?)
    }
}

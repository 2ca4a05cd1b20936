//! The vision transformer: pixels to features.
//!
//! A convolution whose stride is its kernel makes a token of each patch; a learned class token goes
//! before them, positions are added, and after the blocks the class token is the picture
//! (Dosovitskiy et al. 2021, arXiv 2010.11929; Radford et al. 2021, arXiv 2103.00020).
//! Keys: `vision_model.…` and `visual_projection.weight` of huggingface/transformers
//! `models/clip/modeling_clip.py`.

use candle_core::Tensor;
use domex_ops::{Mask, Weight};

use crate::config::VitConfig;
use crate::transformer::{LayerNorm, Transformer};
use crate::weights::Weights;
use crate::{Error, Result};

/// A vision transformer.
#[derive(Debug, Clone)]
pub struct VisionTransformer {
    patches: Weight,   // [w, 3·p·p]
    class: Tensor,     // [1, 1, w]
    positions: Tensor, // [1, 1 + g², w]
    norm_before: LayerNorm,
    blocks: Transformer,
    norm_after: LayerNorm,
    projection: Weight, // [d, w]
    config: VitConfig,
}

impl VisionTransformer {
    pub(crate) fn new(vb: &Weights<'_>, cfg: &VitConfig, embed_dim: usize) -> Result<Self> {
        let (model, width, patch) = (vb.pp("vision_model"), cfg.transformer.width, cfg.patch_size);
        let positions = 1 + (cfg.image_size / patch).pow(2);
        let embeddings = model.pp("embeddings");
        Ok(Self {
            patches: Weight::new(
                embeddings
                    .get((width, 3, patch, patch), "patch_embedding.weight")?
                    .flatten_from(1)?,
            ),
            class: embeddings
                .get(width, "class_embedding")?
                .reshape((1, 1, width))?,
            positions: embeddings
                .get((positions, width), "position_embedding.weight")?
                .unsqueeze(0)?,
            norm_before: LayerNorm::new(&model.pp("pre_layrnorm"), width, cfg.transformer.eps)?,
            blocks: Transformer::new(&model, &cfg.transformer)?,
            norm_after: LayerNorm::new(&model.pp("post_layernorm"), width, cfg.transformer.eps)?,
            projection: Weight::new(vb.get((embed_dim, width), "visual_projection.weight")?),
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
        // No pixel is in two patches, so the convolution is a fully connected layer.
        let (side, grid) = (self.config.patch_size, size / self.config.patch_size);
        let patches = pixels.reshape((n, 3, grid, side, grid, side))?;
        let patches = patches.permute((0, 2, 4, 1, 3, 5))?.contiguous()?;
        let patches = patches.reshape((n, grid * grid, 3 * side * side))?;
        let patches = self.patches.linear(&patches, None)?; // [n, g², w]
        let class = self.class.expand((n, 1, self.config.transformer.width))?;
        let x = Tensor::cat(&[&class, &patches], 1)?.broadcast_add(&self.positions)?;
        self.blocks
            .forward(&self.norm_before.forward(&x)?, Mask::None)
    }

    /// Features `[n, d]` of `pixels: [n, 3, image_size, image_size]`.
    pub(crate) fn forward(&self, pixels: &Tensor) -> Result<Tensor> {
        let class = self.tokens(pixels)?.narrow(1, 0, 1)?.squeeze(1)?;
        Ok(self
            .projection
            .linear(&self.norm_after.forward(&class)?, None)?)
    }
}

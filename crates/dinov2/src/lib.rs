//! DINOv2: pictures to features that were learnt without labels (Oquab et al. 2023, arXiv 2304.07193).
//!
//! The network is a vision transformer of patches of 14 × 14 pixels. Its blocks are those of CLIP's encoders, with exact GELU
//! and a learnt factor for each channel that a half of a block adds (layer scale), which is multiplied into the layer before it when
//! the network is built. A picture's feature is the class token after the last norm. Sets of pictures are compared on it by the
//! Fréchet distance FD-DINOv2 (Stein et al. 2023, arXiv 2306.04675, with ViT-L/14); the measure itself is `domex-metrics`'.
//!
//! [`Dinov2::load`] reads the published files in both [`layout`]s, ViT-S/14, B/14 and L/14. [`prepare`] makes of pictures what the
//! network is shown. Positions are stored for 37 × 37 patches and [interpolated](positions) for other sizes.
//!
//! Left out on purpose: training, the network's register tokens, ViT-g/14 with its gated layers.
//!
//! ```
//! use candle_core::{DType, Device, Tensor};
//! use domex_dinov2::{Config, Dinov2, SIDE};
//!
//! // Zeros stand in for the published weights, in a network of one block.
//! let config = Config { width: 64, layers: 1, heads: 1, mlp_width: 256, grid: 37 };
//! let network = Dinov2::new(&config.zeros()?, &config, DType::F32, &Device::Cpu)?;
//! let pixels = Tensor::zeros((1, 3, SIDE, SIDE), DType::F32, &Device::Cpu)?;
//! assert_eq!(network.features(&pixels)?.dims(), [1, 64]);
//! # Ok::<(), domex_dinov2::Error>(())
//! ```

mod config;
mod error;
pub mod layout;
mod load;
pub mod positions;
mod prepare;

pub use config::{Config, PATCH, Tensors};
pub use error::{Error, Result};
pub use prepare::{SIDE, prepare};

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use domex_clip::config::{Activation, TransformerConfig};
use domex_clip::transformer::Transformer;
use domex_ops::{Mask, Weight, layer_norm};

/// Added to the variance in every norm.
const EPSILON: f64 = 1e-6;

/// See the [crate docs](crate).
#[derive(Debug, Clone)]
pub struct Dinov2 {
    patches: Weight,    // [w, 3·14·14]
    patch_bias: Tensor, // [w]
    class: Tensor,      // [1, 1, w], with its position
    positions: Tensor,  // [g, g, w]
    blocks: Transformer,
    norm: [Tensor; 2], // [w]
    config: Config,
}

impl Dinov2 {
    /// Of tensors under the names of [`Config::shapes`], computed with as `dtype`.
    ///
    /// # Errors
    ///
    /// A missing tensor or a wrong shape, with its name.
    pub fn new(tensors: &Tensors, cfg: &Config, dtype: DType, device: &Device) -> Result<Self> {
        cfg.check()?;
        for (name, shape) in cfg.shapes() {
            match tensors.get(&name).map(Tensor::dims) {
                Some(found) if found == shape => {}
                Some(found) => {
                    return Err(Error::weights(
                        name,
                        format!("{found:?}"),
                        format!("{shape:?}"),
                    ));
                }
                None => return Err(Error::weights(name, "missing", "a tensor")),
            }
        }
        let vb = VarBuilder::from_tensors(scaled(tensors, cfg.layers)?, dtype, device);
        let (width, grid) = (cfg.width, cfg.grid);
        let get = |name: &str| -> Result<Tensor> {
            let shape = tensors[name].dims();
            Ok(vb.get(shape, name)?.detach())
        };
        let positions = get("positions")?;
        let class = (get("class_token")? + positions.narrow(1, 0, 1)?)?;
        let positions = positions.narrow(1, 1, grid * grid)?;
        Ok(Self {
            patches: Weight::new(get("patches.weight")?.flatten_from(1)?),
            patch_bias: get("patches.bias")?,
            class,
            positions: positions.reshape((grid, grid, width))?,
            blocks: Transformer::frozen(
                &vb,
                &TransformerConfig {
                    width,
                    layers: cfg.layers,
                    heads: cfg.heads,
                    mlp_width: cfg.mlp_width,
                    activation: Activation::Gelu,
                    eps: EPSILON,
                },
            )?,
            norm: [get("norm.weight")?, get("norm.bias")?],
            config: *cfg,
        })
    }

    /// Sizes of the network.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Where it computes.
    #[must_use]
    pub fn device(&self) -> &Device {
        self.class.device()
    }

    /// Features `[n, width]` of `pixels: [n, 3, h, w]` as [`prepare`] makes them, `h` and `w` any multiples of 14.
    ///
    /// # Errors
    ///
    /// A wrong shape or type.
    pub fn features(&self, pixels: &Tensor) -> Result<Tensor> {
        let (n, rows, columns) = match *pixels.dims() {
            [n, 3, h, w] if n > 0 && is_whole(h) && is_whole(w) => (n, h / PATCH, w / PATCH),
            _ => {
                let expected = format!("[n, 3, h, w] with h and w multiples of {PATCH}");
                return Err(Error::shape("pixels", pixels.dims(), expected));
            }
        };
        // No pixel is in two patches, so the convolution is a fully connected layer.
        let patches = pixels.reshape((n, 3, rows, PATCH, columns, PATCH))?;
        let patches = patches.permute((0, 2, 4, 1, 3, 5))?.contiguous()?;
        let patches = patches.reshape((n, rows * columns, 3 * PATCH * PATCH))?;
        let patches = self.patches.linear(&patches, Some(&self.patch_bias))?;
        let positions = positions::at(&self.positions, rows, columns)?;
        let patches = patches.broadcast_add(&positions.flatten(0, 1)?)?;
        let class = self.class.expand((n, 1, self.config.width))?;
        let x = Tensor::cat(&[&class.contiguous()?, &patches], 1)?;

        let tokens = 1 + rows * columns;
        let places = (0..n).map(|i| (i * tokens) as u32).collect();
        let places = Tensor::from_vec(places, n, self.device())?;
        let class = self.blocks.forward_some(&x, Mask::None, &places)?;
        let [weight, bias] = &self.norm;
        Ok(layer_norm(&class, Some(weight), Some(bias), EPSILON)?)
    }
}

/// Whether so many pixels are whole patches, and at least one.
fn is_whole(pixels: usize) -> bool {
    pixels > 0 && pixels.is_multiple_of(PATCH)
}

/// The tensors with the layer scales multiplied into the layers before them, in float64.
fn scaled(tensors: &Tensors, layers: usize) -> Result<HashMap<String, Tensor>> {
    let mut all: HashMap<String, Tensor> = tensors
        .iter()
        .map(|(name, tensor)| (name.clone(), tensor.clone()))
        .collect();
    for block in (0..layers).map(|i| format!("encoder.layers.{i}")) {
        for (scale, layer) in [("scale1", "self_attn.out_proj"), ("scale2", "mlp.fc2")] {
            let scale = tensors[&format!("{block}.{scale}")].to_dtype(DType::F64)?;
            let (weight, bias) = (
                format!("{block}.{layer}.weight"),
                format!("{block}.{layer}.bias"),
            );
            let rows = tensors[&weight].to_dtype(DType::F64)?;
            let rows = rows.broadcast_mul(&scale.unsqueeze(1)?)?;
            let shift = (tensors[&bias].to_dtype(DType::F64)? * scale)?;
            all.extend([(weight, rows), (bias, shift)]);
        }
    }
    Ok(all)
}

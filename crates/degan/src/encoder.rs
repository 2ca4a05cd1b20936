//! The one-pass encoder: a vision transformer (Dosovitskiy et al. 2021, arXiv 2010.11929) without its last norm, with heads on
//! its last blocks.
//!
//! The class token of a block's output goes through one head for each vector of that block: twice linear, layer norm (ε 1e-5)
//! and GELU, then linear to the vector's length. Blocks are pre-norm (ε 1e-6), GELU is by erf. Keys are those of
//! torchvision's `VisionTransformer`, with `domain_proj.heads.{j}.{0, 1, 3, 4, 6}` in the blocks that have heads.

use candle_core::Tensor;
use candle_nn::VarBuilder;
use domex_ops::{Gelu, Mask, Resize, attention, gelu, layer_norm, linear, resize};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Of the blocks' norms.
const EPSILON: f64 = 1e-6;
/// Of the heads' norms.
const HEAD_EPSILON: f64 = 1e-5;

/// What fixes an encoder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Width and height of a picture.
    pub image_size: usize,
    /// Width and height of a patch.
    pub patch_size: usize,
    /// Blocks.
    pub num_layers: usize,
    /// Heads of attention.
    pub num_heads: usize,
    /// Channels of a token.
    pub hidden_dim: usize,
    /// Channels inside a block's second half.
    pub mlp_dim: usize,
    /// Lengths of the vectors that each of the last blocks gives.
    pub domain_dims_per_resolution: Vec<Vec<usize>>,
}

impl Config {
    /// ViT-B/16, as published, for a generator's [styles](crate::stylespace::dims).
    #[must_use]
    pub fn vit_b16(domain_dims_per_resolution: Vec<Vec<usize>>) -> Self {
        Self {
            image_size: 224,
            patch_size: 16,
            num_layers: 12,
            num_heads: 12,
            hidden_dim: 768,
            mlp_dim: 3072,
            domain_dims_per_resolution,
        }
    }

    /// A network of pictures of 64², small enough to be trained whole where no public weights are at hand.
    #[must_use]
    pub fn small(domain_dims_per_resolution: Vec<Vec<usize>>) -> Self {
        Self {
            image_size: 64,
            patch_size: 8,
            num_layers: domain_dims_per_resolution.len().max(6),
            num_heads: 4,
            hidden_dim: 128,
            mlp_dim: 256,
            domain_dims_per_resolution,
        }
    }

    /// Refuses what no network can be made of.
    ///
    /// # Errors
    ///
    /// A setting out of range.
    pub fn validate(&self) -> Result<()> {
        /// More would be a damaged file.
        const LARGEST: usize = 1 << 14;
        let vectors = self.domain_dims_per_resolution.iter().flatten();
        let sizes = vectors.map(|dim| ("length of a vector", *dim)).chain([
            ("image_size", self.image_size),
            ("patch_size", self.patch_size),
            ("num_layers", self.num_layers),
            ("num_heads", self.num_heads),
            ("hidden_dim", self.hidden_dim),
            ("mlp_dim", self.mlp_dim),
            ("blocks with heads", self.domain_dims_per_resolution.len()),
        ]);
        for (what, size) in sizes {
            if !(1..=LARGEST).contains(&size) {
                return Err(Error::config(what, size, format!("1 to {LARGEST}")));
            }
        }
        if !self.image_size.is_multiple_of(self.patch_size) {
            let expected = format!("a multiple of patch_size, {}", self.patch_size);
            return Err(Error::config("image_size", self.image_size, expected));
        }
        if !self.hidden_dim.is_multiple_of(self.num_heads) {
            let expected = format!("a multiple of num_heads, {}", self.num_heads);
            return Err(Error::config("hidden_dim", self.hidden_dim, expected));
        }
        let blocks = self.domain_dims_per_resolution.len();
        if blocks > self.num_layers {
            let expected = format!("at most num_layers, {}", self.num_layers);
            return Err(Error::config("blocks with heads", blocks, expected));
        }
        Ok(())
    }

    /// The first block with heads.
    fn first(&self) -> usize {
        self.num_layers - self.domain_dims_per_resolution.len()
    }

    /// How many numbers the heads have, which are all that is trained.
    #[must_use]
    pub fn head_parameters(&self) -> usize {
        let h = self.hidden_dim;
        let vectors = self.domain_dims_per_resolution.iter().flatten();
        vectors.map(|dim| 2 * (h * h + 3 * h) + (h + 1) * dim).sum()
    }

    /// How many numbers the whole network has.
    #[must_use]
    pub fn parameters(&self) -> usize {
        let (h, m) = (self.hidden_dim, self.mlp_dim);
        let block = 4 * h + 4 * (h * h + h) + 2 * h * m + h + m;
        let tokens = 1 + (self.image_size / self.patch_size).pow(2);
        let embedding = 3 * self.patch_size.pow(2) * h + h + h + tokens * h;
        embedding + self.num_layers * block + self.head_parameters()
    }
}

#[derive(Debug, Clone)]
struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    fn new(vb: &VarBuilder<'_>, names: [&str; 2], outputs: usize, inputs: usize) -> Result<Self> {
        Ok(Self {
            weight: vb.get((outputs, inputs), names[0])?,
            bias: vb.get(outputs, names[1])?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(linear(x, &self.weight, Some(&self.bias))?)
    }
}

/// The names of most layers.
const NAMES: [&str; 2] = ["weight", "bias"];

#[derive(Debug, Clone)]
struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    eps: f64,
}

impl LayerNorm {
    fn new(vb: &VarBuilder<'_>, width: usize, eps: f64) -> Result<Self> {
        Ok(Self {
            weight: vb.get(width, "weight")?,
            bias: vb.get(width, "bias")?,
            eps,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(layer_norm(
            x,
            Some(&self.weight),
            Some(&self.bias),
            self.eps,
        )?)
    }
}

/// From a class token to one vector.
#[derive(Debug, Clone)]
struct Head {
    layers: [(Linear, LayerNorm); 2],
    last: Linear,
}

impl Head {
    fn new(vb: &VarBuilder<'_>, width: usize, dim: usize) -> Result<Self> {
        let layer = |at: usize| -> Result<_> {
            let linear = Linear::new(&vb.pp(at), NAMES, width, width)?;
            Ok((linear, LayerNorm::new(&vb.pp(at + 1), width, HEAD_EPSILON)?))
        };
        Ok(Self {
            layers: [layer(0)?, layer(3)?],
            last: Linear::new(&vb.pp(6), NAMES, dim, width)?,
        })
    }

    fn forward(&self, token: &Tensor) -> Result<Tensor> {
        let mut x = token.clone();
        for (linear, norm) in &self.layers {
            x = gelu(&norm.forward(&linear.forward(&x)?)?, Gelu::Exact)?;
        }
        self.last.forward(&x)
    }
}

#[derive(Debug, Clone)]
struct Block {
    norm1: LayerNorm,
    qkv: Linear,
    out: Linear,
    norm2: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    num_heads: usize,
    domain_heads: Vec<Head>,
}

impl Block {
    fn new(vb: &VarBuilder<'_>, cfg: &Config, dims: &[usize]) -> Result<Self> {
        let (width, attention) = (cfg.hidden_dim, vb.pp("self_attention"));
        let heads = vb.pp("domain_proj.heads");
        Ok(Self {
            norm1: LayerNorm::new(&vb.pp("ln_1"), width, EPSILON)?,
            qkv: Linear::new(
                &attention,
                ["in_proj_weight", "in_proj_bias"],
                3 * width,
                width,
            )?,
            out: Linear::new(&attention.pp("out_proj"), NAMES, width, width)?,
            norm2: LayerNorm::new(&vb.pp("ln_2"), width, EPSILON)?,
            fc1: Linear::new(&vb.pp("mlp.0"), NAMES, cfg.mlp_dim, width)?,
            fc2: Linear::new(&vb.pp("mlp.3"), NAMES, width, cfg.mlp_dim)?,
            num_heads: cfg.num_heads,
            domain_heads: dims
                .iter()
                .enumerate()
                .map(|(at, dim)| Head::new(&heads.pp(at), width, *dim))
                .collect::<Result<_>>()?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let packed = self.qkv.forward(&self.norm1.forward(x)?)?;
        let width = packed.dim(2)? / 3;
        let part = |at: usize| packed.narrow(2, at * width, width)?.contiguous();
        let gathered = attention(&part(0)?, &part(1)?, &part(2)?, self.num_heads, Mask::None)?;
        let x = (x + self.out.forward(&gathered)?)?;
        let y = gelu(&self.fc1.forward(&self.norm2.forward(&x)?)?, Gelu::Exact)?;
        Ok((x + self.fc2.forward(&y)?)?)
    }
}

/// See the top of this module.
#[derive(Debug, Clone)]
pub struct Encoder {
    patches: Linear, // [w, 3·p·p]
    class: Tensor,
    positions: Tensor,
    blocks: Vec<Block>,
    config: Config,
}

impl Encoder {
    /// Reads the network from the root of its key tree.
    ///
    /// # Errors
    ///
    /// A configuration that is out of range, a missing tensor or a wrong shape.
    pub fn new(vb: &VarBuilder<'_>, cfg: &Config) -> Result<Self> {
        cfg.validate()?;
        let (width, side) = (cfg.hidden_dim, cfg.patch_size);
        let tokens = 1 + (cfg.image_size / side).pow(2);
        let conv = vb.pp("conv_proj");
        let layers = vb.pp("encoder.layers");
        let block = |at: usize| {
            let own = at.checked_sub(cfg.first());
            let dims = own.map_or(&[] as &[usize], |at| &cfg.domain_dims_per_resolution[at]);
            Block::new(&layers.pp(format!("encoder_layer_{at}")), cfg, dims)
        };
        Ok(Self {
            patches: Linear {
                weight: conv
                    .get((width, 3, side, side), "weight")?
                    .flatten_from(1)?,
                bias: conv.get(width, "bias")?,
            },
            class: vb.get((1, 1, width), "class_token")?,
            positions: vb.get((1, tokens, width), "encoder.pos_embedding")?,
            blocks: (0..cfg.num_layers).map(block).collect::<Result<_>>()?,
            config: cfg.clone(),
        })
    }

    /// What fixes it.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Pictures `[n, 3, h, w]` in `[-1, 1]` at the encoder's size, as published: bilinear with antialiasing, and in `[-1, 1]` still.
    ///
    /// # Errors
    ///
    /// A wrong shape.
    pub fn preprocess(&self, pictures: &Tensor) -> Result<Tensor> {
        let side = self.config.image_size;
        Ok(resize(pictures, side, side, Resize::BilinearAntialias)?)
    }

    /// Offsets `[n, dim]` of `pixels: [n, 3, image_size, image_size]`, block by block: in the order of the generator's styles.
    ///
    /// # Errors
    ///
    /// A wrong shape.
    pub fn forward(&self, pixels: &Tensor) -> Result<Vec<Tensor>> {
        let (size, side) = (self.config.image_size, self.config.patch_size);
        let n = match *pixels.dims() {
            [n, 3, h, w] if h == size && w == size => n,
            _ => {
                let expected = format!("[n, 3, {size}, {size}]");
                return Err(Error::shape("pixels", pixels.dims(), expected));
            }
        };
        // No pixel is in two patches, so the convolution is a fully connected layer.
        let grid = size / side;
        let patches = pixels.reshape((n, 3, grid, side, grid, side))?;
        let patches = patches.permute((0, 2, 4, 1, 3, 5))?.contiguous()?;
        let patches = patches.reshape((n, grid * grid, 3 * side * side))?;
        let patches = self.patches.forward(&patches)?;
        let class = self.class.broadcast_as((n, 1, self.config.hidden_dim))?;
        let mut x = Tensor::cat(&[&class.contiguous()?, &patches], 1)?;
        x = x.broadcast_add(&self.positions)?;
        let mut offsets = Vec::new();
        for block in &self.blocks {
            x = block.forward(&x)?;
            if block.domain_heads.is_empty() {
                continue;
            }
            let token = x.narrow(1, 0, 1)?.squeeze(1)?.contiguous()?;
            for head in &block.domain_heads {
                offsets.push(head.forward(&token)?);
            }
        }
        Ok(offsets)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_published_encoder_has_the_published_sizes() {
        let path = "tests/golden/degan/domain_encoder_counts.json";
        let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
        let published: Value =
            serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let dims: Vec<Vec<usize>> =
            serde_json::from_value(published["domain_dims_per_resolution"].clone()).unwrap();
        let numbers: usize = dims.iter().flatten().sum();
        let config = Config::vit_b16(dims);
        let count = |name: &str| published[name].as_u64().unwrap() as usize;
        assert_eq!(numbers, count("offset_numbers"));
        assert_eq!(config.head_parameters(), count("head_parameters_trainable"));
        assert_eq!(config.parameters(), count("total_parameters"));
        assert_eq!(config.first(), count("first_block_with_head"));
    }

    #[test]
    fn sizes_that_do_not_divide_are_refused() {
        let config = Config {
            image_size: 225,
            ..Config::vit_b16(vec![vec![4]])
        };
        let error = config.validate().unwrap_err().to_string();
        assert!(error.contains("a multiple of patch_size, 16"), "{error}");
    }
}

//! An encoder: a small network that predicts the latent of a StyleGAN2 from a picture, in one pass.
//!
//! `x: [n, 3, h, w]` in `[-1, 1]` → shrunk to `size` → residual blocks down to `size / 16` → [coordinates](Encoder::coordinates)
//! `c: [n, K]` → [latents](Encoder::latents) `w = mean + Σ c_j · d_j: [n, D]`. The directions `d_j` are those of the generator's own
//! basis that its pictures depend on, each as long as W varies along it; so coordinates have unit variance, and what no
//! picture shows is not guessed at.
//!
//! An encoder belongs to one space W: it keeps the [hash](space_hash) of the mapping network. An expansion leaves that network as it
//! is, so the encoder of a generator serves all its expansions.
//!
//! Deliberately not here: its training (`domex_pretrain::encoder`), and the search that starts from its latents (`domex_invert`).
//!
//! ```
//! use candle_core::{DType, Device, Tensor};
//! use candle_nn::VarBuilder;
//! use domex_encoder::{Config, Encoder};
//!
//! let config = Config { size: 32, widths: [8, 16, 16, 16], coordinates: 12, latent_dim: 64, space: String::new() };
//! let encoder = Encoder::new(&VarBuilder::zeros(DType::F32, &Device::Cpu), &config)?;
//! let pictures = Tensor::zeros((2, 3, 64, 64), DType::F32, &Device::Cpu)?;
//! assert_eq!(encoder.encode(&pictures)?.dims(), [2, 64]);
//! # Ok::<(), domex_encoder::Error>(())
//! ```

mod error;
mod file;
mod space;

use candle_core::Tensor;
use candle_nn::VarBuilder;
use domex_ops::{Resize, linear, resize};
use domex_residual::{Blocks, Norm};
use domex_stylegan2::Generator;
use serde::{Deserialize, Serialize};

pub use error::{Error, Result};
pub use file::{KIND, write};
pub use space::{Directions, space_hash};

/// Names of the tensors that are given and not learnt.
pub const FIXED: [&str; 2] = ["mean", "directions"];

/// What fixes an encoder's shapes, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Height and width at which pictures are looked at, a multiple of 16.
    pub size: usize,
    /// Channels after the first convolution and after each block.
    pub widths: [usize; 4],
    /// Directions along which the latent is predicted.
    pub coordinates: usize,
    /// Size of W.
    pub latent_dim: usize,
    /// The [hash](space_hash) of the space that it predicts in.
    pub space: String,
}

impl Config {
    /// The shipped widths, for a generator and the number of its [`Directions`].
    ///
    /// # Errors
    ///
    /// A generator whose pictures have other than three colours or fewer than 16 pixels on a side.
    pub fn new(generator: &Generator, coordinates: usize) -> Result<Self> {
        const LARGEST: usize = 64;
        let shape = &generator.config().synthesis;
        if shape.img_channels != 3 || shape.img_resolution < 16 {
            let found = format!(
                "{0} × {0}, {1} colours",
                shape.img_resolution, shape.img_channels
            );
            let expected = "at least 16 × 16 in 3 colours";
            return Err(Error::config("pictures of the generator", found, expected));
        }
        Ok(Self {
            size: shape.img_resolution.min(LARGEST),
            widths: [32, 64, 128, 192],
            coordinates,
            latent_dim: shape.w_dim,
            space: space_hash(generator)?,
        })
    }

    fn validate(&self) -> Result<()> {
        const LARGEST: usize = 1 << 13;
        let sizes = [self.size, self.coordinates, self.latent_dim];
        let mut sizes = sizes.iter().chain(&self.widths).copied();
        if let Some(bad) = sizes.find(|&size| size == 0 || size > LARGEST) {
            let expected = format!("1 to {LARGEST}");
            return Err(Error::config("a size of the encoder", bad, expected));
        }
        if !self.size.is_multiple_of(16) {
            let what = "picture size of the encoder";
            return Err(Error::config(what, self.size, "a multiple of 16"));
        }
        Ok(())
    }
}

/// The network. See the [crate's docs](crate).
#[derive(Debug, Clone)]
pub struct Encoder {
    blocks: Blocks,
    norm: Norm,
    head: (Tensor, Tensor),
    mean: Tensor,       // [D]
    directions: Tensor, // [K, D]
    config: Config,
}

impl Encoder {
    /// Reads the tensors of the blocks, `head`, `mean` and `directions`; variables stay variables.
    ///
    /// # Errors
    ///
    /// A configuration out of range, a missing tensor or a wrong shape.
    pub fn new(vb: &VarBuilder<'_>, config: &Config) -> Result<Self> {
        config.validate()?;
        let inputs = config.widths[3] * (config.size / 16).pow(2);
        let (coordinates, dim) = (config.coordinates, config.latent_dim);
        let head = vb.pp("head");
        Ok(Self {
            blocks: Blocks::new(vb, &config.widths)?,
            norm: Norm::new(&vb.pp("norm"), config.widths[3])?,
            head: (
                head.get((coordinates, inputs), "weight")?,
                head.get(coordinates, "bias")?,
            ),
            mean: vb.get(dim, FIXED[0])?,
            directions: vb.get((coordinates, dim), FIXED[1])?,
            config: config.clone(),
        })
    }

    /// What fixes the shapes.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Refuses a generator of another space W.
    ///
    /// # Errors
    ///
    /// [`Error::Config`].
    pub fn check(&self, generator: &Generator) -> Result<()> {
        let found = space_hash(generator)?;
        if found == self.config.space {
            return Ok(());
        }
        let short = |hash: &str| hash.chars().take(12).collect::<String>();
        Err(Error::config(
            "latent space of the encoder",
            format!("that of the mapping network {}", short(&self.config.space)),
            format!(
                "that of this generator, {}; `domex train-encoder` makes one for it",
                short(&found)
            ),
        ))
    }

    /// Coordinates `[n, K]` of `pictures: [n, 3, h, w]` in `[-1, 1]`, squares of any size.
    ///
    /// # Errors
    ///
    /// A wrong shape.
    pub fn coordinates(&self, pictures: &Tensor) -> Result<Tensor> {
        let size = self.config.size;
        let pictures = match *pictures.dims() {
            [_, 3, h, w] if h == w && h == size => pictures.clone(),
            [_, 3, h, w] if h == w && h > 0 => resize(pictures, size, size, Resize::Area)?,
            _ => {
                let found = format!("{:?}", pictures.dims());
                let expected = "[n, 3, h, h]";
                return Err(Error::config(
                    "shape of the encoder's pictures",
                    found,
                    expected,
                ));
            }
        };
        let maps = self.blocks.forward(&pictures)?;
        let last = self.norm.forward(&maps[maps.len() - 1])?;
        Ok(linear(
            &last.flatten_from(1)?,
            &self.head.0,
            Some(&self.head.1),
        )?)
    }

    /// Latents `[n, D]` of coordinates `[n, K]`.
    ///
    /// # Errors
    ///
    /// A wrong shape.
    pub fn latents(&self, coordinates: &Tensor) -> Result<Tensor> {
        Ok(coordinates
            .matmul(&self.directions)?
            .broadcast_add(&self.mean)?)
    }

    /// The latents `[n, D]` that are predicted for `pictures: [n, 3, h, w]` in `[-1, 1]`.
    ///
    /// # Errors
    ///
    /// A wrong shape.
    pub fn encode(&self, pictures: &Tensor) -> Result<Tensor> {
        self.latents(&self.coordinates(pictures)?)
    }
}

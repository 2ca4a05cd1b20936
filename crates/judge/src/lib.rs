//! The judge: a classifier of a picture's domain and factors.
//!
//! It measures what others make, so no training loss ever sees it, and it is of another family than the networks that do.
//! [`Architecture`] says which: strided convolutions without norm or skip, or residual blocks with group norm.
//!
//! `x: [n, 3, 64, 64]` in `[-1, 1]` → maps down to 4² → logits `[n, Σ classes]`, cut into one part for each [`Factor`], the domain
//! first. Where the domain has a class [`NONE`], the judge may also say that a picture is none of the others. What the maps
//! before the logits say of two pictures is a [distance](Judge::distance) between them.
//!
//! Deliberately not here: its training (`domex_pretrain::judge`), and what is measured with it (`domex_eval`).
//!
//! ```
//! use candle_core::{DType, Device, Tensor};
//! use candle_nn::VarBuilder;
//! use domex_judge::{Config, Factor, Judge};
//!
//! let factors = [
//!     Factor::new("domain", ["photo", "sketch", "robot"]),
//!     Factor::new("glasses", ["without", "with"]),
//! ];
//! let config = Config::new(&factors);
//! let judge = Judge::new(&VarBuilder::zeros(DType::F32, &Device::Cpu), &config)?;
//! let picture = Tensor::zeros((1, 3, 64, 64), DType::F32, &Device::Cpu)?;
//! let logits = judge.forward(&picture)?;
//! assert_eq!((logits[0].dims(), logits[1].dims()), (&[1, 3][..], &[1, 2][..]));
//! # Ok::<(), domex_judge::Error>(())
//! ```

mod error;
mod file;
mod plain;

pub use error::{Error, Result};
pub use file::{KIND, write};

use candle_core::Tensor;
use candle_nn::VarBuilder;
use domex_ops::{UnitLength, linear, unit_distance};
use domex_residual::Blocks;
use serde::{Deserialize, Serialize};

/// The class of pictures that are of no domain.
pub const NONE: &str = "none of these";

/// Something that a picture has one of several kinds of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Factor {
    /// Its name, such as `hair colour`.
    pub name: String,
    /// Names of its kinds.
    pub classes: Vec<String>,
}

impl Factor {
    /// From names.
    pub fn new<S: Into<String>>(
        name: impl Into<String>,
        classes: impl IntoIterator<Item = S>,
    ) -> Self {
        Self {
            name: name.into(),
            classes: classes.into_iter().map(Into::into).collect(),
        }
    }
}

/// What the maps before the logits are made by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Architecture {
    /// Six convolutions, four of them of stride 2, with leaky rectifiers: 32² → 16² → 16² → 8² → 8² → 4².
    #[default]
    Plain,
    /// A convolution and three residual blocks with group norm: 32² → 16² → 8² → 4².
    Residual,
}

impl Architecture {
    /// How many numbers of channels it has.
    fn stages(self) -> usize {
        match self {
            Self::Plain => plain::STRIDES.len(),
            Self::Residual => 4,
        }
    }
}

/// What fixes a judge's shapes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Height and width of the pictures, a multiple of 16.
    pub size: usize,
    /// What the maps are made by; the plain one in files that do not say it.
    #[serde(default)]
    pub architecture: Architecture,
    /// Channels of the maps, one after the other.
    pub widths: Vec<usize>,
    /// What it tells, the domain first.
    pub factors: Vec<Factor>,
}

impl Config {
    /// The shipped architecture and widths for 64² pictures.
    pub fn new(factors: &[Factor]) -> Self {
        Self {
            size: 64,
            architecture: Architecture::Residual,
            widths: vec![32, 64, 128, 192],
            factors: factors.to_vec(),
        }
    }

    /// Number of logits.
    fn classes(&self) -> usize {
        self.factors.iter().map(|factor| factor.classes.len()).sum()
    }

    fn validate(&self) -> Result<()> {
        const LARGEST: usize = 1 << 14;
        let stages = self.architecture.stages();
        if self.widths.len() != stages {
            let expected = format!("{stages}, as the architecture has");
            return Err(Error::config(
                "widths of the judge",
                self.widths.len(),
                expected,
            ));
        }
        let sizes = self.widths.iter().chain([&self.size]);
        if let Some(bad) = sizes.copied().find(|&size| size == 0 || size > LARGEST) {
            return Err(Error::config(
                "a size of the judge",
                bad,
                format!("1 to {LARGEST}"),
            ));
        }
        if !self.size.is_multiple_of(16) {
            return Err(Error::config(
                "picture size of the judge",
                self.size,
                "a multiple of 16",
            ));
        }
        if self.factors.is_empty() || self.factors.iter().any(|factor| factor.classes.is_empty()) {
            return Err(Error::config(
                "classes of the judge",
                0,
                "at least one for each factor",
            ));
        }
        Ok(())
    }
}

/// What makes the maps.
#[derive(Debug, Clone)]
enum Maps {
    Plain(plain::Convolutions),
    Residual(Blocks),
}

/// The network. See the [crate's docs](crate).
#[derive(Debug, Clone)]
pub struct Judge {
    maps: Maps,
    head: (Tensor, Tensor),
    config: Config,
}

impl Judge {
    /// Reads the tensors of the architecture, and `head`; variables stay variables.
    ///
    /// # Errors
    ///
    /// A configuration out of range, a missing tensor or a wrong shape.
    pub fn new(vb: &VarBuilder<'_>, config: &Config) -> Result<Self> {
        config.validate()?;
        let channels = config.widths[config.widths.len() - 1];
        let (inputs, classes) = (channels * (config.size / 16).pow(2), config.classes());
        let head = vb.pp("head");
        Ok(Self {
            maps: match config.architecture {
                Architecture::Plain => Maps::Plain(plain::Convolutions::new(vb, &config.widths)?),
                Architecture::Residual => Maps::Residual(Blocks::new(vb, &config.widths)?),
            },
            head: (
                head.get((classes, inputs), "weight")?,
                head.get(classes, "bias")?,
            ),
            config: config.clone(),
        })
    }

    /// What fixes the shapes, and what the logits mean.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The number of the domain's class [`NONE`], if the judge knows it.
    pub fn none(&self) -> Option<usize> {
        let classes = &self.config.factors.first()?.classes;
        classes.iter().position(|class| class == NONE)
    }

    /// One tensor of logits `[n, classes]` for each factor, of `pictures: [n, 3, size, size]`.
    ///
    /// # Errors
    ///
    /// A wrong shape.
    pub fn forward(&self, pictures: &Tensor) -> Result<Vec<Tensor>> {
        let maps = self.maps(pictures)?;
        let last = &maps[maps.len() - 1];
        let logits = linear(&last.flatten_from(1)?, &self.head.0, Some(&self.head.1))?;
        let mut start = 0;
        let parts = self.config.factors.iter().map(|factor| {
            let part = logits.narrow(1, start, factor.classes.len());
            start += factor.classes.len();
            Ok(part?)
        });
        parts.collect()
    }

    /// Features `[n, d]`: the last map, averaged over the picture.
    ///
    /// # Errors
    ///
    /// A wrong shape.
    pub fn features(&self, pictures: &Tensor) -> Result<Tensor> {
        let maps = self.maps(pictures)?;
        Ok(maps[maps.len() - 1].mean((2, 3))?)
    }

    /// How far `a` and `b`, `[n, 3, size, size]` each, are apart, `[n]`: the squared distance of their maps with channels at unit
    /// length, averaged over the places of each map and over the maps.
    ///
    /// # Errors
    ///
    /// A wrong shape.
    pub fn distance(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        const LENGTH: UnitLength = UnitLength {
            eps: 1e-10,
            floor: 1e-12,
        };
        let (a, b) = (self.maps(a)?, self.maps(b)?);
        let apart = a.iter().zip(&b).map(|(a, b)| {
            let apart = unit_distance(a, b, None, LENGTH)?;
            Ok(apart.mean((1, 2, 3))?)
        });
        Ok(Tensor::stack(&apart.collect::<Result<Vec<_>>>()?, 0)?.mean(0)?)
    }

    /// The maps, one after the other.
    fn maps(&self, pictures: &Tensor) -> Result<Vec<Tensor>> {
        let size = self.config.size;
        match *pictures.dims() {
            [_, 3, h, w] if h == size && w == size => match &self.maps {
                Maps::Plain(convolutions) => convolutions.forward(pictures),
                Maps::Residual(blocks) => Ok(blocks.forward(pictures)?),
            },
            _ => Err(Error::config(
                "shape of the judge's pictures",
                format!("{:?}", pictures.dims()),
                format!("[n, 3, {size}, {size}]"),
            )),
        }
    }
}

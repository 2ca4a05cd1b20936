//! The judge: a plain convolutional classifier of a picture's domain and factors.
//!
//! It measures what others make, so no training loss ever sees it, and it is of another family than
//! the networks that do: strided 3×3 convolutions with leaky rectifiers, no normalization, no skip,
//! one linear layer on the last 4×4 map.
//!
//! `x: [n, 3, 64, 64]` in `[-1, 1]` → 32² → 16² → 16² → 8² → 8² → 4² → logits `[n, Σ classes]`, cut into
//! one part for each [`Factor`], the domain first.
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

pub use error::{Error, Result};
pub use file::{KIND, write};

use candle_core::Tensor;
use candle_nn::VarBuilder;
use domex_ops::{Activation, BiasAct, bias_act, conv2d, linear};
use serde::{Deserialize, Serialize};

/// Stride of each convolution.
const STRIDES: [usize; 6] = [2, 2, 1, 2, 1, 2];

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

/// What fixes a judge's shapes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Height and width of the pictures, a multiple of 16.
    pub size: usize,
    /// Channels after each convolution.
    pub widths: [usize; 6],
    /// What it tells, the domain first.
    pub factors: Vec<Factor>,
}

impl Config {
    /// The shipped widths for 64² pictures.
    pub fn new(factors: &[Factor]) -> Self {
        Self {
            size: 64,
            widths: [32, 64, 96, 128, 192, 256],
            factors: factors.to_vec(),
        }
    }

    /// Number of logits.
    fn classes(&self) -> usize {
        self.factors.iter().map(|factor| factor.classes.len()).sum()
    }

    fn validate(&self) -> Result<()> {
        const LARGEST: usize = 1 << 14;
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

/// The network. See the [crate's docs](crate).
#[derive(Debug, Clone)]
pub struct Judge {
    layers: Vec<(Tensor, Tensor)>,
    head: (Tensor, Tensor),
    config: Config,
}

impl Judge {
    /// Reads `conv1.weight`, …, `head.bias`; variables stay variables.
    ///
    /// # Errors
    ///
    /// A configuration out of range, a missing tensor or a wrong shape.
    pub fn new(vb: &VarBuilder<'_>, config: &Config) -> Result<Self> {
        config.validate()?;
        let mut input = 3;
        let mut layers = Vec::new();
        for (index, &out) in config.widths.iter().enumerate() {
            let vb = vb.pp(format!("conv{}", index + 1));
            layers.push((vb.get((out, input, 3, 3), "weight")?, vb.get(out, "bias")?));
            input = out;
        }
        let (inputs, classes) = (input * (config.size / 16).pow(2), config.classes());
        let vb = vb.pp("head");
        Ok(Self {
            layers,
            head: (
                vb.get((classes, inputs), "weight")?,
                vb.get(classes, "bias")?,
            ),
            config: config.clone(),
        })
    }

    /// What fixes the shapes, and what the logits mean.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// One tensor of logits `[n, classes]` for each factor, of `pictures: [n, 3, size, size]`.
    ///
    /// # Errors
    ///
    /// A wrong shape.
    pub fn forward(&self, pictures: &Tensor) -> Result<Vec<Tensor>> {
        let size = self.config.size;
        match *pictures.dims() {
            [_, 3, h, w] if h == size && w == size => {}
            _ => {
                return Err(Error::config(
                    "shape of the judge's pictures",
                    format!("{:?}", pictures.dims()),
                    format!("[n, 3, {size}, {size}]"),
                ));
            }
        }
        let mut x = pictures.clone();
        for ((weight, bias), stride) in self.layers.iter().zip(STRIDES) {
            let y = conv2d(&x, weight, None, stride, 1)?;
            x = bias_act(&y, Some(bias), &BiasAct::new(Activation::Lrelu))?;
        }
        let logits = linear(&x.flatten_from(1)?, &self.head.0, Some(&self.head.1))?;
        let mut start = 0;
        let parts = self.config.factors.iter().map(|factor| {
            let part = logits.narrow(1, start, factor.classes.len());
            start += factor.classes.len();
            Ok(part?)
        });
        parts.collect()
    }
}

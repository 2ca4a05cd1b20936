//! Hyper-parameters of the generator.
//!
//! [`kwargs`](GeneratorConfig::from_kwargs) reads the published keyword arguments, which a network pickle holds;
//! [`GeneratorConfig::deduce`] tells a published configuration from names, shapes and filters alone.

mod kwargs;
mod schedule;

use domex_stylegan2::MappingConfig;
use serde::{Deserialize, Serialize};

pub use schedule::{InputShape, LayerShape, channels};

use crate::{Error, Result};

/// Published decay of the running mean of w.
pub(crate) const W_AVG_BETA: f64 = 0.998;

/// Published depth of the mapping network.
const MAPPING_LAYERS: usize = 2;

/// Width of any layer beyond which a configuration is taken for a mistake.
const MAX_FEATURES: usize = 1 << 13;

/// Longest filter that a configuration may ask for.
const MAX_TAPS: usize = 256;

/// Largest picture that a configuration may ask for.
const MAX_RESOLUTION: usize = 4096;

/// The synthesis network. What its layers are follows from these numbers: [`layers`](Self::layers).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SynthesisConfig {
    /// Size of one row of the latent.
    pub w_dim: usize,
    /// Width and height of the picture: a power of two.
    pub img_resolution: usize,
    /// Channels of the picture.
    pub img_channels: usize,
    /// Features that each layer but the last, to RGB, makes; the Fourier features are as many as those of the first.
    pub channels: Vec<usize>,
    /// Layers before to RGB that are critically sampled.
    pub num_critical: usize,
    /// Cutoff frequency of the first layer, in cycles per picture.
    pub first_cutoff: f64,
    /// Least stopband of the first layer, in cycles per picture.
    pub first_stopband: f64,
    /// Least stopband of the last layer, as a multiple of its cutoff.
    pub last_stopband_rel: f64,
    /// Pixels around the picture that features have, at their own sampling rate.
    pub margin_size: usize,
    /// Factor of the picture.
    pub output_scale: f64,
    /// Width of the convolutions' kernels, but that to RGB.
    pub conv_kernel: usize,
    /// Taps of the filters at the lower of two sampling rates.
    pub filter_size: usize,
    /// How much more densely features are sampled where the leaky ReLU works on them.
    pub lrelu_upsampling: usize,
    /// Whether the filters that reduce the sampling rate are radially symmetric; those of critically sampled layers never are.
    pub use_radial_filters: bool,
    /// Limit of every layer's output, `None` for none.
    pub conv_clamp: Option<f64>,
}

impl SynthesisConfig {
    /// Configuration T with the published defaults, for layers of so many features.
    #[must_use]
    pub fn t(
        w_dim: usize,
        img_resolution: usize,
        img_channels: usize,
        channels: Vec<usize>,
    ) -> Self {
        Self {
            w_dim,
            img_resolution,
            img_channels,
            channels,
            num_critical: 2,
            first_cutoff: 2.0,
            first_stopband: 2f64.powf(2.1),
            last_stopband_rel: 2f64.powf(0.3),
            margin_size: 10,
            output_scale: 0.25,
            conv_kernel: 3,
            filter_size: 6,
            lrelu_upsampling: 2,
            use_radial_filters: false,
            conv_clamp: Some(256.0),
        }
    }

    /// Configuration R: kernels of one pixel, radially symmetric filters.
    #[must_use]
    pub fn r(
        w_dim: usize,
        img_resolution: usize,
        img_channels: usize,
        channels: Vec<usize>,
    ) -> Self {
        Self {
            conv_kernel: 1,
            use_radial_filters: true,
            ..Self::t(w_dim, img_resolution, img_channels, channels)
        }
    }

    /// Rows of a W+ latent: one for the Fourier features, one for each layer.
    #[must_use]
    pub fn num_ws(&self) -> usize {
        self.channels.len() + 2
    }

    fn validate(&self) -> Result<()> {
        size("synthesis.w_dim", self.w_dim, 1, MAX_FEATURES)?;
        let resolution = self.img_resolution;
        if !(resolution.is_power_of_two() && (8..=MAX_RESOLUTION).contains(&resolution)) {
            let expected = format!("a power of two from 8 to {MAX_RESOLUTION}");
            return Err(Error::config("img_resolution", resolution, expected));
        }
        size("img_channels", self.img_channels, 1, MAX_FEATURES)?;
        size("number of layers", self.channels.len(), 1, 64)?;
        for (index, width) in self.channels.iter().enumerate() {
            size(&format!("channels.{index}"), *width, 1, MAX_FEATURES)?;
        }
        size(
            "num_critical",
            self.num_critical,
            0,
            self.channels.len() - 1,
        )?;
        above("first_cutoff", self.first_cutoff, 0.0)?;
        // Up to 0.25 the first sampling rate would be less than one.
        let least = self.first_cutoff.max(0.25);
        above("first_stopband", self.first_stopband, least)?;
        above("last_stopband_rel", self.last_stopband_rel, 1.0)?;
        size("margin_size", self.margin_size, 0, 1024)?;
        if !(self.output_scale.is_finite() && self.output_scale != 0.0) {
            let expected = "finite and not 0";
            return Err(Error::config("output_scale", self.output_scale, expected));
        }
        size("conv_kernel", self.conv_kernel, 1, 15)?;
        size("filter_size", self.filter_size, 1, 64)?;
        size("lrelu_upsampling", self.lrelu_upsampling, 1, 8)?;
        if let Some(limit) = self.conv_clamp {
            above("conv_clamp", limit, 0.0)?;
        }
        // Factors between sampling rates multiply the filters.
        for layer in self.layers() {
            let filters = layer.up_filter.iter().chain(&layer.down_filter);
            let taps = filters.map(|(taps, _)| *taps).max().unwrap_or(0);
            size(&format!("taps of {}", layer.name), taps, 0, MAX_TAPS)?;
        }
        let input = self.input();
        if input.rate / 2.0 <= input.bandwidth {
            return Err(Error::config(
                "first_cutoff",
                input.bandwidth,
                format!("below half the first sampling rate, {}", input.rate),
            ));
        }
        Ok(())
    }
}

/// The whole generator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeneratorConfig {
    /// z and label to w: the mapping network of a StyleGAN2, with fewer layers.
    pub mapping: MappingConfig,
    /// w to a picture.
    pub synthesis: SynthesisConfig,
}

impl GeneratorConfig {
    /// A generator with the published mapping network.
    #[must_use]
    pub fn new(z_dim: usize, c_dim: usize, synthesis: SynthesisConfig) -> Self {
        let mapping = mapping(z_dim, c_dim, synthesis.w_dim);
        Self { mapping, synthesis }
    }

    /// A configuration T that draws a 64² picture quickly: for tests and first steps, with
    /// [random weights](crate::Model::random).
    #[must_use]
    pub fn tiny() -> Self {
        let channels = channels(64, 6, 2, 2.0, [512.0, 32.0]);
        Self::new(48, 0, SynthesisConfig::t(48, 64, 3, channels))
    }

    /// Size of z.
    #[must_use]
    pub fn z_dim(&self) -> usize {
        self.mapping.z_dim
    }

    /// Size of the label, 0 for a network without classes.
    #[must_use]
    pub fn c_dim(&self) -> usize {
        self.mapping.c_dim
    }

    /// Size of w.
    #[must_use]
    pub fn w_dim(&self) -> usize {
        self.mapping.w_dim
    }

    /// Rows of a W+ latent.
    #[must_use]
    pub fn num_ws(&self) -> usize {
        self.synthesis.num_ws()
    }

    /// `T`, `R`, or what differs from both.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match (
            self.synthesis.conv_kernel,
            self.synthesis.use_radial_filters,
        ) {
            (3, false) => "T",
            (1, true) => "R",
            _ => "neither T nor R",
        }
    }

    /// Checks every number, so that building the network allocates no more than it should.
    ///
    /// # Errors
    ///
    /// The first field that is out of range, with what is allowed.
    pub fn validate(&self) -> Result<()> {
        self.mapping.validate()?;
        self.synthesis.validate()?;
        size("mapping.z_dim", self.mapping.z_dim, 1, MAX_FEATURES)?;
        if self.mapping.w_avg_beta.is_none() {
            return Err(Error::config("mapping.w_avg_beta", "none", "a number"));
        }
        if self.mapping.w_dim == self.synthesis.w_dim {
            return Ok(());
        }
        Err(Error::config(
            "synthesis.w_dim",
            self.synthesis.w_dim,
            format!("mapping.w_dim, which is {}", self.mapping.w_dim),
        ))
    }
}

/// The published mapping network.
fn mapping(z_dim: usize, c_dim: usize, w_dim: usize) -> MappingConfig {
    MappingConfig {
        num_layers: MAPPING_LAYERS,
        w_avg_beta: Some(W_AVG_BETA),
        ..MappingConfig::new(z_dim, c_dim, w_dim)
    }
}

/// Between two bounds, both allowed.
fn size(what: &str, value: usize, least: usize, most: usize) -> Result<()> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(Error::config(what, value, format!("{least} to {most}")))
}

/// Finite, and above a bound.
fn above(what: &str, value: f64, bound: f64) -> Result<()> {
    if value.is_finite() && value > bound {
        return Ok(());
    }
    Err(Error::config(
        what,
        value,
        format!("a number above {bound}"),
    ))
}

//! Layers from the hyper-parameters: sampling rates, cutoffs, sizes and filters (section 3.2 and appendix C of arXiv 2106.12423).
//!
//! With N layers before to RGB, of which the last k are critically sampled, layer i has
//!
//! ```text
//! e_i  = min(i / (N - k), 1)
//! c_i  = c_0 (c_N / c_0)^e_i          cutoff, c_N half the picture's resolution
//! t_i  = t_0 (t_N / t_0)^e_i          stopband, t_N = last_stopband_rel c_N
//! s_i  = 2^⌈log₂ min(2 t_i, res)⌉     sampling rate
//! h_i  = max(t_i, s_i / 2) - c_i      half the width of the transition band
//! size = s_i + 2 margin, and the picture's in the last two
//! ```

use super::SynthesisConfig;
use crate::filter::Band;

/// Frequencies and size of what a layer makes.
#[derive(Debug, Clone, Copy)]
struct Stage {
    cutoff: f64,
    half_width: f64,
    rate: usize,
    size: usize,
    channels: usize,
}

/// The Fourier features.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InputShape {
    /// How many.
    pub channels: usize,
    /// Width and height.
    pub size: usize,
    /// Sampling rate, in pixels per picture.
    pub rate: f64,
    /// Highest frequency, in cycles per picture.
    pub bandwidth: f64,
}

/// A layer: what it reads and makes, and how it filters.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerShape {
    /// Such as `L3_52_512`.
    pub name: String,
    /// Whether it makes the picture.
    pub is_to_rgb: bool,
    /// Channels that it reads and makes.
    pub channels: [usize; 2],
    /// Width and height of what it reads and makes.
    pub sizes: [usize; 2],
    /// Width of its kernels.
    pub kernel: usize,
    /// By how much its features are sampled more densely before the leaky ReLU.
    pub up: usize,
    /// By how much less densely after it.
    pub down: usize,
    /// Taps of the filter that increases the sampling rate, and its band; `None` where nothing is filtered.
    pub up_filter: Option<(usize, Band)>,
    /// Of the filter that reduces it.
    pub down_filter: Option<(usize, Band)>,
    /// Whether the latter is radially symmetric.
    pub radial: bool,
    /// Pixels added before and behind, at the denser sampling rate; negative ones are cropped.
    pub padding: [i64; 2],
}

/// Features of each of `layers` layers by the published rule `min(base/2 / cutoff, max)`, rounded; `limits` are base and max.
#[must_use]
pub fn channels(
    img_resolution: usize,
    layers: usize,
    num_critical: usize,
    first_cutoff: f64,
    limits: [f64; 2],
) -> Vec<usize> {
    let [base, max] = limits;
    let last = img_resolution as f64 / 2.0;
    (0..layers)
        .map(|index| {
            let cutoff = between(first_cutoff, last, exponent(index, layers, num_critical));
            (base / 2.0 / cutoff).min(max).round_ties_even() as usize
        })
        .collect()
}

/// How far layer `index` is on the way from the first to the last.
fn exponent(index: usize, layers: usize, num_critical: usize) -> f64 {
    (index as f64 / (layers - num_critical) as f64).min(1.0)
}

/// A geometric progression.
fn between(first: f64, last: f64, exponent: f64) -> f64 {
    first * (last / first).powf(exponent)
}

impl SynthesisConfig {
    /// The Fourier features. Of a configuration that was checked, as is everything here.
    #[must_use]
    pub fn input(&self) -> InputShape {
        let first = self.stage(0);
        InputShape {
            channels: first.channels,
            size: first.size,
            rate: first.rate as f64,
            bandwidth: first.cutoff,
        }
    }

    /// All layers in their order, the last of which makes the picture.
    #[must_use]
    pub fn layers(&self) -> Vec<LayerShape> {
        (0..=self.channels.len())
            .map(|index| self.layer(index))
            .collect()
    }

    fn stage(&self, index: usize) -> Stage {
        let layers = self.channels.len();
        let exponent = exponent(index, layers, self.num_critical);
        let resolution = self.img_resolution as f64;
        let last = resolution / 2.0;
        let cutoff = between(self.first_cutoff, last, exponent);
        let last_stopband = last * self.last_stopband_rel;
        let stopband = between(self.first_stopband, last_stopband, exponent);
        let rate = (stopband * 2.0).min(resolution).log2().ceil().exp2();
        let rate_size = rate as usize + 2 * self.margin_size;
        Stage {
            cutoff,
            half_width: stopband.max(rate / 2.0) - cutoff,
            rate: rate as usize,
            size: match index + 1 >= layers {
                true => self.img_resolution,
                false => rate_size,
            },
            channels: self
                .channels
                .get(index)
                .copied()
                .unwrap_or(self.img_channels),
        }
    }

    fn layer(&self, index: usize) -> LayerShape {
        let layers = self.channels.len();
        let (from, to) = (self.stage(index.saturating_sub(1)), self.stage(index));
        let is_to_rgb = index == layers;
        let denser = if is_to_rgb { 1 } else { self.lrelu_upsampling };
        let dense = from.rate.max(to.rate) * denser;
        let (up, down) = (dense / from.rate, dense / to.rate);
        let filter = |factor: usize, stage: &Stage| {
            let band = Band {
                cutoff: stage.cutoff,
                width: 2.0 * stage.half_width,
                rate: dense as f64,
            };
            let taps = self.filter_size * factor;
            (factor > 1 && !is_to_rgb && taps > 1).then_some((taps, band))
        };
        let (up_filter, down_filter) = (filter(up, &from), filter(down, &to));
        let kernel = if is_to_rgb { 1 } else { self.conv_kernel };
        let taps = |filter: &Option<(usize, Band)>| filter.map_or(1, |(taps, _)| taps) as i64;
        // What is missing to the size that is wanted, after the convolution and before the last filter.
        let dense_size = (to.size as i64 - 1) * down as i64 + 1;
        let convolved = (from.size + kernel - 1) as i64 * up as i64;
        let missing = dense_size - convolved + taps(&up_filter) + taps(&down_filter) - 2;
        // Samples stand in the middle of their pixels: half of what is inserted goes before them.
        let before = (missing + up as i64).div_euclid(2);
        LayerShape {
            name: format!("L{index}_{}_{}", to.size, to.channels),
            is_to_rgb,
            channels: [from.channels, to.channels],
            sizes: [from.size, to.size],
            kernel,
            up,
            down,
            up_filter,
            down_filter,
            radial: self.use_radial_filters && index + self.num_critical < layers,
            padding: [before, missing - before],
        }
    }
}

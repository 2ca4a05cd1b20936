//! How the layers of a generator are modulated for each sample, beyond what its weights say.
//!
//! A layer that reads the latent turns it into a *style*, one number per input channel. A [`Modulator`] may add to that
//! style (a direction of StyleSpace, arXiv 2011.12799) and may multiply each input channel with a factor that demodulation
//! does not see (domain modulation, arXiv 2210.08884); it may also change the weight itself, before or after demodulation.
//! The generator asks its modulator in every pass, so whoever makes
//! pictures with it need not know that it has one.
//!
//! The domains of an expanded model may be such modulations: [`DomainVectors`](crate::domain_vectors::DomainVectors).

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use candle_core::Tensor;

use crate::Result;

/// A layer that can be modulated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// As the network calls it, such as `b4.conv1`.
    pub name: String,
    /// Numbers in its style: its input channels.
    pub channels: usize,
    /// Its output channels.
    pub outputs: usize,
    /// Width and height of its kernels.
    pub kernel: usize,
    /// Width and height of what it makes.
    pub resolution: usize,
    /// The row of a latent `[num_ws, D]` that it reads.
    pub row: usize,
}

/// What is done to one layer.
#[derive(Debug, Clone, Default)]
pub struct Modulation {
    /// Added to the latent that its affine map reads, `[n, D]` or `[1, D]`.
    pub latent_offset: Option<Tensor>,
    /// Added to its style, `[n, channels]` or `[1, channels]`.
    pub style_offset: Option<Tensor>,
    /// Multiplied with its input channels after demodulation, `[n, channels]` or `[1, channels]`.
    pub channel_factor: Option<Tensor>,
    /// Added to its weight before the style scales it: `[o, channels, k, k]`, the same for all samples, or
    /// `[n, o, channels, k, k]`, which makes a weight for each; each axis may also be 1.
    pub weight_offset: Option<Tensor>,
    /// Multiplied with its kernels as they are less their mean and divided by their standard deviation, then added to its weight as an
    /// offset is: `[n, o, channels, 1, 1]`, which makes a weight for each sample; each axis may also be 1.
    pub kernel_deviation: Option<Tensor>,
    /// Added to its bias, `[n, o]` or `[1, o]`.
    pub bias_offset: Option<Tensor>,
    /// Multiplied with its demodulated weight, `[n, o, channels, k, k]` where each axis may also be 1.
    pub weight_factor: Option<Tensor>,
    /// Added to its demodulated weight after that; of the same shapes.
    pub weight_shift: Option<Tensor>,
}

/// By the names of layers; those that are not named stay as they are.
pub type Modulations = BTreeMap<String, Modulation>;

/// Says for each sample how the layers are modulated.
pub trait Modulator: Debug + Send + Sync {
    /// For latents `[n, num_ws, D]`. Differentiable.
    ///
    /// # Errors
    ///
    /// A wrong shape.
    fn modulate(&self, latents: &Tensor) -> Result<Modulations>;

    /// Takes the mean latent `[D]`, which moves while a generator is trained.
    ///
    /// # Errors
    ///
    /// A wrong shape.
    fn set_mean(&self, _mean: &Tensor) -> Result<()> {
        Ok(())
    }
}

/// What several modulators do to a layer together: offsets and shifts add up, factors multiply.
///
/// # Errors
///
/// As [`Modulator::modulate`].
pub fn modulations(modulators: &[Arc<dyn Modulator>], latents: &Tensor) -> Result<Modulations> {
    let mut all = Modulations::new();
    for modulator in modulators {
        for (layer, modulation) in modulator.modulate(latents)? {
            let joined = match all.remove(&layer) {
                None => modulation,
                Some(before) => Modulation {
                    latent_offset: join(before.latent_offset, modulation.latent_offset, ADD)?,
                    style_offset: join(before.style_offset, modulation.style_offset, ADD)?,
                    channel_factor: join(
                        before.channel_factor,
                        modulation.channel_factor,
                        MULTIPLY,
                    )?,
                    weight_offset: join(before.weight_offset, modulation.weight_offset, ADD)?,
                    kernel_deviation: join(
                        before.kernel_deviation,
                        modulation.kernel_deviation,
                        ADD,
                    )?,
                    bias_offset: join(before.bias_offset, modulation.bias_offset, ADD)?,
                    weight_factor: join(before.weight_factor, modulation.weight_factor, MULTIPLY)?,
                    weight_shift: join(before.weight_shift, modulation.weight_shift, ADD)?,
                },
            };
            all.insert(layer, joined);
        }
    }
    Ok(all)
}

/// What is done to two tensors that broadcast.
type Both = fn(&Tensor, &Tensor) -> candle_core::Result<Tensor>;

const ADD: Both = Tensor::broadcast_add;
const MULTIPLY: Both = Tensor::broadcast_mul;

fn join(a: Option<Tensor>, b: Option<Tensor>, both: Both) -> Result<Option<Tensor>> {
    Ok(match (a, b) {
        (Some(a), Some(b)) => Some(both(&a, &b)?),
        (a, b) => a.or(b),
    })
}

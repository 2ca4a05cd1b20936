//! How the layers of a generator are modulated for each sample, beyond what its weights say.
//!
//! A layer that reads the latent turns it into a *style*, one number per input channel. A [`Modulator`] may add to that
//! style (a direction of StyleSpace, arXiv 2011.12799) and may multiply each input channel with a factor that demodulation
//! does not see (domain modulation, arXiv 2210.08884). The generator asks its modulator in every pass, so whoever makes
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
    /// Numbers in its style.
    pub channels: usize,
    /// The row of a latent `[num_ws, D]` that it reads.
    pub row: usize,
}

/// What is done to one layer.
#[derive(Debug, Clone, Default)]
pub struct Modulation {
    /// Added to its style, `[n, channels]` or `[1, channels]`.
    pub style_offset: Option<Tensor>,
    /// Multiplied with its input channels after demodulation, `[n, channels]` or `[1, channels]`.
    pub channel_factor: Option<Tensor>,
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

/// What several modulators do to a layer together: offsets add up, factors multiply.
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
                    style_offset: join(before.style_offset, modulation.style_offset, |a, b| {
                        a.broadcast_add(b)
                    })?,
                    channel_factor: join(
                        before.channel_factor,
                        modulation.channel_factor,
                        Tensor::broadcast_mul,
                    )?,
                },
            };
            all.insert(layer, joined);
        }
    }
    Ok(all)
}

fn join(
    a: Option<Tensor>,
    b: Option<Tensor>,
    both: impl FnOnce(&Tensor, &Tensor) -> candle_core::Result<Tensor>,
) -> Result<Option<Tensor>> {
    Ok(match (a, b) {
        (Some(a), Some(b)) => Some(both(&a, &b)?),
        (a, b) => a.or(b),
    })
}

//! Random weights as the published code draws them.
//!
//! Weights are standard normal (divided by the learning rate multiplier in fully connected
//! layers, which multiply by it at run time), biases 0, affine biases 1, noise strengths 0, the
//! constant input and the noise maps standard normal, `w_avg` 0. Every tensor has a random stream
//! of its own, named by its place in the network: a layer more or less changes no other weight.

use candle_core::{DType, Device, Shape, Tensor};
use candle_nn::{Init, VarBuilder, var_builder::SimpleBackend};
use domex_random::Streams;

use crate::config::{DiscriminatorConfig, GeneratorConfig};
use crate::resample;
use crate::weights::Tensors;
use crate::{Discriminator, Generator, Result};

/// Draws a generator's tensors.
///
/// # Errors
///
/// A configuration that is out of range.
pub fn generator(
    cfg: &GeneratorConfig,
    seed: u64,
    dtype: DType,
    device: &Device,
) -> Result<Tensors> {
    let filter = resample::stored(&cfg.synthesis.resample_filter, dtype, device)?;
    let vb = builder("generator", seed, of_filter(filter), dtype, device);
    Ok(Generator::new(&vb, cfg)?.tensors())
}

/// Draws a discriminator's tensors.
///
/// # Errors
///
/// A configuration that is out of range.
pub fn discriminator(
    cfg: &DiscriminatorConfig,
    seed: u64,
    dtype: DType,
    device: &Device,
) -> Result<Tensors> {
    let filter = resample::stored(&cfg.resample_filter, dtype, device)?;
    let vb = builder("discriminator", seed, of_filter(filter), dtype, device);
    Ok(Discriminator::new(&vb, cfg)?.tensors())
}

/// Which tensors are no draws: the filter alone.
fn of_filter(filter: Tensor) -> impl Fn(&str) -> Option<Tensor> + Send + Sync + 'static {
    move |name| name.ends_with(resample::NAME).then(|| filter.clone())
}

/// Tensors of the network of this name, drawn as it asks for them, but for those that `special` knows by their names.
pub fn builder(
    network: &'static str,
    seed: u64,
    special: impl Fn(&str) -> Option<Tensor> + Send + Sync + 'static,
    dtype: DType,
    device: &Device,
) -> VarBuilder<'static> {
    let draw = Draw {
        network,
        streams: Streams::new(seed),
        special: Box::new(special),
    };
    VarBuilder::from_backend(Box::new(draw), dtype, device.clone())
}

/// The name of the random stream of a network's tensor.
#[must_use]
pub fn stream(network: &str, name: &str) -> String {
    format!("{network}.{name}")
}

/// The backend that draws what a network asks for.
struct Draw {
    network: &'static str,
    streams: Streams,
    special: Box<Special>,
}

/// A tensor that is no draw, by its name.
type Special = dyn Fn(&str) -> Option<Tensor> + Send + Sync;

impl SimpleBackend for Draw {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        init: Init,
        dtype: DType,
        device: &Device,
    ) -> candle_core::Result<Tensor> {
        if let Some(tensor) = (self.special)(name) {
            return tensor.reshape(shape)?.to_dtype(dtype)?.to_device(device);
        }
        match init {
            Init::Const(value) => Tensor::full(value, shape, device)?.to_dtype(dtype),
            Init::Randn { mean, stdev } => {
                let mut stream = self.streams.stream(&stream(self.network, name));
                let mut values = vec![0f32; shape.elem_count()];
                stream.fill_normal(&mut values);
                let values = Tensor::from_vec(values, shape, device)?.to_dtype(dtype)?;
                values.affine(stdev, mean)
            }
            other => candle_core::bail!("{name}: no rule for the initialisation {other:?}"),
        }
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> candle_core::Result<Tensor> {
        candle_core::bail!("{name}: a network asks for every tensor by its shape")
    }

    fn contains_tensor(&self, _: &str) -> bool {
        true
    }
}

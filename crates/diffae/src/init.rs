//! Random weights as the published code draws them.
//!
//! Weights and biases of convolutions and linear layers are uniform within `±1/√fan_in` (PyTorch's default); norms are 1 and
//! 0. The last convolution of each residual block's conditioned half, the output of attention and the network's last
//! convolution are 0, so that a fresh network predicts 0. Weights of the latent prior's layers before an activation are normal with
//! variance `2/fan_in` (He et al. 2015, arXiv 1502.01852; `2/(1 + 0.2²)` for the leaky rectifier), those of its last layer are not.
//! Every tensor has a random stream of its own, named by its place in the network: a layer more or less changes no other weight.

use candle_core::{DType, Device, Tensor};
use domex_random::{Stream, Streams};

use crate::config::{Activation, Config, LatentConfig};
use crate::weights::{Shapes, Tensors};
use crate::{Autoencoder, Result};

/// Draws the tensors of an autoencoder.
///
/// # Errors
///
/// A configuration that is out of range, or memory that runs out.
pub fn autoencoder(cfg: &Config, seed: u64, dtype: DType, device: &Device) -> Result<Tensors> {
    draw(cfg, seed, dtype, device, zero_at_first)
}

/// As [`autoencoder`], with nothing left at 0: for tests, in which every weight should matter.
///
/// # Errors
///
/// As [`autoencoder`].
pub fn nowhere_zero(cfg: &Config, seed: u64, dtype: DType, device: &Device) -> Result<Tensors> {
    draw(cfg, seed, dtype, device, |_| false)
}

/// Whether a layer starts at 0.
fn zero_at_first(layer: &str) -> bool {
    layer == "out.2" || layer.ends_with(".out_layers.3") || layer.ends_with(".proj_out")
}

fn draw(
    cfg: &Config,
    seed: u64,
    dtype: DType,
    device: &Device,
    zero: impl Fn(&str) -> bool,
) -> Result<Tensors> {
    let spec = Autoencoder::spec(cfg)?;
    let shapes: Shapes = spec
        .entries()
        .map(|(name, shape)| (name.to_owned(), shape.to_vec()))
        .collect();
    let streams = Streams::new(seed);
    let mut tensors = Tensors::new();
    for (name, shape) in spec.entries() {
        let (layer, part) = name.rsplit_once('.').unwrap_or((name, ""));
        let weight = &shapes[&format!("{layer}.weight")];
        let fan_in: usize = weight[1..].iter().product();
        let mut stream = streams.stream(name);
        let count = shape.iter().product();
        let values = if weight.len() == 1 {
            // A norm.
            vec![if part == "weight" { 1.0 } else { 0.0 }; count]
        } else if zero(layer) {
            vec![0.0; count]
        } else if let Some(variance) = before_activation(cfg.latent.as_ref(), layer)
            && part == "weight"
        {
            let deviation = (variance / fan_in as f64).sqrt() as f32;
            fill(count, || stream.normal_f32() * deviation)
        } else {
            uniform(&mut stream, count, (1.0 / fan_in as f64).sqrt() as f32)
        };
        let tensor = Tensor::from_vec(values, shape, device)?.to_dtype(dtype)?;
        tensors.insert(name.to_owned(), tensor);
    }
    Ok(tensors)
}

/// Variance times `fan_in` of the weights of a layer of the latent prior that a rectifier follows.
fn before_activation(latent: Option<&LatentConfig>, layer: &str) -> Option<f64> {
    let latent = latent?;
    let (index, _) = layer.strip_prefix("latent_net.layers.")?.split_once('.')?;
    if index.parse() == Ok(latent.layers - 1) {
        return None;
    }
    match latent.activation {
        Activation::Relu | Activation::Silu => Some(2.0),
        Activation::Lrelu => Some(2.0 / 1.04),
        Activation::None | Activation::Tanh => None,
    }
}

fn uniform(stream: &mut Stream, count: usize, limit: f32) -> Vec<f32> {
    fill(count, || (2.0 * stream.uniform_f32() - 1.0) * limit)
}

fn fill(count: usize, value: impl FnMut() -> f32) -> Vec<f32> {
    std::iter::repeat_with(value).take(count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_layer_of_a_prior_begins_as_a_plain_one() {
        let config = Config::tiny();
        let tensors = autoencoder(&config, 1, DType::F32, &Device::Cpu).unwrap();
        let deviation = |layer: usize| {
            let weight = &tensors[&format!("latent_net.layers.{layer}.linear.weight")];
            let fan_in = weight.dim(1).unwrap() as f32;
            let square = weight.sqr().unwrap().mean_all().unwrap();
            (square.to_scalar::<f32>().unwrap() * fan_in).sqrt()
        };
        assert!((deviation(0) / 2f32.sqrt() - 1.0).abs() < 0.05);
        // Uniform within ±1.
        assert!((deviation(9) * 3f32.sqrt() - 1.0).abs() < 0.05);
    }
}

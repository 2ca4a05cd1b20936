//! Random weights as the published code draws them.
//!
//! Weights are standard normal (divided by the learning rate multiplier in the mapping network), biases 0, affine biases 1; frequencies are uniform
//! in the disc of the bandwidth, phases in a whole turn, and the affine map of the Fourier features neither turns nor shifts. Every tensor has a random
//! stream of its own, named by its place in the network.

use candle_core::{DType, Device, Tensor};
use domex_random::Streams;
use domex_stylegan2::init::{builder, stream};
use domex_stylegan2::weights::Tensors;

use crate::config::GeneratorConfig;
use crate::input::{FREQS, PHASES};
use crate::{Generator, Result, derived};

/// What streams call the network.
const NETWORK: &str = "generator";

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
    cfg.validate()?;
    let streams = Streams::new(seed);
    let mut special = derived::tensors(&cfg.synthesis)?;
    fourier(cfg, &streams, &mut special)?;
    let special = move |name: &str| special.get(name).cloned();
    let vb = builder(NETWORK, seed, special, dtype, device);
    Ok(Generator::new(&vb, cfg)?.tensors())
}

/// Fourier features, and their affine map.
fn fourier(cfg: &GeneratorConfig, streams: &Streams, out: &mut Tensors) -> Result<()> {
    let input = cfg.synthesis.input();
    let path = |name: &str| format!("synthesis.input.{name}");
    let mut freqs = vec![0f32; 2 * input.channels];
    streams
        .stream(&stream(NETWORK, &path(FREQS)))
        .fill_normal(&mut freqs);
    // A normal pair of length r becomes one of length e^{-r²/4}: the root of a uniform number.
    let scaled = freqs.chunks_exact(2).flat_map(|pair| {
        let [x, y] = [pair[0], pair[1]].map(f64::from);
        let r = x.hypot(y);
        let scale = input.bandwidth * (-r * r / 4.0).exp() / r;
        [x * scale, y * scale]
    });
    let scaled: Vec<f64> = scaled.collect();
    let mut phases = streams.stream(&stream(NETWORK, &path(PHASES)));
    let phases: Vec<f64> = (0..input.channels)
        .map(|_| phases.uniform_f64() - 0.5)
        .collect();
    let device = &Device::Cpu;
    out.insert(
        path(FREQS),
        Tensor::from_vec(scaled, (input.channels, 2), device)?,
    );
    out.insert(path(PHASES), Tensor::new(phases, device)?);
    let weight = Tensor::zeros((4, cfg.w_dim()), DType::F64, device)?;
    out.insert(path("affine.weight"), weight);
    let bias = Tensor::new(&[1f64, 0.0, 0.0, 0.0], device)?;
    out.insert(path("affine.bias"), bias);
    Ok(())
}

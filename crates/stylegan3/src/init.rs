//! Random weights as the published code draws them.
//!
//! Weights are standard normal (divided by the learning rate multiplier in the mapping network), biases 0, affine biases 1; frequencies are uniform
//! in the disc of the bandwidth, phases in a whole turn, and the affine map of the Fourier features neither turns nor shifts. Every tensor has a random
//! stream of its own, named by its place in the network.

use candle_core::{DType, Device, Shape, Tensor};
use candle_nn::{Init, VarBuilder, var_builder::SimpleBackend};
use domex_random::Streams;
use domex_stylegan2::weights::Tensors;

use crate::config::GeneratorConfig;
use crate::input::{FREQS, PHASES};
use crate::{Generator, Result, derived};

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
    let draw = Draw { streams, special };
    let vb = VarBuilder::from_backend(Box::new(draw), dtype, device.clone());
    Ok(Generator::new(&vb, cfg)?.tensors())
}

/// The name of a generator's tensor in its random stream.
fn stream(name: &str) -> String {
    format!("generator.{name}")
}

/// Fourier features, and their affine map.
fn fourier(cfg: &GeneratorConfig, streams: &Streams, out: &mut Tensors) -> Result<()> {
    let input = cfg.synthesis.input();
    let path = |name: &str| format!("synthesis.input.{name}");
    let mut freqs = vec![0f32; 2 * input.channels];
    streams
        .stream(&stream(&path(FREQS)))
        .fill_normal(&mut freqs);
    // A normal pair of length r becomes one of length e^{-r²/4}: the root of a uniform number.
    let scaled = freqs.chunks_exact(2).flat_map(|pair| {
        let [x, y] = [pair[0], pair[1]].map(f64::from);
        let r = x.hypot(y);
        let scale = input.bandwidth * (-r * r / 4.0).exp() / r;
        [x * scale, y * scale]
    });
    let scaled: Vec<f64> = scaled.collect();
    let mut phases = streams.stream(&stream(&path(PHASES)));
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

/// The backend that draws what a network asks for.
struct Draw {
    streams: Streams,
    /// Tensors that no rule of distribution says.
    special: Tensors,
}

impl SimpleBackend for Draw {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        init: Init,
        dtype: DType,
        device: &Device,
    ) -> candle_core::Result<Tensor> {
        if let Some(tensor) = self.special.get(name) {
            return tensor.reshape(shape)?.to_dtype(dtype)?.to_device(device);
        }
        match init {
            Init::Const(value) => Tensor::full(value, shape, device)?.to_dtype(dtype),
            Init::Randn { mean, stdev } => {
                let mut values = vec![0f32; shape.elem_count()];
                let mut stream = self.streams.stream(&stream(name));
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

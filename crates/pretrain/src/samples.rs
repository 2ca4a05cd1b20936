//! Samples of a generator, as people see them.

use candle_core::{DType, Device, Tensor};
use domex_latent::subspace::Subspaces;
use domex_random::{Stream, Streams};
use domex_stylegan2::{Generator, Model, Noise, mapping::broadcast};

use crate::Result;

/// Draws samples `[n, 3, h, w]` with fresh noise, on the base subspace where the model was expanded.
pub(crate) struct Sampler<'a> {
    generator: &'a Generator,
    base: Option<(Subspaces, Tensor)>,
    latents: Stream,
    noise: Stream,
    device: Device,
}

impl<'a> Sampler<'a> {
    pub fn new(model: &'a Model, streams: &Streams) -> Result<Self> {
        let generator = model.generator();
        let device = generator.synthesis().device().clone();
        let base = match model.expansion() {
            Some(expansion) => {
                let layout = &expansion.layout;
                let subspaces = layout.subspaces(&expansion.basis, &device, DType::F32)?;
                Some((subspaces, expansion.mean.to_device(&device)?))
            }
            None => None,
        };
        Ok(Self {
            generator,
            base,
            latents: streams.stream("latents"),
            noise: streams.stream("noise"),
            device,
        })
    }

    /// The next `n` samples, of these labels `[n, c]` where the generator takes labels.
    pub fn draw(&mut self, n: usize, labels: Option<&Tensor>) -> Result<Tensor> {
        let config = self.generator.config();
        let z = normal(&mut self.latents, n, config.z_dim(), &self.device)?;
        let mut w = self.generator.mapping().forward(Some(&z), labels)?;
        if let Some((subspaces, mean)) = &self.base {
            w = subspaces.project(&w, Some(mean))?;
        }
        let ws = broadcast(&w, config.num_ws())?;
        let noise = Noise::Random(&mut self.noise);
        shown(&self.generator.synthesis().forward(&ws, noise)?)
    }
}

/// Pictures as they are shown: eight bits, and nothing beyond black and white.
pub(crate) fn shown(pictures: &Tensor) -> Result<Tensor> {
    let levels = ((pictures.clamp(-1.0, 1.0)? + 1.0)? * 127.5)?.round()?;
    Ok((levels / 127.5)?.affine(1.0, -1.0)?)
}

pub(crate) fn normal(stream: &mut Stream, n: usize, dim: usize, device: &Device) -> Result<Tensor> {
    let mut values = vec![0f32; n * dim];
    stream.fill_normal(&mut values);
    Ok(Tensor::from_vec(values, (n, dim), device)?)
}

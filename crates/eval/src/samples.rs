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
    pub(crate) fn new(model: &'a Model, streams: &Streams) -> Result<Self> {
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
    pub(crate) fn draw(&mut self, n: usize, labels: Option<&Tensor>) -> Result<Tensor> {
        let z = self.z(n)?;
        let w = self.latents(&z, labels)?;
        let ws = broadcast(&w, self.generator.config().num_ws())?;
        let noise = Noise::Random(&mut self.noise);
        shown(&self.generator.synthesis().forward(&ws, noise)?)
    }

    /// The next `n` inputs of the mapping.
    pub(crate) fn z(&mut self, n: usize) -> Result<Tensor> {
        let dim = self.generator.config().z_dim();
        normal(&mut self.latents, n, dim, &self.device)
    }

    /// Their latents, on the base subspace where the model was expanded.
    pub(crate) fn latents(&self, z: &Tensor, labels: Option<&Tensor>) -> Result<Tensor> {
        let w = self.generator.mapping().forward(Some(z), labels)?;
        match &self.base {
            Some((subspaces, mean)) => Ok(subspaces.project(&w, Some(mean))?),
            None => Ok(w),
        }
    }

    /// Pictures of latents with the stored noise, as the network gives them: a small step of the latent is seen in them.
    pub(crate) fn raw(&self, w: &Tensor) -> Result<Tensor> {
        let ws = broadcast(w, self.generator.config().num_ws())?;
        Ok(self.generator.synthesis().forward(&ws, Noise::Const)?)
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

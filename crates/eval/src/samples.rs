//! Samples of a generator, as people see them.

use candle_core::{Device, Tensor};
use domex_latent::Generator;
use domex_latent::subspace::Subspaces;
use domex_random::{Stream, Streams};

use crate::{Domains, Result, Subject};

/// Draws samples with fresh noise, on the base subspace where the model was expanded.
pub(crate) struct Sampler<'a> {
    generator: &'a dyn Generator,
    base: Option<(Subspaces, Tensor)>,
    latents: Stream,
    noise: Stream,
}

impl<'a> Sampler<'a> {
    pub(crate) fn new(subject: Subject<'a>, streams: &Streams) -> Result<Self> {
        let generator = subject.generator;
        let base = match subject.domains {
            Some(Domains::Expanded(expansion)) => {
                let (device, dtype) = (generator.device(), generator.dtype());
                let layout = &expansion.layout;
                let subspaces = layout.subspaces(&expansion.basis, device, dtype)?;
                let mean = expansion.mean.to_device(device)?.to_dtype(dtype)?;
                Some((subspaces, mean))
            }
            Some(Domains::Adapted { .. }) | None => None,
        };
        Ok(Self {
            generator,
            base,
            latents: streams.stream("latents"),
            noise: streams.stream("noise"),
        })
    }

    /// The next `n` samples `[n, 3, h, w]`, of these labels `[n, c]` where the generator takes labels.
    pub(crate) fn draw(&mut self, n: usize, labels: Option<&Tensor>) -> Result<Tensor> {
        let z = self.z(n)?;
        let w = self.latents(&z, labels)?;
        shown(&self.generator.synthesize_anew(&w, &mut self.noise)?)
    }

    /// The next `n` inputs of the mapping.
    pub(crate) fn z(&mut self, n: usize) -> Result<Tensor> {
        let generator = self.generator;
        let z = normal(
            &mut self.latents,
            n,
            generator.noise_dim(),
            generator.device(),
        )?;
        Ok(z.to_dtype(generator.dtype())?)
    }

    /// Their latents, on the base subspace where the model was expanded.
    pub(crate) fn latents(&self, z: &Tensor, labels: Option<&Tensor>) -> Result<Tensor> {
        let w = self.generator.map(z, labels)?;
        match &self.base {
            Some((subspaces, mean)) => Ok(subspaces.project(&w, Some(mean))?),
            None => Ok(w),
        }
    }

    /// Pictures `[n, 3, h, w]` of latents with the stored noise, as the network gives them: a small step of the latent is seen in
    /// them.
    pub(crate) fn raw(&self, w: &Tensor) -> Result<Tensor> {
        three_colours(self.generator.synthesize(w)?)
    }
}

/// Pictures `[n, 3, h, w]` as they are shown: eight bits, and nothing beyond black and white.
pub(crate) fn shown(pictures: &Tensor) -> Result<Tensor> {
    let levels = ((pictures.clamp(-1.0, 1.0)? + 1.0)? * 127.5)?.round()?;
    three_colours((levels / 127.5)?.affine(1.0, -1.0)?)
}

/// Pictures `[n, c, h, w]` as networks see them: grey is three equal colours.
fn three_colours(pictures: Tensor) -> Result<Tensor> {
    Ok(match pictures.dim(1)? {
        1 => pictures.repeat((1, 3, 1, 1))?,
        _ => pictures,
    })
}

pub(crate) fn normal(stream: &mut Stream, n: usize, dim: usize, device: &Device) -> Result<Tensor> {
    let mut values = vec![0f32; n * dim];
    stream.fill_normal(&mut values);
    Ok(Tensor::from_vec(values, (n, dim), device)?)
}

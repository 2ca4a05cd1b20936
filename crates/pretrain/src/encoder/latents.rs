//! The latents that an encoder learns from.

use candle_core::{DType, Tensor};
use domex_encoder::Directions;
use domex_latent::sample::draw_latents;
use domex_latent::subspace::Subspaces;
use domex_random::{Stream, Streams};
use domex_stylegan2::mapping::broadcast;
use domex_stylegan2::{Generator, Model, Noise};

use crate::Result;

/// Latents that show how W varies, and those drawn at once.
const SAMPLES: usize = 8192;
const AT_ONCE: usize = 512;

/// A generator, and the base subspace of an expanded one.
pub(super) struct Source {
    pub generator: Generator,
    base: Option<(Subspaces, Tensor)>,
}

impl Source {
    pub fn new(model: &Model) -> Result<Self> {
        let generator = model.generator().clone();
        let base = model.expansion().map(|expansion| -> Result<_> {
            let device = generator.synthesis().device();
            let layout = &expansion.layout;
            let mean = expansion.mean.to_device(device)?.to_dtype(DType::F32)?;
            Ok((
                layout.subspaces(&expansion.basis, device, DType::F32)?,
                mean,
            ))
        });
        Ok(Self {
            base: base.transpose()?,
            generator,
        })
    }

    /// `[n, D]`.
    pub fn draw(&self, n: usize, stream: &mut Stream) -> Result<Tensor> {
        let w = draw_latents(&self.generator, n, stream)?.to_dtype(DType::F32)?;
        match &self.base {
            Some((subspaces, mean)) => Ok(subspaces.project(&w, Some(mean))?),
            None => Ok(w),
        }
    }

    /// What the generator makes of latents `[n, D]`: `[n, 3, h, w]`.
    pub fn pictures(&self, w: &Tensor) -> Result<Tensor> {
        let ws = broadcast(w, self.generator.config().num_ws())?;
        Ok(self.generator.synthesis().forward(&ws, Noise::Const)?)
    }

    /// The same directions at every call.
    pub fn directions(&self, model: &Model) -> Result<Directions> {
        let mut stream = Streams::new(0).stream("encoder directions");
        let drawn = (0..SAMPLES / AT_ONCE).map(|_| self.draw(AT_ONCE, &mut stream));
        let w = Tensor::cat(&drawn.collect::<Result<Vec<_>>>()?, 0)?;
        let basis = model.expansion().map(|expansion| &expansion.basis);
        Ok(Directions::of(&self.generator, basis, &w)?)
    }
}

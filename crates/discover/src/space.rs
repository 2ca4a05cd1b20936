//! Pictures of a generator on the base subspace and in domains, as CLIP models see them.

use candle_core::{DType, Device, Tensor};
use domex_clip::unit_length;
use domex_latent::Expansion;
use domex_latent::subspace::Layout;
use domex_nada::Guide;
use domex_stylegan2::{Generator, Noise};

use crate::vectors::Vectors;
use crate::{Config, Error, Result};

/// Pictures that are made at once.
const BATCH: usize = 16;

/// See the [module docs](self).
pub(crate) struct Space<'a> {
    pub generator: &'a Generator,
    pub guides: &'a [Guide],
    /// The domains that were there, and the new ones after them.
    pub layout: Layout,
    /// From the base to each new domain `[domains, 1, D]`.
    steps: Tensor,
    /// Latents of the base subspace `[n, rows, D]`.
    base: Tensor,
}

impl<'a> Space<'a> {
    /// Gives each new domain the most dormant direction that is free, and brings latents onto what is left of the base
    /// subspace.
    pub fn new(
        config: &Config,
        generator: &'a Generator,
        expansion: &Expansion,
        guides: &'a [Guide],
        latents: &Tensor,
    ) -> Result<Self> {
        let before = expansion.layout.domains().len();
        let mut layout = expansion.layout.clone();
        for name in config.names(&layout) {
            layout.add(&name, config.task(), None, config.distance)?;
        }
        let (device, dtype) = (latents.device(), latents.dtype());
        let basis = expansion
            .basis
            .vectors()
            .to_dtype(dtype)?
            .to_device(device)?;
        let dimensions = layout.domains()[before..]
            .iter()
            .map(|d| d.dimension as u32);
        let dimensions = Tensor::new(dimensions.collect::<Vec<u32>>(), device)?;
        let steps = basis.t()?.contiguous()?.index_select(&dimensions, 0)?;
        let mean = expansion.mean.to_dtype(dtype)?.to_device(device)?;
        let subspaces = layout.subspaces(&expansion.basis, device, dtype)?;
        Ok(Self {
            base: subspaces.project(latents, Some(&mean))?,
            steps: (steps * config.distance)?.unsqueeze(1)?,
            generator,
            guides,
            layout,
        })
    }

    /// The base latents of these places.
    pub fn base(&self, places: &[u32]) -> Result<Tensor> {
        let places = Tensor::new(places, self.base.device())?;
        Ok(self.base.index_select(&places, 0)?)
    }

    /// How many latents there are.
    pub fn count(&self) -> Result<usize> {
        Ok(self.base.dim(0)?)
    }

    /// Pictures `[n, 3, h, w]` of base latents.
    pub fn pictures(&self, ws: &Tensor) -> Result<Tensor> {
        colours(&self.generator.synthesis().forward(ws, Noise::Const)?)
    }

    /// The same in a domain of these vectors each, on its direction; on none where they are no domains yet.
    pub fn edited(
        &self,
        ws: &Tensor,
        vectors: &Vectors,
        domains: &[u32],
        on: On,
    ) -> Result<Tensor> {
        let ws = match on {
            On::Direction => {
                let places = Tensor::new(domains, ws.device())?;
                ws.broadcast_add(&self.steps.index_select(&places, 0)?)?
            }
            On::Base => ws.clone(),
        };
        let modulations = vectors.modulations(domains)?;
        let synthesis = self.generator.synthesis();
        colours(&synthesis.forward_modulated(&ws, &modulations, Noise::Const)?)
    }

    /// Mean over the latents of how each domain moves features of length 1, `[domains, d]` of each CLIP model.
    pub fn moves(
        &self,
        vectors: &Vectors,
        domains: usize,
        on: On,
        mut done: impl FnMut(usize) -> Result<()>,
    ) -> Result<Vec<Vec<Vec<f64>>>> {
        let all: Vec<u32> = (0..self.count()? as u32).collect();
        let base = self.features(&self.pictures(&self.base(&all)?)?)?;
        let mut moves = vec![Vec::new(); self.guides.len()];
        for domain in 0..domains as u32 {
            let mut edited = Vec::new();
            for places in all.chunks(BATCH) {
                let domains = vec![domain; places.len()];
                edited.push(
                    self.edited(&self.base(places)?, vectors, &domains, on)?
                        .detach(),
                );
            }
            let edited = self.features(&Tensor::cat(&edited, 0)?)?;
            for ((moves, edited), base) in moves.iter_mut().zip(&edited).zip(&base) {
                let mean = (edited - base)?.mean(0)?.to_dtype(DType::F64)?;
                moves.push(mean.to_device(&Device::Cpu)?.to_vec1::<f64>()?);
            }
            done(domain as usize + 1)?;
        }
        Ok(moves)
    }

    fn features(&self, pictures: &Tensor) -> Result<Vec<Tensor>> {
        let of = |guide: &Guide| -> Result<Tensor> {
            Ok(unit_length(
                &guide.features_of_many(std::slice::from_ref(pictures))?,
            )?)
        };
        self.guides.iter().map(of).collect()
    }
}

/// Where a domain is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum On {
    /// On the base subspace, where candidates have no direction of their own.
    Base,
    /// On its direction.
    Direction,
}

/// CLIP models see three colours.
fn colours(pictures: &Tensor) -> Result<Tensor> {
    let (n, channels, h, w) = pictures.dims4()?;
    match channels {
        3 => Ok(pictures.clone()),
        1 => Ok(pictures.broadcast_as((n, 3, h, w))?.contiguous()?),
        other => Err(Error::config(
            "channels of the generator's pictures",
            other,
            "1 or 3",
        )),
    }
}

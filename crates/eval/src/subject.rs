//! What is measured: a generator, and where its domains are.

use candle_core::Tensor;
use domex_latent::subspace::Subspaces;
use domex_latent::{Expansion, Generator, sample::draw_labels};
use domex_random::Stream;
use serde_json::{Value as Json, json};

use crate::samples::{normal, shown};
use crate::{Error, Result};

/// A generator of any kind with its domains.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// Makes pictures of the base.
    pub generator: &'a dyn Generator,
    /// Where its domains are, if it has any.
    pub domains: Option<Domains<'a>>,
    /// The class of its latents; without one they are of classes at random, where there are some.
    pub class: Option<usize>,
}

/// Where domains are.
#[derive(Clone, Copy)]
pub enum Domains<'a> {
    /// Along directions of the generator's own latents.
    Expanded(&'a Expansion),
    /// There is one, and all latents of another generator are in it: it was adapted to the domain, and the base is what it came
    /// from.
    Adapted {
        /// The adapted generator.
        generator: &'a dyn Generator,
        /// What the base is called.
        source: &'a str,
        /// What the domain is called.
        target: &'a str,
    },
}

impl<'a> Subject<'a> {
    /// The next `n` latents `[n, D]`.
    pub(crate) fn latents(&self, n: usize, stream: &mut Stream) -> Result<Tensor> {
        let (generator, dtype) = (self.generator, self.generator.dtype());
        let z = normal(stream, n, generator.noise_dim(), generator.device())?.to_dtype(dtype)?;
        let labels = draw_labels(generator, self.class, n, stream)?;
        Ok(generator.map(&z, labels.as_ref())?)
    }

    /// What makes its pictures in domains.
    pub(crate) fn edits(self) -> Result<Edits<'a>> {
        let none = || Error::config("domains of the model", 0, "at least 1");
        let generator = self.generator;
        let way = match self.domains.ok_or_else(none)? {
            Domains::Expanded(expansion) => {
                let (device, dtype) = (generator.device(), generator.dtype());
                let (layout, basis) = (&expansion.layout, &expansion.basis);
                Way::Directions {
                    subspaces: layout.subspaces(basis, device, dtype)?,
                    mean: expansion.mean.to_device(device)?.to_dtype(dtype)?,
                    expansion,
                }
            }
            Domains::Adapted {
                generator,
                source,
                target,
            } => Way::Other {
                generator,
                task: json!({ "source": source, "target": target }),
                name: target,
            },
        };
        Ok(Edits { generator, way })
    }
}

impl<'a> From<&'a domex_stylegan2::Model> for Subject<'a> {
    fn from(model: &'a domex_stylegan2::Model) -> Self {
        Self {
            generator: model.generator(),
            domains: model.expansion().map(Domains::Expanded),
            class: None,
        }
    }
}

/// Makes pictures of latents on the base and in domains, as they are shown.
pub(crate) struct Edits<'a> {
    generator: &'a dyn Generator,
    way: Way<'a>,
}

enum Way<'a> {
    Directions {
        expansion: &'a Expansion,
        subspaces: Subspaces,
        mean: Tensor,
    },
    Other {
        generator: &'a dyn Generator,
        task: Json,
        name: &'a str,
    },
}

impl Edits<'_> {
    /// Names and tasks of the domains, in their order.
    pub(crate) fn domains(&self) -> Vec<(&str, &Json)> {
        match &self.way {
            Way::Directions { expansion, .. } => {
                let own = expansion.layout.domains().iter();
                own.map(|domain| (domain.name.as_str(), &domain.task))
                    .collect()
            }
            Way::Other { name, task, .. } => vec![(*name, task)],
        }
    }

    /// Latents `[n, D]` on the base.
    pub(crate) fn on_base(&self, latents: &Tensor) -> Result<Tensor> {
        match &self.way {
            Way::Directions {
                subspaces, mean, ..
            } => Ok(subspaces.project(latents, Some(mean))?),
            Way::Other { .. } => Ok(latents.clone()),
        }
    }

    /// Pictures `[n, 3, h, w]` of latents on the base.
    pub(crate) fn base(&self, on_base: &Tensor) -> Result<Tensor> {
        paint(self.generator, on_base)
    }

    /// Pictures of the same latents in all of these domains at once.
    pub(crate) fn moved(&self, on_base: &Tensor, names: &[&str]) -> Result<Tensor> {
        match &self.way {
            Way::Directions {
                expansion,
                subspaces,
                ..
            } => {
                let strengths: Vec<_> = names.iter().map(|name| (*name, 1.0)).collect();
                let strengths = expansion.layout.strengths(&strengths)?;
                paint(self.generator, &subspaces.compose(on_base, &strengths)?)
            }
            Way::Other { generator, .. } => paint(*generator, on_base),
        }
    }
}

/// Pictures `[n, 3, h, w]` of latents with the stored noise, as they are shown.
pub(crate) fn paint(generator: &dyn Generator, latents: &Tensor) -> Result<Tensor> {
    shown(&generator.synthesize(latents)?)
}

//! Methods by which a domain is learnt: what each asks of an edited picture.
//!
//! A method serves several tasks, which it numbers by itself, and gives the *sum* over the samples
//! of a step that are its tasks'; the objective adds the methods up and divides by the batch once.
//!
//! | method | loss of its samples |
//! | --- | --- |
//! | [`NadaMethod`] | Σ over CLIP networks and samples of weight · (1 − cos(edit, text direction)), and what else `domex_nada` is set to |
//! | [`Reconstruction`], which no run uses yet: for programs that bring target pictures | Σ d(edited, target) + l2 · mean over c, h, w of Σ (edited − target)² |

use candle_core::Tensor;
use domex_latent::ImageDistance;
use domex_nada::{Nada, Prepared};
use domex_random::Stream;

use crate::{Error, Result};

/// The samples of a step that belong to one method.
#[derive(Debug, Clone)]
pub struct Samples<'a> {
    /// The method's own number of each sample's task.
    pub tasks: &'a [usize],
    /// Pictures of the base latents `[m, c, h, w]`, without a graph.
    pub base: &'a Tensor,
    /// Pictures of the edited latents `[m, c, h, w]`.
    pub edited: &'a Tensor,
    /// What the edited pictures should be `[m, c, h, w]`, for methods that know it.
    pub targets: Option<&'a Tensor>,
}

/// A method's part of a step's loss.
#[derive(Debug, Clone)]
pub struct Share {
    /// The sum over its samples, a scalar with its graph.
    pub total: Tensor,
    /// Each sample's part `[m]`, for the log.
    pub per_sample: Tensor,
}

/// A way to learn a domain.
pub trait Method {
    /// Short name for messages, such as `nada`.
    fn name(&self) -> &str;

    /// The loss of `samples`, of which there is at least one. What is random comes from `stream`.
    ///
    /// # Errors
    ///
    /// When the pictures do not fit, or a network fails.
    fn loss(&self, samples: &Samples<'_>, stream: &mut Stream) -> Result<Share>;
}

/// Domains in words or in a few pictures, by CLIP.
#[derive(Debug, Clone)]
pub struct NadaMethod {
    /// Networks and terms.
    pub nada: Nada,
    /// What they know of the tasks, in the method's numbering.
    pub tasks: Prepared,
}

impl Method for NadaMethod {
    fn name(&self) -> &str {
        "nada"
    }

    fn loss(&self, samples: &Samples<'_>, stream: &mut Stream) -> Result<Share> {
        let Samples {
            tasks,
            base,
            edited,
            ..
        } = samples;
        let loss = self.nada.loss(&self.tasks, base, edited, tasks, stream)?;
        Ok(Share {
            total: loss.total,
            per_sample: loss.per_sample,
        })
    }
}

/// Pictures that are known: the edited latent of a sample should give its target, as in MyStyle
/// (Nitzan et al. 2022, arXiv 2203.17272).
pub struct Reconstruction {
    /// The perceptual distance.
    pub distance: Box<dyn ImageDistance>,
    /// Weight of the squared difference.
    pub l2: f64,
}

impl Method for Reconstruction {
    fn name(&self) -> &str {
        "reconstruction"
    }

    fn loss(&self, samples: &Samples<'_>, _: &mut Stream) -> Result<Share> {
        let Some(targets) = samples.targets else {
            let expected = "a picture for each sample of this method";
            return Err(Error::setting("target pictures", "none", expected));
        };
        if targets.dims() != samples.edited.dims() {
            let expected = format!("{:?}, as the edited ones", samples.edited.dims());
            return Err(Error::shape("target pictures", targets.dims(), expected));
        }
        let square = (samples.edited - targets)?.sqr()?.mean((1, 2, 3))?;
        let perceptual = self.distance.distance(samples.edited, targets)?;
        let each = (perceptual + (square * self.l2)?)?;
        Ok(Share {
            total: each.sum_all()?,
            per_sample: each.detach(),
        })
    }
}

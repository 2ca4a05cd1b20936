//! What a generator makes, before and after an expansion, measured by networks that did not train it.
//!
//! | question | function | by |
//! | --- | --- | --- |
//! | what did an expanded model learn, and what did it keep? | [`outcomes()`] | judge, perceptual network |
//! | the same of a generator adapted to one domain | [`adapted`] | judge, perceptual network |
//! | are two domains seen in one picture? | [`pairs`], [`composed()`], [`blended`], [`rendered`] | judge |
//! | how near are its domains to renderings of the same latents? | [`truth()`] | judge |
//! | how well does it make the source domain's scenes? | [`fidelity()`] | judge, perceptual network, fresh renderings |
//! | how near are its samples to any set of pictures? | [`likeness()`] | [`Features`] of a network, perceptual network |
//! | how evenly do pictures change along paths? | [`path_length()`] | perceptual network |
//! | do its domains show their texts, and each other's? | [`text_scores()`] | CLIP model |
//!
//! Every figure follows from its seed. The measures themselves, on features and labels, are `domex_metrics`.
//!
//! Deliberately not here: training, of anything; the files that figures are written to.

mod cache;
mod composed;
mod error;
mod features;
mod fidelity;
mod form;
mod likeness;
mod outcomes;
mod path_length;
mod samples;
mod text_scores;
mod truth;

pub use cache::FeatureCache;
pub use composed::{Pair, blended, composed, pairs, rendered};
pub use error::{Error, Result};
pub use features::Features;
pub use fidelity::{Fidelity, Rendering, fidelity};
pub use likeness::{Likeness, Networks, likeness};
pub use outcomes::{Outcome, Outcomes, adapted, outcomes};
pub use path_length::path_length;
pub use text_scores::{TextScore, TextScores, text_scores};
pub use truth::{DomainTruth, Known, Truth, truth};

use candle_core::Tensor;
use domex_judge::Judge;
use domex_latent::{Expansion, Generator, sample::draw_labels};
use domex_lpips::Lpips;
use domex_random::Stream;

use samples::normal;

/// A generator of any kind with its domains: what is measured.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// Makes pictures.
    pub generator: &'a dyn Generator,
    /// Its domains, if it was expanded.
    pub expansion: Option<&'a Expansion>,
    /// The class of its latents; without one they are of classes at random, where there are some.
    pub class: Option<usize>,
}

impl<'a> Subject<'a> {
    fn expansion(&self) -> Result<&'a Expansion> {
        let none = || Error::config("domains of the model", 0, "at least 1");
        self.expansion.ok_or_else(none)
    }

    /// The next `n` latents `[n, D]`.
    fn latents(&self, n: usize, stream: &mut Stream) -> Result<Tensor> {
        let (generator, dtype) = (self.generator, self.generator.dtype());
        let z = normal(stream, n, generator.noise_dim(), generator.device())?.to_dtype(dtype)?;
        let labels = draw_labels(generator, self.class, n, stream)?;
        Ok(generator.map(&z, labels.as_ref())?)
    }
}

impl<'a> From<&'a domex_stylegan2::Model> for Subject<'a> {
    fn from(model: &'a domex_stylegan2::Model) -> Self {
        Self {
            generator: model.generator(),
            expansion: model.expansion(),
            class: None,
        }
    }
}

/// The networks that measure.
#[derive(Debug, Clone, Copy)]
pub struct Evaluators<'a> {
    /// Names domain and factors.
    pub judge: &'a Judge,
    /// Says how different two pictures look.
    pub perceptual: &'a Lpips,
}

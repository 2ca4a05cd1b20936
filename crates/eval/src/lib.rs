//! What a generator makes, before and after an expansion, measured by networks that did not train it.
//!
//! | question | function | by |
//! | --- | --- | --- |
//! | what did an expanded model learn, and what did it keep? | [`outcomes()`] | judge, perceptual network |
//! | are two domains seen in one picture? | [`pairs`] | judge |
//! | how near are its domains to renderings of the same latents? | [`truth()`] | judge |
//! | how well does it make the source domain's scenes? | [`fidelity()`] | judge, perceptual network, fresh renderings |
//! | how near are its samples to any set of pictures? | [`likeness()`] | [`Features`] of a network, perceptual network |
//! | does it copy the handful of pictures that it learnt from? | [`clusters()`] | perceptual network |
//! | how evenly do pictures change along paths? | [`path_length()`] | perceptual network |
//! | do its domains show their texts, and each other's? | [`text_scores()`] | CLIP model |
//!
//! [`Subject`] is what is asked about: a generator that was expanded, or one that was adapted to a domain as a whole, beside the one
//! that it came from. Every figure follows from its seed. The measures themselves, on features and labels, are `domex_metrics`.
//!
//! Deliberately not here: training, of anything; the files that figures are written to.

mod cache;
mod clusters;
mod composed;
mod error;
mod features;
mod fidelity;
mod form;
mod likeness;
mod outcomes;
mod path_length;
mod samples;
mod subject;
mod text_scores;
mod truth;

pub use cache::FeatureCache;
pub use clusters::{MOST_TO_CLUSTER_BY, clusters};
pub use composed::{Pair, pairs};
pub use error::{Error, Result};
pub use features::Features;
pub use fidelity::{Fidelity, Rendering, fidelity};
pub use likeness::{Likeness, Networks, likeness};
pub use outcomes::{Outcome, Outcomes, outcomes};
pub use path_length::path_length;
pub use subject::{Domains, Subject};
pub use text_scores::{TextScore, TextScores, text_scores};
pub use truth::{DomainTruth, Known, Truth, truth};

use domex_judge::Judge;
use domex_lpips::Lpips;

/// The networks that measure.
#[derive(Debug, Clone, Copy)]
pub struct Evaluators<'a> {
    /// Names domain and factors.
    pub judge: &'a Judge,
    /// Says how different two pictures look.
    pub perceptual: &'a Lpips,
}

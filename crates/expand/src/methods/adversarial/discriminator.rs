//! The method itself: a discriminator that is shown the pictures of each domain.

use std::sync::Arc;

use candle_core::{DType, Tensor};
use domex_data::picture;
use domex_data::source::{self, PictureSource};
use domex_random::Stream;
use domex_train::{Measures, State};

use super::Adversarial;
use crate::method::Turn;
use crate::methods::Kind as _;
use crate::methods::adversary::Adversary;
use crate::{LossPart, Method, Result, Samples};

/// See the [module docs](super).
pub struct ByDiscriminator {
    pub(super) adversary: Adversary,
    /// Of each domain.
    pub(super) pictures: Vec<Arc<dyn PictureSource>>,
}

impl Method for ByDiscriminator {
    fn name(&self) -> &str {
        Adversarial.name()
    }

    fn wants_one_task(&self) -> bool {
        true
    }

    fn is_measured_by_what_it_trains(&self) -> bool {
        true
    }

    fn loss(&self, samples: &Samples<'_>, stream: &mut Stream) -> Result<LossPart> {
        let (total, per_sample) = self.adversary.loss(samples, stream)?;
        Ok(LossPart { total, per_sample })
    }

    fn learn(&mut self, samples: &Samples<'_>, turn: &mut Turn<'_>) -> Result<()> {
        let sets = &self.pictures;
        let draw = |adversary: &mut Adversary, domain: usize, n: usize| -> Result<Tensor> {
            let pictures = &*sets[domain];
            let len = usize::try_from(pictures.len()).unwrap_or(usize::MAX);
            let numbers = adversary.pick(len, n)?.into_iter();
            let numbers: Vec<u64> = numbers.map(|number| number as u64).collect();
            let (pictures, _) = source::batch(pictures, &numbers)?;
            Ok(picture::from_rgb(
                &pictures,
                DType::F32,
                adversary.device(),
            )?)
        };
        self.adversary.learn(samples, turn, draw)
    }

    fn measures(&self, measures: &mut Measures) {
        self.adversary.measures(measures);
    }

    fn save(&self, state: &mut State) -> Result<()> {
        self.adversary.save(state)
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        self.adversary.restore(state)
    }
}

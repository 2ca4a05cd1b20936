//! Pictures of the source on their way towards other domains' texts, which a tower must not yet take for what the text says.
//!
//! An [attack](super::attack) ends at the rim of its ball, long before a picture has become another; what a tower says of the
//! way from there on no attack has taught it. So some pictures follow the tower from text to text while it learns, by
//! [steps of steering](mod@super::steer), and it learns that they are of the source still. With the logits `l` of such a picture, the
//! text it follows `t` and the source `0`:
//!
//! `L = log(1 + exp(l_t − l_0))`
//!
//! The pictures climb what the tower goes down, out of the same pass. Where steering makes what renderings of
//! `t` look like, the two losses hold each other; short of that the tower learns what is still missing. That is the game of an
//! energy and its short-run samples (Du & Mordatch 2019, arXiv 1903.08689; Nijkamp et al. 2019, arXiv 1904.09770).

use candle_core::{Device, Tensor};
use domex_random::Stream;
use domex_train::State;
use serde::{Deserialize, Serialize};

use super::objective::TextFeatures;
use super::steer::{Way, length_at};
use crate::feed::Feed;
use crate::jitter::Jitter;
use crate::losses::cross_entropy;
use crate::scenes::Scenes;
use crate::{Error, Result};

/// Of what a snapshot holds.
const KEY: &str = "forgeries";
const PREFIX: &str = "forgeries.";

/// How pictures are forged.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forging {
    /// Pictures on their way at a time; 0 for none.
    pub pictures: usize,
    /// Steps of a way; then another photograph begins, towards another text.
    pub steps: usize,
    /// Euclidean length of its longest step, see [`Steer`](super::Steer).
    pub length: f64,
    /// Weight of their loss beside the domains'.
    pub weight: f64,
    /// The share of the run before the first is forged: a tower that has not been attacked before has no shape to follow.
    pub after: f64,
}

impl Forging {
    /// None.
    pub const NONE: Self = Self {
        pictures: 0,
        steps: 40,
        length: 14.0,
        weight: 1.0,
        after: 0.0,
    };

    pub(crate) fn validate(&self) -> Result<()> {
        if self.pictures > 0 && self.steps == 0 {
            return Err(Error::config("forging.steps", 0, "at least 1"));
        }
        Ok(())
    }
}

/// See the [module docs](self).
pub(crate) struct Forgeries {
    how: Forging,
    way: Way,
    draws: Draws,
}

/// Everything but the pictures.
#[derive(Serialize, Deserialize)]
struct Draws {
    stream: Stream,
    targets: Vec<u32>,
    ages: Vec<usize>,
}

impl Forgeries {
    /// The first pictures, at all ages, so that they are not renewed all at once.
    pub(crate) fn start(
        how: Forging,
        feed: &Feed,
        scenes: &dyn Scenes,
        mut stream: Stream,
        device: &Device,
    ) -> Result<Self> {
        let n = how.pictures;
        let photos = photos(feed, scenes, n, &mut stream, device)?;
        let mut targets = Vec::with_capacity(n);
        let mut ages = Vec::with_capacity(n);
        for _ in 0..n {
            targets.push(target(scenes, &mut stream)?);
            ages.push(stream.index(how.steps)?);
        }
        Ok(Self {
            how,
            way: Way::start(&photos)?,
            draws: Draws {
                stream,
                targets,
                ages,
            },
        })
    }

    /// `[m, 3, h, w]`, where they are now.
    pub(crate) fn pictures(&self) -> &Tensor {
        self.way.at()
    }

    /// What is said of them, `images: [m, d]`: the mean of the loss, and the share that is taken for what it follows.
    pub(crate) fn loss(&self, images: &Tensor, texts: &TextFeatures) -> Result<(Tensor, f64)> {
        let m = self.draws.targets.len();
        let device = images.device();
        let logits = texts.domain_logits(images)?;
        let at = Tensor::from_slice(&self.draws.targets, (m, 1), device)?;
        let pair = Tensor::cat(&[&logits.narrow(1, 0, 1)?, &logits.gather(&at, 1)?], 1)?;
        let taken = pair.detach().argmax(1)?.to_vec1::<u32>()?;
        let taken = f64::from(taken.iter().sum::<u32>()) / m as f64;
        let source = Tensor::new(&[[1f32, 0.0]], device)?.broadcast_as((m, 2))?;
        Ok((cross_entropy(&pair, &source)?.mean_all()?, taken))
    }

    /// One step up the gradient of the loss; those at the end of their way make room.
    pub(crate) fn climb(
        &mut self,
        gradient: &Tensor,
        feed: &Feed,
        scenes: &dyn Scenes,
    ) -> Result<()> {
        let (how, draws) = (&self.how, &mut self.draws);
        let ages = draws.ages.iter();
        let lengths = ages.map(|&age| length_at(how.length, age, how.steps) as f32);
        self.way.step(gradient, &lengths.collect::<Vec<_>>())?;
        for row in 0..draws.ages.len() {
            draws.ages[row] += 1;
            if draws.ages[row] < how.steps {
                continue;
            }
            let device = gradient.device();
            let photo = photos(feed, scenes, 1, &mut draws.stream, device)?;
            self.way.renew(row, &photo)?;
            draws.targets[row] = target(scenes, &mut draws.stream)?;
            draws.ages[row] = 0;
        }
        Ok(())
    }

    pub(crate) fn save(&self, state: &mut State) -> Result<()> {
        state.put(KEY, &self.draws)?;
        self.way.save(PREFIX, state)
    }

    /// Those of a snapshot, if it has some.
    pub(crate) fn restore(how: Forging, state: &State, device: &Device) -> Result<Option<Self>> {
        let Some(way) = Way::restore(PREFIX, state, device)? else {
            return Ok(None);
        };
        let draws = state.get(KEY)?;
        Ok(Some(Self { how, way, draws }))
    }
}

/// Of the source domain, as they are.
fn photos(
    feed: &Feed,
    scenes: &dyn Scenes,
    n: usize,
    stream: &mut Stream,
    device: &Device,
) -> Result<Tensor> {
    let feed = Feed {
        jitter: Jitter::NONE,
        ..*feed
    };
    Ok(feed.of_domain(scenes, 0, n, stream, device)?.pixels)
}

/// One of the other domains.
fn target(scenes: &dyn Scenes, stream: &mut Stream) -> Result<u32> {
    Ok(1 + stream.index(scenes.domains().saturating_sub(1))? as u32)
}

#[cfg(test)]
mod tests {
    use domex_random::Streams;

    use super::*;
    use crate::portraits::World;

    fn feed() -> Feed {
        Feed {
            size: 16,
            source_share: 0.0,
            jitter: Jitter::STRONG,
        }
    }

    fn forgeries(how: Forging) -> Result<Forgeries> {
        let stream = Streams::new(4).stream("forgeries");
        Forgeries::start(how, &feed(), &World::new(), stream, &Device::Cpu)
    }

    fn row(x: &Tensor, row: usize) -> Vec<f32> {
        x.get(row)
            .unwrap()
            .flatten_all()
            .unwrap()
            .to_vec1()
            .unwrap()
    }

    #[test]
    fn each_goes_up_the_gradient_until_its_way_ends() {
        let how = Forging {
            pictures: 6,
            steps: 3,
            length: 2.0,
            ..Forging::NONE
        };
        let mut forged = forgeries(how).unwrap();
        let mut renewed = 0;
        for _ in 0..6 {
            let (before, ages) = (forged.pictures().clone(), forged.draws.ages.clone());
            let gradient = before.ones_like().unwrap();
            forged.climb(&gradient, &feed(), &World::new()).unwrap();
            for (at, age) in ages.into_iter().enumerate() {
                let (old, new) = (row(&before, at), row(forged.pictures(), at));
                if age == 2 {
                    assert_eq!(forged.draws.ages[at], 0);
                    assert!(row(&forged.way.mean, at).iter().all(|&x| x == 0.0));
                    renewed += 1;
                } else {
                    assert_eq!(forged.draws.ages[at], age + 1);
                    assert!(
                        old.iter()
                            .zip(&new)
                            .all(|(old, new)| new > old || *new == 1.0)
                    );
                }
            }
            assert!(forged.draws.targets.iter().all(|t| (1..27).contains(t)));
        }
        assert_eq!(renewed, 12);
        assert!(Forging { steps: 0, ..how }.validate().is_err());
    }

    #[test]
    fn what_is_still_a_photograph_costs_little() {
        let forged = forgeries(Forging {
            pictures: 2,
            ..Forging::NONE
        })
        .unwrap();
        let eye = Tensor::eye(27, candle_core::DType::F32, &Device::Cpu).unwrap();
        let texts = TextFeatures {
            captions: eye.clone(),
            domains: eye.clone(),
            answers: Vec::new(),
            scale: Tensor::new(10f32, &Device::Cpu).unwrap(),
        };
        let loss = |classes: &[u32]| {
            let at = Tensor::new(classes, &Device::Cpu).unwrap();
            let (loss, taken) = forged
                .loss(&eye.index_select(&at, 0).unwrap(), &texts)
                .unwrap();
            (loss.to_scalar::<f32>().unwrap(), taken)
        };
        let (loss_of_photos, taken) = loss(&[0, 0]);
        assert!((loss_of_photos - (-10f32).exp().ln_1p()).abs() < 1e-6 && taken == 0.0);
        let (loss_of_deceits, taken) = loss(&forged.draws.targets);
        assert!((loss_of_deceits - 10.0).abs() < 1e-3 && taken == 1.0);
    }
}

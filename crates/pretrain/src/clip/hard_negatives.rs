//! Hard negatives: pictures of the source on their way towards other domains' texts, which the model must not yet take for
//! what the text says.
//!
//! An [attack](super::attack) ends at the rim of its ball, long before a picture has become another; what the model says of the
//! way from there on no attack has corrected. So some pictures follow the model from text to text while it learns, by
//! [steps of steering](mod@super::steer), and it learns that they are of the source still. With the logits `l` of such a picture, the
//! text it follows `t` and the source `0`:
//!
//! `L = log(1 + exp(l_t − l_0))`
//!
//! The pictures climb what the model goes down, out of the same pass. Where steering makes what renderings of
//! `t` look like, the two losses hold each other; short of that the model learns what is still missing. That is the game of an
//! energy and its short-run samples (Du & Mordatch 2019, arXiv 1903.08689; Nijkamp et al. 2019, arXiv 1904.09770).
//!
//! A model soon tells nearly all of them, and one that is sure has no slope. So it is also shown what a way should have
//! led to: blends of a picture on its way with the rendering of the same scene in the domain of the text. Of
//! a blend with a share `s` of that rendering it is to say just that, as *mixup* has it (Zhang et al. 2017, arXiv 1710.09412):
//!
//! `L = s log(1 + exp(l_0 − l_t)) + (1 − s) log(1 + exp(l_t − l_0))`

use candle_core::{Device, Tensor};
use domex_random::Stream;
use domex_train::State;
use serde::{Deserialize, Serialize};

use super::objective::TextFeatures;
use super::steer::{Way, length_at, replaced};
use crate::feed::Feed;
use crate::jitter::Jitter;
use crate::losses::cross_entropy;
use crate::scenes::Scenes;
use crate::{Error, Result};

/// Keys of a snapshot.
const KEY: &str = "hard_negatives";
const PREFIX: &str = "hard_negatives.";
const TRUTHS: &str = "hard_negatives.truths";

/// How hard negatives are made.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HardNegativeConfig {
    /// Pictures on their way at a time; 0 for none.
    pub pictures: usize,
    /// Blends of them in each pass.
    pub blends: usize,
    /// Steps of a way; then another photograph begins, towards another text.
    pub steps: usize,
    /// Euclidean length of its longest step, see [`Steer`](super::Steer).
    pub length: f64,
    /// Weight of their loss beside the domains'.
    pub weight: f64,
    /// The share of the run before the first: a model that has not been attacked before has no shape to follow.
    pub after: f64,
}

impl HardNegativeConfig {
    /// None.
    pub const NONE: Self = Self {
        pictures: 0,
        blends: 16,
        steps: 40,
        length: 18.0,
        weight: 1.0,
        after: 0.0,
    };

    pub(crate) fn validate(&self) -> Result<()> {
        if self.pictures > 0 && self.steps == 0 {
            return Err(Error::config("hard_negatives.steps", 0, "at least 1"));
        }
        Ok(())
    }
}

/// See the [module docs](self).
pub(crate) struct HardNegatives {
    how: HardNegativeConfig,
    way: Way,
    /// What the ways should lead to, `[m, 3, h, w]`.
    truths: Tensor,
    draws: Draws,
}

/// What the model is shown of them.
pub(crate) struct Shown {
    /// `[m + blends, 3, h, w]`: where they are now, then blends.
    pub(crate) pictures: Tensor,
    /// Of which one each is.
    rows: Vec<usize>,
    /// The share of the truth in each.
    shares: Vec<f32>,
}

/// Everything but the pictures.
#[derive(Serialize, Deserialize)]
struct Draws {
    stream: Stream,
    targets: Vec<u32>,
    ages: Vec<usize>,
}

impl HardNegatives {
    /// The first pictures, at all ages, so that they are not renewed all at once.
    pub(crate) fn start(
        how: HardNegativeConfig,
        feed: &Feed,
        scenes: &dyn Scenes,
        mut stream: Stream,
        device: &Device,
    ) -> Result<Self> {
        let n = how.pictures;
        let mut targets = Vec::with_capacity(n);
        let mut ages = Vec::with_capacity(n);
        for _ in 0..n {
            targets.push(target(scenes, &mut stream)?);
            ages.push(stream.index(how.steps)?);
        }
        let (photos, truths) = pairs(feed, scenes, &targets, &mut stream, device)?;
        Ok(Self {
            how,
            way: Way::start(&photos)?,
            truths,
            draws: Draws {
                stream,
                targets,
                ages,
            },
        })
    }

    /// What to show of them now.
    pub(crate) fn show(&mut self) -> Result<Shown> {
        let m = self.draws.targets.len();
        let stream = &mut self.draws.stream;
        let mut rows: Vec<usize> = (0..m).collect();
        let mut shares = vec![0f32; m];
        let mut pictures = vec![self.way.at().clone()];
        for _ in 0..self.how.blends {
            let (row, share) = (stream.index(m)?, stream.uniform_f64());
            let negative = (self.way.at().narrow(0, row, 1)? * (1.0 - share))?;
            pictures.push((negative + (self.truths.narrow(0, row, 1)? * share)?)?);
            rows.push(row);
            shares.push(share as f32);
        }
        Ok(Shown {
            pictures: Tensor::cat(&pictures, 0)?,
            rows,
            shares,
        })
    }

    /// What is said of them, `images: [m + blends, d]`: the mean of the loss, and the share of them that are taken
    /// for what they follow.
    pub(crate) fn loss(
        &self,
        shown: &Shown,
        images: &Tensor,
        texts: &TextFeatures,
    ) -> Result<(Tensor, f64)> {
        let (m, n, device) = (self.draws.targets.len(), shown.rows.len(), images.device());
        let logits = texts.domain_logits(images)?;
        let targets = shown.rows.iter().map(|&row| self.draws.targets[row]);
        let at = Tensor::from_vec(targets.collect::<Vec<_>>(), (n, 1), device)?;
        let pair = Tensor::cat(&[&logits.narrow(1, 0, 1)?, &logits.gather(&at, 1)?], 1)?;
        let taken = pair.narrow(0, 0, m)?.detach().argmax(1)?;
        let taken = taken.to_vec1::<u32>()?;
        let taken = f64::from(taken.iter().sum::<u32>()) / m as f64;
        let truth = shown.shares.iter().flat_map(|&share| [1.0 - share, share]);
        let truth = Tensor::from_vec(truth.collect::<Vec<f32>>(), (n, 2), device)?;
        Ok((cross_entropy(&pair, &truth)?.mean_all()?, taken))
    }

    /// One step up the gradient of the loss at `m` places; those at the end of their way make room.
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
            let target = target(scenes, &mut draws.stream)?;
            let stream = &mut draws.stream;
            let (photo, truth) = pairs(feed, scenes, &[target], stream, gradient.device())?;
            self.way.renew(row, &photo)?;
            self.truths = replaced(&self.truths, row, &truth)?;
            (draws.targets[row], draws.ages[row]) = (target, 0);
        }
        Ok(())
    }

    pub(crate) fn save(&self, state: &mut State) -> Result<()> {
        state.put(KEY, &self.draws)?;
        state.put_tensor(TRUTHS, &self.truths)?;
        self.way.save(PREFIX, state)
    }

    /// Those of a snapshot, if it has some.
    pub(crate) fn restore(
        how: HardNegativeConfig,
        state: &State,
        device: &Device,
    ) -> Result<Option<Self>> {
        let Some(way) = Way::restore(PREFIX, state, device)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            how,
            way,
            truths: state.tensor(TRUTHS, device)?,
            draws: state.get(KEY)?,
        }))
    }
}

/// Photographs as they are, and the same scenes in other domains.
fn pairs(
    feed: &Feed,
    scenes: &dyn Scenes,
    targets: &[u32],
    stream: &mut Stream,
    device: &Device,
) -> Result<(Tensor, Tensor)> {
    let feed = Feed {
        jitter: Jitter::NONE,
        ..*feed
    };
    let photos = feed.of_domain(scenes, 0, targets.len(), stream, device)?;
    let seeds = photos.plan.iter().map(|&(_, seed)| seed);
    let plan = targets.iter().map(|&target| target as usize).zip(seeds);
    let truths = feed.render(scenes, plan.collect(), device)?;
    Ok((photos.pixels, truths.pixels))
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

    fn negatives(how: HardNegativeConfig) -> Result<HardNegatives> {
        let stream = Streams::new(4).stream("hard negatives");
        HardNegatives::start(how, &feed(), &World::new(), stream, &Device::Cpu)
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
        let how = HardNegativeConfig {
            pictures: 6,
            steps: 3,
            length: 2.0,
            ..HardNegativeConfig::NONE
        };
        let mut found = negatives(how).unwrap();
        let mut renewed = 0;
        for _ in 0..6 {
            let (before, ages) = (found.way.at().clone(), found.draws.ages.clone());
            let gradient = before.ones_like().unwrap();
            found.climb(&gradient, &feed(), &World::new()).unwrap();
            for (at, age) in ages.into_iter().enumerate() {
                let (old, new) = (row(&before, at), row(found.way.at(), at));
                if age == 2 {
                    assert_eq!(found.draws.ages[at], 0);
                    assert!(row(&found.way.mean, at).iter().all(|&x| x == 0.0));
                    renewed += 1;
                } else {
                    assert_eq!(found.draws.ages[at], age + 1);
                    assert!(
                        old.iter()
                            .zip(&new)
                            .all(|(old, new)| new > old || *new == 1.0)
                    );
                }
            }
            assert!(found.draws.targets.iter().all(|t| (1..27).contains(t)));
        }
        assert_eq!(renewed, 12);
        assert!(HardNegativeConfig { steps: 0, ..how }.validate().is_err());
    }

    /// Unit features that are their own texts.
    fn texts(eye: &Tensor) -> TextFeatures {
        TextFeatures {
            captions: eye.clone(),
            domains: eye.clone(),
            answers: Vec::new(),
            scale: Tensor::new(10f32, &Device::Cpu).unwrap(),
        }
    }

    #[test]
    fn what_is_still_a_photograph_costs_little() {
        let how = HardNegativeConfig {
            pictures: 2,
            blends: 0,
            ..HardNegativeConfig::NONE
        };
        let mut found = negatives(how).unwrap();
        let shown = found.show().unwrap();
        let eye = Tensor::eye(27, candle_core::DType::F32, &Device::Cpu).unwrap();
        let loss = |classes: &[u32]| {
            let at = Tensor::new(classes, &Device::Cpu).unwrap();
            let images = eye.index_select(&at, 0).unwrap();
            let (loss, taken) = found.loss(&shown, &images, &texts(&eye)).unwrap();
            (loss.to_scalar::<f32>().unwrap(), taken)
        };
        let (loss_of_photos, taken) = loss(&[0, 0]);
        assert!((loss_of_photos - (-10f32).exp().ln_1p()).abs() < 1e-6 && taken == 0.0);
        let (loss_of_mistakes, taken) = loss(&found.draws.targets);
        assert!((loss_of_mistakes - 10.0).abs() < 1e-3 && taken == 1.0);
    }

    #[test]
    fn a_blend_is_as_much_of_the_text_as_it_has_of_its_rendering() {
        let how = HardNegativeConfig {
            pictures: 3,
            blends: 40,
            ..HardNegativeConfig::NONE
        };
        let mut found = negatives(how).unwrap();
        let shown = found.show().unwrap();
        assert_eq!(shown.pictures.dims4().unwrap(), (43, 3, 16, 16));
        assert_eq!(shown.shares[..3], [0.0; 3]);
        for (at, (&of, &share)) in shown.rows.iter().zip(&shown.shares).enumerate() {
            let ends = row(found.way.at(), of).into_iter();
            let ends = ends.zip(row(&found.truths, of));
            let blends = row(&shown.pictures, at).into_iter().zip(ends);
            let apart = blends.map(|(blend, (a, b))| (blend - (a + share * (b - a))).abs());
            assert!(apart.fold(0f32, f32::max) < 1e-5);
        }
        // Logits that say just that cost the entropy; all others cost more.
        let loss = |wrong: f32| {
            let mut images = vec![0f32; 43 * 27];
            for (at, (&of, &share)) in shown.rows.iter().zip(&shown.shares).enumerate() {
                let share = share.clamp(1e-3, 1.0 - 1e-3);
                let logit = (share / (1.0 - share)).ln() + wrong;
                images[at * 27 + found.draws.targets[of] as usize] = logit / 10.0;
            }
            let images = Tensor::from_vec(images, (43, 27), &Device::Cpu).unwrap();
            let eye = Tensor::eye(27, candle_core::DType::F32, &Device::Cpu).unwrap();
            let (loss, _) = found.loss(&shown, &images, &texts(&eye)).unwrap();
            loss.to_scalar::<f32>().unwrap()
        };
        assert!(loss(0.0) < loss(0.5) && loss(0.0) < loss(-0.5));
    }
}

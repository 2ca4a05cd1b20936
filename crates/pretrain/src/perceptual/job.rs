//! Training a perceptual network.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use domex_checkpoint::container::Overwrite;
use domex_lpips::{Backbone, Config, Lpips, file};
use domex_ops::linear;
use domex_random::{Stream, Streams};
use domex_train::{Clock, Job, JobResult, Losses, Measures, RunFolder, State};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{ordered, triplets};
use crate::feed::Feed;
use crate::init::{Begin, Tensors, draw};
use crate::jitter::Jitter;
use crate::judge::loss as classification;
use crate::losses::accuracy;
use crate::scenes::Scenes;
use crate::trainer::{Learning, Trainer};
use crate::{Error, Result};

/// Mean distance of unrelated scenes.
const UNRELATED: f64 = 0.6;

/// Sharpness of the order's loss.
const SHARP: f64 = 3.0;

/// Guards the logarithm of a distance of 0.
const TINY: f64 = 1e-4;

/// The classifier, which is not exported.
const CLASSIFIER: &str = "classifier.";

/// Settings of a perceptual network's training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PerceptualConfig {
    /// The network.
    pub network: Config,
    /// How it learns.
    pub learning: Learning,
    /// What the backbone is shown.
    pub feed: Feed,
    /// Triplets in a step.
    pub triplets: usize,
    /// Triplets in a tick's measurement.
    pub measured: usize,
    /// Of weights, scenes and triplets.
    pub seed: u64,
}

impl PerceptualConfig {
    /// The shipped recipe for `images` scenes.
    pub fn new(images: u64) -> Self {
        Self {
            network: Config::new(Backbone::Small),
            learning: Learning {
                images,
                batch: 32,
                lr: 1e-3,
                weight_decay: 1e-2,
                longest_gradient: 5.0,
                ema_kimg: Some(5.0),
            },
            feed: Feed {
                size: 64,
                source_share: 0.2,
                jitter: Jitter::MILD,
            },
            triplets: 8,
            measured: 256,
            seed: 0,
        }
    }
}

/// A perceptual network in training. See [`super`].
pub struct PerceptualJob {
    config: PerceptualConfig,
    scenes: Arc<dyn Scenes>,
    trainer: Trainer,
    draws: Draws,
}

#[derive(Serialize, Deserialize)]
struct Draws {
    scenes: Stream,
    triplets: Stream,
}

impl PerceptualJob {
    /// A new one.
    ///
    /// # Errors
    ///
    /// Settings out of range.
    pub fn new(config: PerceptualConfig, scenes: Arc<dyn Scenes>, device: &Device) -> Result<Self> {
        if !config.network.heads {
            return Err(Error::config(
                "heads of the perceptual network",
                false,
                "true: they are what is trained",
            ));
        }
        let network = config.network.clone();
        let mut tensors = draw(config.seed, begin, move |vb| Lpips::new(vb, &network))?;
        let classes: usize = scenes
            .factors()
            .iter()
            .map(|factor| factor.classes.len())
            .sum();
        let inputs = classifier_inputs(&config)?;
        let classifier = draw(config.seed, begin, |vb| -> Result<()> {
            vb.get((classes, inputs), "classifier.weight")?;
            vb.get(classes, "classifier.bias")?;
            Ok(())
        })?;
        tensors.extend(classifier);
        let streams = Streams::new(config.seed);
        Ok(Self {
            trainer: Trainer::new(tensors, |_| false, config.learning, device)?,
            draws: Draws {
                scenes: streams.stream("perceptual scenes"),
                triplets: streams.stream("perceptual triplets"),
            },
            config,
            scenes,
        })
    }

    /// The averaged network.
    ///
    /// # Errors
    ///
    /// candle's own.
    pub fn lpips(&self) -> Result<Lpips> {
        let tensors = weights(self.trainer.averaged_tensors())?;
        let tensors: HashMap<_, _> = tensors.into_iter().collect();
        let vb = VarBuilder::from_tensors(tensors, DType::F32, self.trainer.device());
        Ok(Lpips::new(&vb, &self.config.network)?)
    }

    fn descend(&mut self, at: &Clock) -> Result<Losses> {
        let device = self.trainer.device().clone();
        let (n, size) = (self.config.learning.batch, self.config.feed.size);
        let batch = self
            .config
            .feed
            .next(&*self.scenes, n, &mut self.draws.scenes, &device)?;
        let triplets = triplets::next(
            &*self.scenes,
            self.config.triplets,
            size,
            &mut self.draws.triplets,
            &device,
        )?;

        let all = self.trainer.trainable_tensors();
        let classifier = (
            all["classifier.weight"].clone(),
            all["classifier.bias"].clone(),
        );
        let vb = VarBuilder::from_tensors(weights(all)?.into_iter().collect(), DType::F32, &device);
        let lpips = Lpips::new(&vb, &self.config.network)?;
        let raw = lpips.raw_features(&batch.pixels)?;
        let logits = self.classify(&raw, &classifier)?;
        let told = classification(&logits, &batch.classes)?;
        let (order, size) = self.order(&lpips, &triplets)?;

        let mut losses = Losses::default();
        losses.put("loss/classes", f64::from(told.to_scalar::<f32>()?));
        losses.put("loss/order", f64::from(order.to_scalar::<f32>()?));
        losses.put(
            "right/domain, jittered",
            accuracy(&logits[0].detach(), &batch.domains())?,
        );
        losses.applied(self.trainer.descend(&((told + order)? + size)?, at)?);
        Ok(losses)
    }

    fn classify(&self, raw: &[Tensor], (weight, bias): &(Tensor, Tensor)) -> Result<Vec<Tensor>> {
        let last = raw
            .last()
            .ok_or_else(|| Error::config("depths of the backbone", 0, "at least 1"))?;
        let logits = linear(&last.flatten_from(1)?, weight, Some(bias))?;
        let mut start = 0;
        let parts = self.scenes.factors().iter().map(|factor| {
            let part = logits.narrow(1, start, factor.classes.len());
            start += factor.classes.len();
            Ok(part?)
        });
        parts.collect()
    }

    /// The order's loss, and that of the unit.
    fn order(&self, lpips: &Lpips, triplets: &triplets::Triplets) -> Result<(Tensor, Tensor)> {
        // Only the heads learn from this: the backbone's features are constants.
        let seen = |x: &Tensor| -> Result<_> { Ok(lpips.features(x)?.detach()) };
        let reference = seen(&triplets.reference)?;
        let near = (lpips.between(&reference, &seen(&triplets.near)?)? + TINY)?.log()?;
        let far = (lpips.between(&reference, &seen(&triplets.far)?)? + TINY)?.log()?;
        let wrong = ((near - far)? * SHARP)?;
        // softplus(x) = max(x, 0) + log(1 + e^−|x|)
        let softplus = (wrong.relu()? + (wrong.abs()?.neg()?.exp()? + 1.0)?.log()?)?;

        let n = triplets.reference.dim(0)?;
        let turned = Tensor::cat(
            &[
                &triplets.reference.narrow(0, 1, n - 1)?,
                &triplets.reference.narrow(0, 0, 1)?,
            ],
            0,
        )?;
        let unrelated = lpips.between(&reference, &seen(&turned)?)?.mean_all()?;
        Ok((softplus.mean_all()?, (unrelated - UNRELATED)?.sqr()?))
    }
}

/// Features that the classifier reads.
fn classifier_inputs(config: &PerceptualConfig) -> Result<usize> {
    let side = config.feed.size as usize;
    let zeros = VarBuilder::zeros(DType::F32, &Device::Cpu);
    let lpips = Lpips::new(&zeros, &config.network)?;
    let raw = lpips.raw_features(&Tensor::zeros(
        (1, 3, side, side),
        DType::F32,
        &Device::Cpu,
    )?)?;
    Ok(raw.last().map_or(0, Tensor::elem_count))
}

/// The network's tensors: heads are magnitudes, so that no distance is negative.
fn weights(tensors: Tensors) -> Result<Tensors> {
    let kept = tensors
        .into_iter()
        .filter(|(name, _)| !name.starts_with(CLASSIFIER));
    let kept = kept.map(|(name, tensor)| match name.starts_with("lin") {
        true => Ok((name, tensor.abs()?)),
        false => Ok((name, tensor)),
    });
    kept.collect()
}

fn begin(name: &str, shape: &[usize]) -> Begin {
    match shape {
        _ if name.starts_with("lin") => Begin::Constant(0.1),
        [_] => Begin::Constant(0.0),
        _ if name.starts_with(CLASSIFIER) => Begin::scaled(1.0, shape),
        _ => Begin::scaled(2f64.sqrt(), shape),
    }
}

impl Job for PerceptualJob {
    fn batch(&self) -> usize {
        self.config.learning.batch
    }

    fn step(&mut self, at: &Clock) -> JobResult<Losses> {
        Ok(self.descend(at)?)
    }

    fn save(&self, state: &mut State) -> JobResult<()> {
        state.put("draws", &self.draws)?;
        Ok(self.trainer.save(state)?)
    }

    fn restore(&mut self, state: &State) -> JobResult<()> {
        self.draws = state.get("draws")?;
        Ok(self.trainer.restore(state)?)
    }

    fn tick(&mut self, _: &Clock, _: &RunFolder) -> JobResult<Measures> {
        let mut stream = Streams::new(self.config.seed).stream("perceptual measurement");
        let (n, size, device) = (
            self.config.measured,
            self.config.feed.size,
            self.trainer.device(),
        );
        let right = ordered(&self.lpips()?, &*self.scenes, n, size, &mut stream, device)?;
        Ok(Measures {
            values: vec![("right/order".into(), right)],
            score: Some(1.0 - right),
        })
    }

    fn export(&self, at: &Clock, path: &Path) -> JobResult<()> {
        let provenance = json!({ "settings": self.config, "images": at.images });
        let tensors = weights(self.trainer.averaged_tensors())?;
        let half = tensors
            .into_iter()
            .map(|(name, tensor)| Ok((name, tensor.to_dtype(DType::F16)?)));
        let half = half.collect::<candle_core::Result<Tensors>>()?;
        let writer = file::writer(&half, &self.config.network, &provenance)?;
        Ok(writer.write(path, Overwrite::Replace)?)
    }
}

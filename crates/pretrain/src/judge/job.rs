//! Training a judge.

use std::path::Path;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use domex_judge::{Config, Judge, NONE};
use domex_ops::upload;
use domex_random::{Stream, Streams};
use domex_train::{Clock, Job, JobResult, Losses, Measures, RunFolder, State};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::measure::loss;
use super::none::{KINDS, Nones};
use super::{init, measure};
use crate::Result;
use crate::feed::Feed;
use crate::jitter::Jitter;
use crate::losses::{cross_entropy, one_hot};
use crate::scenes::Scenes;
use crate::trainer::{Learning, Trainer};

/// Settings of a judge's training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JudgeConfig {
    /// The network.
    pub network: Config,
    /// How it learns.
    pub learning: Learning,
    /// What it is shown.
    pub feed: Feed,
    /// Pictures of no domain beside those of a batch, as a share of them; 0 for a judge that must choose.
    pub nones: f64,
    /// Scenes of each domain, and pictures of each kind of no domain, in a tick's measurement.
    pub measured: usize,
    /// Of weights and scenes.
    pub seed: u64,
}

impl JudgeConfig {
    /// The shipped recipe for `images` scenes of a world.
    pub fn new(scenes: &dyn Scenes, images: u64) -> Self {
        let mut factors = scenes.factors().to_vec();
        if let Some(domain) = factors.first_mut() {
            domain.classes.push(NONE.to_owned());
        }
        Self {
            network: Config::new(&factors),
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
                source_share: 0.25,
                jitter: Jitter::MILD,
            },
            nones: 0.5,
            measured: 16,
            seed: 0,
        }
    }
}

/// A judge in training. See [`super`].
pub struct JudgeJob {
    config: JudgeConfig,
    scenes: Arc<dyn Scenes>,
    trainer: Trainer,
    stream: Stream,
}

impl JudgeJob {
    /// A new one.
    ///
    /// # Errors
    ///
    /// Settings out of range.
    pub fn new(config: JudgeConfig, scenes: Arc<dyn Scenes>, device: &Device) -> Result<Self> {
        let tensors = init(&config.network, config.seed)?;
        Ok(Self {
            trainer: Trainer::new(tensors, |_| false, config.learning, device)?,
            stream: Streams::new(config.seed).stream("judge scenes"),
            config,
            scenes,
        })
    }

    /// The averaged network.
    ///
    /// # Errors
    ///
    /// candle's own.
    pub fn judge(&self) -> Result<Judge> {
        Ok(Judge::new(&self.trainer.averaged(), &self.config.network)?)
    }

    fn descend(&mut self, at: &Clock) -> Result<Losses> {
        let (n, device) = (self.config.learning.batch, self.trainer.device().clone());
        let batch = self
            .config
            .feed
            .next(&*self.scenes, n, &mut self.stream, &device)?;
        let judge = Judge::new(&self.trainer.trainable(), &self.config.network)?;
        let mut loss = loss(&judge.forward(&batch.pixels)?, &batch.classes)?;
        if let (Some(none), true) = (judge.none(), self.config.nones > 0.0) {
            let count = ((n as f64 * self.config.nones) as usize).max(1);
            let size = self.config.feed.size;
            let plan = (0..count)
                .map(|_| {
                    Ok((
                        KINDS[self.stream.index(KINDS.len())?],
                        self.stream.next_u64(),
                    ))
                })
                .collect::<Result<Vec<_>>>()?;
            let made = Nones::new(&*self.scenes, size).draw(&plan, self.config.feed.jitter);
            let side = size as usize;
            let pixels = Tensor::from_vec(made, (count, 3, side, side), &Device::Cpu)?;
            let pixels = upload(&pixels, &device)?;
            let domain = judge.forward(&pixels)?.swap_remove(0);
            let target = one_hot(&vec![none as u32; count], domain.dim(1)?, &device)?;
            loss = (loss + (cross_entropy(&domain, &target)?.mean_all()? * self.config.nones)?)?;
        }
        let mut losses = Losses::default();
        losses.put("loss", f64::from(loss.to_scalar::<f32>()?));
        losses.applied(self.trainer.descend(&loss, at)?);
        Ok(losses)
    }
}

impl Job for JudgeJob {
    fn batch(&self) -> usize {
        self.config.learning.batch
    }

    fn step(&mut self, at: &Clock) -> JobResult<Losses> {
        Ok(self.descend(at)?)
    }

    fn save(&self, state: &mut State) -> JobResult<()> {
        state.put("scenes", &self.stream)?;
        Ok(self.trainer.save(state)?)
    }

    fn restore(&mut self, state: &State) -> JobResult<()> {
        self.stream = state.get("scenes")?;
        Ok(self.trainer.restore(state)?)
    }

    fn tick(&mut self, _: &Clock, folder: &RunFolder) -> JobResult<Measures> {
        let mut stream = Streams::new(self.config.seed).stream("judge measurement");
        let (judge, device) = (self.judge()?, self.trainer.device());
        let scores = measure(
            &judge,
            &*self.scenes,
            self.config.measured,
            &mut stream,
            device,
        )?;
        folder.write_json("scores.json", &serde_json::to_value(&scores)?)?;
        let named = |part: &str, (name, value): (&String, &f64)| (format!("{part}/{name}"), *value);
        let mut values: Vec<_> = scores.all.iter().map(|pair| named("right", pair)).collect();
        values.extend(scores.source.iter().map(|pair| named("source", pair)));
        values.extend(scores.none.iter().map(|pair| named("none", pair)));
        let mean = scores.all.values().sum::<f64>() / scores.all.len().max(1) as f64;
        Ok(Measures {
            values,
            score: Some(1.0 - mean),
        })
    }

    fn export(&self, at: &Clock, path: &Path) -> JobResult<()> {
        let provenance = json!({ "settings": self.config, "images": at.images });
        Ok(domex_judge::write(
            path,
            &self.config.network,
            &self.trainer.averaged_tensors(),
            &provenance,
        )?)
    }
}

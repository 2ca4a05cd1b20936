//! The second stage: the latent prior, on the codes of pictures.

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use domex_data::source::PictureSource;
use domex_diffae::{Config, LatentConfig, LatentNet, Model, Overwrite, Statistics, init};
use domex_diffusion::{Diffusion, standard_normal, uniform_timesteps};
use domex_random::{Stream, Streams};
use domex_train::{Clock, Job, JobResult, Losses, Measures, RunFolder, State};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::pictures::{self, Samples};
use crate::trainer::{Learning, Trainer};
use crate::{Error, Result};

/// Where a checkpoint has the latent prior.
const NODE: &str = "latent_net.";

/// Pictures that are encoded at once.
const CHUNK: usize = 32;

/// Settings of a latent prior's training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriorConfig {
    /// The network.
    pub network: LatentConfig,
    /// How it learns; its images are codes.
    pub learning: Learning,
    /// Pictures that are encoded at the beginning, at most: all of a smaller set, so many of a larger one.
    pub codes: usize,
    /// Sampling steps of a tick's pictures.
    pub steps: usize,
    /// Of weights, codes, noise and steps.
    pub seed: u64,
}

/// A latent prior in training. See [`super`].
pub struct PriorJob {
    config: PriorConfig,
    autoencoder: Model,
    source: Box<dyn PictureSource>,
    trainer: Trainer,
    /// On the trainer's variables.
    network: LatentNet,
    diffusion: Diffusion,
    draws: Draws,
    codes: Option<Codes>,
    samples: Samples,
}

#[derive(Serialize, Deserialize)]
struct Draws {
    codes: Stream,
    noise: Stream,
    steps: Stream,
}

/// Codes of pictures, and their statistics.
struct Codes {
    /// `[n, D]`, z-normalized.
    normalized: Tensor,
    statistics: Statistics,
}

impl PriorJob {
    /// Network, optimizer and streams at their beginning, for an autoencoder whose own prior, if it has one, is replaced.
    ///
    /// # Errors
    ///
    /// Settings out of range; a network for codes of another size; pictures that the autoencoder cannot encode.
    pub fn new(
        config: PriorConfig,
        autoencoder: Model,
        source: Box<dyn PictureSource>,
        device: &Device,
    ) -> Result<Self> {
        if config.codes < 2 {
            let expected = "at least 2, to have a deviation";
            return Err(Error::config("codes", config.codes, expected));
        }
        let network = Config {
            latent: Some(config.network.clone()),
            ..autoencoder.config().clone()
        };
        network.validate()?;
        pictures::check(&network, &*source)?;
        let tensors = init::autoencoder(&network, config.seed, DType::F32, device)?;
        let tensors = tensors
            .into_iter()
            .filter(|(name, _)| name.starts_with(NODE));
        let trainer = Trainer::new(tensors.collect(), |_| false, config.learning, device)?;
        let streams = Streams::new(config.seed);
        Ok(Self {
            network: latent_net(&trainer.trainable(), &config.network)?,
            diffusion: network.diffusion.latents()?,
            draws: Draws {
                codes: streams.stream("codes"),
                noise: streams.stream("noise"),
                steps: streams.stream("steps"),
            },
            codes: None,
            samples: Samples::new(&*source, &network, config.steps, device)?,
            trainer,
            autoencoder,
            source,
            config,
        })
    }

    /// The autoencoder with the averaged prior.
    ///
    /// # Errors
    ///
    /// Before the first step, when there are no codes yet.
    pub fn model(&self, at: &Clock) -> Result<Model> {
        let tensors = self.trainer.averaged_tensors();
        let prior = &self.config.network;
        let mut model = self.autoencoder.with_prior(prior, tensors)?;
        model.set_statistics(Some(self.codes()?.statistics.clone()))?;
        model.provenance["prior"] = json!({
            "codes": at.images,
            "seconds": at.seconds,
            "data": self.source.describe(),
            "settings": self.config,
        });
        Ok(model)
    }

    fn codes(&self) -> Result<&Codes> {
        let missing = || Error::config("codes of pictures", "none", "those of the first step");
        self.codes.as_ref().ok_or_else(missing)
    }

    /// Encodes the pictures: a set's in their order, a renderer's first ones.
    fn encode(&self) -> Result<Codes> {
        let n = (self.config.codes as u64).min(self.source.len());
        let channels = self.autoencoder.config().unet.in_channels;
        let mut parts = Vec::new();
        for start in (0..n).step_by(CHUNK) {
            let indices: Vec<u64> = (start..n.min(start + CHUNK as u64)).collect();
            let device = self.trainer.device();
            let pictures = pictures::batch(&*self.source, &indices, channels, device)?;
            parts.push(self.autoencoder.encode(&pictures)?.detach());
        }
        let codes = Tensor::cat(&parts, 0)?;
        let mean = codes.mean_keepdim(0)?;
        let std = codes.broadcast_sub(&mean)?.sqr()?.mean_keepdim(0)?.sqrt()?;
        // Above 0 also where no picture changes a number.
        let std = (std + 1e-6)?;
        let statistics = Statistics { mean, std };
        Ok(Codes {
            normalized: statistics.normalize(&codes)?,
            statistics,
        })
    }

    fn descend(&mut self, at: &Clock) -> Result<Losses> {
        let codes = self.codes()?.normalized.clone();
        let (n, count) = (self.config.learning.batch, codes.dim(0)?);
        let device = codes.device();
        let mut picked = Vec::with_capacity(n);
        for _ in 0..n {
            picked.push(self.draws.codes.index(count)? as u32);
        }
        let picked = codes.index_select(&Tensor::from_vec(picked, n, device)?, 0)?;
        let noise = standard_normal(&mut self.draws.noise, picked.dims(), DType::F32, device)?;
        let steps = uniform_timesteps(&mut self.draws.steps, &self.diffusion, n)?;
        let step = self
            .network
            .training_loss(&self.diffusion, &picked, &steps, &noise)?;
        let mut losses = Losses::default();
        losses.put("loss/noise", f64::from(step.loss.to_scalar::<f32>()?));
        losses.applied(self.trainer.descend(&step.loss, at)?);
        Ok(losses)
    }
}

fn latent_net(vb: &VarBuilder<'_>, cfg: &LatentConfig) -> Result<LatentNet> {
    Ok(LatentNet::new(&vb.pp("latent_net"), cfg)?)
}

impl Job for PriorJob {
    fn batch(&self) -> usize {
        self.config.learning.batch
    }

    fn step(&mut self, at: &Clock) -> JobResult<Losses> {
        if self.codes.is_none() {
            self.codes = Some(self.encode()?);
        }
        Ok(self.descend(at)?)
    }

    fn settings(&self) -> JobResult<serde_json::Value> {
        Ok(serde_json::to_value(&self.config)?)
    }

    fn save(&self, state: &mut State) -> JobResult<()> {
        let codes = self.codes()?;
        state.put("draws", &self.draws)?;
        state.put_tensor("codes", &codes.normalized)?;
        state.put_tensor("mean", &codes.statistics.mean)?;
        state.put_tensor("std", &codes.statistics.std)?;
        Ok(self.trainer.save(state)?)
    }

    fn restore(&mut self, state: &State) -> JobResult<()> {
        let device = self.trainer.device();
        self.draws = state.get("draws")?;
        self.codes = Some(Codes {
            normalized: state.tensor("codes", device)?,
            statistics: Statistics {
                mean: state.tensor("mean", device)?,
                std: state.tensor("std", device)?,
            },
        });
        Ok(self.trainer.restore(state)?)
    }

    fn writes(&self, name: &str) -> bool {
        Samples::writes(name)
    }

    fn tick(&mut self, at: &Clock, folder: &RunFolder) -> JobResult<Measures> {
        let name = Samples::name(&at.stamp(self.config.learning.batch));
        let psnr = self.samples.draw(&self.model(at)?, &folder.file(name))?;
        Ok(Measures {
            values: vec![("psnr/random noise".into(), psnr)],
            score: None,
        })
    }

    fn export(&self, at: &Clock, path: &Path) -> JobResult<()> {
        Ok(self.model(at)?.save(path, Overwrite::Replace)?)
    }
}

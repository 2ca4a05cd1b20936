//! The first stage: U-Net and encoder.

use std::path::Path;

use candle_core::{DType, Device};
use domex_data::source::PictureSource;
use domex_diffae::{Autoencoder, Config, Model, Overwrite, Tensors, init};
use domex_diffusion::{Diffusion, shift_timesteps, standard_normal, uniform_timesteps};
use domex_random::{Stream, Streams};
use domex_train::{Clock, Job, JobResult, Losses, Measures, RunFolder, State};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::pictures::{self, Samples};
use crate::order::Order;
use crate::trainer::{Learning, Trainer};
use crate::{Error, Result};

/// Settings of an autoencoder's training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AutoencoderConfig {
    /// The networks, without a latent prior.
    pub network: Config,
    /// How they learn.
    pub learning: Learning,
    /// How much more often noisy steps are drawn, by the formula of [`shift_timesteps`]; 1 for all equally often, as published.
    /// Where a picture is made in few steps, the noisy ones decide what of its code it shows.
    pub shift: f64,
    /// Sampling steps of a tick's pictures.
    pub steps: usize,
    /// Of weights, order of pictures, noise and steps.
    pub seed: u64,
}

/// An autoencoder in training. See [`super`].
pub struct AutoencoderJob {
    config: AutoencoderConfig,
    source: Box<dyn PictureSource>,
    order: Order,
    trainer: Trainer,
    /// On the trainer's variables.
    networks: Autoencoder,
    diffusion: Diffusion,
    draws: Draws,
    samples: Samples,
}

#[derive(Serialize, Deserialize)]
struct Draws {
    noise: Stream,
    steps: Stream,
}

impl AutoencoderJob {
    /// Networks, optimizer and streams at their beginning.
    ///
    /// # Errors
    ///
    /// Settings out of range; pictures of another size or number of colours than the settings say.
    pub fn new(
        config: AutoencoderConfig,
        source: Box<dyn PictureSource>,
        device: &Device,
    ) -> Result<Self> {
        let tensors = init::autoencoder(&config.network, config.seed, DType::F32, device)?;
        Self::from(tensors, config, source, device)
    }

    /// One that begins with trained networks, and with a new optimizer. A latent prior among them is left out: the codes that it was
    /// trained on change.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new), or tensors of other networks.
    pub fn from(
        mut tensors: Tensors,
        config: AutoencoderConfig,
        source: Box<dyn PictureSource>,
        device: &Device,
    ) -> Result<Self> {
        if config.network.latent.is_some() {
            let expected = "none: it is trained afterwards, on codes";
            return Err(Error::config("latent prior", "given", expected));
        }
        tensors.retain(|name, _| !name.starts_with("latent_net."));
        if !(config.shift.is_finite() && config.shift > 0.0) {
            let expected = "a number above 0";
            return Err(Error::config("shift of the steps", config.shift, expected));
        }
        pictures::check(&config.network, &*source)?;
        let trainer = Trainer::new(tensors, |_| false, config.learning, device)?;
        let networks = Autoencoder::from_tensors(&trainer.trainable_tensors(), &config.network)?;
        let streams = Streams::new(config.seed);
        Ok(Self {
            diffusion: config.network.diffusion.pictures()?,
            draws: Draws {
                noise: streams.stream("noise"),
                steps: streams.stream("steps"),
            },
            samples: Samples::new(&*source, &config.network, config.steps, device)?,
            order: Order::new(config.seed, source.len()),
            trainer,
            networks,
            source,
            config,
        })
    }

    /// The model with the averaged weights.
    ///
    /// # Errors
    ///
    /// candle's own.
    pub fn model(&self, at: &Clock) -> Result<Model> {
        let tensors = self.trainer.averaged_tensors();
        let mut model = Model::from_tensors(tensors, &self.config.network)?;
        model.provenance["training"] = json!({
            "images": at.images,
            "seconds": at.seconds,
            "data": self.source.describe(),
            "settings": self.config,
        });
        Ok(model)
    }

    fn descend(&mut self, at: &Clock) -> Result<Losses> {
        let n = self.config.learning.batch;
        let indices = at.images..at.images + n as u64;
        let indices: Vec<u64> = indices.map(|i| self.order.index(i)).collect();
        let channels = self.config.network.unet.in_channels;
        let device = self.trainer.device();
        let pictures = pictures::batch(&*self.source, &indices, channels, device)?;
        let noise = standard_normal(&mut self.draws.noise, pictures.dims(), DType::F32, device)?;
        let mut steps = uniform_timesteps(&mut self.draws.steps, &self.diffusion, n)?;
        shift_timesteps(&mut steps, &self.diffusion, self.config.shift);
        let step = self
            .networks
            .training_loss(&self.diffusion, &pictures, &steps, &noise)?;
        let mut losses = Losses::default();
        losses.put("loss/noise", f64::from(step.loss.to_scalar::<f32>()?));
        losses.applied(self.trainer.descend(&step.loss, at)?);
        Ok(losses)
    }
}

impl Job for AutoencoderJob {
    fn batch(&self) -> usize {
        self.config.learning.batch
    }

    fn step(&mut self, at: &Clock) -> JobResult<Losses> {
        Ok(self.descend(at)?)
    }

    fn settings(&self) -> JobResult<serde_json::Value> {
        Ok(serde_json::to_value(&self.config)?)
    }

    fn save(&self, state: &mut State) -> JobResult<()> {
        state.put("draws", &self.draws)?;
        Ok(self.trainer.save(state)?)
    }

    fn restore(&mut self, state: &State) -> JobResult<()> {
        self.draws = state.get("draws")?;
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

//! Training a teacher.

use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use domex_data::{grid::Grid, picture};
use domex_diffusion::{Diffusion, standard_normal, uniform_timesteps};
use domex_ops::upload;
use domex_random::{Stream, Streams};
use domex_teacher::{Config, Network, Teacher};
use domex_train::{Clock, Job, JobResult, Losses, Measures, RunFolder, State};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Texts, init};
use crate::feed::{Batch, Feed};
use crate::jitter::Jitter;
use crate::scenes::Scenes;
use crate::trainer::{Learning, Trainer};
use crate::{Error, Result};

/// Samples of each domain in a tick's grid, and how they are drawn.
const COLUMNS: usize = 4;
const STEPS: usize = 16;
const GUIDANCE: f64 = 2.0;

/// Scenes of a tick's measurement in a batch.
const BATCH: usize = 32;

/// Settings of a teacher's training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TeacherConfig {
    /// The network.
    pub network: Config,
    /// How it learns.
    pub learning: Learning,
    /// The domains that it is shown, the source first.
    pub domains: Vec<String>,
    /// The share of scenes of the first one; the others share the rest evenly.
    pub source_share: f64,
    /// The share of samples without a text.
    pub without_text: f64,
    /// Scenes of a tick's measurement.
    pub measured: usize,
    /// Of weights, scenes and noise.
    pub seed: u64,
}

impl TeacherConfig {
    /// The shipped recipe for `images` scenes of these domains, with texts of `text_dim` features.
    pub fn new(domains: Vec<String>, text_dim: usize, images: u64) -> Self {
        Self {
            network: Config::new(64, text_dim, &[64, 96, 128]),
            learning: Learning {
                images,
                batch: 32,
                lr: 1e-3,
                weight_decay: 0.0,
                longest_gradient: 1.0,
                ema_kimg: Some(3.0),
            },
            domains,
            source_share: 0.15,
            without_text: 0.12,
            measured: 256,
            seed: 0,
        }
    }
}

/// A teacher in training. See [`super`].
pub struct TeacherJob {
    config: TeacherConfig,
    scenes: Arc<dyn Scenes>,
    texts: Texts,
    process: Diffusion,
    trainer: Trainer,
    draws: Draws,
}

#[derive(Clone, Serialize, Deserialize)]
struct Draws {
    scenes: Stream,
    noise: Stream,
}

impl Draws {
    fn new(seed: u64, what: &str) -> Self {
        let streams = Streams::new(seed);
        Self {
            scenes: streams.stream(&format!("teacher {what} scenes")),
            noise: streams.stream(&format!("teacher {what} noise")),
        }
    }
}

/// Scenes with their noise and their texts.
struct Noisy {
    pixels: Tensor,
    steps: Vec<usize>,
    noise: Tensor,
    texts: Tensor,
}

impl TeacherJob {
    /// A new one, with the texts of its domains.
    ///
    /// # Errors
    ///
    /// Settings out of range, or texts of another size than the network's.
    pub fn new(
        config: TeacherConfig,
        scenes: Arc<dyn Scenes>,
        texts: Texts,
        device: &Device,
    ) -> Result<Self> {
        if texts.dim() != config.network.text_dim {
            let expected = format!("{}, as the network's", config.network.text_dim);
            return Err(Error::config("features of a text", texts.dim(), expected));
        }
        if texts.domains() < 2 {
            let expected = "the source and at least one other";
            return Err(Error::config(
                "domains of the teacher",
                texts.domains(),
                expected,
            ));
        }
        let tensors = init(&config.network, config.seed)?;
        Ok(Self {
            trainer: Trainer::new(tensors, |_| false, config.learning, device)?,
            process: config.network.process()?,
            draws: Draws::new(config.seed, "training"),
            config,
            scenes,
            texts,
        })
    }

    /// The averaged network.
    ///
    /// # Errors
    ///
    /// candle's own.
    pub fn teacher(&self) -> Result<Teacher> {
        let network = Network::new(&self.trainer.averaged(), &self.config.network)?;
        Ok(Teacher::new(network, self.texts.probe().clone())?)
    }

    /// The next `n` scenes.
    fn next(&self, n: usize, draws: &mut Draws) -> Result<Noisy> {
        let device = self.trainer.device();
        let stream = &mut draws.scenes;
        let (mut plan, mut texts) = (Vec::with_capacity(n), Vec::new());
        for _ in 0..n {
            let place = match stream.uniform_f64() < self.config.source_share {
                true => 0,
                false => 1 + stream.index(self.texts.domains() - 1)?,
            };
            plan.push((self.texts.domain(place), stream.next_u64()));
            let without = stream.uniform_f64() < self.config.without_text;
            let text = self.texts.draw(place, stream)?;
            texts.extend(text.iter().map(|x| if without { 0.0 } else { *x }));
        }
        let feed = Feed {
            size: self.config.network.size() as u32,
            source_share: self.config.source_share,
            jitter: Jitter::NONE,
        };
        let Batch { pixels, .. } = feed.render(&*self.scenes, plan, device)?;
        let noise = &mut draws.noise;
        let texts = Tensor::from_vec(texts, (n, self.texts.dim()), &Device::Cpu)?;
        Ok(Noisy {
            steps: uniform_timesteps(noise, &self.process, n)?,
            noise: standard_normal(noise, pixels.dims(), DType::F32, device)?,
            texts: upload(&texts, device)?,
            pixels,
        })
    }

    /// The mean square between the velocity that `network` predicts and the true one.
    fn loss(&self, network: &Network, batch: &Noisy) -> Result<Tensor> {
        let (x0, steps, noise) = (&batch.pixels, &batch.steps, &batch.noise);
        let predict = |x: &Tensor, t: &[f64]| network.velocity(x, t, &batch.texts);
        let compared: domex_teacher::Result<_> =
            self.process.velocity_loss(x0, steps, noise, predict);
        Ok(compared?.loss)
    }

    fn descend(&mut self, at: &Clock) -> Result<Losses> {
        let mut draws = self.draws.clone();
        let batch = self.next(self.config.learning.batch, &mut draws)?;
        self.draws = draws;
        let network = Network::new(&self.trainer.trainable(), &self.config.network)?;
        let loss = self.loss(&network, &batch)?;
        let mut losses = Losses::default();
        losses.put("loss", f64::from(loss.to_scalar::<f32>()?));
        losses.applied(self.trainer.descend(&loss, at)?);
        Ok(losses)
    }

    /// The loss of the averaged network on scenes that are the same at every tick.
    fn measure(&self) -> Result<f64> {
        let network = Network::new(&self.trainer.averaged(), &self.config.network)?;
        let mut draws = Draws::new(self.config.seed, "measurement");
        let batches = self.config.measured.div_ceil(BATCH).max(1);
        let mut sum = 0.0;
        for _ in 0..batches {
            let batch = self.next(BATCH, &mut draws)?;
            sum += f64::from(self.loss(&network, &batch)?.to_scalar::<f32>()?);
        }
        Ok(sum / batches as f64)
    }

    /// Samples of every domain, a row each.
    fn grid(&self, path: &Path) -> Result<()> {
        let (teacher, device) = (self.teacher()?, self.trainer.device());
        let size = self.config.network.size();
        let mut stream = Streams::new(self.config.seed).stream("teacher samples");
        let texts = self.texts.plainest(COLUMNS, device)?;
        let mut pictures = Vec::new();
        for row in 0..self.texts.domains() {
            let noise =
                standard_normal(&mut stream, &[COLUMNS, 3, size, size], DType::F32, device)?;
            let text = texts.narrow(0, row * COLUMNS, COLUMNS)?;
            let drawn = teacher.sample(&noise, &text, STEPS, GUIDANCE)?;
            pictures.extend(picture::to_rgb(&drawn)?);
        }
        let grid = Grid::new(COLUMNS).row_labels(self.config.domains.iter().cloned());
        Ok(picture::write_png(path, &grid.draw(&pictures)?)?)
    }
}

impl Job for TeacherJob {
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

    fn tick(&mut self, at: &Clock, folder: &RunFolder) -> JobResult<Measures> {
        let name = format!("samples{}.png", at.stamp(self.config.learning.batch));
        self.grid(&folder.file(name))?;
        let loss = self.measure()?;
        Ok(Measures {
            values: vec![("loss/fresh".to_owned(), loss)],
            score: Some(loss),
        })
    }

    fn writes(&self, name: &str) -> bool {
        name.starts_with("samples") && name.ends_with(".png")
    }

    fn export(&self, at: &Clock, path: &Path) -> JobResult<()> {
        let provenance = json!({ "settings": self.config, "images": at.images });
        Ok(domex_teacher::write(
            path,
            &self.config.network,
            &self.trainer.averaged_tensors(),
            self.texts.probe(),
            &provenance,
        )?)
    }
}

//! The job of a run.

use std::path::Path;

use candle_core::Device;
use domex_data::{grid::Grid, picture};
use domex_encoder::{Config, Directions, Encoder, FIXED};
use domex_lpips::Lpips;
use domex_random::{Stream, Streams};
use domex_stylegan2::Model;
use domex_train::memory::Held;
use domex_train::{Clock, Job, JobResult, Losses, Measures, RunFolder, State};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::latents::Source;
use crate::init::{Begin, draw};
use crate::losses::psnr;
use crate::trainer::{self, Learning, Trainer};
use crate::{Error, Result};

/// Pictures in a tick's grid.
const COLUMNS: usize = 8;

/// Settings of an encoder's training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderConfig {
    /// The network.
    pub network: Config,
    /// How it learns.
    pub learning: Learning,
    /// The share of a batch whose predicted latents become pictures.
    pub pictured: f64,
    /// Weight of their perceptual distance.
    pub perceptual: f64,
    /// Weight of their mean square difference.
    pub squares: f64,
    /// Pictures in a tick's measurement.
    pub measured: usize,
    /// Of weights and latents.
    pub seed: u64,
}

impl EncoderConfig {
    /// The shipped recipe for `images` pictures of a generator.
    ///
    /// # Errors
    ///
    /// A generator of grey or of tiny pictures.
    pub fn new(model: &Model, images: u64) -> Result<Self> {
        let directions = Source::new(model)?.directions(model)?;
        Ok(Self {
            network: Config::new(model.generator(), directions.count()?)?,
            learning: Learning {
                images,
                batch: 16,
                lr: 2e-3,
                weight_decay: 1e-2,
                longest_gradient: 5.0,
                ema_kimg: Some(3.0),
            },
            pictured: 0.25,
            perceptual: 2.0,
            squares: 4.0,
            measured: 64,
            seed: 0,
        })
    }

    fn validate(&self) -> Result<()> {
        if !(0.0..=1.0).contains(&self.pictured) {
            let expected = "from 0 to 1";
            return Err(Error::config(
                "share of pictured latents",
                self.pictured,
                expected,
            ));
        }
        let weights = [self.perceptual, self.squares];
        if let Some(bad) = weights.into_iter().find(|w| !(w.is_finite() && *w >= 0.0)) {
            return Err(Error::config(
                "weight of the encoder's loss",
                bad,
                "0 or more",
            ));
        }
        Ok(())
    }
}

/// An encoder in training. See [`super`].
pub struct EncoderJob {
    config: EncoderConfig,
    source: Source,
    directions: Directions,
    perceptual: Lpips,
    trainer: Trainer,
    stream: Stream,
}

impl EncoderJob {
    /// A new one, for a model and with the perceptual network that tells its pictures apart.
    ///
    /// # Errors
    ///
    /// Settings out of range, or those of another generator.
    pub fn new(
        config: EncoderConfig,
        model: &Model,
        perceptual: Lpips,
        device: &Device,
    ) -> Result<Self> {
        config.validate()?;
        let source = Source::new(model)?;
        let directions = source.directions(model)?;
        let wanted = Config {
            size: config.network.size,
            widths: config.network.widths,
            ..Config::new(model.generator(), directions.count()?)?
        };
        if wanted != config.network {
            let expected = "those of this generator";
            return Err(Error::config(
                "encoder",
                "settings of another generator",
                expected,
            ));
        }
        let network = config.network.clone();
        let mut tensors = draw(config.seed, begin, |vb| Encoder::new(vb, &network))?;
        tensors.insert(FIXED[0].to_owned(), directions.mean.clone());
        tensors.insert(FIXED[1].to_owned(), directions.directions.clone());
        let directions = Directions {
            mean: directions.mean.to_device(device)?,
            directions: directions.directions.to_device(device)?,
        };
        Ok(Self {
            trainer: Trainer::new(
                tensors,
                |name| FIXED.contains(&name),
                config.learning,
                device,
            )?,
            stream: Streams::new(config.seed).stream("encoder latents"),
            config,
            source,
            directions,
            perceptual,
        })
    }

    /// The averaged network.
    ///
    /// # Errors
    ///
    /// candle's own.
    pub fn encoder(&self) -> Result<Encoder> {
        Ok(Encoder::new(
            &self.trainer.averaged(),
            &self.config.network,
        )?)
    }

    fn descend(&mut self, at: &Clock) -> Result<Losses> {
        let n = self.config.learning.batch;
        let w = self.source.draw(n, &mut self.stream)?;
        let pictures = self.source.pictures(&w)?.detach();
        let encoder = Encoder::new(&self.trainer.trainable(), &self.config.network)?;
        let found = encoder.coordinates(&pictures)?;
        let wanted = self.directions.coordinates(&w)?;
        let mut loss = (&found - &wanted)?.sqr()?.mean_all()?;
        let mut losses = Losses::default();
        losses.put("loss/latent", f64::from(loss.to_scalar::<f32>()?));

        let some = (n as f64 * self.config.pictured).round() as usize;
        if some > 0 {
            let wanted = pictures.narrow(0, 0, some)?;
            let made = self
                .source
                .pictures(&encoder.latents(&found.narrow(0, 0, some)?)?)?;
            let seen = self.perceptual.features(&wanted)?.detach();
            let apart = self
                .perceptual
                .between(&seen, &self.perceptual.features(&made)?)?;
            let (apart, square) = (apart.mean_all()?, (&made - &wanted)?.sqr()?.mean_all()?);
            losses.put("loss/perceptual", f64::from(apart.to_scalar::<f32>()?));
            losses.put("loss/squares", f64::from(square.to_scalar::<f32>()?));
            let pictured = ((apart * self.config.perceptual)? + (square * self.config.squares)?)?;
            loss = (loss + pictured)?;
        }
        losses.applied(self.trainer.descend(&loss, at)?);
        Ok(losses)
    }

    /// Mean distance, noise ratio and error of coordinates of fresh pictures; the first ones and those found are drawn.
    fn measure(&self, path: &Path) -> Result<(f64, f64, f64)> {
        let encoder = self.encoder()?;
        let mut stream = Streams::new(self.config.seed).stream("encoder measurement");
        let count = self.config.measured.max(COLUMNS);
        let (mut apart, mut ratio, mut error) = (0.0, 0.0, 0.0);
        for start in (0..count).step_by(COLUMNS) {
            let w = self.source.draw(COLUMNS.min(count - start), &mut stream)?;
            let pictures = self.source.pictures(&w)?.detach();
            let coordinates = encoder.coordinates(&pictures)?;
            let made = self
                .source
                .pictures(&encoder.latents(&coordinates)?)?
                .detach();
            let part = w.dim(0)? as f64 / count as f64;
            let distance = self.perceptual.distance(&pictures, &made)?.mean_all()?;
            let off = (coordinates - self.directions.coordinates(&w)?)?
                .sqr()?
                .mean_all()?;
            apart += part * f64::from(distance.to_scalar::<f32>()?);
            ratio += part * psnr(&pictures, &made)?;
            error += part * f64::from(off.to_scalar::<f32>()?);
            if start == 0 {
                let mut cells = picture::to_rgb(&pictures)?;
                cells.extend(picture::to_rgb(&made)?);
                let grid = Grid::new(COLUMNS).row_labels(["given", "found"]);
                picture::write_png(path, &grid.draw(&cells)?)?;
            }
        }
        Ok((apart, ratio, error))
    }
}

fn begin(name: &str, shape: &[usize]) -> Begin {
    match shape {
        [_] if name.contains("norm") && name.ends_with("weight") => Begin::Constant(1.0),
        [_] => Begin::Constant(0.0),
        _ if name.starts_with("head") => Begin::scaled(0.1, shape),
        _ => Begin::scaled(2f64.sqrt(), shape),
    }
}

impl Job for EncoderJob {
    fn batch(&self) -> usize {
        self.config.learning.batch
    }

    fn held(&self) -> Option<Held> {
        trainer::held(&self.source.generator, self.batch())
    }

    fn step(&mut self, at: &Clock) -> JobResult<Losses> {
        Ok(self.descend(at)?)
    }

    fn settings(&self) -> JobResult<Json> {
        let mut settings = serde_json::to_value(&self.config)?;
        // A run may be made longer.
        settings["learning"]["images"] = Json::Null;
        Ok(settings)
    }

    fn save(&self, state: &mut State) -> JobResult<()> {
        state.put("latents", &self.stream)?;
        Ok(self.trainer.save(state)?)
    }

    fn restore(&mut self, state: &State) -> JobResult<()> {
        self.stream = state.get("latents")?;
        Ok(self.trainer.restore(state)?)
    }

    fn tick(&mut self, at: &Clock, folder: &RunFolder) -> JobResult<Measures> {
        let name = format!("found{}.png", at.stamp(self.batch()));
        let (distance, psnr, error) = self.measure(&folder.file(name))?;
        let values = [
            ("distance", distance),
            ("psnr", psnr),
            ("error of coordinates", error),
        ];
        Ok(Measures {
            values: values
                .map(|(name, value)| (name.to_owned(), value))
                .to_vec(),
            score: Some(distance),
        })
    }

    fn writes(&self, name: &str) -> bool {
        name.starts_with("found") && name.ends_with(".png")
    }

    fn export(&self, at: &Clock, path: &Path) -> JobResult<()> {
        let provenance = json!({ "settings": self.config, "images": at.images });
        Ok(domex_encoder::write(
            path,
            &self.config.network,
            &self.trainer.averaged_tensors(),
            &provenance,
        )?)
    }
}

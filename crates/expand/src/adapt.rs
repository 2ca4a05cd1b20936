//! Adaptation: a whole generator for one domain, as StyleGAN-NADA makes it (Gal et al. 2021, arXiv 2108.00946).
//!
//! What an expansion is compared with. The same latents go through the generator that is trained and through the source,
//! and the methods see both pictures; nothing holds the rest of the latent space, because nothing of it is kept.

use std::path::Path;

use candle_core::{Device, Tensor};
use domex_nada::{Guide, Task};
use domex_random::{Stream, Streams};
use domex_replay::latents;
use domex_stylegan2::{Model, Noise, Overwrite};
use domex_train::{Clock, Job, JobResult, Losses, Measures, RunFolder, State};
use serde_json::json;

use crate::job::{check_channels, nada};
use crate::layers::Layers;
use crate::method::{Method, Samples};
use crate::networks::Networks;
use crate::phases::{apply_but, normal, number};
use crate::{Config, NadaMethod, Result, TaskSpec};

/// An adaptation in progress.
pub struct Adapt {
    config: Config,
    networks: Networks,
    method: NadaMethod,
    layers: Option<Layers>,
    latents: Stream,
    noise: Stream,
    draws: Stream,
    device: Device,
    provenance: serde_json::Value,
}

/// Keys of a snapshot.
const STREAMS: &str = "streams";

impl Adapt {
    /// At its beginning. Of the settings, those of the batch, the optimiser, the average, the CLIP terms without textures
    /// and the layers count; all networks look at the task.
    ///
    /// # Errors
    ///
    /// Settings out of range, a model of other colours than RGB, a task that CLIP cannot read, or one in pictures.
    pub fn new(
        config: Config,
        model: &Model,
        task: &TaskSpec,
        guides: Vec<Guide>,
        cache: Option<&Path>,
        seed: u64,
    ) -> Result<Self> {
        config.validate()?;
        let streams = Streams::new(seed);
        check_channels(model)?;
        let nada = nada(&config, guides, None)?;
        let tasks = nada.prepare(&[Task::texts(&task.source, &task.target)], cache)?;
        let networks = Networks::new(model, &config, false)?;
        let method = NadaMethod { nada, tasks };
        let layers = config.adaptive_layers;
        let layers = layers.map(|layers| Layers::new(layers, &method, &networks.g, &streams));
        Ok(Self {
            networks,
            layers: layers.transpose()?,
            method,
            latents: streams.stream("latents"),
            noise: streams.stream("noise"),
            draws: streams.stream("methods"),
            device: model.g_ema.synthesis().device().clone(),
            provenance: json!({ "source": model.provenance, "task": task }),
            config,
        })
    }

    /// The adapted model as it is now.
    #[must_use]
    pub fn model(&self) -> Model {
        let mut model = Model::new(self.networks.g_ema.clone());
        model.provenance["adaptation"] = self.provenance.clone();
        model
    }

    /// Base pictures without a graph, and those of the generator that is trained.
    fn pictures(&mut self) -> Result<(Tensor, Tensor)> {
        let Networks { source, g, .. } = &self.networks;
        let dims = [self.config.batch, g.config().z_dim()];
        let z = normal(&mut self.latents, &dims, &self.device)?;
        let w = source.mapping().forward(Some(&z), None)?.detach();
        let ws = latents::plain(g, &w)?;
        let base = source
            .synthesis()
            .forward(&ws, Noise::Random(&mut self.noise))?;
        let adapted = g.synthesis().forward(&ws, Noise::Random(&mut self.noise))?;
        Ok((base.detach(), adapted))
    }

    fn descend(&mut self, at: &Clock) -> Result<Losses> {
        let mut losses = Losses::default();
        self.networks.slow_down(at.cooled(self.config.cooldown));
        let frozen = match &mut self.layers {
            None => Vec::new(),
            Some(layers) => {
                let parameters = &self.networks.g_parameters;
                layers.frozen(&[0], |w, _| Ok(w), parameters, &mut losses)?
            }
        };
        let (base, adapted) = self.pictures()?;
        let n = self.config.batch;
        let samples = Samples {
            tasks: &vec![0; n],
            base: &base,
            edited: &adapted,
            targets: None,
        };
        let loss = (self.method.loss(&samples, &mut self.draws)?.total / n as f64)?;
        losses.put("loss/expand", number(&loss)?);
        apply_but(&mut self.networks.adam_g, &loss, 1.0, &frozen, &mut losses)?;
        self.networks.ema.update(n, at.images)?;
        Ok(losses)
    }
}

impl Job for Adapt {
    fn batch(&self) -> usize {
        self.config.batch
    }

    fn step(&mut self, at: &Clock) -> JobResult<Losses> {
        Ok(self.descend(at)?)
    }

    fn save(&self, state: &mut State) -> JobResult<()> {
        self.networks.save(state)?;
        if let Some(layers) = &self.layers {
            layers.save(state)?;
        }
        Ok(state.put(STREAMS, &(&self.latents, &self.noise, &self.draws))?)
    }

    fn restore(&mut self, state: &State) -> JobResult<()> {
        self.networks.restore(state, &self.device)?;
        (self.latents, self.noise, self.draws) = state.get(STREAMS)?;
        if let Some(layers) = &mut self.layers {
            layers.restore(state)?;
        }
        Ok(())
    }

    fn tick(&mut self, _: &Clock, _: &RunFolder) -> JobResult<Measures> {
        Ok(Measures::default())
    }

    fn export(&self, _: &Clock, path: &Path) -> JobResult<()> {
        Ok(self.model().save(path, Overwrite::Replace)?)
    }
}

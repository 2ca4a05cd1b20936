//! The trainee.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use domex_data::source::PictureSource;
use domex_diffae::{Autoencoder, Model, Overwrite, Tensors};
use domex_diffusion::{Diffusion, standard_normal, uniform_timesteps};
use domex_error::AnyError;
use domex_expand::trainee::{PictureGroups, in_one_batch};
use domex_expand::{Config, Error, Noise, Result, SourceStep, Trainee, Weights};
use domex_latent::modulation::Modulator;
use domex_latent::{Expansion, Generator};
use domex_random::{Stream, Streams};
use domex_train::accumulate::Accumulator;
use domex_train::{Parameters, State};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use crate::chain::Chain;
use crate::codes::Codes;
use crate::network::Network;
use crate::pictures::Pictures;
use crate::settings::SourceConfig;

/// A Diffusion Autoencoder that is expanded. See the [crate's docs](crate).
pub struct DiffAe {
    live: Network,
    live_frozen: Network,
    averaged: Network,
    source: Network,
    chain: Chain,
    /// As trained, for the source's loss.
    process: Diffusion,
    pictures: Option<Pictures>,
    settings: SourceConfig,
    streams: Purposes,
}

/// One stream for each purpose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Purposes {
    pictures: Stream,
    steps: Stream,
}

impl Purposes {
    /// Streams that go their own way from here.
    fn fork(&mut self) -> Self {
        Self {
            pictures: self.pictures.fork(),
            steps: self.steps.fork(),
        }
    }
}

/// Key of a snapshot.
const STREAMS: &str = "source streams";

impl DiffAe {
    /// The model at its beginning. `pictures` of its source domain are used where `config` weighs its own training, and where
    /// the model has no latent prior.
    ///
    /// # Errors
    ///
    /// Settings out of range, such as more sampling steps than the model was trained with; pictures of another size or none at
    /// all; a model without a latent prior and no pictures to take codes of.
    pub fn new(
        model: &Model,
        config: &Config,
        pictures: Option<Box<dyn PictureSource>>,
        seed: u64,
    ) -> Result<Self> {
        let settings = SourceConfig::read(&config.source).map_err(|problem| {
            setting(
                "settings of the source",
                problem,
                "those of a diffusion autoencoder",
            )
        })?;
        let side = model.config().unet.image_size;
        let pictures = pictures.map(|pictures| Pictures::new(pictures, side));
        let pictures = pictures.transpose()?;
        let chain = Chain::new(model.config(), settings.steps, settings.gradient_steps);
        let chain = chain.map_err(own)?;
        let mut model = frozen(model)?;
        model.steps = settings.steps;
        let has_prior = model.networks.latent_net.is_some() && model.statistics.is_some();
        let codes = match (has_prior, &pictures) {
            (true, _) => None,
            (false, Some(pictures)) => Some(Codes::of(&model, pictures, settings.codes)?),
            (false, None) => {
                return Err(setting(
                    "latent prior of the model",
                    "none",
                    "one, or pictures of its source domain (--data) to take codes of",
                ));
            }
        };
        let streams = Streams::new(seed);
        let source = Network { model, codes };
        Ok(Self {
            chain,
            process: source.model.config().diffusion.pictures().map_err(own)?,
            live: source.clone(),
            live_frozen: source.clone(),
            averaged: source.clone(),
            pictures: pictures.filter(|_| settings.src > 0.0),
            streams: Purposes {
                pictures: streams.stream("pictures"),
                steps: streams.stream("steps of the source"),
            },
            source,
            settings,
        })
    }

    fn network(&self, weights: Weights) -> &Network {
        match weights {
            Weights::Live => &self.live,
            Weights::Frozen => &self.live_frozen,
            Weights::Averaged => &self.averaged,
            Weights::Source => &self.source,
        }
    }

    /// The noise that pictures of `n` latents begin with.
    fn noise(&self, n: usize, noise: Noise<'_>) -> Result<Tensor> {
        let model = &self.source.model;
        let fixed = model.fixed_noise().map_err(own)?;
        let (_, c, h, w) = fixed.dims4()?;
        match noise {
            Noise::Fixed => Ok(fixed.broadcast_as((n, c, h, w))?.contiguous()?),
            // One for all pictures of a sample: the second stream is not drawn from.
            Noise::Fresh { live, .. } => {
                standard_normal(live, &[n, c, h, w], model.dtype(), model.device()).map_err(own)
            }
        }
    }

    /// Adds the source's loss on `n` pictures.
    fn source_pass(
        &mut self,
        n: usize,
        step: &mut SourceStep<'_>,
        sum: &mut Accumulator,
    ) -> Result<()> {
        let Some(pictures) = &self.pictures else {
            return Ok(());
        };
        let device: Device = self.source.device().clone();
        let pictures = pictures.draw(n, &mut self.streams.pictures, &device)?;
        let codes = self.source.model.encode(&pictures).map_err(own)?.detach();
        let base = step.subspaces.project(&codes, Some(&self.mean()?))?;
        let noise = standard_normal(step.noise, pictures.dims(), DType::F32, &device);
        let steps = uniform_timesteps(&mut self.streams.steps, &self.process, n);
        let (noise, steps) = (noise.map_err(own)?, steps.map_err(own)?);
        let networks = &self.live.model.networks;
        let loss = networks
            .loss_with_codes(&self.process, &pictures, &base, &steps, &noise)
            .map_err(own)?
            .loss;
        let share = n as f64 / step.batch as f64;
        Ok(sum.add("loss/noise", &loss, share, self.settings.src)?)
    }
}

impl Trainee for DiffAe {
    fn kind(&self) -> &'static str {
        domex_diffae::model::KIND
    }

    fn generator(&self, weights: Weights) -> &dyn Generator {
        self.network(weights)
    }

    fn expansion(&self) -> Option<&Expansion> {
        self.source.model.expansion.as_ref()
    }

    fn distance(&self) -> Result<f64> {
        let statistics = match &self.source.codes {
            Some(codes) => &codes.statistics,
            None => self.source.model.statistics().map_err(own)?,
        };
        statistics.spread().map_err(own)
    }

    fn train_weights(&mut self) -> Result<Parameters> {
        let model = &self.source.model;
        let spec = Autoencoder::spec(model.config()).map_err(own)?;
        let (mut vars, mut live) = spec.trainable(model.tensors()).map_err(own)?;
        vars.retain(|name, _| is_of_unet(name) && self.settings.trains.takes(name));
        for (name, tensor) in &mut live {
            if !vars.contains_key(name) {
                *tensor = tensor.detach();
            }
        }
        let constants: Tensors = live
            .iter()
            .map(|(name, tensor)| (name.clone(), tensor.detach()))
            .collect();
        let with = |tensors| model.with_tensors(tensors).map_err(own);
        let (live, constants) = (with(live)?, with(constants)?);
        self.live = self.source.with_model(live);
        self.live_frozen = self.source.with_model(constants);
        Ok(Parameters::new(vars))
    }

    fn average_weights(&mut self, averages: &BTreeMap<String, Tensor>) -> Result<()> {
        let mut tensors = self.source.model.tensors().clone();
        tensors.extend(averages.clone());
        let averaged = self.source.model.with_tensors(tensors).map_err(own)?;
        self.averaged = self.source.with_model(averaged);
        Ok(())
    }

    /// All layers that act on a code read the same one.
    fn row_of(&self, weight: &str) -> Option<usize> {
        weight.contains(".cond_emb_layers.").then_some(0)
    }

    /// Nothing asks for it: this kind has no [layers](Trainee::layers) that could be modulated.
    fn modulate(&mut self, _: Arc<dyn Modulator>, _: Arc<dyn Modulator>) {}

    fn mean(&self) -> Result<Tensor> {
        Ok(self.source.mean()?)
    }

    fn draw_latents(
        &mut self,
        n: usize,
        _: Option<&Tensor>,
        stream: &mut Stream,
    ) -> Result<Tensor> {
        let dims = [n, self.source.noise_dim()];
        let (dtype, device) = (self.source.dtype(), self.source.device());
        let z = standard_normal(stream, &dims, dtype, device).map_err(own)?;
        Ok(self.source.map(&z, None)?.detach())
    }

    fn pictures(
        &self,
        weights: Weights,
        latents: &[&Tensor],
        source: &[&Tensor],
        noise: Noise<'_>,
    ) -> Result<(PictureGroups, PictureGroups)> {
        let counts = latents.iter().chain(source).map(|group| group.dim(0));
        let counts = counts.collect::<candle_core::Result<Vec<_>>>()?;
        let noise = self.noise(counts.into_iter().max().unwrap_or(0), noise)?;
        let network = &self.network(weights).model.networks.unet;
        // Only the live network's weights have a graph.
        let constant = match weights {
            Weights::Live => &self.live_frozen.model.networks.unet,
            _ => network,
        };
        let unet = &self.source.model.networks.unet;
        Ok((
            groups(latents, &noise, |z, x_t| {
                self.chain.pictures(network, constant, z, x_t)
            })?,
            groups(source, &noise, |z, x_t| {
                self.chain.pictures(unet, unet, z, x_t)
            })?,
        ))
    }

    fn trains_source(&self) -> bool {
        self.pictures.is_some()
    }

    /// The loss that the autoencoder was trained with, on pictures whose codes are projected onto the base subspace.
    fn source_phases(&mut self, mut step: SourceStep<'_>) -> Result<()> {
        let mut sum = Accumulator::shared(step.team, step.passes.len()).of(step.optimizer);
        for (index, n) in step.passes.clone().into_iter().enumerate() {
            let work = |own: &mut Self, step: &mut SourceStep<'_>| match sum.begin(index) {
                true => own.source_pass(n, step, &mut sum),
                false => Ok(()),
            };
            step.pass(self, |own| &mut own.streams, Purposes::fork, work)?;
        }
        Ok(sum.apply(step.optimizer, &[], step.losses)?)
    }

    fn save(&self, state: &mut State) -> Result<()> {
        Ok(state.put(STREAMS, &self.streams)?)
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        self.streams = state.get(STREAMS)?;
        Ok(())
    }

    fn export(
        &self,
        expansion: Option<Expansion>,
        made: Map<String, Json>,
        path: &Path,
    ) -> Result<()> {
        let mut model = self.averaged.model.clone();
        if let (None, Some(codes)) = (&model.statistics, &self.source.codes) {
            let statistics = Some(codes.statistics.clone());
            model.set_statistics(statistics).map_err(own)?;
        }
        model.averaged = true;
        model.expansion = expansion;
        model.provenance = json!({
            "program": model.provenance["program"],
            "source": self.source.model.provenance,
        });
        for (key, value) in made {
            model.provenance[key] = value;
        }
        model.save(path, Overwrite::Replace).map_err(own)
    }
}

/// Pictures of all groups in one batch, row `i` of each from the same noise.
fn groups(
    latents: &[&Tensor],
    noise: &Tensor,
    make: impl FnOnce(&Tensor, &Tensor) -> domex_diffae::Result<Tensor>,
) -> Result<PictureGroups> {
    in_one_batch(latents, |all| {
        let noises = latents.iter().map(|z| noise.narrow(0, 0, z.dim(0)?));
        let noises = noises.collect::<candle_core::Result<Vec<_>>>()?;
        make(all, &Tensor::cat(&noises, 0)?).map_err(own)
    })
}

/// The model with constants for weights.
fn frozen(model: &Model) -> Result<Model> {
    let constants = model.tensors().iter();
    let constants = constants.map(|(name, tensor)| (name.clone(), tensor.detach()));
    model.with_tensors(constants.collect()).map_err(own)
}

/// Whether a tensor is the decoder's: what an expansion trains.
fn is_of_unet(name: &str) -> bool {
    !name.starts_with("encoder.") && !name.starts_with("latent_net.")
}

/// An error of the networks.
pub(crate) fn own(error: impl Into<AnyError>) -> Error {
    Error::trainee(error)
}

pub(crate) fn setting(what: &str, found: impl std::fmt::Display, expected: &str) -> Error {
    Error::Setting {
        what: what.to_owned(),
        found: found.to_string(),
        expected: expected.to_owned(),
    }
}

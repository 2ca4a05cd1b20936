//! The trainee.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use domex_data::source::PictureSource;
use domex_error::AnyError;
use domex_expand::trainee::{PictureGroups, in_one_batch};
use domex_expand::{
    Config, Error, Noise, Opinion, ParametrisationKind, Result, SourceStep, Trainee, Weights,
};
use domex_gan::{frozen, latents};
use domex_latent::Expansion;
use domex_latent::modulation::{Layer, Modulator};
use domex_ops::upload;
use domex_random::{Stream, Streams};
use domex_stylegan2::{
    self as stylegan2, Discriminator, Generator, Model, Overwrite, mapping::broadcast,
};
use domex_train::adam::AdamConfig;
use domex_train::lazy::Lazy;
use domex_train::{Parameters, State};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::adversarial::{Adversarial, Data};
use crate::networks::{Adversary, Reals, activations};
use crate::phase::{self, Phase};
use crate::settings::SourceConfig;

/// How far along its direction a domain lies in W, as published.
pub const DISTANCE: f64 = 20.0;

/// A StyleGAN2 that is expanded. See the [crate's docs](crate).
pub struct StyleGan2 {
    pub(crate) live: Generator,
    live_frozen: Generator,
    averaged: Generator,
    source: Generator,
    /// Whether weights are trained, and the running mean of w moves as in any training. Beside vectors both stay the source's.
    trains_weights: bool,
    /// As the model's file has it.
    discriminator: Option<Discriminator>,
    adversary: Option<Adversary>,
    reals: Option<Reals>,
    pub(crate) settings: SourceConfig,
    pub(crate) streams: Purposes,
    /// Running mean of the path length, a scalar.
    pub(crate) mean_length: Tensor,
    expansion: Option<Expansion>,
    provenance: Json,
}

/// One stream for each purpose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Purposes {
    pub(crate) mixing: Stream,
    pub(crate) direction: Stream,
    pictures: Stream,
    labels: Stream,
}

/// Keys of a snapshot.
const STREAMS: &str = "source streams";
const MEAN: &str = "mean_w";
pub(crate) const MEAN_LENGTH: &str = "mean_path_length";

impl StyleGan2 {
    /// The model at its beginning. `pictures` of its source domain are used where `config` weighs its own training, the base
    /// subspace moves and the model has a discriminator.
    ///
    /// # Errors
    ///
    /// Settings out of range, pictures of another size or none at all, or a weight of the discriminator's opinion where
    /// there is no discriminator.
    pub fn new(
        model: &Model,
        config: &Config,
        pictures: Option<Box<dyn PictureSource>>,
        seed: u64,
    ) -> Result<Self> {
        let settings = SourceConfig::read(&config.source)
            .map_err(|problem| setting("settings of the source", problem, "those of StyleGAN2"))?;
        let side = model.config().synthesis.img_resolution;
        let labels = model.config().c_dim();
        let reals = pictures
            .map(|pictures| Reals::new(pictures, side, labels, config.class))
            .transpose()?;
        refuse_both(&settings, config)?;
        let adversarial = reals.is_some() && Adversary::trains(&settings, config);
        let given = model.discriminator.as_ref();
        let (discriminator, adversary) = Adversary::of(given, &settings, config, adversarial)?;
        let streams = Streams::new(seed);
        let mut g = model.g_ema.clone();
        g.synthesis_mut().set_activations(activations(config));
        Ok(Self {
            live: frozen::generator(&g).map_err(own)?,
            live_frozen: frozen::generator(&g).map_err(own)?,
            averaged: frozen::generator(&g).map_err(own)?,
            source: frozen::generator(&g).map_err(own)?,
            trains_weights: false,
            discriminator,
            adversary,
            reals: reals.filter(|_| adversarial),
            mean_length: Tensor::zeros((), DType::F32, g.synthesis().device())?,
            streams: Purposes {
                mixing: streams.stream("style mixing"),
                direction: streams.stream("path length direction"),
                pictures: streams.stream("pictures"),
                labels: streams.stream("labels"),
            },
            expansion: model.expansion.clone(),
            provenance: model.provenance.clone(),
            settings,
        })
    }

    pub(crate) fn device(&self) -> &Device {
        self.live.synthesis().device()
    }

    /// Tells all who measure from the mean where it is now.
    fn mean_moved(&self) -> Result<()> {
        let synthesis = [self.live.synthesis(), self.averaged.synthesis()];
        let modulators = synthesis
            .iter()
            .flat_map(|synthesis| synthesis.modulators());
        let mut mean = None;
        for modulator in modulators {
            let mean = match &mean {
                Some(mean) => mean,
                None => mean.insert(self.live.mean_w().map_err(own)?),
            };
            modulator.set_mean(mean)?;
        }
        Ok(())
    }

    fn network(&self, weights: Weights) -> &Generator {
        match weights {
            Weights::Live => &self.live,
            Weights::Frozen => &self.live_frozen,
            Weights::Averaged => &self.averaged,
            Weights::Source => &self.source,
        }
    }
}

impl Trainee for StyleGan2 {
    fn kind(&self) -> &'static str {
        stylegan2::model::KIND
    }

    fn generator(&self, weights: Weights) -> &dyn domex_latent::Generator {
        self.network(weights)
    }

    fn expansion(&self) -> Option<&Expansion> {
        self.expansion.as_ref()
    }

    fn distance(&self) -> Result<f64> {
        Ok(DISTANCE)
    }

    fn train_weights(&mut self) -> Result<Parameters> {
        self.trains_weights = true;
        let config = self.source.config().clone();
        let spec = Generator::spec(&config).map_err(own)?;
        let (mut vars, mut live) = spec.trainable(&self.source.tensors()).map_err(own)?;
        vars.retain(|name, _| self.settings.phase.trains(name));
        for (name, tensor) in &mut live {
            if !vars.contains_key(name) {
                *tensor = tensor.detach();
            }
        }
        self.live = self.live.with_tensors(&live).map_err(own)?;
        self.live_frozen = frozen::generator(&self.live).map_err(own)?;
        Ok(Parameters::new(vars))
    }

    fn average_weights(&mut self, averages: &BTreeMap<String, Tensor>) -> Result<()> {
        let mut tensors = averages.clone();
        for (name, tensor) in self.source.tensors() {
            tensors.entry(name).or_insert(tensor.detach());
        }
        self.averaged = self.averaged.with_tensors(&tensors).map_err(own)?;
        Ok(())
    }

    /// That of a convolution: ToRGB and the constant are never chosen, as published.
    fn row_of(&self, weight: &str) -> Option<usize> {
        phase::row_of(weight)
    }

    fn layers(&self) -> Vec<Layer> {
        self.live.synthesis().modulated_layers()
    }

    fn modulate(&mut self, live: Arc<dyn Modulator>, averaged: Arc<dyn Modulator>) {
        self.live.synthesis_mut().add_modulator(live.clone());
        self.live_frozen.synthesis_mut().add_modulator(live);
        self.averaged.synthesis_mut().add_modulator(averaged);
    }

    fn mean(&self) -> Result<Tensor> {
        self.live.mean_w().map_err(own)
    }

    /// Latents of a training step `[n, D]`, one after the other: each moves the running mean where weights are trained.
    /// `labels: [n, c_dim]` where there are classes.
    fn draw_latents(
        &mut self,
        n: usize,
        labels: Option<&Tensor>,
        stream: &mut Stream,
    ) -> Result<Tensor> {
        let z_dim = self.live.config().z_dim();
        let device = self.device().clone();
        let mut rows = Vec::with_capacity(n);
        for row in 0..n {
            let z = normal(stream, &[1, z_dim], &device)?;
            let label = labels.map(|labels| labels.narrow(0, row, 1)).transpose()?;
            let label = label.as_ref();
            let w = match self.trains_weights {
                true => latents::map(&mut self.live, &z, label).map_err(own)?,
                false => self.live.mapping().forward(Some(&z), label).map_err(own)?,
            };
            rows.push(w.detach());
        }
        if self.trains_weights {
            self.mean_moved()?;
        }
        Ok(Tensor::cat(&rows, 0)?)
    }

    fn pictures(
        &self,
        weights: Weights,
        latents: &[&Tensor],
        source: &[&Tensor],
        noise: Noise<'_>,
    ) -> Result<(PictureGroups, PictureGroups)> {
        let (live, from) = match noise {
            Noise::Fixed => (stylegan2::Noise::Const, stylegan2::Noise::Const),
            Noise::Fresh { live, source } => (
                stylegan2::Noise::Random(live),
                stylegan2::Noise::Random(source),
            ),
        };
        Ok((
            in_one_batch(latents, |all| painted(self.network(weights), all, live))?,
            in_one_batch(source, |all| painted(&self.source, all, from))?,
        ))
    }

    fn discriminator(&self) -> Option<&Discriminator> {
        self.discriminator.as_ref()
    }

    fn judge_edited(
        &self,
        weights: Weights,
        edited: &Tensor,
        labels: Option<&Tensor>,
    ) -> Result<Option<Opinion>> {
        self.opinion(weights, edited, labels)
    }

    fn trains_source(&self) -> bool {
        self.reals.is_some() && self.adversary.is_some()
    }

    /// As the published programs have it, whether path length is regularised in this run or not: runs with and without it
    /// learn at one pace, and StyleGAN-NADA corrects its rates too.
    fn optimizer(&self, adam: AdamConfig) -> Result<AdamConfig> {
        Ok(Lazy::new(self.settings.path_length_interval)?.corrected(adam))
    }

    fn scale_learning_rates(&mut self, factor: f64) {
        if let Some(adversary) = &mut self.adversary {
            adversary.scale_learning_rate(factor);
        }
    }

    fn source_phases(&mut self, step: SourceStep<'_>) -> Result<()> {
        self.train_on_source(step)
    }

    fn save(&self, state: &mut State) -> Result<()> {
        state.put_tensor(MEAN, &self.mean()?)?;
        state.put_tensor(MEAN_LENGTH, &self.mean_length)?;
        state.put(STREAMS, &self.streams)?;
        match &self.adversary {
            Some(adversary) => adversary.save(state),
            None => Ok(()),
        }
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        let device = self.device().clone();
        self.live
            .set_mean_w(&state.tensor(MEAN, &device)?)
            .map_err(own)?;
        self.mean_moved()?;
        self.mean_length = state.tensor(MEAN_LENGTH, &device)?;
        self.streams = state.get(STREAMS)?;
        match &mut self.adversary {
            Some(adversary) => adversary.restore(state),
            None => Ok(()),
        }
    }

    fn export(
        &self,
        expansion: Option<Expansion>,
        made: Map<String, Json>,
        path: &Path,
    ) -> Result<()> {
        let mut averaged = self.averaged.clone();
        averaged.set_mean_w(&self.mean()?).map_err(own)?;
        let mut model = Model::new(averaged);
        // The discriminator goes with a generator of the same source domain.
        let kept = self.kept_discriminator().filter(|_| expansion.is_some());
        model.discriminator = kept.cloned();
        model.expansion = expansion;
        model.provenance["source"] = self.provenance.clone();
        for (key, value) in made {
            model.provenance[key] = value;
        }
        model.save(path, Overwrite::Replace).map_err(own)
    }
}

impl Adversarial for StyleGan2 {
    type Streams = Purposes;

    fn streams(&mut self) -> &mut Purposes {
        &mut self.streams
    }

    fn fork(streams: &mut Purposes) -> Purposes {
        Purposes {
            mixing: streams.mixing.fork(),
            direction: streams.direction.fork(),
            pictures: streams.pictures.fork(),
            labels: streams.labels.fork(),
        }
    }

    fn settings(&self) -> &SourceConfig {
        &self.settings
    }

    fn adversary(&self) -> Option<&Adversary> {
        self.adversary.as_ref()
    }

    fn adversary_mut(&mut self) -> Option<&mut Adversary> {
        self.adversary.as_mut()
    }

    fn data(&mut self) -> Data<'_> {
        Data {
            reals: self.reals.as_ref(),
            pictures: &mut self.streams.pictures,
            labels: &mut self.streams.labels,
        }
    }

    fn synthesize(&self, weights: Weights, latents: &Tensor, noise: &mut Stream) -> Result<Tensor> {
        let noise = stylegan2::Noise::Random(noise);
        painted(self.network(weights), latents, noise)
    }
}

/// Pictures of latents `[n, D]`.
fn painted(network: &Generator, latents: &Tensor, noise: stylegan2::Noise<'_>) -> Result<Tensor> {
    let ws = broadcast(latents, network.config().num_ws()).map_err(own)?;
    network.synthesis().forward(&ws, noise).map_err(own)
}

/// Standard normal numbers.
pub(crate) fn normal(stream: &mut Stream, dims: &[usize], device: &Device) -> Result<Tensor> {
    let mut values = vec![0f32; dims.iter().product()];
    stream.fill_normal(&mut values);
    let values = Tensor::from_vec(values, dims, &Device::Cpu)?;
    Ok(upload(&values, device)?)
}

/// An error of the networks.
pub(crate) fn own(error: impl Into<AnyError>) -> Error {
    Error::trainee(error)
}

/// A phase and another choice of what is trained cannot both hold.
fn refuse_both(settings: &SourceConfig, config: &Config) -> Result<()> {
    if settings.phase == Phase::All {
        return Ok(());
    }
    let expected = if config.adaptive_layers.is_some() {
        "\"all\", as adaptive_layers choose the layers of each step"
    } else if config.parametrisation != ParametrisationKind::Full {
        "\"all\", as no weights are trained (parametrisation)"
    } else {
        return Ok(());
    };
    let found = Phase::ALL
        .iter()
        .find(|(_, phase)| *phase == settings.phase);
    let found = found.map_or(String::new(), |(name, _)| format!("{name:?}"));
    Err(setting("phase", found, expected))
}

fn setting(what: &str, found: impl std::fmt::Display, expected: &str) -> Error {
    Error::Setting {
        what: what.to_owned(),
        found: found.to_string(),
        expected: expected.to_owned(),
    }
}

//! The trainee.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use domex_data::source::PictureSource;
use domex_error::AnyError;
use domex_expand::trainee::{PictureGroups, in_one_batch};
use domex_expand::{Config, Error, Noise, Opinion, Result, SourceStep, Trainee, Weights};
use domex_expand_stylegan2::adversarial::{Adversarial, Data};
use domex_expand_stylegan2::{Adversary, Reals, SourceConfig, activations};
use domex_latent::modulation::Modulator;
use domex_latent::{Expansion, Generator as _};
use domex_ops::upload;
use domex_random::{Stream, Streams};
use domex_stylegan2::{Discriminator, Tensors};
use domex_stylegan3::{Generator, Model, Overwrite, model};
use domex_train::{Parameters, State};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::{layers, settings};

/// A StyleGAN3 that is expanded. See the [crate's docs](crate).
pub struct StyleGan3 {
    live: Generator,
    live_frozen: Generator,
    averaged: Generator,
    source: Generator,
    /// As the model's file has it.
    discriminator: Option<Discriminator>,
    adversary: Option<Adversary>,
    reals: Option<Reals>,
    settings: SourceConfig,
    streams: Purposes,
    expansion: Option<Expansion>,
    provenance: Json,
}

/// One stream for each purpose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Purposes {
    pictures: Stream,
    labels: Stream,
}

/// Key of a snapshot.
const STREAMS: &str = "source streams";

impl StyleGan3 {
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
        let settings = settings::read(&config.source).map_err(|problem| Error::Setting {
            what: "settings of the source".to_owned(),
            found: problem,
            expected: "those of StyleGAN3".to_owned(),
        })?;
        let (side, labels) = (model.g_ema.resolution(), model.g_ema.label_dim());
        let reals = pictures.map(|pictures| Reals::new(pictures, side, labels, config.class));
        let trains = Adversary::trains(&settings, config);
        let reals = reals.transpose()?.filter(|_| trains);
        let given = model.discriminator.as_ref();
        let (discriminator, adversary) = Adversary::of(given, &settings, config, reals.is_some())?;
        let streams = Streams::new(seed);
        let constants = detached(&model.g_ema.tensors());
        let mut source = model.g_ema.with_tensors(&constants).map_err(own)?;
        source.synthesis_mut().set_activations(activations(config));
        Ok(Self {
            live: source.clone(),
            live_frozen: source.clone(),
            averaged: source.clone(),
            source,
            discriminator,
            adversary,
            reals,
            settings,
            streams: Purposes {
                pictures: streams.stream("pictures"),
                labels: streams.stream("labels"),
            },
            expansion: model.expansion.clone(),
            provenance: model.provenance.clone(),
        })
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

impl Trainee for StyleGan3 {
    fn kind(&self) -> &'static str {
        model::KIND
    }

    fn generator(&self, weights: Weights) -> &dyn domex_latent::Generator {
        self.network(weights)
    }

    fn expansion(&self) -> Option<&Expansion> {
        self.expansion.as_ref()
    }

    /// As far as w lies from its mean, root mean square: none was published for this kind.
    fn distance(&self) -> Result<f64> {
        self.source.spread().map_err(own)
    }

    fn train_weights(&mut self) -> Result<Parameters> {
        let spec = Generator::spec(self.source.config()).map_err(own)?;
        let (mut vars, mut live) = spec.trainable(&self.source.tensors()).map_err(own)?;
        vars.retain(|name, _| layers::trains(name));
        for (name, tensor) in &mut live {
            if !vars.contains_key(name) {
                *tensor = tensor.detach();
            }
        }
        self.live_frozen = self.source.with_tensors(&detached(&live)).map_err(own)?;
        self.live = self.source.with_tensors(&live).map_err(own)?;
        Ok(Parameters::new(vars))
    }

    fn average_weights(&mut self, averages: &BTreeMap<String, Tensor>) -> Result<()> {
        let mut tensors = self.source.tensors();
        tensors.extend(averages.clone());
        self.averaged = self.source.with_tensors(&tensors).map_err(own)?;
        Ok(())
    }

    fn row_of(&self, weight: &str) -> Option<usize> {
        layers::row_of(weight, self.source.config().num_ws())
    }

    /// Nothing asks for it: this kind has no [layers](Trainee::layers) that could be modulated.
    fn modulate(&mut self, _: Arc<dyn Modulator>, _: Arc<dyn Modulator>) {}

    fn mean(&self) -> Result<Tensor> {
        self.source.mean_w().map_err(own)
    }

    fn draw_latents(
        &mut self,
        n: usize,
        labels: Option<&Tensor>,
        stream: &mut Stream,
    ) -> Result<Tensor> {
        let mut z = vec![0f32; n * self.source.noise_dim()];
        stream.fill_normal(&mut z);
        let z = Tensor::from_vec(z, (n, self.source.noise_dim()), &Device::Cpu)?;
        let z = upload(&z, self.source.device())?;
        let z = z.to_dtype(self.source.dtype())?;
        Ok(self.source.map(&z, labels)?.detach())
    }

    /// There is no noise to draw.
    fn pictures(
        &self,
        weights: Weights,
        latents: &[&Tensor],
        source: &[&Tensor],
        _: Noise<'_>,
    ) -> Result<(PictureGroups, PictureGroups)> {
        let by = |network: &Generator, latents: &[&Tensor]| {
            in_one_batch(latents, |all| Ok(network.synthesize(all)?))
        };
        Ok((
            by(self.network(weights), latents)?,
            by(&self.source, source)?,
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

    fn scale_learning_rates(&mut self, factor: f64) {
        if let Some(adversary) = &mut self.adversary {
            adversary.scale_learning_rate(factor);
        }
    }

    fn source_phases(&mut self, mut step: SourceStep<'_>) -> Result<()> {
        self.generator_phase(&mut step)?;
        self.discriminator_phases(&mut step)
    }

    fn save(&self, state: &mut State) -> Result<()> {
        state.put(STREAMS, &self.streams)?;
        match &self.adversary {
            Some(adversary) => adversary.save(state),
            None => Ok(()),
        }
    }

    fn restore(&mut self, state: &State) -> Result<()> {
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
        let mut model = Model::new(self.averaged.clone());
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

impl Adversarial for StyleGan3 {
    type Streams = Purposes;

    fn streams(&mut self) -> &mut Purposes {
        &mut self.streams
    }

    fn fork(streams: &mut Purposes) -> Purposes {
        Purposes {
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

    fn synthesize(&self, weights: Weights, latents: &Tensor, _: &mut Stream) -> Result<Tensor> {
        Ok(self.network(weights).synthesize(latents)?)
    }
}

/// The same tensors, on the same memory, without variables.
fn detached(tensors: &Tensors) -> Tensors {
    let constants = tensors.iter();
    let constants = constants.map(|(name, tensor)| (name.clone(), tensor.detach()));
    constants.collect()
}

/// An error of the networks.
fn own(error: impl Into<AnyError>) -> Error {
    Error::trainee(error)
}

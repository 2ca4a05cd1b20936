//! What an expansion knows of a generator: the trait [`Trainee`].
//!
//! A trainee holds three networks on the same architecture: the *live* one that is trained, its moving *average*, which
//! becomes the model, and the *source*, as it was before. Which of its numbers are trained is said by a
//! [parametrisation](crate::parametrisation); how a domain is learnt by a [method](crate::method). The trainee makes
//! pictures, draws latents, and keeps training on its own source domain where it can.
//!
//! One crate for each kind of generator implements it; this one names none.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use candle_core::Tensor;
use domex_gan::Discriminator;
use domex_latent::modulation::{Layer, Modulator};
use domex_latent::subspace::Subspaces;
use domex_latent::{Expansion, Generator};
use domex_random::Stream;
use domex_train::adam::{Adam, AdamConfig};
use domex_train::{Clock, Losses, Parameters, State, Team};
use serde_json::{Map, Value as Json};

use crate::Result;

/// Which of a trainee's networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weights {
    /// The one that is trained, with its graph.
    Live,
    /// The same weights at any time, as constants.
    Frozen,
    /// The moving average.
    Averaged,
    /// The generator as it was before the expansion.
    Source,
}

/// What is random in a picture besides its latent: a GAN's pixel noise, the start of a diffusion chain.
pub enum Noise<'a> {
    /// The same at every call.
    Fixed,
    /// Fresh, from one stream for the network that is trained and one for the source. A kind whose pictures of one latent
    /// must share their noise draws from the first alone.
    Fresh {
        /// For the live network.
        live: &'a mut Stream,
        /// For the source.
        source: &'a mut Stream,
    },
}

/// A generator's own training in a step: what keeps it good at its source domain.
pub struct SourceStep<'a> {
    /// Which step.
    pub at: &'a Clock,
    /// Pictures of a step.
    pub batch: usize,
    /// How many of them are in memory at once, pass by pass.
    pub passes: Vec<usize>,
    /// Who computes which pass. All ranks draw the latents of all passes, as these may move the mean.
    pub team: &'a Team,
    /// The domains' directions: this training sees the base subspace only.
    pub subspaces: &'a Subspaces,
    /// For latents.
    pub latents: &'a mut Stream,
    /// For what else is random in pictures.
    pub noise: &'a mut Stream,
    /// Moves what is trained.
    pub optimizer: &'a mut Adam,
    /// What is reported.
    pub losses: &'a mut Losses,
}

impl SourceStep<'_> {
    /// Does one of the step's passes on streams that are its own, where there are several: they are not drawn from any
    /// further if another rank computes it. `streams` are the trainee's, and `fork` gives some that go their own way.
    ///
    /// # Errors
    ///
    /// Those of the work.
    pub fn pass<T, S>(
        &mut self,
        trainee: &mut T,
        streams: fn(&mut T) -> &mut S,
        fork: fn(&mut S) -> S,
        work: impl FnOnce(&mut T, &mut Self) -> Result<()>,
    ) -> Result<()> {
        if self.passes.len() == 1 {
            return work(trainee, self);
        }
        let (latents, noise) = (self.latents.fork(), self.noise.fork());
        let forked = fork(streams(trainee));
        let outer = std::mem::replace(streams(trainee), forked);
        let latents = std::mem::replace(self.latents, latents);
        let noise = std::mem::replace(self.noise, noise);
        let done = work(trainee, self);
        *streams(trainee) = outer;
        *self.latents = latents;
        *self.noise = noise;
        done
    }
}

/// How little edited pictures are taken for real.
#[derive(Debug, Clone)]
pub struct Opinion {
    /// The mean over the pictures, a scalar with their graph.
    pub loss: Tensor,
    /// Its factor in the sum of all losses.
    pub weight: f64,
}

/// Pictures of several groups of latents, `[n, c, h, w]` each.
pub type PictureGroups = Vec<Tensor>;

/// Pictures of all groups of latents `[n, D]`, made in one batch.
///
/// # Errors
///
/// Those of `make`.
pub fn in_one_batch(
    latents: &[&Tensor],
    make: impl FnOnce(&Tensor) -> Result<Tensor>,
) -> Result<PictureGroups> {
    let pictures = match latents {
        [] => return Ok(Vec::new()),
        [one] => make(one)?,
        several => make(&Tensor::cat(several, 0)?)?,
    };
    let mut start = 0;
    let group = |latents: &&Tensor| {
        let n = latents.dim(0)?;
        start += n;
        Ok(pictures.narrow(0, start - n, n)?)
    };
    latents.iter().map(group).collect()
}

/// A generator that can be expanded. See the [module docs](self).
pub trait Trainee {
    /// `kind` of its files, such as `stylegan2`.
    fn kind(&self) -> &'static str;

    /// One of its networks as the latent maths sees it, with fixed noise.
    fn generator(&self, weights: Weights) -> &dyn Generator;

    /// The domains that it has already.
    fn expansion(&self) -> Option<&Expansion>;

    /// How far along its direction a domain lies, where neither its task nor the settings say: a number on the scale of this
    /// generator's latents, beyond those that occur.
    ///
    /// # Errors
    ///
    /// When that scale is not known.
    fn distance(&self) -> Result<f64>;

    /// Makes the weights trainable and returns them, by their names in the file: what the parametrisation `full` trains.
    ///
    /// # Errors
    ///
    /// candle's own.
    fn train_weights(&mut self) -> Result<Parameters>;

    /// Builds the averaged network on these tensors, which follow the average of [those](Self::train_weights).
    ///
    /// # Errors
    ///
    /// A name or shape that is not the network's.
    fn average_weights(&mut self, averages: &BTreeMap<String, Tensor>) -> Result<()>;

    /// The row of a latent by which [adaptive layers](crate::layers) choose the layer of this weight; `None` for what they never
    /// train.
    fn row_of(&self, weight: &str) -> Option<usize>;

    /// The layers that a [`Modulator`] can change; none where the kind knows no such thing.
    fn layers(&self) -> Vec<Layer> {
        Vec::new()
    }

    /// Lets these modulate the live and the averaged network.
    fn modulate(&mut self, live: Arc<dyn Modulator>, averaged: Arc<dyn Modulator>);

    /// The mean latent `[D]` as it is now.
    ///
    /// # Errors
    ///
    /// When the network fails.
    fn mean(&self) -> Result<Tensor>;

    /// Latents of a training step `[n, D]`, without a graph, of these labels `[n, label_dim]` where the generator has classes.
    /// May move the mean.
    ///
    /// # Errors
    ///
    /// When the network fails.
    fn draw_latents(
        &mut self,
        n: usize,
        labels: Option<&Tensor>,
        stream: &mut Stream,
    ) -> Result<Tensor>;

    /// Pictures by one network of several groups of latents `[n, D]`, and by the source of others. Row `i` of every group
    /// is one sample: a kind that can makes it with the same noise.
    ///
    /// # Errors
    ///
    /// A wrong shape, or a failing network.
    fn pictures(
        &self,
        weights: Weights,
        latents: &[&Tensor],
        source: &[&Tensor],
        noise: Noise<'_>,
    ) -> Result<(PictureGroups, PictureGroups)>;

    /// The discriminator of its source domain as its file has it, where it has one: others begin from it.
    fn discriminator(&self) -> Option<&Discriminator> {
        None
    }

    /// What the trainee itself adds to the loss of pictures moved into new domains, by what has been trained with the
    /// live network ([`Weights::Live`]) or by what stays the same ([`Weights::Source`]); `None` where it adds nothing. `labels` are
    /// those of the latents.
    ///
    /// # Errors
    ///
    /// When a network fails.
    fn judge_edited(
        &self,
        _weights: Weights,
        _edited: &Tensor,
        _labels: Option<&Tensor>,
    ) -> Result<Option<Opinion>> {
        Ok(None)
    }

    /// Whether [`source_phases`](Self::source_phases) do something.
    fn trains_source(&self) -> bool {
        false
    }

    /// The optimizer's settings, corrected for what the source phases add.
    ///
    /// # Errors
    ///
    /// A setting out of range.
    fn optimizer(&self, adam: AdamConfig) -> Result<AdamConfig> {
        Ok(adam)
    }

    /// Scales the learning rates of networks beside the generator, such as a discriminator.
    fn scale_learning_rates(&mut self, _factor: f64) {}

    /// A step of training on the source domain.
    ///
    /// # Errors
    ///
    /// When a network or a picture fails.
    fn source_phases(&mut self, _step: SourceStep<'_>) -> Result<()> {
        Ok(())
    }

    /// Puts what later steps depend on into a snapshot, but for what is trained.
    ///
    /// # Errors
    ///
    /// A name that is taken.
    fn save(&self, state: &mut State) -> Result<()>;

    /// Takes it back.
    ///
    /// # Errors
    ///
    /// A snapshot of something else.
    fn restore(&mut self, state: &State) -> Result<()>;

    /// Writes the averaged network as a model's file, with its domains and, in its provenance, `made` beside that of the
    /// source.
    ///
    /// # Errors
    ///
    /// A folder that cannot be written.
    fn export(
        &self,
        expansion: Option<Expansion>,
        made: Map<String, Json>,
        path: &Path,
    ) -> Result<()>;
}

/// Settings by key, completed, or what is wrong with them.
pub type Complete = fn(&Map<String, Json>) -> std::result::Result<Map<String, Json>, String>;

/// What is known of a kind of generator before one is opened: which settings it has beside those of every expansion, for its
/// training on the source domain above all, and which others suit it better than the published ones.
#[derive(Debug, Clone, Copy)]
pub struct SourceSettings {
    /// `kind` of its files.
    pub kind: &'static str,
    /// Their keys in `[settings]`.
    pub keys: &'static [&'static str],
    /// Completes them with their defaults, or says what is wrong with them.
    pub complete: Complete,
    /// Settings of every expansion whose defaults are others for this kind.
    pub defaults: fn() -> toml::Table,
}

impl SourceSettings {
    /// Of a generator that has none.
    pub const NONE: Self = Self {
        kind: "none",
        keys: &[],
        complete: |keys| Ok(keys.clone()),
        defaults: toml::Table::new,
    };
}

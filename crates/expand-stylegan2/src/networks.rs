//! The discriminator of the source domain with its optimizer, and the pictures of that domain.

use candle_core::{DType, Device, Tensor};
use domex_data::picture;
use domex_data::source::{self, PictureSource};
use domex_error::AnyError;
use domex_expand::{Config, Error, Result};
use domex_gan::frozen;
use domex_ops::upload;
use domex_random::Stream;
use domex_stylegan2::{Activations, Discriminator};
use domex_train::adam::{Adam, AdamConfig};
use domex_train::lazy::Lazy;
use domex_train::{Parameters, State};

use crate::settings::SourceConfig;
use crate::trainee::own;

/// Prefixes in a snapshot.
const D: &str = "discriminator.";
const ADAM: &str = "adam.discriminator.";

/// The discriminator that goes on learning.
pub struct Adversary {
    /// With variables.
    pub live: Discriminator,
    /// The same weights without variables: it passes gradients on to pictures.
    pub frozen: Discriminator,
    /// What moves them.
    pub adam: Adam,
    parameters: Parameters,
    learning_rate: f64,
}

impl Adversary {
    /// What a model's discriminator is in a run: as the file has it, for domains of their own to begin from and to judge by, and
    /// the one that goes on learning, where there are pictures for it (`trains`, which needs [`trains`](Self::trains)).
    ///
    /// # Errors
    ///
    /// A weight of its opinion where there is no discriminator; passes in which it cannot compare pictures.
    pub fn of(
        discriminator: Option<&Discriminator>,
        settings: &SourceConfig,
        config: &Config,
        trains: bool,
    ) -> Result<(Option<Discriminator>, Option<Self>)> {
        let Some(mut own) = discriminator.cloned() else {
            if settings.realism > 0.0 {
                let expected = "0, as the model has no discriminator";
                return Err(wrong("realism", settings.realism.to_string(), expected));
            }
            return Ok((None, None));
        };
        own.set_activations(activations(config));
        if trains || settings.realism > 0.0 {
            check_groups(&own, config)?;
        }
        let r1 = Lazy::new(settings.r1_interval)?;
        let adversary = trains.then(|| Self::new(&own, r1.corrected(config.adam())));
        Ok((Some(own), adversary.transpose()?))
    }

    /// Whether pictures of the source domain would be trained on: where their loss counts, and there is a base subspace that
    /// moves.
    #[must_use]
    pub fn trains(settings: &SourceConfig, config: &Config) -> bool {
        settings.src > 0.0 && config.moves_base()
    }

    fn new(discriminator: &Discriminator, adam: AdamConfig) -> Result<Self> {
        let config = discriminator.config();
        let spec = Discriminator::spec(config).map_err(own)?;
        let (vars, live) = spec.trainable(&discriminator.tensors()).map_err(own)?;
        let live = discriminator.with_tensors(&live).map_err(own)?;
        let parameters = Parameters::new(vars);
        Ok(Self {
            frozen: frozen::discriminator(&live).map_err(own)?,
            adam: Adam::new(&parameters, adam)?,
            learning_rate: adam.lr,
            live,
            parameters,
        })
    }

    /// The labels, where the discriminator takes some.
    #[must_use]
    pub fn takes<'a>(&self, labels: Option<&'a Tensor>) -> Option<&'a Tensor> {
        taken(&self.live, labels)
    }

    /// Scales the rate that it began with.
    pub fn scale_learning_rate(&mut self, factor: f64) {
        self.adam.set_lr(self.learning_rate * factor);
    }

    /// Puts it into a snapshot.
    ///
    /// # Errors
    ///
    /// A name that is taken.
    pub fn save(&self, state: &mut State) -> Result<()> {
        state.put_parameters(D, &self.parameters)?;
        Ok(self.adam.save(ADAM, state)?)
    }

    /// Takes it back.
    ///
    /// # Errors
    ///
    /// A snapshot of something else.
    pub fn restore(&mut self, state: &State) -> Result<()> {
        state.load_parameters(D, &self.parameters)?;
        Ok(self.adam.restore(ADAM, state)?)
    }
}

/// How little a discriminator takes edited pictures `[n, c, h, w]` for real, with their graph. `labels` are those of the latents.
pub(crate) fn judge(
    discriminator: &Discriminator,
    edited: &Tensor,
    labels: Option<&Tensor>,
) -> Result<Tensor> {
    let labels = taken(discriminator, labels);
    let said = |start: usize, count: usize| -> Result<Tensor> {
        let labels = labels.map(|all| all.narrow(0, start, count)).transpose()?;
        let pictures = edited.narrow(0, start, count)?;
        let judged = domex_gan::realism(discriminator, &pictures, labels.as_ref(), None);
        Ok(judged.map_err(own)?.loss)
    };
    // Whole groups, and what is left: the passes of a step are even, what a tick measures need not be.
    let n = edited.dim(0)?;
    let group = discriminator.config().mbstd_group_size.unwrap_or(n).min(n);
    let even = n - n % group;
    let mut loss = said(0, even)?;
    if even < n {
        let share = even as f64 / n as f64;
        loss = ((loss * share)? + (said(even, n - even)? * (1.0 - share))?)?;
    }
    Ok(loss)
}

/// The labels, where the discriminator takes some.
fn taken<'a>(discriminator: &Discriminator, labels: Option<&'a Tensor>) -> Option<&'a Tensor> {
    labels.filter(|_| discriminator.config().c_dim() > 0)
}

/// Pictures of the source domain, and their labels where the generator has classes.
pub struct Reals {
    pictures: Box<dyn PictureSource>,
    /// Those of the run's class; `None` for all of them.
    own: Option<Vec<u64>>,
}

impl Reals {
    /// Pictures for a generator of `side`² and labels of `label_dim` numbers; of one class where that is given.
    ///
    /// # Errors
    ///
    /// Pictures of another size or of other classes, or none at all.
    pub fn new(
        pictures: Box<dyn PictureSource>,
        side: usize,
        label_dim: usize,
        class: Option<usize>,
    ) -> Result<Self> {
        if pictures.is_empty() {
            let what = "pictures of the source domain";
            return Err(wrong(what, "0".to_owned(), "at least one"));
        }
        let found = pictures.resolution() as usize;
        if found != side {
            let expected = format!("{side} × {side}, as the generator's");
            let found = format!("{found} × {found}");
            return Err(wrong("size of the pictures", found, &expected));
        }
        let found = pictures.label_dim();
        if found != label_dim {
            let expected = format!("{label_dim}, the classes of the generator");
            let found = found.to_string();
            return Err(wrong("classes of the pictures", found, &expected));
        }
        // A class that the generator does not have, the run refuses.
        let class = class.filter(|&class| class < label_dim);
        let own = class.map(|class| of_class(&*pictures, class)).transpose()?;
        Ok(Self { pictures, own })
    }

    /// `n` of them, drawn at random, `[n, 3, h, w]`, and their labels `[n, label_dim]`.
    ///
    /// # Errors
    ///
    /// A picture that cannot be read.
    pub fn draw(
        &self,
        n: usize,
        stream: &mut Stream,
        device: &Device,
    ) -> Result<(Tensor, Option<Tensor>)> {
        let drawn = self.numbers(n, stream)?;
        let (pictures, labels) = source::batch(&*self.pictures, &drawn)?;
        let pictures = picture::from_rgb(&pictures, DType::F32, &Device::Cpu)?;
        let pictures = upload(&pictures, device)?;
        Ok((pictures, self.as_tensor(&labels, device)?))
    }

    /// Labels of `n` pictures drawn at random, for generated ones: classes occur as often as in the pictures.
    ///
    /// # Errors
    ///
    /// A label that cannot be read.
    pub fn labels(&self, n: usize, stream: &mut Stream, device: &Device) -> Result<Option<Tensor>> {
        if self.pictures.label_dim() == 0 {
            return Ok(None);
        }
        let drawn = self.numbers(n, stream)?;
        let labels = drawn.into_iter().map(|number| self.pictures.label(number));
        let labels: std::result::Result<Vec<_>, _> = labels.collect();
        self.as_tensor(&labels?, device)
    }

    fn numbers(&self, n: usize, stream: &mut Stream) -> Result<Vec<u64>> {
        let len = match &self.own {
            Some(own) => own.len(),
            None => usize::try_from(self.pictures.len()).unwrap_or(usize::MAX),
        };
        let number = |index: usize| match &self.own {
            Some(own) => own[index],
            None => index as u64,
        };
        let drawn = (0..n).map(|_| stream.index(len).map(number));
        let drawn: std::result::Result<Vec<_>, _> = drawn.collect();
        drawn.map_err(|error| own(AnyError::internal(error)))
    }

    fn as_tensor(&self, labels: &[Vec<f32>], device: &Device) -> Result<Option<Tensor>> {
        let dims = (labels.len(), self.pictures.label_dim());
        match dims.1 {
            0 => Ok(None),
            _ => {
                let labels = Tensor::from_vec(labels.concat(), dims, &Device::Cpu)?;
                Ok(Some(upload(&labels, device)?))
            }
        }
    }
}

/// The numbers of the pictures that are labelled as this class and no other.
fn of_class(pictures: &dyn PictureSource, class: usize) -> Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for number in 0..pictures.len() {
        let label = pictures.label(number)?;
        let is_class = |(at, value): (usize, &f32)| *value == f32::from(u8::from(at == class));
        if label.iter().enumerate().all(is_class) {
            numbers.push(number);
        }
    }
    match numbers.is_empty() {
        false => Ok(numbers),
        true => Err(wrong(
            &format!("pictures of class {class}"),
            "0".to_owned(),
            "at least one, or no pictures of the source domain",
        )),
    }
}

/// What becomes of activations in a run.
#[must_use]
pub fn activations(config: &Config) -> Activations {
    match config.low_memory {
        true => Activations::Recomputed,
        false => Activations::Kept,
    }
}

/// The discriminator compares the pictures of a pass with one another, in groups of one size.
fn check_groups(discriminator: &Discriminator, config: &Config) -> Result<()> {
    let Some(group) = discriminator.config().mbstd_group_size else {
        return Ok(());
    };
    let uneven = |pass: &usize| !pass.is_multiple_of(group.min(*pass));
    let Some(pass) = config.passes().into_iter().find(uneven) else {
        return Ok(());
    };
    let expected = format!(
        "a multiple of {group}, in which the discriminator compares them, or fewer; choose another batch or micro_batch"
    );
    Err(wrong("pictures in one pass", pass.to_string(), &expected))
}

fn wrong(what: &str, found: String, expected: &str) -> Error {
    Error::Setting {
        what: what.to_owned(),
        found,
        expected: expected.to_owned(),
    }
}

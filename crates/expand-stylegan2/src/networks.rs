//! The discriminator of the source domain with its optimizer, and the pictures of that domain.

use candle_core::{DType, Device, Tensor};
use domex_data::picture;
use domex_data::source::{self, PictureSource};
use domex_error::AnyError;
use domex_expand::{Error, Result};
use domex_gan::frozen;
use domex_random::Stream;
use domex_stylegan2::Discriminator;
use domex_train::adam::{Adam, AdamConfig};
use domex_train::{Parameters, State};

use crate::trainee::own;

/// Prefixes in a snapshot.
const D: &str = "discriminator.";
const ADAM: &str = "adam.discriminator.";

/// The discriminator that goes on learning.
pub struct Adversary {
    pub live: Discriminator,
    /// The same weights without variables: it passes gradients on to pictures.
    pub frozen: Discriminator,
    pub adam: Adam,
    parameters: Parameters,
    learning_rate: f64,
}

impl Adversary {
    pub fn new(discriminator: &Discriminator, adam: AdamConfig) -> Result<Self> {
        let config = discriminator.config();
        let spec = Discriminator::spec(config).map_err(own)?;
        let (vars, live) = spec.trainable(&discriminator.tensors()).map_err(own)?;
        let live = Discriminator::from_tensors(&live, config).map_err(own)?;
        let parameters = Parameters::new(vars);
        Ok(Self {
            frozen: frozen::discriminator(&live).map_err(own)?,
            adam: Adam::new(&parameters, adam)?,
            learning_rate: adam.lr,
            live,
            parameters,
        })
    }

    pub fn scale_learning_rate(&mut self, factor: f64) {
        self.adam.set_lr(self.learning_rate * factor);
    }

    pub fn save(&self, state: &mut State) -> Result<()> {
        state.put_parameters(D, &self.parameters)?;
        Ok(self.adam.save(ADAM, state)?)
    }

    pub fn restore(&mut self, state: &State) -> Result<()> {
        state.load_parameters(D, &self.parameters)?;
        Ok(self.adam.restore(ADAM, state)?)
    }
}

/// Pictures of the source domain.
pub struct Reals(Box<dyn PictureSource>);

impl Reals {
    /// Pictures for a generator of `side`².
    pub fn new(pictures: Box<dyn PictureSource>, side: usize) -> Result<Self> {
        let wrong = |what: &str, found: String, expected: &str| Error::Setting {
            what: what.to_owned(),
            found,
            expected: expected.to_owned(),
        };
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
        Ok(Self(pictures))
    }

    /// `n` of them, drawn at random, `[n, 3, h, w]`.
    pub fn draw(&self, n: usize, stream: &mut Stream, device: &Device) -> Result<Tensor> {
        let len = usize::try_from(self.0.len()).unwrap_or(usize::MAX);
        let drawn = (0..n).map(|_| stream.index(len).map(|index| index as u64));
        let drawn: std::result::Result<Vec<_>, _> = drawn.collect();
        let (pictures, _) = source::batch(
            &*self.0,
            &drawn.map_err(|error| own(AnyError::internal(error)))?,
        )?;
        Ok(picture::from_rgb(&pictures, DType::F32, device)?)
    }
}

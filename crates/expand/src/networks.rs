//! The networks of an expansion and their optimizers.
//!
//! The synthesis of the generator is trained and nothing else of it: the mapping network decides
//! which latents occur, and stays. The source is the generator as it was. Everything begins at the
//! averaged weights, the ones that people make pictures with, so those are what is preserved.

use candle_core::Device;
use domex_gan::frozen;
use domex_stylegan2::{Discriminator, Generator, Kind, Model, Tensors};
use domex_train::adam::Adam;
use domex_train::ema::Ema;
use domex_train::lazy::Lazy;
use domex_train::{Parameters, State};

use crate::{Config, Result};

/// See the [module docs](self).
pub(crate) struct Networks {
    pub g: Generator,
    pub g_ema: Generator,
    pub source: Generator,
    pub adam_g: Adam,
    pub ema: Ema,
    pub judge: Option<Judge>,
    pub g_parameters: Parameters,
    lr: f64,
}

/// The discriminator, where there is one and something to show it.
pub(crate) struct Judge {
    pub d: Discriminator,
    pub d_frozen: Discriminator,
    pub adam: Adam,
    parameters: Parameters,
    lr: f64,
}

/// Prefixes in a snapshot.
const G: &str = "generator.";
const G_EMA: &str = "generator_ema.";
const D: &str = "discriminator.";
const ADAM_G: &str = "adam.generator.";
const ADAM_D: &str = "adam.discriminator.";
const MEAN: &str = "mean_w";

impl Networks {
    pub fn new(model: &Model, config: &Config, adversarial: bool) -> Result<Self> {
        let network = model.g_ema.config();
        let spec = Generator::spec(network)?;
        let (mut vars, mut live) = spec.trainable(&model.g_ema.tensors())?;
        vars.retain(|name, _| name.starts_with("synthesis."));
        for (name, tensor) in &mut live {
            if !vars.contains_key(name) {
                *tensor = tensor.detach();
            }
        }
        let g = Generator::from_tensors(&live, network)?;
        let g_parameters = Parameters::new(vars);
        let ema = Ema::new(&g_parameters, config.ema)?;
        let mut averaged: Tensors = ema.average().frozen();
        for (name, tensor) in model.g_ema.tensors() {
            averaged.entry(name).or_insert(tensor.detach());
        }
        let judge = model.discriminator.as_ref().filter(|_| adversarial);
        let adam = match judge {
            Some(_) => Lazy::new(config.path_length_interval)?.corrected(config.adam()),
            None => config.adam(),
        };
        Ok(Self {
            source: frozen::generator(&model.g_ema)?,
            g_ema: Generator::from_tensors(&averaged, network)?,
            adam_g: Adam::new(&g_parameters, adam)?,
            lr: adam.lr,
            ema,
            judge: judge.map(|d| Judge::new(d, config)).transpose()?,
            g,
            g_parameters,
        })
    }

    /// Sets the learning rates to `factor` times those of the beginning.
    pub fn slow_down(&mut self, factor: f64) {
        self.adam_g.set_lr(self.lr * factor);
        if let Some(judge) = &mut self.judge {
            judge.adam.set_lr(judge.lr * factor);
        }
    }

    pub fn save(&self, state: &mut State) -> Result<()> {
        state.put_parameters(G, &self.g_parameters)?;
        self.ema.save(G_EMA, state)?;
        self.adam_g.save(ADAM_G, state)?;
        state.put_tensor(MEAN, &self.g.mean_w()?)?;
        if let Some(judge) = &self.judge {
            state.put_parameters(D, &judge.parameters)?;
            judge.adam.save(ADAM_D, state)?;
        }
        Ok(())
    }

    pub fn restore(&mut self, state: &State, device: &Device) -> Result<()> {
        state.load_parameters(G, &self.g_parameters)?;
        self.ema.restore(G_EMA, state)?;
        self.adam_g.restore(ADAM_G, state)?;
        self.g.set_mean_w(&state.tensor(MEAN, device)?)?;
        if let Some(judge) = &mut self.judge {
            state.load_parameters(D, &judge.parameters)?;
            judge.adam.restore(ADAM_D, state)?;
        }
        Ok(())
    }
}

impl Judge {
    fn new(d: &Discriminator, config: &Config) -> Result<Self> {
        let (vars, live) = Discriminator::spec(d.config())?.trainable(&d.tensors())?;
        debug_assert!(vars.keys().all(|name| Kind::of(name) == Kind::Parameter));
        let d = Discriminator::from_tensors(&live, d.config())?;
        let parameters = Parameters::new(vars);
        let adam = Lazy::new(config.r1_interval)?.corrected(config.adam());
        Ok(Self {
            d_frozen: frozen::discriminator(&d)?,
            adam: Adam::new(&parameters, adam)?,
            lr: adam.lr,
            d,
            parameters,
        })
    }
}

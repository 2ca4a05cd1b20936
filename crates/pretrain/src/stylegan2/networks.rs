//! The three networks of a training and their optimizers.
//!
//! Generator and discriminator stand on variables. Beside each stands a frozen twin on the same memory, for the phase of
//! the other network: it follows every step, and no gradient is computed for its weights. The third network is the
//! generator on the averaged parameters.

use candle_core::{DType, Device};
use domex_gan::frozen;
use domex_stylegan2::{Discriminator, Generator, Kind, Model, Tensors, init};
use domex_train::adam::{Adam, AdamConfig};
use domex_train::ema::Ema;
use domex_train::lazy::Lazy;
use domex_train::memory::Held;
use domex_train::{Parameters, State};

use super::{Config, mapping_init};
use crate::{Error, Result};

/// See the [module docs](self).
pub(super) struct Networks {
    pub g: Generator,
    pub g_frozen: Generator,
    pub g_ema: Generator,
    pub d: Discriminator,
    pub d_frozen: Discriminator,
    pub ema: Ema,
    pub adam_g: Adam,
    pub adam_d: Adam,
}

/// Weights to begin with.
pub(super) struct Weights {
    pub g: Tensors,
    pub g_ema: Tensors,
    pub d: Tensors,
}

/// Prefixes in a snapshot.
const G: &str = "generator.";
const G_EMA: &str = "generator_ema.";
const D: &str = "discriminator.";
const ADAM_G: &str = "adam.generator.";
const ADAM_D: &str = "adam.discriminator.";

impl Config {
    /// What a pass through the networks certainly holds, where the settings make any.
    #[must_use]
    pub fn held(&self, device: &Device) -> Option<Held> {
        let most = self.passes().into_iter().max()?;
        let sizes = [most, self.generator().ok()?.synthesis.widest()];
        Held::of(device, DType::F32, sizes, "--batch or --micro-batch")
    }
}

impl Weights {
    /// Random ones.
    pub fn random(config: &Config, seed: u64, device: &Device) -> Result<Self> {
        let dtype = DType::F32;
        let mut g = init::generator(&config.generator()?, seed, dtype, device)?;
        if let Some(imitation) = &config.imitation {
            mapping_init::write(&mut g, &config.generator()?.mapping, imitation, seed)?;
        }
        let d = init::discriminator(&config.discriminator()?, seed, dtype, device)?;
        Ok(Self {
            g_ema: g.clone(),
            g,
            d,
        })
    }

    /// Those of a model. A discriminator that the model lacks begins at random.
    pub fn of_model(model: &Model, config: &Config, seed: u64, device: &Device) -> Result<Self> {
        let g_ema = model.g_ema.tensors();
        let g = model
            .g
            .as_ref()
            .map_or_else(|| g_ema.clone(), Generator::tensors);
        let d = match &model.discriminator {
            Some(d) => d.tensors(),
            None => init::discriminator(&config.discriminator()?, seed, DType::F32, device)?,
        };
        Ok(Self { g, g_ema, d })
    }

    /// Those of a snapshot.
    fn of_state(config: &Config, state: &State, device: &Device) -> Result<Self> {
        let read = |prefix: &str, names: Vec<String>| -> Result<Tensors> {
            let tensor = |name: String| {
                let tensor = state.tensor(&format!("{prefix}{name}"), device)?;
                Ok((name, tensor))
            };
            names.into_iter().map(tensor).collect()
        };
        let names = |spec: domex_stylegan2::Spec| -> Vec<String> {
            spec.entries().map(|(name, _)| name.to_string()).collect()
        };
        let g = names(Generator::spec(&config.generator()?)?);
        let d = names(Discriminator::spec(&config.discriminator()?)?);
        Ok(Self {
            g: read(G, g.clone())?,
            g_ema: read(G_EMA, g)?,
            d: read(D, d)?,
        })
    }
}

impl Networks {
    /// Networks on copies of these weights, with fresh optimizers.
    pub fn new(config: &Config, weights: &Weights) -> Result<Self> {
        let (g_config, d_config) = (config.generator()?, config.discriminator()?);
        let (vars, live) = Generator::spec(&g_config)?.trainable(&weights.g)?;
        let g_parameters = Parameters::new(vars);
        let g = Generator::from_tensors(&live, &g_config)?;

        let spec = Discriminator::spec(&d_config)?;
        let (mut vars, mut live) = spec.trainable(&weights.d)?;
        for name in frozen::first_layers(&spec, config.freeze_d) {
            vars.remove(&name);
            if let Some(tensor) = live.get_mut(&name) {
                *tensor = tensor.detach();
            }
        }
        let d_parameters = Parameters::new(vars);
        let d = Discriminator::from_tensors(&live, &d_config)?;

        let ema = Ema::new(&g_parameters, config.ema)?;
        let start = weights.g_ema.iter();
        let start = start.filter(|(name, _)| Kind::of(name) == Kind::Parameter);
        let start = start.map(|(name, tensor)| (name.clone(), tensor.clone()));
        ema.average().load(&start.collect())?;
        let mut averaged = ema.average().frozen();
        for (name, tensor) in &weights.g_ema {
            averaged
                .entry(name.clone())
                .or_insert(tensor.copy()?.detach());
        }
        Ok(Self {
            g_frozen: frozen::generator(&g)?,
            d_frozen: frozen::discriminator(&d)?,
            g_ema: Generator::from_tensors(&averaged, &g_config)?,
            adam_g: Adam::new(&g_parameters, generator_adam(config)?)?,
            adam_d: Adam::new(
                &d_parameters,
                Lazy::new(config.r1_interval)?.corrected(config.adam()),
            )?,
            g,
            d,
            ema,
        })
    }

    /// Gives the averaged generator the mean latent of the trained one, as all its buffers.
    pub fn share_mean(&mut self) -> Result<()> {
        if let Some(mean) = self.g.mapping().w_avg() {
            self.g_ema.set_mean_w(mean)?;
        }
        Ok(())
    }

    pub fn save(&self, state: &mut State) -> Result<()> {
        let networks = [
            (G, self.g.tensors()),
            (G_EMA, self.g_ema.tensors()),
            (D, self.d.tensors()),
        ];
        for (prefix, tensors) in networks {
            for (name, tensor) in tensors {
                state.put_tensor(&format!("{prefix}{name}"), &tensor)?;
            }
        }
        self.adam_g.save(ADAM_G, state)?;
        Ok(self.adam_d.save(ADAM_D, state)?)
    }

    pub fn restore(config: &Config, state: &State, device: &Device) -> Result<Self> {
        let mut networks = Self::new(config, &Weights::of_state(config, state, device)?)?;
        networks.adam_g.restore(ADAM_G, state)?;
        networks.adam_d.restore(ADAM_D, state)?;
        Ok(networks)
    }
}

/// The generator's optimizer, corrected for path length regularisation where there is any.
pub(super) fn generator_adam(config: &Config) -> Result<AdamConfig> {
    Ok(match config.path_length {
        Some(_) => Lazy::new(config.path_length_interval)?.corrected(config.adam()),
        None => config.adam(),
    })
}

/// The model does not fit the settings.
pub(super) fn check_model(model: &Model, config: &Config) -> Result<()> {
    let resolution = model.config().synthesis.img_resolution;
    if resolution != config.resolution {
        let expected = format!("{0} × {0}, the pictures' size", config.resolution);
        let found = format!("{resolution} × {resolution}");
        return Err(Error::config(
            "size of the model's pictures",
            found,
            expected,
        ));
    }
    let mut generator = config.generator()?;
    // How a network was computed is no part of its weights.
    generator.synthesis.num_fp16_res = model.config().synthesis.num_fp16_res;
    if *model.config() != generator {
        return Err(Error::config(
            "the model's generator",
            "another network",
            "that of the settings: take them from the model with `Config::with_networks_of`",
        ));
    }
    Ok(())
}

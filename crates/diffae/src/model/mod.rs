//! A model: the networks of a checkpoint, and what belongs to them.
//!
//! [`Model::load`] reads the container of this program, the checkpoints of the published training code (`last.ckpt`), and plain
//! files of tensors with the published names. [`Model::save`] writes the container:
//!
//! | in the file | what |
//! |---|---|
//! | tensors `ema_model.*`, or `model.*` where there was no average | the networks, under their published names |
//! | tensors `conds_mean`, `conds_std` `[1, D]` | mean and deviation of `z_sem` over the training pictures, where known |
//! | tensor `x_T` `[k, c, h, w]` | the stored noise, where there is any |
//! | tensors `expansion.basis`, `expansion.mean`, metadata `expansion` | of an expanded model |
//! | metadata `config` | [`Config`] |
//! | metadata `provenance` | see [`Model::provenance`] |

mod container;
mod generator;
mod read;

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use domex_checkpoint::container::Overwrite;
use domex_diffusion::{Clip, Diffusion, Spacing, standard_normal};
use domex_latent::expansion::Expansion;
use domex_random::Streams;
use serde_json::{Value as Json, json};

pub use container::KIND;
pub use read::recognizes;

use crate::config::{Config, LatentConfig};
use crate::error::{expect_dims, expect_finite};
use crate::weights::Tensors;
use crate::{Autoencoder, Error, Result, init};

/// Sampling steps where nobody says otherwise: of pictures, as in the publication's examples, and of latents.
const STEPS: usize = 20;
const LATENT_STEPS: usize = 100;

/// Mean and deviation of `z_sem` over the training pictures, which the latent prior works in.
#[derive(Debug, Clone)]
pub struct Statistics {
    /// `[1, D]`.
    pub mean: Tensor,
    /// `[1, D]`, above 0.
    pub std: Tensor,
}

impl Statistics {
    /// Codes `[n, D]`, z-normalized.
    ///
    /// # Errors
    ///
    /// A wrong shape.
    pub fn normalize(&self, codes: &Tensor) -> Result<Tensor> {
        Ok(codes.broadcast_sub(&self.mean)?.broadcast_div(&self.std)?)
    }

    /// The inverse of [`normalize`](Self::normalize).
    ///
    /// # Errors
    ///
    /// A wrong shape.
    pub fn denormalize(&self, codes: &Tensor) -> Result<Tensor> {
        Ok(codes.broadcast_mul(&self.std)?.broadcast_add(&self.mean)?)
    }

    /// Root mean square distance of codes from their mean: `√(Σ_j std_j²)`.
    ///
    /// # Errors
    ///
    /// candle's own.
    pub fn spread(&self) -> Result<f64> {
        let square = self.std.to_dtype(DType::F64)?.sqr()?.sum_all()?;
        Ok(square.to_scalar::<f64>()?.sqrt())
    }

    fn check(&self, channels: usize) -> Result<()> {
        for (name, t) in [("conds_mean", &self.mean), ("conds_std", &self.std)] {
            expect_dims(name, t, &[Some(1), Some(channels)])?;
            expect_finite(name, t)?;
        }
        let least = self.std.min_all()?.to_dtype(DType::F64)?;
        let least = least.to_scalar::<f64>()?;
        if least <= 0.0 {
            return Err(Error::config("conds_std", least, "deviations above 0"));
        }
        Ok(())
    }
}

/// See the [module docs](self).
#[derive(Debug, Clone)]
pub struct Model {
    /// The networks.
    pub networks: Autoencoder,
    /// Whether their weights are the average over training, which makes the better pictures.
    pub averaged: bool,
    /// Of `z_sem`, where known.
    pub statistics: Option<Statistics>,
    /// The domains of an expanded model.
    pub expansion: Option<Expansion>,
    /// Where the weights come from, as a JSON object: `source` (`file`, `sha256`, `format`), `program`, and whatever those who
    /// made the model added.
    pub provenance: Json,
    /// Sampling steps of [`domex_latent::Generator::synthesize`].
    pub steps: usize,
    /// Sampling steps of [`domex_latent::Generator::map`].
    pub latent_steps: usize,
    tensors: Tensors,
    /// `[k, c, h, w]`.
    stored_noise: Option<Tensor>,
    pictures: Diffusion,
    latents: Diffusion,
}

impl Model {
    /// Loads a checkpoint of any known kind; averaged weights where it has them.
    ///
    /// Every tensor of the networks must be there, under its name and with its shape, and no other; weights in half precision are
    /// widened to float32.
    ///
    /// # Errors
    ///
    /// A file that cannot be read or is no diffusion autoencoder, with the file's name and what was found.
    pub fn load(path: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let path = path.as_ref();
        read::load(path, device).map_err(|error| error.in_file(path))
    }

    /// Writes the container, whole or not at all.
    ///
    /// # Errors
    ///
    /// A file that exists and is not to be replaced, or a folder that cannot be written.
    pub fn save(&self, path: impl AsRef<Path>, overwrite: Overwrite) -> Result<()> {
        container::save(self, path.as_ref(), overwrite)
    }

    /// A model on exactly these tensors of its networks. Variables among them stay live.
    ///
    /// # Errors
    ///
    /// A configuration that is out of range; names or shapes that are not the networks'.
    pub fn from_tensors(tensors: Tensors, cfg: &Config) -> Result<Self> {
        let (pictures, latents) = (cfg.diffusion.pictures()?, cfg.diffusion.latents()?);
        Ok(Self {
            networks: Autoencoder::from_tensors(&tensors, cfg)?,
            averaged: true,
            statistics: None,
            expansion: None,
            provenance: json!({ "program": program() }),
            steps: nearest_steps(&pictures, STEPS),
            latent_steps: nearest_steps(&latents, LATENT_STEPS),
            tensors,
            stored_noise: None,
            pictures,
            latents,
        })
    }

    /// The same model on other tensors of its networks. Variables among them stay live.
    ///
    /// # Errors
    ///
    /// Names or shapes that are not the networks'.
    pub fn with_tensors(&self, tensors: Tensors) -> Result<Self> {
        Ok(Self {
            networks: Autoencoder::from_tensors(&tensors, self.config())?,
            tensors,
            ..self.clone()
        })
    }

    /// The same model with this latent prior, its tensors under `latent_net.`, in place of its own.
    ///
    /// # Errors
    ///
    /// A prior of codes of another size, or tensors that are not its own.
    pub fn with_prior(&self, prior: &LatentConfig, tensors: Tensors) -> Result<Self> {
        let cfg = Config {
            latent: Some(prior.clone()),
            ..self.config().clone()
        };
        let mut all = self.tensors.clone();
        all.retain(|name, _| !name.starts_with("latent_net."));
        all.extend(tensors);
        Ok(Self {
            networks: Autoencoder::from_tensors(&all, &cfg)?,
            tensors: all,
            ..self.clone()
        })
    }

    /// Random weights of which none is left at 0, the same for the same seed on every machine, and statistics of 0 and 1.
    ///
    /// # Errors
    ///
    /// A configuration that is out of range.
    pub fn random(cfg: &Config, seed: u64, device: &Device) -> Result<Self> {
        let tensors = init::nowhere_zero(cfg, seed, DType::F32, device)?;
        let mut model = Self::from_tensors(tensors, cfg)?;
        let dims = (1, cfg.unet.cond_channels);
        model.set_statistics(Some(Statistics {
            mean: Tensor::zeros(dims, DType::F32, device)?,
            std: Tensor::ones(dims, DType::F32, device)?,
        }))?;
        model.provenance["seed"] = json!(seed);
        Ok(model)
    }

    /// All hyper-parameters.
    pub fn config(&self) -> &Config {
        self.networks.config()
    }

    /// The networks' tensors by their published names.
    pub fn tensors(&self) -> &Tensors {
        &self.tensors
    }

    /// Where the weights are.
    pub fn device(&self) -> &Device {
        self.any_tensor().map_or(&Device::Cpu, Tensor::device)
    }

    /// The type of the weights.
    pub fn dtype(&self) -> DType {
        self.any_tensor().map_or(DType::F32, Tensor::dtype)
    }

    fn any_tensor(&self) -> Option<&Tensor> {
        self.tensors.values().next()
    }

    /// Replaces the statistics of `z_sem`.
    ///
    /// # Errors
    ///
    /// Another shape than `[1, D]`, entries that are not finite, or deviations that are not above 0.
    pub fn set_statistics(&mut self, statistics: Option<Statistics>) -> Result<()> {
        if let Some(statistics) = &statistics {
            statistics.check(self.config().unet.cond_channels)?;
        }
        self.statistics = statistics;
        Ok(())
    }

    /// What this checkpoint lacks, and what works all the same: one sentence each.
    pub fn limits(&self) -> Vec<String> {
        let mut limits = Vec::new();
        if !self.averaged {
            limits.push(
                "no averaged weights: the trained ones serve, whose pictures are rougher"
                    .to_owned(),
            );
        }
        if self.networks.latent_net.is_none() {
            limits.push(
                "no latent network: it encodes and decodes, but cannot make new codes".to_owned(),
            );
        }
        if self.statistics.is_none() {
            limits.push(
                "no statistics of z_sem: it encodes and decodes, but cannot make new codes and has no mean code"
                    .to_owned(),
            );
        }
        limits
    }

    /// Pictures `[n, c, h, w]` in `[-1, 1]` to their semantic codes `[n, D]`.
    ///
    /// # Errors
    ///
    /// A wrong shape, or a picture that is not finite.
    pub fn encode(&self, pictures: &Tensor) -> Result<Tensor> {
        expect_finite("pictures", pictures)?;
        self.networks.encoder.forward(pictures)
    }

    /// The noise `[n, c, h, w]` from which [`decode`](Self::decode) makes these pictures, given their codes `z: [n, D]`: the
    /// better, the more steps there are.
    ///
    /// # Errors
    ///
    /// As [`decode`](Self::decode).
    pub fn encode_noise(&self, pictures: &Tensor, z: &Tensor, steps: usize) -> Result<Tensor> {
        self.check_codes(z, pictures)?;
        let denoise = |x: &Tensor, t: &[f64]| self.networks.unet.forward_recomputed(x, t, z);
        let process = self.pictures.spaced(steps, Spacing::Ddim)?;
        process.ddim_reverse(pictures, Clip::Unit, denoise, |_| {})
    }

    /// Whether [`decode`](Self::decode) and [`encode_noise`](Self::encode_noise) can take so many steps, before any work.
    ///
    /// # Errors
    ///
    /// No steps, more than the model was trained with, or a number that no whole stride gives.
    pub fn check_steps(&self, steps: usize) -> Result<()> {
        self.pictures.spaced(steps, Spacing::Ddim)?;
        Ok(())
    }

    /// Codes `z: [n, D]` and noise `x_t: [n, c, h, w]` to pictures in `[-1, 1]`.
    ///
    /// Differentiable in both and in the weights; along the chain only the picture between two steps is kept.
    ///
    /// # Errors
    ///
    /// Codes or noise of another size, entries that are not finite, a size that the network cannot halve; more steps than the
    /// model was trained with, or a number that no whole stride gives.
    pub fn decode(&self, z: &Tensor, x_t: &Tensor, steps: usize) -> Result<Tensor> {
        self.check_codes(z, x_t)?;
        let denoise = |x: &Tensor, t: &[f64]| self.networks.unet.forward_recomputed(x, t, z);
        let process = self.pictures.spaced(steps, Spacing::Ddim)?;
        process.ddim_sample(x_t, Clip::Unit, denoise, |_| {})
    }

    /// Noise `[n, D]` to new codes `[n, D]` by the latent prior.
    ///
    /// # Errors
    ///
    /// A checkpoint without prior or statistics; noise of another size or not finite; steps as in [`decode`](Self::decode).
    pub fn sample_codes(&self, noise: &Tensor, steps: usize) -> Result<Tensor> {
        let network = self.networks.latent_net()?;
        let statistics = self.statistics()?;
        expect_dims(
            "noise",
            noise,
            &[None, Some(self.config().unet.cond_channels)],
        )?;
        expect_finite("noise", noise)?;
        let process = self.latents.spaced(steps, Spacing::Ddim)?;
        let denoise = |x: &Tensor, t: &[f64]| network.forward(x, t);
        let codes = process.ddim_sample(noise, Clip::None, denoise, |_| {})?;
        statistics.denormalize(&codes)
    }

    /// The statistics of `z_sem`.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`] for a checkpoint without them.
    pub fn statistics(&self) -> Result<&Statistics> {
        self.statistics.as_ref().ok_or(Error::Missing {
            part: "statistics of z_sem (conds_mean, conds_std)",
            instead: "it encodes and decodes pictures; for new codes and a mean code take a checkpoint with the latent network",
        })
    }

    /// The one noise `[1, c, h, w]` that is used where pictures shall differ by their codes alone: the first that the
    /// checkpoint stores, else one that is the same at every call.
    ///
    /// # Errors
    ///
    /// None that a valid configuration could have.
    pub fn fixed_noise(&self) -> Result<Tensor> {
        if let Some(stored) = &self.stored_noise {
            return Ok(stored.narrow(0, 0, 1)?);
        }
        let unet = &self.config().unet;
        let dims = [1, unet.in_channels, unet.image_size, unet.image_size];
        let mut stream = Streams::new(0).stream("x_T");
        Ok(standard_normal(
            &mut stream,
            &dims,
            self.dtype(),
            self.device(),
        )?)
    }

    fn set_stored_noise(&mut self, noise: Option<Tensor>) -> Result<()> {
        if let Some(noise) = &noise {
            let unet = &self.config().unet;
            let side = Some(unet.image_size);
            expect_dims("x_T", noise, &[None, Some(unet.in_channels), side, side])?;
            expect_finite("x_T", noise)?;
        }
        self.stored_noise = noise;
        Ok(())
    }

    fn check_codes(&self, z: &Tensor, pictures: &Tensor) -> Result<()> {
        let unet = &self.config().unet;
        expect_dims(
            "pictures or noise",
            pictures,
            &[None, Some(unet.in_channels), None, None],
        )?;
        expect_dims(
            "z_sem",
            z,
            &[Some(pictures.dim(0)?), Some(unet.cond_channels)],
        )?;
        expect_finite("pictures or noise", pictures)?;
        expect_finite("z_sem", z)
    }
}

/// The largest number of steps up to `wanted` that a whole stride gives.
fn nearest_steps(process: &Diffusion, wanted: usize) -> usize {
    let stride = process.steps().div_ceil(wanted);
    process.steps().div_ceil(stride)
}

/// Name and version of this program, for provenance.
fn program() -> String {
    format!("domex {}", env!("CARGO_PKG_VERSION"))
}

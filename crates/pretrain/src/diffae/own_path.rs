//! Training on the noisy pictures that the network itself makes.
//!
//! A network learns from pictures to which noise was added, but samples from what its own steps have left. The two differ by the
//! errors of those steps, which nothing in its training corrects (exposure bias; Ning et al. 2023, arXiv 2301.11706): they add up,
//! in a small network to specks. Here a chain of steps runs from pure noise without a gradient, one of its noisy pictures is drawn
//! for each sample, and what the network takes for the picture behind it is compared with the picture that was encoded.
//!
//! A network taught so trusts the noise less: pictures from noise that knows nothing of them come out cleaner, and a picture comes
//! back from its own encoded noise a little less exactly.

use candle_core::{DType, Tensor};
use domex_diffae::{Autoencoder, Config};
use domex_diffusion::{Clip, Diffusion, Spacing, standard_normal, uniform_timesteps};
use domex_lpips::Lpips;
use domex_random::Stream;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// How much of a step's loss comes from the network's own noisy pictures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnPath {
    /// Lengths of the chains, one of which is drawn for each step.
    pub steps: Vec<usize>,
    /// Weight of the mean square difference.
    pub squares: f64,
    /// Weight of the perceptual distance.
    pub perceptual: f64,
}

/// The chains of a job.
pub(super) struct Chains {
    config: OwnPath,
    processes: Vec<Diffusion>,
    perceptual: Lpips,
}

/// The loss, and what it is made of.
pub(super) struct Parts {
    pub loss: Tensor,
    pub squares: f64,
    pub perceptual: f64,
}

impl Chains {
    /// # Errors
    ///
    /// Weights or lengths out of range.
    pub fn new(config: &OwnPath, network: &Config, perceptual: Lpips) -> Result<Self> {
        let weights = [config.squares, config.perceptual];
        if let Some(bad) = weights.into_iter().find(|w| !(w.is_finite() && *w >= 0.0)) {
            let expected = "0 or more";
            return Err(Error::config("weight of own pictures", bad, expected));
        }
        if config.steps.is_empty() {
            let expected = "at least one length";
            return Err(Error::config("chains of own pictures", "none", expected));
        }
        let process = network.diffusion.pictures()?;
        let spaced = |&steps: &usize| Ok(process.spaced(steps, Spacing::Ddim)?);
        Ok(Self {
            processes: config.steps.iter().map(spaced).collect::<Result<_>>()?,
            config: config.clone(),
            perceptual,
        })
    }

    /// Of pictures `[n, c, h, w]` and their codes `[n, D]`, which the gradient reaches.
    pub fn loss(
        &self,
        networks: &Autoencoder,
        pictures: &Tensor,
        codes: &Tensor,
        stream: &mut Stream,
    ) -> Result<Parts> {
        let n = pictures.dim(0)?;
        let process = &self.processes[stream.index(self.processes.len())?];
        let noise = standard_normal(stream, pictures.dims(), DType::F32, pictures.device())?;
        let path = path(networks, process, &noise, &codes.detach())?;

        let steps = uniform_timesteps(stream, process, n)?;
        let rows = steps.iter().enumerate();
        let rows = rows.map(|(row, &step)| path[process.steps() - 1 - step].narrow(0, row, 1));
        let noisy = Tensor::cat(&rows.collect::<candle_core::Result<Vec<_>>>()?, 0)?;
        let times = steps.iter().map(|&step| process.network_timestep(step));
        let times = times.collect::<domex_diffusion::Result<Vec<_>>>()?;
        let noise = networks.unet.forward(&noisy, &times, codes)?;
        let found = process.remove_noise(&noisy, &steps, &noise)?;

        let squares = (&found - pictures)?.sqr()?.mean_all()?;
        let perceptual = self.perceptual.distance(pictures, &found)?.mean_all()?;
        Ok(Parts {
            loss: ((&squares * self.config.squares)? + (&perceptual * self.config.perceptual)?)?,
            squares: f64::from(squares.to_scalar::<f32>()?),
            perceptual: f64::from(perceptual.to_scalar::<f32>()?),
        })
    }
}

/// What each step of a chain starts from, without a gradient.
fn path(
    networks: &Autoencoder,
    process: &Diffusion,
    noise: &Tensor,
    codes: &Tensor,
) -> Result<Vec<Tensor>> {
    let mut path = Vec::with_capacity(process.steps());
    let denoise = |x: &Tensor, times: &[f64]| -> Result<Tensor> {
        path.push(x.clone());
        if path.len() == process.steps() {
            return Ok(x.clone()); // nothing starts from what the last step gives
        }
        Ok(networks.unet.forward(x, times, codes)?.detach())
    };
    process.ddim_sample(noise, Clip::Unit, denoise, |_| {})?;
    Ok(path)
}

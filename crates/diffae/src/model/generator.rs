//! A model as the upper floors see it: the latent is `z_sem`, the noise of a picture is fixed.

use candle_core::{DType, Device, Tensor};
use domex_diffusion::standard_normal;
use domex_latent::{ActingMatrix, Generator};
use domex_random::Stream;

use super::Model;
use crate::error::expect_dims;
use crate::{Error, Result};

impl Generator for Model {
    fn latent_dim(&self) -> usize {
        self.config().unet.cond_channels
    }

    /// One: all blocks read the same code.
    fn layers(&self) -> usize {
        1
    }

    fn noise_dim(&self) -> usize {
        self.latent_dim()
    }

    fn label_dim(&self) -> usize {
        0
    }

    fn resolution(&self) -> usize {
        self.config().unet.image_size
    }

    fn channels(&self) -> usize {
        self.config().unet.in_channels
    }

    /// The first features of the U-Net, which has the whole picture there.
    fn widest(&self) -> usize {
        let unet = &self.config().unet;
        let features = unet.input_channels.first().copied();
        features.unwrap_or(0).max(unet.in_channels) * unet.image_size.pow(2)
    }

    fn device(&self) -> &Device {
        Self::device(self)
    }

    fn dtype(&self) -> DType {
        Self::dtype(self)
    }

    fn mean(&self) -> domex_latent::Result<Tensor> {
        let mean = || Ok(self.statistics()?.mean.squeeze(0)?);
        mean().map_err(foreign)
    }

    fn map(&self, z: &Tensor, label: Option<&Tensor>) -> domex_latent::Result<Tensor> {
        if label.is_some() {
            let error = Error::config("label", "given", "none: this network has no classes");
            return Err(foreign(error));
        }
        self.sample_codes(z, self.latent_steps).map_err(foreign)
    }

    fn acting_matrices(&self) -> domex_latent::Result<Vec<ActingMatrix>> {
        Ok(self.networks.unet.acting_matrices())
    }

    fn synthesize(&self, latent: &Tensor) -> domex_latent::Result<Tensor> {
        let noise = self.noise_for(latent).map_err(foreign)?;
        self.drawn(latent, &noise).map_err(foreign)
    }

    fn synthesize_anew(&self, latent: &Tensor, noise: &mut Stream) -> domex_latent::Result<Tensor> {
        let unet = &self.config().unet;
        let side = unet.image_size;
        let dims = [latent.dim(0)?, unet.in_channels, side, side];
        let noise = standard_normal(noise, &dims, self.dtype(), self.device());
        let noise = noise.map_err(|error| foreign(error.into()))?;
        self.drawn(latent, &noise).map_err(foreign)
    }
}

impl Model {
    /// The fixed noise, for each of these codes.
    fn noise_for(&self, latent: &Tensor) -> Result<Tensor> {
        let noise = self.fixed_noise()?;
        let (_, c, h, w) = noise.dims4()?;
        let noise = noise.broadcast_as((latent.dim(0)?, c, h, w))?;
        Ok(noise.contiguous()?)
    }

    /// Pictures of codes `[n, D]` or `[n, 1, D]` from this noise `[n, c, h, w]`.
    fn drawn(&self, latent: &Tensor, noise: &Tensor) -> Result<Tensor> {
        let dim = self.latent_dim();
        let z = match latent.rank() {
            3 => {
                expect_dims("latent", latent, &[None, Some(1), Some(dim)])?;
                latent.squeeze(1)?
            }
            _ => latent.clone(),
        };
        expect_dims("latent", &z, &[None, Some(dim)])?;
        self.decode(&z, noise, self.steps)
    }
}

fn foreign(error: Error) -> domex_latent::Error {
    match error {
        Error::Latent(error) => error,
        error => domex_latent::Error::network("diffusion autoencoder", error),
    }
}

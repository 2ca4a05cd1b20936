//! The networks of a checkpoint under one roof.
//!
//! The U-Net's tensors stand at the root, the others under `encoder.` and `latent_net.`, as in a published checkpoint.

use candle_core::Tensor;
use candle_nn::VarBuilder;
use domex_diffusion::{Diffusion, Loss, TrainingLoss};

use crate::config::{Config, Prediction};
use crate::weights::{Spec, Tensors, builder, shapes};
use crate::{Encoder, Error, LatentNet, Result, UNet};

/// U-Net, encoder and, where there is one, the latent prior.
#[derive(Debug, Clone)]
pub struct Autoencoder {
    /// The decoder.
    pub unet: UNet,
    /// The semantic encoder.
    pub encoder: Encoder,
    /// The latent prior.
    pub latent_net: Option<LatentNet>,
    cfg: Config,
}

impl Autoencoder {
    /// Reads the networks from the node that holds `input_blocks`, `encoder` and `latent_net`.
    ///
    /// A builder that makes tensors up on request (a `VarMap`) cannot tell a misspelt name. Where the tensors come from a file,
    /// use [`from_tensors`](Self::from_tensors).
    ///
    /// # Errors
    ///
    /// A configuration that is out of range; a missing tensor or a wrong shape.
    pub fn new(vb: &VarBuilder<'_>, cfg: &Config) -> Result<Self> {
        cfg.validate()?;
        let latent = |cfg| LatentNet::new(&vb.pp("latent_net"), cfg);
        let unet = UNet::new(vb, &cfg.unet)?;
        Ok(Self {
            unet: match cfg.prediction {
                Prediction::Noise => unet,
                Prediction::Velocity => unet.with_velocity(cfg.diffusion.pictures()?),
            },
            encoder: Encoder::new(&vb.pp("encoder"), &cfg.encoder)?,
            latent_net: cfg.latent.as_ref().map(latent).transpose()?,
            cfg: cfg.clone(),
        })
    }

    /// Builds the networks on exactly these tensors. Variables among them stay live: the networks follow every write of an
    /// optimizer.
    ///
    /// # Errors
    ///
    /// A configuration that is out of range; names or shapes that are not the networks'.
    pub fn from_tensors(tensors: &Tensors, cfg: &Config) -> Result<Self> {
        Self::spec(cfg)?.check(&shapes(tensors))?;
        Self::new(&builder(tensors), cfg)
    }

    /// Names and shapes of all tensors, without building the networks.
    ///
    /// # Errors
    ///
    /// A configuration that is out of range.
    pub fn spec(cfg: &Config) -> Result<Spec> {
        cfg.validate()?;
        Spec::record(|vb| Self::new(vb, cfg))
    }

    /// All hyper-parameters.
    pub fn config(&self) -> &Config {
        &self.cfg
    }

    /// The latent prior.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`] for a checkpoint without one.
    pub fn latent_net(&self) -> Result<&LatentNet> {
        self.latent_net.as_ref().ok_or(Error::Missing {
            part: "latent network",
            instead: "it encodes and decodes pictures, but cannot make new codes; encode pictures instead",
        })
    }

    /// The loss that autoencoders are trained with: the mean squared error of what is predicted (the noise, in published
    /// networks) in pictures `[n, c, h, w]` to which `noise` was added at the given step of each, with their own `z_sem`.
    ///
    /// # Errors
    ///
    /// A wrong shape, or a step that `diffusion` does not have.
    pub fn training_loss(
        &self,
        diffusion: &Diffusion,
        pictures: &Tensor,
        steps: &[usize],
        noise: &Tensor,
    ) -> Result<TrainingLoss> {
        let codes = self.encoder.forward(pictures)?;
        self.loss_with_codes(diffusion, pictures, &codes, steps, noise)
    }

    /// The same with given codes `[n, D]`.
    ///
    /// # Errors
    ///
    /// As [`training_loss`](Self::training_loss).
    pub fn loss_with_codes(
        &self,
        diffusion: &Diffusion,
        pictures: &Tensor,
        codes: &Tensor,
        steps: &[usize],
        noise: &Tensor,
    ) -> Result<TrainingLoss> {
        let predict = |x: &Tensor, t: &[f64]| self.unet.prediction(x, t, codes);
        match self.cfg.prediction {
            Prediction::Noise => {
                diffusion.training_loss(pictures, steps, noise, Loss::Mse, predict)
            }
            Prediction::Velocity => diffusion.velocity_loss(pictures, steps, noise, predict),
        }
    }
}

impl LatentNet {
    /// The loss that latent priors are trained with: the mean absolute error of the noise that is predicted in z-normalized
    /// codes `[n, channels]`, to which `noise` was added at the given step of each.
    ///
    /// # Errors
    ///
    /// A wrong shape, or a step that `diffusion` does not have.
    pub fn training_loss(
        &self,
        diffusion: &Diffusion,
        codes: &Tensor,
        steps: &[usize],
        noise: &Tensor,
    ) -> Result<TrainingLoss> {
        let denoise = |x: &Tensor, t: &[f64]| self.forward(x, t);
        diffusion.training_loss(codes, steps, noise, Loss::L1, denoise)
    }
}

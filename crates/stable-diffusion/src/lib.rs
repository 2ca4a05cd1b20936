//! Stable Diffusion 1.x and 2.x, frozen, as a teacher: it translates pictures from one text to another, and draws them anew.
//!
//! A model is a folder as diffusers saves it, [`Folder`]: U-Net, autoencoder, text encoder, tokenizer and scheduler, each with its
//! configuration. All sizes come from there; what is not built here, is missing or does not fit is refused before a weight is read.
//!
//! [`StableDiffusion::translate`] resizes pictures to the size that the networks were trained at, encodes them, turns the latents into
//! noise as one text and back as another (DDIM both ways, [`domex_diffusion`]), and decodes them. Guidance is away from the empty text.
//!
//! The networks stand on this workspace's operators. Those of candle-transformers were looked at: their GEGLU takes the approximate
//! GELU where the weights were trained with the exact one, norms of its levels' blocks have 32 groups whatever the
//! configuration says, the mean of the autoencoder's distribution and the sizes of the text encoder are private, attention holds all
//! its weights at once (1 GiB for two pictures), and candle's convolutions take several times as long and have no kernel in a CUDA build
//! of this workspace.
//!
//! Left out on purpose: drawing from noise alone, training, Stable Diffusion XL and 3, adapters.

mod config;
mod cost;
mod entries;
mod error;
mod folder;
mod layers;
mod teacher;
mod text;
mod unet;
mod vae;
mod weights;

pub use config::{Prediction, ProcessConfig, UNetConfig, VaeConfig, text_config};
pub use domex_diffusion::{Translation, Way};
pub use error::{Error, Result};
pub use folder::{Folder, text_shapes};
pub use teacher::StableDiffusion;
pub use unet::UNet;
pub use vae::Vae;
pub use weights::Shapes;

//! The Diffusion Autoencoder as a generator that can be expanded.
//!
//! [`DiffAe`] implements [`domex_expand::Trainee`]. The latent is the semantic code `z_sem`; its basis comes from the layers of the
//! U-Net that act on it first. Live, averaged and source U-Net stand side by side; the encoder and the latent prior decide which
//! codes occur, and stay.
//!
//! | what an expansion asks for | here |
//! | --- | --- |
//! | latents | new codes of the latent prior; of a checkpoint without one, codes of pictures ([`SourceConfig::codes`]) |
//! | their mean | that of `z_sem` over the training pictures, or over those |
//! | a picture | a short deterministic chain of DDIM from noise ([`SourceConfig::steps`]); a sample's base, edited and source picture begin at the same noise, so that they are aligned |
//! | its gradient | through the last steps of the chain, or all ([`SourceConfig::gradient_steps`]), as DiffusionCLIP trains (Kim et al., CVPR 2022, arXiv 2110.02711); where several carry it, activations are computed again instead of being kept |
//! | what is trained | the U-Net, or of it the layers that the code meets first ([`SourceConfig::trains`]) |
//! | the subspace distance | the root mean square distance of codes from their mean: `√(Σ_j std_j²)` |
//! | training on the source domain | the squared error of the noise predicted in pictures of that domain, given their codes on the base subspace |
//!
//! Singular values say little of what a direction does here, as each code passes a SiLU before the matrices; so directions are
//! probed unless the settings say otherwise.

mod chain;
mod codes;
mod network;
mod pictures;
mod settings;
mod trainee;

pub use settings::{SETTINGS, SourceConfig, Trains};
pub use trainee::DiffAe;

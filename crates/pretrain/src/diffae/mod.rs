//! Training of a Diffusion Autoencoder from pictures, in the two stages of the publication (Preechakul et al., CVPR 2022, arXiv
//! 2111.15640).
//!
//! [`AutoencoderJob`] trains the U-Net and the semantic encoder together: a picture is noised at a step drawn evenly, and the U-Net,
//! given the code that the encoder reads off the clean picture, predicts the noise; the loss is the mean squared error. [`PriorJob`]
//! then encodes pictures once, and trains the latent prior, a diffusion of z-normalized codes, with the mean absolute error. Both
//! export the average of the weights.
//!
//! Beside the publication: the learning rate warms up and falls along a cosine ([`Learning`](crate::Learning)); Adam's second moment is
//! over 0.99 instead of 0.999; weights are averaged with a half-life that grows with the run instead of by 0.9999; nothing is dropped out,
//! where the publication drops a tenth. The deviation of codes divides by their number, not by one less.
//!
//! Deliberately not here: the networks and their losses (`domex_diffae`), reading of pictures (`domex_data::source`).

mod autoencoder;
mod pictures;
mod prior;

pub use autoencoder::{AutoencoderConfig, AutoencoderJob};
pub use prior::{PriorConfig, PriorJob};

//! Training of a StyleGAN2 from pictures.
//!
//! [`StyleGan2`] is a [`Job`](domex_train::Job): [`domex_train::run()`] trains it. The losses are those of
//! `domex_gan`; what stands here is the order of things:
//!
//! ```text
//! step    G, path length (every 4th), D, R1 (every 16th), average of G
//! tick    fakes{kimg}.png from fixed latents, speed, memory, augmentation
//! export  a model with generator, its average and discriminator
//! ```
//!
//! Where the pictures are drawn by a program, the generator can first be shown which picture belongs to each latent
//! ([`Imitation`]); `mapping_init` gives its mapping network what decides. [`damp_unused_directions`] makes directions of a trained one
//! dormant that its latents do not use.
//!
//! [`Config`] has all settings, and presets after stylegan2-ada-pytorch. Every random number comes from a stream of its
//! purpose (latents, mixing, noise, directions, labels, augmentation, imitation), all of which are in the snapshot, so a run that
//! was stopped is resumed to the same bits.
//!
//! Deliberately not here: reading of pictures (`domex_data::source`), the loop (`domex_train`), the command line.

mod config;
mod damping;
mod imitation;
mod job;
mod mapping_init;
mod model;
mod networks;
mod phases;
mod pictures;
#[cfg(test)]
mod tests;

pub use config::{Augmentation, Config, Preset};
pub use damping::{Damping, damp_unused_directions};
pub use imitation::{Imitation, Teacher};
pub use job::{Start, StyleGan2};
pub use model::NetworkConfigs;

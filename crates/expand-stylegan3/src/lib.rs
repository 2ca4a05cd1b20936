//! StyleGAN3 as a generator that can be expanded.
//!
//! [`StyleGan3`] implements [`domex_expand::Trainee`]. Three generators stand side by side: the live one, its moving average and the
//! source. The synthesis network is what is trained, with its Fourier features' weights and affine maps. Frequencies, phases, filters and
//! the user's transform stay, and so do the mapping network, the mean of w and the magnitudes by which layers scale what they read: all
//! three are running means of the training that made the generator, and an expansion that kept moving them would move the base too.
//!
//! With a discriminator and pictures of the source domain, each step also trains on that domain, by the [phases](domex_expand_stylegan2::adversarial)
//! that a StyleGAN2 has too. There is no path length, no style mixing and no lazy correction of the generator's rate: StyleGAN3 is trained
//! without them (Karras et al. 2021, arXiv 2106.12423). There is no pixel noise either, so a latent is a picture.

mod layers;
mod settings;
mod trainee;

pub use settings::SETTINGS;
pub use trainee::StyleGan3;

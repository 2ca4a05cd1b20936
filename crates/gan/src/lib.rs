//! Adversarial training of a StyleGAN2: the losses of both networks, and their regularizers.
//!
//! A StyleGAN2 is trained in four phases, two for each network: an adversarial loss at every step
//! and a regularizer now and then. Plain training runs them on plain latents, a domain expansion on
//! the *base subspace*, so that the generator keeps making the pictures of its source domain
//! (L_src of arXiv 2301.05225). Here they stand once, for both:
//!
//! | phase | loss | function |
//! | --- | --- | --- |
//! | G | mean softplus(−D(G(w))) | [`generator_loss`] |
//! | G, lazy | weight · mean (‖Jᵀy‖ − a)² | [`path_length`] |
//! | D | mean softplus(D(G(w))) and mean softplus(−D(x)) | [`fake_loss`], [`real_loss`] |
//! | D, lazy | γ/2 · mean ‖∇ₓ D(x)‖² | [`r1`] |
//!
//! [`latents`] makes the `ws` of either kind of training, and [`penalty`] has the two regularizers
//! for any function in place of the networks. Each function returns its `loss`, a scalar to call
//! `backward` on, beside the tensors that it passed through. A phase for one network needs no
//! gradient for the other: give it that one [`frozen`].
//!
//! A [`DomainDiscriminator`] tells pictures of several domains from generated ones, and [`augment`] changes what a
//! discriminator is shown, so that a few hundred pictures are enough.
//!
//! Deliberately not here: optimizers, the schedule of a lazy regularizer and the factor that makes
//! up for its interval (`domex_train::lazy`), random draws of latents or of training pictures.
//!
//! ```
//! use candle_core::{DType, Device, Tensor};
//! use domex_gan::{frozen, generator_loss, latents};
//! use domex_stylegan2::{
//!     Discriminator, DiscriminatorConfig, Generator, GeneratorConfig, Noise, config::channels, init,
//! };
//!
//! let cfg = GeneratorConfig::with_defaults(8, 8, 8, 32, 8)?;
//! let weights = init::generator(&cfg, 1, DType::F32, &Device::Cpu)?;
//! let (vars, live) = Generator::spec(&cfg)?.trainable(&weights)?;
//! let mut generator = Generator::from_tensors(&live, &cfg)?;
//!
//! let cfg = DiscriminatorConfig::new(8, 3, channels(8, 32, 8)?);
//! let weights = init::discriminator(&cfg, 2, DType::F32, &Device::Cpu)?;
//! let discriminator = frozen::discriminator(&Discriminator::from_tensors(&weights, &cfg)?)?;
//!
//! let z = Tensor::ones((4, 8), DType::F32, &Device::Cpu)?;
//! let w = latents::map(&mut generator, &z, None)?;
//! let ws = latents::plain(&generator, &w)?;
//! let phase = generator_loss(&generator, &discriminator, &ws, None, Noise::Const, None)?;
//! let grads = phase.loss.backward()?;
//! assert!(grads.get(&vars["synthesis.b4.const"]).is_some());
//! # Ok::<(), domex_gan::Error>(())
//! ```

mod adversarial;
pub mod augment;
mod domains;
mod error;
pub mod frozen;
pub mod latents;
mod path_length;
pub mod penalty;

pub use adversarial::{
    AdversarialLoss, GeneratorLoss, PictureTransform, R1Loss, fake_loss, generator_loss, r1,
    real_loss, realism,
};
pub use domains::{DomainDiscriminator, Widths};
pub use domex_stylegan2::Discriminator;
pub use error::{Error, Result};
pub use path_length::{PathLengthConfig, PathLengthLoss, path_length};

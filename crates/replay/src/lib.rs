//! What keeps a generator what it was: the adversarial phases of its source domain, and replay.
//!
//! A StyleGAN2 is trained in four phases, two for each network: an adversarial loss at every step
//! and a regulariser now and then. Domain expansion runs the same phases on the *base subspace*,
//! so that the generator keeps making the pictures of its source domain (L_src of
//! arXiv 2301.05225). Here they stand once, for both:
//!
//! | phase | loss | function |
//! | --- | --- | --- |
//! | G | mean softplus(−D(G(w))) | [`generator_loss`] |
//! | G, lazy | weight · mean (‖Jᵀy‖ − a)² | [`path_length`] |
//! | D | mean softplus(D(G(w))) and mean softplus(−D(x)) | [`fake_loss`], [`real_loss`] |
//! | D, lazy | γ/2 · mean ‖∇ₓ D(x)‖² | [`r1`] |
//!
//! Replay alignment ([`alignment()`]) holds the pictures of the base subspace where a frozen source
//! has them, and [`diversity()`] keeps the pictures of a domain apart.
//!
//! [`latents`] makes the `ws` of either kind of training. Each function returns its `loss`, a
//! scalar to call `backward` on, beside the tensors that it passed through. A phase for one
//! network needs no gradient for the other: give it that one [`frozen`].
//!
//! Deliberately not here: optimisers, the factor that makes up for a lazy interval, random draws
//! of latents or pictures, what a domain is trained towards.
//!
//! ```
//! use candle_core::{DType, Device, Tensor};
//! use domex_replay::{frozen, generator_loss, latents};
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
//! # Ok::<(), domex_replay::Error>(())
//! ```

mod adversarial;
pub mod alignment;
pub mod diversity;
mod error;
pub mod frozen;
pub mod latents;
mod path_length;

pub use adversarial::{
    Judged, PictureTransform, R1Loss, Synthesised, fake_loss, generator_loss, r1, real_loss,
    realism,
};
pub use alignment::{Alignment, AlignmentConfig, Perceptual, alignment};
pub use diversity::diversity;
pub use error::{Error, Result};
pub use path_length::{PathLengthConfig, PathLengthLoss, path_length};

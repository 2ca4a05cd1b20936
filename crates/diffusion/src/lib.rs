//! What any diffusion model needs: noise schedules, DDIM in both directions, losses, and the building blocks of a U-Net.
//!
//! - [`schedule`]: noise schedules in float64 ([`Betas`], [`Schedule`]);
//! - [`spacing`]: which of the training steps a sampler visits;
//! - [`Diffusion`]: a schedule, perhaps re-spaced, and what is done with it: [`ddim`] sampling and its reversal
//!   (stochastic encoding), noise added and removed, the [`velocity`] as a prediction, and the training [`loss`];
//! - [`mod@translate`]: a picture from one condition to another, by FlowEdit ([`flow_edit`](Diffusion::flow_edit)) or to its noise and
//!   back, and guidance;
//! - [`embedding`]: the sinusoidal timestep embedding;
//! - [`layers`], [`ResBlock`], [`AttentionBlock`], [`Upsample`] and [`Downsample`]: the blocks of the U-Nets of *Diffusion
//!   Models Beat GANs* (Dhariwal and Nichol 2021, arXiv 2105.05233), under their published keys.
//!
//! A denoiser is any closure from a noisy picture and the timesteps to the predicted noise, so this crate knows no network.
//! Everything is differentiable and deterministic; noise comes from the caller's stream ([`standard_normal`]).
//!
//! Left out on purpose: learned variances and ancestral sampling, for which nothing here has a use yet; dropout.
//!
//! ```
//! use candle_core::{Device, Tensor};
//! use domex_diffusion::{Betas, Clip, Diffusion, Error, Spacing};
//!
//! // A denoiser that knows the picture (all 0.5) finds it in 20 of 1000 steps.
//! let diffusion = Diffusion::new(&Betas::Linear, 1000)?.spaced(20, Spacing::Ddim)?;
//! let picture = Tensor::full(0.5f32, (1, 3, 8, 8), &Device::Cpu)?;
//! let denoise = |x: &Tensor, t: &[f64]| diffusion.noise_between(x, t, &picture);
//! let noise = Tensor::ones((1, 3, 8, 8), candle_core::DType::F32, &Device::Cpu)?;
//! let found = diffusion.ddim_sample(&noise, Clip::Unit, denoise, |_| {})?;
//! assert!((found - picture)?.abs()?.max_all()?.to_scalar::<f32>()? < 1e-5);
//! # Ok::<(), Error>(())
//! ```

mod attention;
pub mod ddim;
mod diffusion;
pub mod embedding;
mod error;
mod flow_edit;
pub mod layers;
pub mod loss;
mod noise;
pub mod patches;
mod resample;
mod resblock;
pub mod schedule;
pub mod spacing;
pub mod translate;
pub mod velocity;

pub use attention::{AttentionBlock, HeadOrder};
pub use ddim::{Clip, Step};
pub use diffusion::Diffusion;
pub use embedding::timestep_embedding;
pub use error::{Error, Result};
pub use loss::{Loss, TrainingLoss};
pub use noise::{shift_timesteps, standard_normal, uniform_timesteps};
pub use resample::{Downsample, Resample, Upsample};
pub use resblock::{Conditions, ResBlock, ResBlockConfig};
pub use schedule::{Betas, Schedule};
pub use spacing::Spacing;
pub use translate::{End, Translation, Way, guided};

//! Measures of sets of pictures, from features or labels that others computed.
//!
//! - [`Moments`]: mean and covariance of features, gathered batch by batch;
//! - [`kernel_distance`]: the kernel distance of two sets of features (KID);
//! - [`precision_recall`]: how much of each set lies where the other one is;
//! - [`frechet`]: the Fréchet distance of two sets (FID, on whatever features were chosen);
//! - [`shares`] and [`total_variation`]: how often each label occurs, and how far two such
//!   distributions are apart.
//!
//! All arithmetic is in float64. It deliberately holds no network: features come from outside.
//!
//! ```
//! use candle_core::{Device, Tensor};
//! use domex_metrics::{Moments, frechet};
//!
//! let one = Tensor::new(&[[0f32, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 2.0]], &Device::Cpu)?;
//! let mut a = Moments::new(2);
//! a.add(&one)?;
//! let mut b = Moments::new(2);
//! b.add(&(one + 3.0)?)?;
//! // Equal covariances: what is left is the squared distance of the means.
//! assert!((frechet(&a, &b)? - 18.0).abs() < 1e-9);
//! # Ok::<(), domex_metrics::Error>(())
//! ```

mod coverage;
mod error;
mod frechet;
mod kernel;
mod moments;
mod shares;

pub use coverage::{NEIGHBOUR, precision_recall};
pub use error::{Error, Result};
pub use frechet::frechet;
pub use kernel::kernel_distance;
pub use moments::Moments;
pub use shares::{shares, total_variation};

//! Measures of sets of pictures, from features or labels that others computed.
//!
//! | measure | here | source |
//! | --- | --- | --- |
//! | Fréchet distance (FID), extrapolated to infinitely many pictures (FD∞) | [`frechet()`], [`frechet_infinity`] on [`Moments`] | arXiv 1706.08500, 1911.07023 |
//! | kernel distance (KID), CLIP-MMD | [`KernelDistance`], [`kernel_distance`], [`kernel_distance_of_pairs`], [`cmmd`] | arXiv 1801.01401, 2401.09603 |
//! | improved precision and recall | [`PrecisionRecall`] | arXiv 1904.06991 |
//! | density and coverage | [`density_coverage`] | arXiv 2002.09797 |
//! | Inception score | [`inception_score()`] | arXiv 1606.03498 |
//! | perceptual path length | [`PathLength`], [`trimmed_mean`] | arXiv 1812.04948 |
//! | text score, directional score | [`ClipScore`], [`directional_scores`] | arXiv 2104.08718, 2108.00946 |
//! | diversity, also within clusters | [`pairwise_diversity`], [`cluster_diversity`] | arXiv 2104.06820 |
//! | what domains do to each other | [`Leakage`] | |
//! | shares of labels, and how far two such distributions are apart | [`shares()`], [`total_variation`] | |
//!
//! [`Comparison`] is all of them that take two sets of features, with [`Warning`]s of what the numbers of pictures do to the
//! figures; [`bootstrap()`] gives intervals; [`markdown`] tables.
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

mod bootstrap;
mod clusters;
mod comparison;
mod error;
mod features;
mod frechet;
mod inception_score;
mod kernel;
mod leakage;
mod manifold;
mod moments;
mod path_length;
mod shares;
mod similarity;
mod table;
mod warning;

pub use bootstrap::{DRAWS, Interval, LEVEL, bootstrap, mean_interval};
pub use clusters::{ClusterDiversity, MEMBERS, cluster_diversity};
pub use comparison::Comparison;
pub use error::{Error, Result};
pub use features::unit_rows;
pub use frechet::{Extrapolation, FEWEST, POINTS, frechet, frechet_biased, frechet_infinity};
pub use inception_score::{InceptionScore, SPLITS, inception_score};
pub use kernel::{Gaussian, KernelDistance, cmmd, kernel_distance, kernel_distance_of_pairs};
pub use leakage::Leakage;
pub use manifold::{
    COVERAGE_NEIGHBOUR, Manifold, NEIGHBOUR, PrecisionRecall, Rounding, density_coverage,
};
pub use moments::Moments;
pub use path_length::{EPSILON, PathLength, Space, Trimmed, slerp, trimmed_mean};
pub use shares::{shares, total_variation};
pub use similarity::{ClipScore, cosines, directional_scores, pairwise_diversity};
pub use table::{Better, Measure, Spread, markdown};
pub use warning::Warning;

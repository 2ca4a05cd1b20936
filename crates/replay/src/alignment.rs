//! Replay alignment: on the base subspace the trained generator should make the pictures that the
//! source made.
//!
//! ```text
//! L_recon = l2 · mean (G(base) − G_src(base))² + lpips · mean over the batch of d(G(base), G_src(base))
//! ```
//!
//! with the mean of the squares over everything, both generators on the *same* latents, and the
//! source's pictures constant. Each term stands by itself: with one weight at 0 the other still
//! counts. Definition: adobe-research/domain-expansion, `training/loss.py`.

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use domex_latent::{ImageDistance, distance::sides};
use domex_lpips::Lpips;
use domex_ops::recompute;

use crate::{Error, Result};

/// Weights of the two terms. The published ones are the default.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AlignmentConfig {
    /// Of the mean squared difference.
    pub l2: f64,
    /// Of the perceptual distance.
    pub lpips: f64,
}

impl Default for AlignmentConfig {
    fn default() -> Self {
        Self {
            l2: 10.0,
            lpips: 10.0,
        }
    }
}

impl AlignmentConfig {
    /// Whether no term counts, so that the source's pictures need not be made.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.l2 == 0.0 && self.lpips == 0.0
    }

    /// # Errors
    ///
    /// A weight that is negative or not finite.
    pub fn validate(&self) -> Result<()> {
        for (what, weight) in [
            ("weight of the squared difference", self.l2),
            ("weight of the perceptual distance", self.lpips),
        ] {
            if !(weight.is_finite() && weight >= 0.0) {
                return Err(Error::setting(what, weight, "0 or more"));
            }
        }
        Ok(())
    }
}

/// What [`alignment`] computes; scalars all. A term with weight 0 is not computed and reads 0.
#[derive(Debug, Clone)]
pub struct Alignment {
    /// The weighted sum.
    pub loss: Tensor,
    /// Mean squared difference, without its weight.
    pub l2: Tensor,
    /// Mean perceptual distance, without its weight.
    pub perceptual: Tensor,
}

/// How far `pictures: [n, c, h, w]` are from those of the source at the same latents, which are
/// detached. `distance` is only asked where it counts.
///
/// # Errors
///
/// Shapes that differ, a weight out of range, or a perceptual weight without a distance.
pub fn alignment(
    pictures: &Tensor,
    source: &Tensor,
    distance: Option<&dyn ImageDistance>,
    config: &AlignmentConfig,
) -> Result<Alignment> {
    config.validate()?;
    if pictures.rank() != 4 || source.dims() != pictures.dims() {
        let expected = format!(
            "[n, c, h, w] as the trained generator's, {:?}",
            pictures.dims()
        );
        return Err(Error::shape("source's pictures", source.dims(), expected));
    }
    let source = source.detach();
    let zero = Tensor::zeros((), pictures.dtype(), pictures.device())?;
    let l2 = match config.l2 > 0.0 {
        true => (pictures - &source)?.sqr()?.mean_all()?,
        false => zero.clone(),
    };
    let perceptual = match (config.lpips > 0.0, distance) {
        (false, _) => zero,
        (true, Some(distance)) => distance.distance(pictures, &source)?.mean_all()?,
        (true, None) => {
            let expected = "0, or a perceptual network";
            let what = "weight of the perceptual distance";
            return Err(Error::setting(what, config.lpips, expected));
        }
    };
    Ok(Alignment {
        loss: ((&l2 * config.l2)? + (&perceptual * config.lpips)?)?,
        l2,
        perceptual,
    })
}

/// LPIPS as a distance for [`alignment`] and [`diversity`](crate::diversity::diversity).
#[derive(Debug, Clone)]
pub struct Perceptual(pub Lpips);

impl Perceptual {
    /// The network of a file.
    ///
    /// # Errors
    ///
    /// A file that holds no such network, with its name.
    pub fn load(path: &Path, device: &Device) -> domex_lpips::Result<Self> {
        Self::load_as(path, DType::F32, device)
    }

    /// The same held as numbers of `dtype`; pictures and distances are float32 all the same.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn load_as(path: &Path, dtype: DType, device: &Device) -> domex_lpips::Result<Self> {
        Ok(Self(Lpips::load(path, dtype, device)?))
    }
}

/// [`Perceptual`], whose activations are [computed again](domex_ops::recompute()) on the way back: of large pictures they are
/// more than a generator's.
#[derive(Debug, Clone)]
pub struct Recomputed(pub Perceptual);

impl ImageDistance for Recomputed {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn distance(&self, a: &Tensor, b: &Tensor) -> domex_latent::Result<Tensor> {
        let network = self.0.clone();
        recompute(&[a.clone(), b.clone()], move |pictures| {
            network.distance(&pictures[0], &pictures[1])
        })
    }

    fn among(&self, pictures: &Tensor, pairs: &[(usize, usize)]) -> domex_latent::Result<Tensor> {
        let (network, pairs) = (self.0.clone(), pairs.to_vec());
        recompute(std::slice::from_ref(pictures), move |pictures| {
            network.among(&pictures[0], &pairs)
        })
    }
}

impl ImageDistance for Perceptual {
    fn name(&self) -> &str {
        "lpips"
    }

    fn distance(&self, a: &Tensor, b: &Tensor) -> domex_latent::Result<Tensor> {
        self.0.distance(a, b).map_err(failed)
    }

    fn among(&self, pictures: &Tensor, pairs: &[(usize, usize)]) -> domex_latent::Result<Tensor> {
        let seen = self.0.features(pictures).map_err(failed)?;
        let [first, second] = sides(pairs, pictures.device())?;
        let (first, second) = (seen.rows(&first), seen.rows(&second));
        let (first, second) = (first.map_err(failed)?, second.map_err(failed)?);
        self.0.between(&first, &second).map_err(failed)
    }
}

fn failed(error: domex_lpips::Error) -> domex_latent::Error {
    domex_latent::Error::network("LPIPS", error)
}

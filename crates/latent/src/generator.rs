//! What the upper floors know of a network.
//!
//! A generator maps noise to a latent, `map: z -> w`, and a latent to a picture,
//! `synthesize: w -> x`. The latent is what all of this crate speaks about: it has `D` entries
//! (W space) or, one row per layer, `[L, D]` entries (W+ space). The directions that a network
//! uses are read off its *acting matrices*, the linear maps that meet the latent first.

use candle_core::{DType, Device, Tensor};
use domex_random::Stream;

use crate::Result;
use crate::basis::BasisKinds;

/// One matrix that multiplies the latent: in StyleGAN2, the affine map of a style.
#[derive(Debug, Clone)]
pub struct ActingMatrix {
    /// The parameter's name in the checkpoint, such as `synthesis.b4.conv1.affine.weight`.
    pub name: String,
    /// The kinds of basis that stack it.
    pub kinds: BasisKinds,
    /// The raw weight `[rows, D]` as stored, with no gain applied.
    pub weight: Tensor,
}

/// A network that makes pictures from latents.
///
/// The trait is object safe: the upper floors hold a `&dyn Generator`. An implementation wraps its
/// own errors with [`Error::network`](crate::Error::network).
pub trait Generator {
    /// Size `D` of a latent.
    fn latent_dim(&self) -> usize;

    /// Rows `L` of a W+ latent: how many layers read a latent of their own.
    fn layers(&self) -> usize;

    /// Size of the noise `z` that [`map`](Self::map) takes.
    fn noise_dim(&self) -> usize;

    /// Size of the label that [`map`](Self::map) takes, 0 for a network without classes.
    fn label_dim(&self) -> usize;

    /// Width and height of a picture, in pixels.
    fn resolution(&self) -> usize;

    /// Colour channels of a picture.
    fn channels(&self) -> usize {
        3
    }

    /// How many numbers one picture has in the largest tensor on its way through the network, as far as is known: those of the picture itself
    /// at least. From it follows what a batch certainly holds.
    fn widest(&self) -> usize {
        self.channels() * self.resolution().pow(2)
    }

    /// Where the weights are.
    fn device(&self) -> &Device;

    /// The type of the weights and latents.
    fn dtype(&self) -> DType;

    /// The mean latent `[D]`: the one that the checkpoint holds, or
    /// [`estimate_mean`](crate::sample::estimate_mean) where it has none.
    ///
    /// # Errors
    ///
    /// When the mean has to be estimated and the network fails.
    fn mean(&self) -> Result<Tensor>;

    /// Noise `z: [n, noise_dim]` to latents `[n, D]`, with no truncation. `label` is
    /// `[n, label_dim]`, and `None` for a network without classes.
    ///
    /// # Errors
    ///
    /// A wrong shape, or a label that is missing or not wanted.
    fn map(&self, z: &Tensor, label: Option<&Tensor>) -> Result<Tensor>;

    /// Every matrix that acts on the latent first, in the order of the parameters. All of them: each says which
    /// [kinds of basis](crate::basis::BasisKind) take it.
    ///
    /// # Errors
    ///
    /// When a weight cannot be read.
    fn acting_matrices(&self) -> Result<Vec<ActingMatrix>>;

    /// Latents `[n, D]` or `[n, L, D]` to pictures `[n, c, h, w]` in `[-1, 1]` (not clamped), with
    /// the network's fixed noise, so that equal latents give equal pictures. Differentiable in the
    /// latent.
    ///
    /// # Errors
    ///
    /// A wrong shape.
    fn synthesize(&self, latent: &Tensor) -> Result<Tensor>;

    /// The same with noise drawn from `noise`, as samples of the network have it: of a GAN that of its pixels, of a diffusion chain
    /// where it starts. A network whose latents say all draws nothing.
    ///
    /// # Errors
    ///
    /// A wrong shape.
    fn synthesize_anew(&self, latent: &Tensor, noise: &mut Stream) -> Result<Tensor> {
        let _ = noise;
        self.synthesize(latent)
    }
}

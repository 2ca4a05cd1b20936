//! Winograd's minimal filtering F(2 × 2, 3 × 3): 3 × 3 convolutions of stride 1 with 16 products for 36.
//!
//! With d a 4 × 4 tile of the input, g a kernel and y the 2 × 2 outputs of the tile, `y = Aᵀ[(G g Gᵀ) ∘ (Bᵀ d B)]A`, where
//!
//! ```text
//! Bᵀ = 1  0 −1  0     G = 1   0   0     Aᵀ = 1 1  1  0
//!      0  1  1  0         ½   ½   ½          0 1 −1 −1
//!      0 −1  1  0         ½  −½   ½
//!      0  1  0 −1         0   0   1
//! ```
//!
//! (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016). Summed over input channels, the
//! products ∘ are sixteen matrix products, one for each place of the tile. The gradient of the input is the same with the
//! kernel turned and its channels swapped. The gradient of the weights is the transpose of the formula in g:
//! `gw = Gᵀ[Σ_tiles (A gy Aᵀ) ∘ (Bᵀ d B)]G`.
//!
//! Rounding. All constants are powers of two, so only sums round. Row sums of |Aᵀ|, |G|, |Bᵀ| are at most 3, 1½ and 2, and an
//! error is magnified by at most the square of their product, 81; direct summation has 9 there. On random data with 32 to
//! 512 channels the largest error measured is 3e-7 to 1e-6 of the largest output, between 0.4 and 1.2 times that of
//! direct summation, since fewer terms are added one after the other; the tests hold it below 4e-6.
//! F(4 × 4) would need 36 products for 144, but its constants (up to 8 in Aᵀ) magnify errors about ten times
//! more; agreement with published networks within 2e-5 over some twenty layers leaves little room for that.

mod gather;
mod transform;
mod weight;

pub(super) use gather::Gather;
pub(super) use weight::grad_weight;

use super::ConvShape;
use crate::simd::LANES;

/// Places of a tile, hence matrix products.
const PLACES: usize = 16;

/// Products of the forward direction, per image and weight, below which transforming the weights does not pay: there are
/// 16 values to transform for 9, and as many to read again, for this many tiles.
const LEAST_TILES: usize = 128;

/// Whether the formula applies at all: 3 × 3, stride 1, and a padding whose counterpart in the gradient exists.
pub(super) fn applies(s: &ConvShape) -> bool {
    s.kh == 3 && s.kw == 3 && s.stride == 1 && s.padding <= 2
}

/// Whether it is faster than the direct form. With few channels the transforms outweigh the products saved.
pub(super) fn pays(s: &ConvShape, frozen: bool) -> bool {
    let tiles = s.n * s.out_h().div_ceil(2) * s.out_w().div_ceil(2);
    applies(s)
        && s.c_in.max(s.c_out) <= gather::MOST_CHANNELS
        && s.c_in >= 2 * LANES
        && s.c_out >= 2 * LANES
        && (frozen || tiles >= LEAST_TILES)
}

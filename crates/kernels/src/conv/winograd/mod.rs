//! Winograd's minimal filtering: 3 × 3 convolutions of stride 1 with 16 products for 36, or 36 for 144.
//!
//! F(2 × 2, 3 × 3): with d a 4 × 4 tile of the input, g a kernel and y the 2 × 2 outputs of the tile, `y = Aᵀ[(G g Gᵀ) ∘ (Bᵀ d B)]A`, where
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
//! F(4 × 4, 3 × 3) has 36 products for 144, the same formula with tiles of 6 × 6 and the matrices of Toom and Cook for the points
//! 0, ± 3/4, ± 3/2 and infinity ([`transform`]).
//!
//! Rounding. Larger tiles magnify errors more, and how much depends on the points. The largest error of random data with 256 channels,
//! of the largest output: direct summation 1.8e-6 (root mean square 8e-7 of the output's), F(2 × 2) 5e-7 (5e-7), F(4 × 4) with these points
//! 2.5e-6 (1.5e-6), with the usual ones, ± 1 and ± 2, 1.1e-5 (3.2e-6). F(2 × 2) is better than direct summation because
//! fewer terms are added one after the other. The tests hold the largest error below 2e-6 and 5e-6.

mod gather;
mod transform;
mod weight;

pub(super) use gather::Gather;
pub(super) use weight::grad_weight;

use super::ConvShape;
use crate::simd::LANES;

/// The outputs of a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tile {
    /// Two by two.
    Two,
    /// Four by four.
    Four,
}

impl Tile {
    /// Its height and width.
    fn side(self) -> usize {
        match self {
            Self::Two => 2,
            Self::Four => 4,
        }
    }

    /// Tiles of a convolution's output.
    fn count(self, s: &ConvShape) -> usize {
        s.n * s.out_h().div_ceil(self.side()) * s.out_w().div_ceil(self.side())
    }

    /// Places of the input's tile, hence matrix products.
    fn places(self) -> usize {
        (self.side() + 2).pow(2)
    }
}

/// Tiles of the output, of either size, below which transforming the weights does not pay: there are 16 or 36 values to make of 9,
/// and as many to read again, for so many tiles.
const LEAST_TILES: usize = 128;

/// Whether the formula applies at all: 3 × 3, stride 1, and a padding whose counterpart in the gradient exists.
pub(super) fn applies(s: &ConvShape) -> bool {
    s.kh == 3 && s.kw == 3 && s.stride == 1 && s.padding <= 2
}

/// The tile that is fastest, where the direct form is not faster. With few channels the transforms outweigh the products saved. Frozen
/// weights are transformed once.
pub(super) fn best(s: &ConvShape, frozen: bool) -> Option<Tile> {
    let pays = applies(s)
        && s.c_in.max(s.c_out) <= gather::MOST_CHANNELS
        && s.c_in.min(s.c_out) >= 2 * LANES;
    if !pays {
        return None;
    }
    let (small, large) = (Tile::Two.count(s), Tile::Four.count(s));
    // A large tile costs what two and two thirds of the small ones do, and may lie beyond the output by more than these.
    if large >= LEAST_TILES && 3 * small >= 8 * large {
        return Some(Tile::Four);
    }
    (frozen || small >= LEAST_TILES).then_some(Tile::Two)
}

#[cfg(test)]
mod tests {
    use super::super::tests::shape;
    use super::{Tile, best};
    use crate::simd::Isa;

    /// Each size of tile on each instruction set that is here.
    pub(super) fn every_way() -> impl Iterator<Item = (Tile, Isa)> {
        let tiles = [Tile::Two, Tile::Four].into_iter();
        tiles.flat_map(|tile| Isa::available().into_iter().map(move |isa| (tile, isa)))
    }

    #[test]
    fn tiles_are_large_where_there_are_many_and_they_fit() {
        let square = |n, c, size| shape([n, c, size, size, c, 3, 3, 1, 1]);
        for (n, c, size, frozen, expected) in [
            (8, 128, 16, false, Some(Tile::Four)),
            (4, 512, 16, false, Some(Tile::Two)),
            // Two large tiles a side, for three small ones.
            (64, 64, 6, false, Some(Tile::Two)),
            (1, 64, 16, false, None),
            (1, 64, 16, true, Some(Tile::Two)),
            (8, 16, 64, true, None),
        ] {
            let s = square(n, c, size);
            assert_eq!(best(&s, frozen), expected, "{s:?}");
        }
    }
}

//! Weights in the order in which the kernels read them, kept between calls where a network is frozen.

use super::ConvShape;
use super::winograd::{self, Tile};
use super::{direct, unfold};
use crate::error::Result;
use crate::simd::{Block, Isa, LANES, flat, flat_mut};

/// A way to gather one image batch into another.
pub(super) enum Gather {
    Direct(direct::Gather),
    Winograd(winograd::Gather),
}

impl Gather {
    /// `x` to `y`, by Winograd's formula where there is a tile.
    pub fn forward(s: &ConvShape, tile: Option<Tile>, isa: Isa) -> Self {
        match tile {
            Some(tile) => Self::Winograd(winograd::Gather::forward(s, tile, isa)),
            None => Self::Direct(direct::Gather::forward(s, isa)),
        }
    }

    /// `gy` to `gx`.
    pub fn grad_input(s: &ConvShape, tile: Option<Tile>, isa: Isa) -> Self {
        match tile {
            Some(tile) => Self::Winograd(winograd::Gather::grad_input(s, tile, isa)),
            None => Self::Direct(direct::Gather::grad_input(s, isa)),
        }
    }

    fn packed_len(&self) -> usize {
        match self {
            Self::Direct(g) => g.packed_len(),
            Self::Winograd(g) => g.packed_len(),
        }
    }

    fn pack(&self, w: &[f32], packed: &mut [f32]) {
        match self {
            Self::Direct(g) => g.pack(w, packed),
            Self::Winograd(g) => g.pack(w, packed),
        }
    }

    fn run(&self, input: &[f32], packed: &[f32], output: &mut [f32]) {
        match self {
            Self::Direct(g) => g.run(input, packed, output),
            Self::Winograd(g) => g.run(input, packed, output),
        }
    }

    pub fn pack_and_run(&self, input: &[f32], w: &[f32], output: &mut [f32]) {
        match self {
            Self::Direct(g) => g.pack_and_run(input, w, output),
            Self::Winograd(g) => g.pack_and_run(input, w, output),
        }
    }
}

/// Which way a packed weight convolves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// x to y.
    Forward,
    /// gy to gx.
    GradInput,
}

/// The f32 weights of a frozen convolution, ready for use with any batch size and image size.
///
/// For 3 × 3 kernels of stride 1 this holds 16 or 36 values for 9 (Winograd's form), else about as many as the weight itself.
#[derive(Debug, Clone)]
pub struct PackedWeights {
    direction: Direction,
    /// c_out, c_in, kh, kw, stride, padding.
    key: [usize; 6],
    tile: Option<Tile>,
    isa: Isa,
    data: Vec<Block>,
}

impl PackedWeights {
    /// Packs `w [c_out, c_in, kh, kw]`, in the form that is fastest for images of the sizes of `s`.
    ///
    /// # Errors
    ///
    /// What [`ConvShape::check`] refuses; `w` of another length; a padding or stride far beyond the kernel's size.
    pub fn new(s: &ConvShape, direction: Direction, w: &[f32]) -> Result<Self> {
        s.check()?;
        s.check_slices(
            "packing a convolution's weight",
            s.x_len(),
            w.len(),
            s.y_len(),
        )?;
        check_compact(s)?;
        let (tile, isa) = (winograd::best(s, true), Isa::best());
        let gather = gather(s, direction, tile, isa);
        let mut data = vec![Block::ZERO; gather.packed_len().div_ceil(LANES)];
        gather.pack(w, flat_mut(&mut data));
        Ok(Self {
            direction,
            key: key(s),
            tile,
            isa,
            data,
        })
    }

    /// Whether the unpacked form would read the weight in another order anyway; where it would not (patches, and the three
    /// channels of an image) it is the faster one.
    #[must_use]
    pub fn pays(s: &ConvShape, direction: Direction) -> bool {
        s.compact()
            && match direction {
                Direction::Forward => !unfold::pays(s),
                Direction::GradInput => !unfold::pays_for_input(s),
            }
    }

    /// Whether this packing serves a convolution of that shape.
    #[must_use]
    pub fn fits(&self, s: &ConvShape) -> bool {
        key(s) == self.key
    }

    /// Which way it convolves.
    #[must_use]
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of_val(self.data.as_slice())
    }

    /// Convolves: `x` to `y`, or `gy` to `gx`. The output is overwritten.
    ///
    /// # Errors
    ///
    /// What [`PackedWeights::new`] refuses; slices of another length; another kernel than the packed one.
    pub fn run(&self, s: &ConvShape, input: &[f32], output: &mut [f32]) -> Result<()> {
        let (x, y) = match self.direction {
            Direction::Forward => (input.len(), output.len()),
            Direction::GradInput => (output.len(), input.len()),
        };
        s.check()?;
        s.check_slices("convolution with packed weights", x, s.w_len(), y)?;
        check_compact(s)?;
        if key(s) != self.key {
            return Err(crate::Error::Packed {
                shape: format!("{s:?}"),
                packed: self.key,
            });
        }
        gather(s, self.direction, self.tile, self.isa).run(input, flat(&self.data), output);
        Ok(())
    }
}

fn check_compact(s: &ConvShape) -> Result<()> {
    if s.compact() {
        Ok(())
    } else {
        Err(s.checker("packed convolution").overflow("padded x"))
    }
}

fn key(s: &ConvShape) -> [usize; 6] {
    [s.c_out, s.c_in, s.kh, s.kw, s.stride, s.padding]
}

fn gather(s: &ConvShape, direction: Direction, tile: Option<Tile>, isa: Isa) -> Gather {
    match direction {
        Direction::Forward => Gather::forward(s, tile, isa),
        Direction::GradInput => Gather::grad_input(s, tile, isa),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{SHAPES, shape};
    use super::*;
    use crate::plain;
    use crate::testing::{assert_close, noise};

    #[test]
    fn one_packing_serves_other_image_sizes() {
        let large = [2, 33, 35, 33, 40, 3, 3, 1, 1];
        assert_eq!(winograd::best(&shape(large), true), Some(Tile::Four));
        for s in SHAPES.iter().chain([&large]).map(|&v| shape(v)) {
            let w = noise::<f32>(s.w_len(), 2);
            let forward = PackedWeights::new(&s, Direction::Forward, &w).unwrap();
            let back = PackedWeights::new(&s, Direction::GradInput, &w).unwrap();
            let s = ConvShape {
                n: s.n + 1,
                h: s.h + 3,
                w: s.w + 5,
                ..s
            };
            let (x, gy) = (noise::<f32>(s.x_len(), 1), noise::<f32>(s.y_len(), 3));
            let (mut y, mut got) = (vec![0.0; s.y_len()], vec![f32::NAN; s.y_len()]);
            plain::conv_forward(&s, &x, &w, &mut y);
            forward.run(&s, &x, &mut got).unwrap();
            assert_close(&got, &y, 1e-5);
            let (mut gx, mut got) = (vec![0.0; s.x_len()], vec![f32::NAN; s.x_len()]);
            plain::conv_grad_input(&s, &w, &gy, &mut gx);
            back.run(&s, &gy, &mut got).unwrap();
            assert_close(&got, &gx, 1e-5);
            assert!(
                back.run(
                    &ConvShape {
                        padding: s.padding + 1,
                        ..s
                    },
                    &gy,
                    &mut got
                )
                .is_err()
            );
        }
    }
}

//! A tensor seen along one axis, for operators that reduce it: `[outer, len, inner]` in memory.

use candle_core::{D, Tensor};
use domex_kernels::rows::RowsShape;
use rayon::prelude::*;

use crate::{Error, Result, check, cpu::Element};

/// The three sizes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Axis {
    pub(crate) outer: usize,
    pub(crate) len: usize,
    pub(crate) inner: usize,
}

impl Axis {
    /// Axis `dim` of the float tensor `x`.
    pub(crate) fn of(op: &'static str, x: &Tensor, dim: usize) -> Result<Self> {
        check::float(op, "x", x)?;
        check::nonempty(op, "x", x)?;
        let dims = x.dims();
        if dim >= dims.len() {
            let expected = format!("a dimension of x {dims:?}");
            return Err(Error::parameter(op, "dim", dim, expected));
        }
        Ok(Self {
            outer: dims[..dim].iter().product(),
            len: dims[dim],
            inner: dims[dim + 1..].iter().product(),
        })
    }

    /// The sizes for the kernels that take whole rows, where those serve: lines that lie one behind the other and are
    /// not longer than the networks' are. Those kernels sum in the element type, which longer lines would show.
    pub(crate) fn rows(&self) -> Option<RowsShape> {
        (self.inner == 1 && self.len <= LONGEST_ROW).then_some(RowsShape {
            rows: self.outer,
            width: self.len,
        })
    }

    /// `t` reshaped so that its middle dimension is the axis.
    pub(crate) fn view(&self, t: &Tensor) -> candle_core::Result<Tensor> {
        t.reshape((self.outer, self.len, self.inner))
    }

    /// The mean along the axis, kept: `t: [outer, len, inner]` to `[outer, 1, inner]`.
    pub(crate) fn mean(t: &Tensor) -> candle_core::Result<Tensor> {
        t.mean_keepdim(D::Minus2)
    }

    /// Calls `line(y, x)` for each line along the axis as contiguous slices; `x` has `N` operands.
    pub(crate) fn each_line<T: Element, const N: usize>(
        &self,
        x: [&[T]; N],
        y: &mut [T],
        line: impl Fn(usize, [&[T]; N], &mut [T]) + Sync,
    ) {
        let Self { len, inner, .. } = *self;
        if inner == 1 {
            y.par_chunks_mut(len).enumerate().for_each(|(i, y)| {
                line(i, x.map(|x| &x[i * len..(i + 1) * len]), y);
            });
            return;
        }
        // Transposed in blocks, so that one cache line serves several lines.
        y.par_chunks_mut(len * inner).enumerate().for_each_init(
            || {
                (
                    vec![T::default(); N * len * BLOCK],
                    vec![T::default(); len * BLOCK],
                )
            },
            |(from, to), (i, y)| {
                let start = i * len * inner;
                for j in (0..inner).step_by(BLOCK) {
                    let width = BLOCK.min(inner - j);
                    for (x, from) in x.iter().zip(from.chunks_exact_mut(len * BLOCK)) {
                        for k in 0..len {
                            let x = &x[start + k * inner + j..][..width];
                            x.iter()
                                .enumerate()
                                .for_each(|(b, &v)| from[b * len + k] = v);
                        }
                    }
                    for b in 0..width {
                        let lines = std::array::from_fn(|n| &from[(n * BLOCK + b) * len..][..len]);
                        line(i * inner + j + b, lines, &mut to[b * len..(b + 1) * len]);
                    }
                    for k in 0..len {
                        let y = &mut y[k * inner + j..][..width];
                        y.iter_mut()
                            .enumerate()
                            .for_each(|(b, v)| *v = to[b * len + k]);
                    }
                }
            },
        );
    }
}

/// The longest line for [`Axis::rows`].
const LONGEST_ROW: usize = 1 << 14;

/// Lines that are transposed together.
const BLOCK: usize = 16;

/// `Σ f(a[i], b[i])`, summed in sixteen lanes and, from time to time, in f64.
pub(crate) fn sum<T: Element>(a: &[T], b: &[T], f: impl Fn(T, T) -> T) -> f64 {
    const LANES: usize = 16;
    let mut total = 0.0;
    for (a, b) in a.chunks(256 * LANES).zip(b.chunks(256 * LANES)) {
        let mut lanes = [T::default(); LANES];
        let (whole_a, rest_a) = a.as_chunks::<LANES>();
        let (whole_b, rest_b) = b.as_chunks::<LANES>();
        for (a, b) in whole_a.iter().zip(whole_b) {
            for i in 0..LANES {
                lanes[i] += f(a[i], b[i]);
            }
        }
        total += lanes.iter().map(|v| v.wide()).sum::<f64>();
        total += rest_a
            .iter()
            .zip(rest_b)
            .map(|(&a, &b)| f(a, b).wide())
            .sum::<f64>();
    }
    total
}

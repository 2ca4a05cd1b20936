//! The piecewise linear activations: one pass forward, one pass back.
//!
//! The backward pass multiplies by a slope that is a constant almost everywhere, so it is linear
//! in the incoming gradient and its own backward pass is the same operator.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Shape, Tensor};
use rayon::prelude::*;

use super::OP;
use crate::{
    Result,
    channels::{channel_sum, rows_per_task},
    cpu::{self, Element, by_dtype},
};

/// `clamp(gain · (p > 0: p, else negative · p))` with `p = x + bias`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    /// Slope for negative values.
    pub negative: f64,
    /// Factor after the activation.
    pub gain: f64,
    /// Largest magnitude of the result, infinity for none.
    pub clamp: f64,
    /// The dimension that the bias runs along.
    pub dim: usize,
}

/// [`Piece`] with its numbers in the element type.
#[derive(Clone, Copy)]
struct Typed<T> {
    negative: T,
    gain: T,
    clamp: T,
}

impl<T: Element> Typed<T> {
    fn scaled(self, p: T) -> T {
        let a = if p > T::zero() || p.is_nan() {
            p
        } else if self.negative == T::zero() {
            // Not p·0, which is NaN for −∞.
            T::zero()
        } else {
            p * self.negative
        };
        a * self.gain
    }

    fn value(self, p: T) -> T {
        let y = self.scaled(p);
        // Comparisons in this direction leave NaN as it is.
        if y > self.clamp {
            self.clamp
        } else if y < -self.clamp {
            -self.clamp
        } else {
            y
        }
    }

    fn slope(self, p: T) -> T {
        if self.scaled(p).abs() > self.clamp {
            T::zero()
        } else if p > T::zero() {
            self.gain
        } else {
            self.gain * self.negative
        }
    }
}

impl Piece {
    pub fn apply(self, x: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        if bias.is_none() && self.is_identity() {
            return Ok(x.clone());
        }
        let x = x.contiguous()?;
        Ok(match bias {
            Some(bias) => x.apply_op2(&bias.contiguous()?, self)?,
            None => x.apply_op1(self)?,
        })
    }

    fn is_identity(self) -> bool {
        self.is_linear() && self.gain == 1.0
    }

    fn is_linear(self) -> bool {
        self.negative == 1.0 && self.clamp == f64::INFINITY
    }

    fn typed<T: Element>(self) -> Typed<T> {
        Typed {
            negative: T::of(self.negative),
            gain: T::of(self.gain),
            clamp: T::of(self.clamp),
        }
    }

    /// `∂L/∂x` from `g = ∂L/∂y`; linear in `g`.
    fn input_grad(
        self,
        x: &Tensor,
        bias: Option<&Tensor>,
        g: &Tensor,
    ) -> candle_core::Result<Tensor> {
        if self.is_identity() {
            return Ok(g.clone());
        }
        if self.is_linear() {
            return g.affine(self.gain, 0.0);
        }
        let slope = Slope {
            piece: self,
            x: x.detach(),
            bias: bias.map(Tensor::detach),
        };
        g.contiguous()?.apply_op1(slope)
    }

    /// Calls `f` for each element with `x + bias`, row by row.
    fn visit<T: Element>(
        self,
        dims: &[usize],
        bias: Option<&[T]>,
        x: &[T],
        y: &mut [T],
        f: impl Fn(&mut T, T) + Sync,
    ) {
        let Some(bias) = bias else {
            let rows = y
                .par_chunks_mut(4096)
                .zip(x.par_chunks(4096))
                .with_min_len(4);
            rows.for_each(|(y, x)| y.iter_mut().zip(x).for_each(|(y, &x)| f(y, x)));
            return;
        };
        let inner: usize = dims[self.dim + 1..].iter().product();
        let row = bias.len() * inner;
        y.par_chunks_mut(row)
            .zip(x.par_chunks(row))
            .with_min_len(rows_per_task(row))
            .for_each(|(y, x)| {
                if inner == 1 {
                    for ((y, &x), &b) in y.iter_mut().zip(x).zip(bias) {
                        f(y, x + b);
                    }
                    return;
                }
                let channels = y.par_chunks_mut(inner).zip(x.par_chunks(inner)).zip(bias);
                channels
                    .with_min_len(rows_per_task(inner))
                    .for_each(|((y, x), &b)| {
                        y.iter_mut().zip(x).for_each(|(y, &x)| f(y, x + b));
                    });
            });
    }

    fn forward<T: Element>(
        self,
        (s, l): (&CpuStorage, &Layout),
        bias: Option<(&CpuStorage, &Layout)>,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let x = cpu::slice::<T>(s, l)?;
        let bias = bias.map(|(s, l)| cpu::slice::<T>(s, l)).transpose()?;
        let typed = self.typed::<T>();
        let y = cpu::filled(x.len(), |y| {
            self.visit(l.dims(), bias, x, y, |y, p| *y = typed.value(p));
            Ok(())
        })?;
        Ok((y, l.shape().clone()))
    }
}

impl CustomOp1 for Piece {
    fn name(&self) -> &'static str {
        OP
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        by_dtype!(s, OP, T => self.forward::<T>((s, l), None))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, g: &Tensor) -> candle_core::Result<Option<Tensor>> {
        self.input_grad(x, None, g).map(Some)
    }
}

impl CustomOp2 for Piece {
    fn name(&self) -> &'static str {
        OP
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        by_dtype!(s1, OP, T => self.forward::<T>((s1, l1), Some((s2, l2))))
    }

    fn bwd(
        &self,
        x: &Tensor,
        bias: &Tensor,
        _: &Tensor,
        g: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let for_x = self.input_grad(x, Some(bias), g)?;
        let for_bias = if bias.track_op() {
            Some(channel_sum(&for_x, self.dim)?)
        } else {
            None
        };
        Ok((x.track_op().then_some(for_x), for_bias))
    }
}

/// `g` times the slope of a [`Piece`] at constants `x` and `bias`.
struct Slope {
    piece: Piece,
    x: Tensor,
    bias: Option<Tensor>,
}

impl Slope {
    fn run<T: Element>(&self, g: &[T]) -> candle_core::Result<CpuStorage> {
        let (x_storage, x_layout) = self.x.storage_and_layout();
        let bias_storage = self.bias.as_ref().map(Tensor::storage_and_layout);
        let x = cpu::slice::<T>(cpu::storage(&x_storage)?, x_layout)?;
        let bias = match &bias_storage {
            Some((s, l)) => Some(cpu::slice::<T>(cpu::storage(s)?, l)?),
            None => None,
        };
        let typed = self.piece.typed::<T>();
        // The result starts as a copy of g, so that one pass over x finishes it.
        let mut out = g.to_vec();
        self.piece
            .visit(x_layout.dims(), bias, x, &mut out, |y, p| {
                let slope = typed.slope(p);
                // Cut off is cut off, also where g is infinite.
                *y = if slope == T::zero() {
                    slope
                } else {
                    *y * slope
                };
            });
        Ok(T::to_cpu_storage_owned(out))
    }
}

impl CustomOp1 for Slope {
    fn name(&self) -> &'static str {
        "bias_act-slope"
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let y = by_dtype!(s, self.name(), T => self.run::<T>(cpu::slice(s, l)?))?;
        Ok((y, l.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, v: &Tensor) -> candle_core::Result<Option<Tensor>> {
        self.piece
            .input_grad(&self.x, self.bias.as_ref(), v)
            .map(Some)
    }
}

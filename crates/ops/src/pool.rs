//! Max and average pooling with square windows.
//!
//! `x: [n, c, h, w]` to `[n, c, oh, ow]` with `oh = ⌊(h + 2p − k) / s⌋ + 1` for kernel `k`, stride `s`
//! and padding `p`. In ceil mode the quotient is rounded up, and a last window that would start
//! outside the input and its left padding is dropped. Source: PyTorch `max_pool2d`, `avg_pool2d`
//! (`aten/src/ATen/native/Pool.h`).
//!
//! The padding never wins a maximum. Where several elements of a window are the maximum, the first
//! in row-major order gets the whole gradient; overlapping windows add. A NaN is a maximum.
//!
//! An average divides by `k²`, less what hangs over the padded edge in ceil mode; without
//! `count_include_pad` by the number of elements of the input in the window.
//!
//! Average pooling is linear. Max pooling picks elements: its backward puts gradients back where
//! they were picked, and the backward of that picks again, so both are exact to any order.

mod blocks;

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp2, Layout, Shape, Tensor};
use rayon::prelude::*;

use crate::{
    Error, Result,
    autograd::in_backward,
    body::{Bodies, Body},
    check,
    cpu::{self, Element, by_dtype},
    resize::separable::{Separable, Table},
};

const BODIES: Bodies = Bodies::CPU_AND_CUDA;

/// The windows of a pooling. See the [module docs](self).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pool {
    /// Height and width of a window.
    pub kernel: usize,
    /// Step from one window to the next.
    pub stride: usize,
    /// Elements added on every side; at most half the kernel.
    pub padding: usize,
    /// Whether windows may hang over the bottom and right edge.
    pub ceil_mode: bool,
}

impl Pool {
    /// No padding, no overhang.
    pub fn new(kernel: usize, stride: usize) -> Self {
        Self {
            kernel,
            stride,
            padding: 0,
            ceil_mode: false,
        }
    }

    /// The windows along an axis of `inputs` elements.
    fn windows(&self, op: &'static str, x: &Tensor, inputs: usize) -> Result<Vec<Window>> {
        let Self {
            kernel,
            stride,
            padding,
            ceil_mode,
        } = *self;
        for (name, value) in [("kernel", kernel), ("stride", stride)] {
            if value == 0 {
                return Err(Error::parameter(op, name, value, "at least 1"));
            }
        }
        if padding > kernel / 2 {
            let expected = format!("at most half the kernel {kernel}");
            return Err(Error::parameter(op, "padding", padding, expected));
        }
        // Both sums fit: padding ≤ kernel / 2, and a kernel beyond the input is refused.
        let padded = inputs.saturating_add(2 * padding);
        let Some(slack) = padded.checked_sub(kernel) else {
            let expected = format!("h and w, padded by {padding}, of at least the kernel {kernel}");
            return Err(Error::shape(op, "x", x.dims(), expected));
        };
        let mut count = if ceil_mode {
            slack.div_ceil(stride)
        } else {
            slack / stride
        } + 1;
        if ceil_mode && (count - 1) * stride >= inputs + padding {
            count -= 1;
        }
        let window = |o: usize| {
            let start = o * stride;
            Window {
                start: start.saturating_sub(padding),
                end: (start + kernel - padding).min(inputs),
                padded_len: (start + kernel).min(padded) - start,
            }
        };
        Ok((0..count).map(window).collect())
    }
}

/// One window along one axis.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Window {
    /// The elements of the input in it, never none.
    start: usize,
    end: usize,
    /// Its length with padding but without what hangs over that.
    padded_len: usize,
}

/// The average of each window of `x: [n, c, h, w]`. See the [module docs](self).
///
/// # Errors
///
/// [`Error::Parameter`] for a kernel or stride of 0 or more padding than half the kernel,
/// [`Error::Shape`] when `x` is not of rank 4 or smaller than a window, [`Error::DType`] for integers.
pub fn avg_pool2d(x: &Tensor, pool: &Pool, count_include_pad: bool) -> Result<Tensor> {
    if let [_, _, h, w] = *x.dims()
        && let Some(side) = blocks::side(pool, h, w)
        && BODIES.of(&[x]) == Body::Cpu
    {
        check::nonempty("avg_pool2d", "x", x)?;
        return Ok(blocks::mean(x, side)?);
    }
    average("avg_pool2d", x, pool, count_include_pad)?.apply("avg_pool2d", x)
}

/// Averages are separable: the window's area is its height times its width, padded or not.
fn average(op: &'static str, x: &Tensor, pool: &Pool, with_padding: bool) -> Result<Separable> {
    check::float(op, "x", x)?;
    let (_, _, h, w) = check::dims4(op, "x", x, "[n, c, h, w]")?;
    let table = |inputs: usize| -> Result<Table> {
        let row = |window: Window| {
            let len = window.end - window.start;
            let divisor = if with_padding { window.padded_len } else { len };
            (window.start, vec![1.0 / divisor as f64; len])
        };
        Ok(Table::new(
            inputs,
            pool.windows(op, x, inputs)?.into_iter().map(row),
        ))
    };
    Ok(Separable::new(table(h)?, table(w)?))
}

/// The maximum of each window of `x: [n, c, h, w]`. See the [module docs](self).
///
/// # Errors
///
/// As [`avg_pool2d`].
pub fn max_pool2d(x: &Tensor, pool: &Pool) -> Result<Tensor> {
    let windows = Windows::new("max_pool2d", x, pool)?;
    if BODIES.of(&[x]) == Body::Composed {
        return windows.reference(x);
    }
    let x = x.contiguous()?;
    let pick = Pick {
        windows,
        back: false,
    };
    // Only the values get a gradient, not the keys that they are picked by.
    Ok(x.detach().apply_op2(&x, pick)?)
}

/// The windows of both axes.
#[derive(Debug, Clone)]
struct Windows {
    #[cfg(feature = "cuda")]
    pool: Pool,
    h: usize,
    w: usize,
    rows: Arc<Vec<Window>>,
    cols: Arc<Vec<Window>>,
}

impl Windows {
    fn new(op: &'static str, x: &Tensor, pool: &Pool) -> Result<Self> {
        check::float(op, "x", x)?;
        let (n, c, h, w) = check::dims4(op, "x", x, "[n, c, h, w]")?;
        let rows = pool.windows(op, x, h)?;
        let cols = pool.windows(op, x, w)?;
        check::elements(op, &[n, c, rows.len(), cols.len()], x.dtype())?;
        Ok(Self {
            #[cfg(feature = "cuda")]
            pool: *pool,
            h,
            w,
            rows: Arc::new(rows),
            cols: Arc::new(cols),
        })
    }

    fn count(&self) -> usize {
        self.rows.len() * self.cols.len()
    }

    /// Calls `found(output, input)` with the place of each window's maximum in a plane of keys.
    fn maxima<T: Element>(&self, keys: &[T], mut found: impl FnMut(usize, usize)) {
        let mut output = 0;
        for row in self.rows.iter() {
            for col in self.cols.iter() {
                let mut best = row.start * self.w + col.start;
                let mut most = keys[best];
                for y in row.start..row.end {
                    let first = y * self.w + col.start;
                    let line = &keys[first..y * self.w + col.end];
                    for (i, &key) in line.iter().enumerate() {
                        // No branch: where the maximum is, nobody can foresee.
                        let better = (key > most) | key.is_nan();
                        most = if better { key } else { most };
                        best = if better { first + i } else { best };
                    }
                }
                found(output, best);
                output += 1;
            }
        }
    }

    /// The same from candle's own operations.
    fn reference(&self, x: &Tensor) -> Result<Tensor> {
        let (n, c, h, w) = x.dims4()?;
        // The places of every window's elements, in row-major order. Short windows repeat their first
        // place, which changes neither the maximum nor which place is the first to have it.
        let len = |windows: &[Window]| windows.iter().map(|v| v.end - v.start).max().unwrap_or(0);
        let taps = len(&self.rows) * len(&self.cols);
        let mut places = Vec::with_capacity(self.count() * taps);
        for row in self.rows.iter() {
            for col in self.cols.iter() {
                let first = row.start * w + col.start;
                let inside = (row.start..row.end)
                    .flat_map(|y| (col.start..col.end).map(move |i| (y * w + i) as u32));
                let repeats = std::iter::repeat(first as u32);
                places.extend(repeats.take(taps - (row.end - row.start) * (col.end - col.start)));
                places.extend(inside);
            }
        }
        let places = Tensor::from_vec(places, (self.count(), taps), x.device())?;
        let flat = x.reshape((n, c, h * w))?.contiguous()?;
        let which = flat
            .detach()
            .index_select(&places.flatten_all()?, 2)?
            .reshape((n, c, self.count(), taps))?
            .argmax_keepdim(3)?;
        let place = places
            .broadcast_as((n, c, self.count(), taps))?
            .contiguous()?
            .gather(&which, 3)?
            .squeeze(3)?;
        Ok(flat
            .gather(&place, 2)?
            .reshape((n, c, self.rows.len(), self.cols.len()))?)
    }
}

/// With keys `[n, c, h, w]`: of values `[n, c, h, w]`, those at the place of each window's largest key,
/// `[n, c, oh, ow]`; or back, each of `[n, c, oh, ow]` added at that place of zeros `[n, c, h, w]`. Each
/// is the other's backward.
#[derive(Debug, Clone)]
struct Pick {
    windows: Windows,
    back: bool,
}

impl Pick {
    /// The shape of the result for keys of layout `keys`.
    fn result(&self, keys: &Layout) -> candle_core::Result<Shape> {
        let (n, c, _, _) = keys.shape().dims4()?;
        let (rows, cols) = (self.windows.rows.len(), self.windows.cols.len());
        Ok(Shape::from(if self.back {
            (n, c, self.windows.h, self.windows.w)
        } else {
            (n, c, rows, cols)
        }))
    }

    fn run<T: Element>(&self, keys: &[T], values: &[T], y: &mut [T]) {
        let (plane, count) = (self.windows.h * self.windows.w, self.windows.count());
        let (from, to) = if self.back {
            (count, plane)
        } else {
            (plane, count)
        };
        y.par_chunks_mut(to)
            .zip(values.par_chunks(from))
            .zip(keys.par_chunks(plane))
            .for_each(|((y, values), keys)| {
                if self.back {
                    self.windows
                        .maxima(keys, |output, input| y[input] += values[output]);
                } else {
                    self.windows
                        .maxima(keys, |output, input| y[output] = values[input]);
                }
            });
    }
}

impl CustomOp2 for Pick {
    fn name(&self) -> &'static str {
        if self.back {
            "max_pool2d-backward"
        } else {
            "max_pool2d"
        }
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let shape = self.result(l1)?;
        let y = by_dtype!(s1, self.name(), T => {
            let (keys, values) = (cpu::slice::<T>(s1, l1)?, cpu::slice::<T>(s2, l2)?);
            cpu::filled(shape.elem_count(), |y: &mut [T]| {
                self.run(keys, values, y);
                Ok(())
            })
        })?;
        Ok((y, shape))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        s1: &candle_core::CudaStorage,
        l1: &Layout,
        s2: &candle_core::CudaStorage,
        l2: &Layout,
    ) -> candle_core::Result<(candle_core::CudaStorage, Shape)> {
        use crate::cuda::{Input, compute, element_of};
        use domex_cuda::plan;
        let (shape, windows) = (self.result(l1)?, &self.windows);
        let sizes = plan::MaxPool {
            planes: l1.dims()[0] * l1.dims()[1],
            h: windows.h,
            w: windows.w,
            out_h: windows.rows.len(),
            out_w: windows.cols.len(),
            kernel: windows.pool.kernel,
            stride: windows.pool.stride,
            padding: windows.pool.padding,
        };
        let plan = if self.back {
            plan::max_pool_adjoint(&sizes, element_of(s1)?)
        } else {
            plan::max_pool(&sizes, element_of(s1)?)
        };
        let inputs = [Input::All(s1, l1), Input::All(s2, l2)];
        Ok((compute(plan, &inputs, 2, shape.elem_count())?, shape))
    }

    fn bwd(
        &self,
        keys: &Tensor,
        _: &Tensor,
        _: &Tensor,
        g: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let op = Self {
            windows: self.windows.clone(),
            back: !self.back,
        };
        let grad = in_backward(keys).apply_op2(&g.contiguous()?, op)?;
        Ok((None, Some(grad)))
    }
}

/// The same operators as compositions of candle's, on any device and in any float type.
pub mod reference {
    use super::{Pool, Result, Tensor, Windows, average};

    /// As [`max_pool2d`](super::max_pool2d).
    ///
    /// # Errors
    ///
    /// As [`max_pool2d`](super::max_pool2d).
    pub fn max_pool2d(x: &Tensor, pool: &Pool) -> Result<Tensor> {
        Windows::new("max_pool2d", x, pool)?.reference(x)
    }

    /// As [`avg_pool2d`](super::avg_pool2d).
    ///
    /// # Errors
    ///
    /// As [`avg_pool2d`](super::avg_pool2d).
    pub fn avg_pool2d(x: &Tensor, pool: &Pool, count_include_pad: bool) -> Result<Tensor> {
        average("avg_pool2d", x, pool, count_include_pad)?.reference(x)
    }
}

#[cfg(test)]
mod tests;

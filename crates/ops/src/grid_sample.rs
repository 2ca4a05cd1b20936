//! Pictures sampled at any positions, bilinearly, with zeros outside.
//!
//! ```text
//! ix = ((gx + 1) w − 1) / 2,   iy = ((gy + 1) h − 1) / 2          (align_corners = false)
//! y[n, c, i, j] = Σ x[n, c, ⌊iy⌋ + a, ⌊ix⌋ + b] · weight_a(iy) · weight_b(ix),   a, b in {0, 1}
//! ```
//!
//! for `x: [n, c, h, w]` and `grid: [n, i, j, 2]` with `(gx, gy) = grid[n, i, j]`; −1 and 1 are the
//! outer edges of the picture. A position that is not a number samples nothing. As PyTorch's
//! `grid_sample` with `padding_mode="zeros"`.
//!
//! The operator is linear in `x`. Its backward scatters, and the backward of that samples again, so
//! derivatives of any order are exact. There is no gradient for the grid: one that tracks is
//! refused.
//!
//! ```
//! use candle_core::{DType, Device, Tensor};
//! use domex_ops::grid_sample;
//!
//! // Two pixels; sampled on the first, halfway, and on the outer edge of the second.
//! let x = Tensor::new(&[[[[1f32, 3.0]]]], &Device::Cpu)?;
//! let grid = Tensor::new(&[[[[-0.5f32, 0.0], [0.0, 0.0], [1.0, 0.0]]]], &Device::Cpu)?;
//! let y = grid_sample(&x, &grid)?;
//! assert_eq!(y.flatten_all()?.to_vec1::<f32>()?, [1.0, 2.0, 1.5]);
//! # Ok::<(), domex_ops::Error>(())
//! ```

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, DType, Layout, Shape, Tensor};
use rayon::prelude::*;

use crate::{
    Error, Result,
    body::{Bodies, Body},
    check,
    cpu::{self, Element, by_dtype},
};

const OP: &str = "grid_sample";
const BODIES: Bodies = Bodies::CPU_AND_CUDA;

/// `x: [n, c, h, w]` at the positions `grid: [n, i, j, 2]`, giving `[n, c, i, j]`. See the
/// [module docs](self).
///
/// # Errors
///
/// [`Error::Shape`], [`Error::DType`] and [`Error::Device`] for operands that do not fit each
/// other; [`Error::Parameter`] for a grid that tracks gradients.
pub fn grid_sample(x: &Tensor, grid: &Tensor) -> Result<Tensor> {
    let planes = plan(x, grid)?;
    if BODIES.of(&[x]) == Body::Composed {
        return composed(x, grid);
    }
    let points: Vec<f64> = grid.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?;
    let at = |g: f64, size: usize| ((g + 1.0) * size as f64 - 1.0) / 2.0;
    let points = points
        .chunks_exact(2)
        .map(|p| (at(p[0], planes.w), at(p[1], planes.h)))
        .collect();
    let sample = Sample {
        planes,
        points,
        scatters: false,
    };
    Ok(x.contiguous()?.apply_op1(sample)?)
}

/// The same from candle's own operations.
///
/// # Errors
///
/// As [`grid_sample`].
pub fn reference(x: &Tensor, grid: &Tensor) -> Result<Tensor> {
    plan(x, grid)?;
    composed(x, grid)
}

/// Checks everything.
fn plan(x: &Tensor, grid: &Tensor) -> Result<Planes> {
    check::float(OP, "x", x)?;
    let (n, c, h, w) = check::dims4(OP, "x", x, "[n, c, h, w]")?;
    check::alike(OP, "grid", grid, x)?;
    let (grids, out_h, out_w, pair) = check::dims4(OP, "grid", grid, "[n, i, j, 2]")?;
    if (grids, pair) != (n, 2) {
        let expected = format!("[{n}, i, j, 2]");
        return Err(Error::shape(OP, "grid", grid.dims(), expected));
    }
    if grid.track_op() {
        let got = "a tensor that tracks gradients";
        return Err(Error::parameter(OP, "grid", got, "a constant: detach it"));
    }
    check::elements(OP, &[n, c, out_h, out_w], x.dtype())?;
    Ok(Planes {
        n,
        c,
        h,
        w,
        out_h,
        out_w,
    })
}

/// By gathering the four neighbours of each position.
fn composed(x: &Tensor, grid: &Tensor) -> Result<Tensor> {
    let (n, c, h, w) = x.dims4()?;
    let (_, out_h, out_w, _) = grid.dims4()?;
    let count = out_h * out_w;
    // Outside by far, where there is no number, and within the range of an index.
    let at = |axis: usize, size: usize| -> Result<Tensor> {
        let g = grid.narrow(3, axis, 1)?.reshape((n, 1, count))?;
        let position = ((((g + 1.0)? * size as f64)? - 1.0)? / 2.0)?;
        let outside = Tensor::full(-2.0, position.shape(), position.device())?;
        let outside = outside.to_dtype(position.dtype())?;
        let number = position.eq(&position)?;
        Ok(number
            .where_cond(&position, &outside)?
            .clamp(-2.0, size as f64 + 1.0)?)
    };
    let (ix, iy) = (at(0, w)?, at(1, h)?);
    let corner = |position: &Tensor, step: f64, size: usize| -> Result<(Tensor, Tensor)> {
        let index = (position.floor()? + step)?;
        let weight = ((position - &index)?.abs()?.neg()? + 1.0)?;
        let last = size as f64 - 1.0;
        let inside = index.ge(0.0)?.mul(&index.le(last)?)?;
        let weight = weight.mul(&inside.to_dtype(weight.dtype())?)?;
        Ok((index.clamp(0.0, last)?, weight))
    };
    // Pixels as rows: candle differentiates the selection of rows twice, that of elements once.
    let pixels = x.permute((0, 2, 3, 1))?.contiguous()?;
    let pixels = pixels.reshape((n * h * w, c))?;
    let sample = Tensor::arange(0u32, n as u32, x.device())?;
    let sample = (sample.to_dtype(DType::F64)? * (h * w) as f64)?.reshape((n, 1, 1))?;
    let mut y = Tensor::zeros((n * count, c), x.dtype(), x.device())?;
    for row in [0.0, 1.0] {
        for column in [0.0, 1.0] {
            let (top, weight_y) = corner(&iy, row, h)?;
            let (left, weight_x) = corner(&ix, column, w)?;
            let index = ((top * w as f64)? + left)?.to_dtype(DType::F64)?;
            let index = index.broadcast_add(&sample)?.flatten_all()?;
            let weight = weight_y.mul(&weight_x)?.reshape((n * count, 1))?;
            let values = pixels.index_select(&index.to_dtype(DType::U32)?, 0)?;
            y = (y + values.broadcast_mul(&weight)?)?;
        }
    }
    let y = y.reshape((n, out_h, out_w, c))?;
    Ok(y.permute((0, 3, 1, 2))?.contiguous()?)
}

#[derive(Debug, Clone, Copy)]
struct Planes {
    n: usize,
    c: usize,
    h: usize,
    w: usize,
    out_h: usize,
    out_w: usize,
}

/// Sampling, or its adjoint.
#[derive(Clone)]
struct Sample {
    planes: Planes,
    /// Pixel positions `(ix, iy)` of all samples.
    points: Arc<[(f64, f64)]>,
    scatters: bool,
}

/// The four neighbours of a position: their index in the plane, and their weights. Neighbours
/// outside have weight 0 and index 0.
fn neighbours(planes: &Planes, (ix, iy): (f64, f64)) -> Option<[(usize, f64); 4]> {
    let (w, h) = (planes.w as f64, planes.h as f64);
    // Also false where a position is not a number.
    if !(ix > -1.0 && ix < w && iy > -1.0 && iy < h) {
        return None;
    }
    let (x0, y0) = (ix.floor(), iy.floor());
    let (fx, fy) = (ix - x0, iy - y0);
    let corner = |x: f64, y: f64, weight: f64| {
        if x >= 0.0 && x < w && y >= 0.0 && y < h {
            (y as usize * planes.w + x as usize, weight)
        } else {
            (0, 0.0)
        }
    };
    Some([
        corner(x0, y0, (1.0 - fx) * (1.0 - fy)),
        corner(x0 + 1.0, y0, fx * (1.0 - fy)),
        corner(x0, y0 + 1.0, (1.0 - fx) * fy),
        corner(x0 + 1.0, y0 + 1.0, fx * fy),
    ])
}

impl Sample {
    /// The shape of the result.
    fn result(&self) -> Shape {
        let Planes {
            n,
            c,
            h,
            w,
            out_h,
            out_w,
        } = self.planes;
        match self.scatters {
            false => Shape::from((n, c, out_h, out_w)),
            true => Shape::from((n, c, h, w)),
        }
    }

    fn run<T: Element>(&self, input: &[T], output: &mut [T]) {
        let Planes { c, h, w, .. } = self.planes;
        let (inside, points) = (h * w, self.planes.out_h * self.planes.out_w);
        let (from, to) = match self.scatters {
            false => (inside, points),
            true => (points, inside),
        };
        // One task per sample: its channels share the neighbours of each position.
        let samples = output
            .par_chunks_mut(c * to)
            .zip(input.par_chunks(c * from));
        let samples = samples.zip(self.points.par_chunks(points));
        samples.for_each(|((output, input), positions)| {
            for (j, &position) in positions.iter().enumerate() {
                let Some(taps) = neighbours(&self.planes, position) else {
                    continue;
                };
                let taps = taps.map(|(index, weight)| (index, T::of(weight)));
                for channel in 0..c {
                    let (input, output) = (&input[channel * from..], &mut output[channel * to..]);
                    if self.scatters {
                        let g = input[j];
                        for (index, weight) in taps {
                            output[index] += g * weight;
                        }
                    } else {
                        output[j] = taps.iter().map(|&(i, weight)| input[i] * weight).sum();
                    }
                }
            }
        });
    }
}

impl CustomOp1 for Sample {
    fn name(&self) -> &'static str {
        OP
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let shape = self.result();
        let y = by_dtype!(s, OP, T => {
            let x = cpu::slice::<T>(s, l)?;
            cpu::filled(shape.elem_count(), |y: &mut [T]| {
                self.run(x, y);
                Ok(())
            })
        })?;
        Ok((y, shape))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        s: &candle_core::CudaStorage,
        l: &Layout,
    ) -> candle_core::Result<(candle_core::CudaStorage, Shape)> {
        use crate::cuda::{Input, compute, element_of};
        use domex_cuda::plan;
        let Planes { n, c, h, w, .. } = self.planes;
        let sizes = plan::GridSample {
            n,
            c,
            h,
            w,
            samples: self.planes.out_h * self.planes.out_w,
        };
        let element = element_of(s)?;
        let plan = match self.scatters {
            false => plan::grid_sample(&sizes, element),
            true => plan::grid_sample_adjoint(&sizes, element),
        };
        let points: Vec<f32> = self
            .points
            .iter()
            .flat_map(|&(x, y)| [x as f32, y as f32])
            .collect();
        let shape = self.result();
        let inputs = [Input::All(s, l), Input::Once(&points)];
        Ok((compute(plan, &inputs, 2, shape.elem_count())?, shape))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, g: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let adjoint = Self {
            scatters: !self.scatters,
            ..self.clone()
        };
        g.contiguous()?.apply_op1(adjoint).map(Some)
    }
}

#[cfg(test)]
mod tests;

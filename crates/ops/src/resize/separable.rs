//! Linear resampling of planes with one weight table per axis: `y = A_h x A_wᵀ`.
//!
//! Resizing and average pooling are both of this form. An output position depends on one run of
//! consecutive input positions, so a table is a list of (first input, weights). The transposed table
//! is the same kind of list, and it is the backward.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, DType, Layout, Shape, Tensor};
use rayon::prelude::*;

use crate::{
    Result,
    body::{Bodies, Body},
    check,
    cpu::{self, Element, by_dtype},
};

const BODIES: Bodies = Bodies::CPU_AND_CUDA;

/// A sparse matrix `[outputs, inputs]` whose rows are runs of consecutive weights.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Table {
    inputs: usize,
    /// First input position of each output.
    first: Vec<usize>,
    /// Where each output's weights begin; one entry more than there are outputs.
    offset: Vec<usize>,
    weights: Vec<f64>,
}

impl Table {
    /// A table from its rows: first input position and weights, which must lie within the inputs.
    pub(crate) fn new(inputs: usize, rows: impl IntoIterator<Item = (usize, Vec<f64>)>) -> Self {
        let mut table = Self {
            inputs,
            first: vec![],
            offset: vec![0],
            weights: vec![],
        };
        for (first, row) in rows {
            debug_assert!(
                first + row.len() <= inputs,
                "a row of weights leaves the input"
            );
            table.first.push(first);
            table.weights.extend(row);
            table.offset.push(table.weights.len());
        }
        table
    }

    /// A table from taps (position, weight) in any order, positions clamped to the edges. Taps that
    /// meet add up.
    pub(crate) fn from_taps<const K: usize>(
        inputs: usize,
        taps: impl Iterator<Item = [(isize, f64); K]>,
    ) -> Self {
        let clamp = |i: isize| usize::try_from(i).unwrap_or(0).min(inputs - 1);
        Self::new(
            inputs,
            taps.map(|taps| {
                let positions = taps.map(|(i, _)| clamp(i));
                let first = positions.into_iter().min().unwrap_or(0);
                let last = positions.into_iter().max().unwrap_or(0);
                let mut row = vec![0.0; last - first + 1];
                for (position, (_, weight)) in positions.into_iter().zip(taps) {
                    row[position - first] += weight;
                }
                (first, row)
            }),
        )
    }

    pub(crate) fn outputs(&self) -> usize {
        self.first.len()
    }

    /// First input and weights of output `o`.
    fn row(&self, o: usize) -> (usize, &[f64]) {
        (
            self.first[o],
            &self.weights[self.offset[o]..self.offset[o + 1]],
        )
    }

    /// The transposed matrix: the backward of this one.
    pub(crate) fn transposed(&self) -> Self {
        let mut rows: Vec<(usize, Vec<f64>)> = vec![(0, vec![]); self.inputs];
        for o in 0..self.outputs() {
            let (first, weights) = self.row(o);
            for (row, &weight) in rows[first..].iter_mut().zip(weights) {
                if row.1.is_empty() {
                    row.0 = o;
                }
                // Outputs between two that use this input do not use it: zeros.
                row.1.resize(o - row.0, 0.0);
                row.1.push(weight);
            }
        }
        Self::new(self.outputs(), rows)
    }

    /// The matrix in full, `[outputs, inputs]`.
    fn dense(&self, like: &Tensor) -> Result<Tensor> {
        let shape = [self.outputs(), self.inputs];
        let mut data = vec![0.0; check::elements("resample", &shape, DType::F64)?];
        for o in 0..self.outputs() {
            let (first, weights) = self.row(o);
            let start = o * self.inputs + first;
            data[start..start + weights.len()].copy_from_slice(weights);
        }
        Ok(Tensor::from_vec(data, &shape, like.device())?.to_dtype(like.dtype())?)
    }
}

/// One table per axis.
#[derive(Debug, Clone)]
pub(crate) struct Separable {
    pub(crate) rows: Arc<Table>,
    pub(crate) cols: Arc<Table>,
}

impl Separable {
    pub(crate) fn new(rows: Table, cols: Table) -> Self {
        Self {
            rows: Arc::new(rows),
            cols: Arc::new(cols),
        }
    }

    /// `x: [n, c, h, w]` to `[n, c, outputs of rows, outputs of cols]`.
    pub(crate) fn apply(&self, op: &'static str, x: &Tensor) -> Result<Tensor> {
        check::float(op, "x", x)?;
        let (n, c, _, _) = check::dims4(op, "x", x, "[n, c, h, w]")?;
        check::elements(
            op,
            &[n, c, self.rows.outputs(), self.cols.outputs()],
            x.dtype(),
        )?;
        if BODIES.of(&[x]) == Body::Composed {
            return self.reference(x);
        }
        Ok(x.contiguous()?.apply_op1(self.clone())?)
    }

    /// The same by matrix products.
    pub(crate) fn reference(&self, x: &Tensor) -> Result<Tensor> {
        let rows = self.rows.dense(x)?;
        let cols = self.cols.dense(x)?.t()?.contiguous()?;
        Ok(rows
            .broadcast_matmul(&x.contiguous()?)?
            .broadcast_matmul(&cols)?)
    }

    fn transposed(&self) -> Self {
        Self::new(self.rows.transposed(), self.cols.transposed())
    }
}

impl Separable {
    fn run<T: Element>(&self, x: &[T], y: &mut [T]) {
        let (h, w) = (self.rows.inputs, self.cols.inputs);
        let (out_h, out_w) = (self.rows.outputs(), self.cols.outputs());
        let row_weights: Vec<T> = self.rows.weights.iter().map(|&v| T::of(v)).collect();
        let col_weights: Vec<T> = self.cols.weights.iter().map(|&v| T::of(v)).collect();
        let planes = y.par_chunks_mut(out_h * out_w).zip(x.par_chunks(h * w));
        planes.for_each_init(
            || vec![T::default(); w],
            |line, (y, x)| {
                for (o, y) in y.chunks_exact_mut(out_w).enumerate() {
                    let weights = &row_weights[self.rows.offset[o]..self.rows.offset[o + 1]];
                    blend_rows(&x[self.rows.first[o] * w..], weights, line);
                    for (o, y) in y.iter_mut().enumerate() {
                        let weights = &col_weights[self.cols.offset[o]..self.cols.offset[o + 1]];
                        let taps = &line[self.cols.first[o]..];
                        *y = taps
                            .iter()
                            .zip(weights)
                            .map(|(&v, &weight)| v * weight)
                            .sum();
                    }
                }
            },
        );
    }
}

/// `line = Σ_k weights[k] · row k of x`.
fn blend_rows<T: Element>(x: &[T], weights: &[T], line: &mut [T]) {
    line.fill(T::default());
    for (row, &weight) in x.chunks_exact(line.len()).zip(weights) {
        for (sum, &v) in line.iter_mut().zip(row) {
            *sum += v * weight;
        }
    }
}

impl CustomOp1 for Separable {
    fn name(&self) -> &'static str {
        "resample"
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (n, c, h, w) = l.shape().dims4()?;
        if (h, w) != (self.rows.inputs, self.cols.inputs) {
            candle_core::bail!("resample: planes of {h}x{w} do not fit the weight tables");
        }
        let shape = Shape::from((n, c, self.rows.outputs(), self.cols.outputs()));
        let y = by_dtype!(s, self.name(), T => {
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
        let (n, c, h, w) = l.shape().dims4()?;
        if (h, w) != (self.rows.inputs, self.cols.inputs) {
            candle_core::bail!("resample: planes of {h}x{w} do not fit the weight tables");
        }
        let (out_h, out_w) = (self.rows.outputs(), self.cols.outputs());
        let shape = Shape::from((n, c, out_h, out_w));
        let sizes = domex_cuda::plan::Resample {
            planes: n * c,
            h,
            w,
            out_h,
            out_w,
        };
        let plan = domex_cuda::plan::resample(&sizes, element_of(s)?);
        let single = |t: &Table| t.weights.iter().map(|&v| v as f32).collect::<Vec<_>>();
        let (row_weights, col_weights) = (single(&self.rows), single(&self.cols));
        let inputs = [
            Input::All(s, l),
            Input::Ints(&self.rows.first),
            Input::Ints(&self.rows.offset),
            Input::Floats(&row_weights),
            Input::Ints(&self.cols.first),
            Input::Ints(&self.cols.offset),
            Input::Floats(&col_weights),
        ];
        Ok((compute(plan, &inputs, 1, shape.elem_count())?, shape))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, g: &Tensor) -> candle_core::Result<Option<Tensor>> {
        Ok(Some(self.transposed().apply("resample backward", g)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transposing_twice_gives_the_table_back() {
        // Row 1 skips input 1 and nothing uses input 3.
        let table = Table::new(
            4,
            [
                (0, vec![1.0, 2.0]),
                (0, vec![3.0]),
                (1, vec![4.0, 5.0]),
                (2, vec![6.0]),
            ],
        );
        let back = table.transposed();
        assert_eq!(back.row(1), (0, [2.0, 0.0, 4.0].as_slice()));
        assert_eq!(back.row(3), (0, [].as_slice()));
        let like = crate::testing::randn(&[1], 0);
        let dense = |t: &Table| t.dense(&like).unwrap().to_vec2::<f64>().unwrap();
        assert_eq!(dense(&back.transposed()), dense(&table));
        assert_eq!(dense(&back)[1], [2.0, 0.0, 4.0, 0.0]);
    }
}

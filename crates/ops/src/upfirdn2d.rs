//! Up-sampling, padding, FIR filtering and down-sampling of pictures.
//!
//! [`upfirdn2d`] inserts `up − 1` zeros after every pixel, pads (negative padding crops), filters,
//! keeps every `down`-th pixel starting at 0, and scales by `gain`. With taps `n` and input size
//! `w` an axis comes out with `⌊(w·up + pad₀ + pad₁ − n) / down⌋ + 1` pixels. Definition:
//! NVlabs/stylegan2-ada-pytorch, `torch_utils/ops/upfirdn2d.py`.
//!
//! The operator is linear in the picture, and its adjoint is of the same kind: `up` and `down`
//! swapped, the filter flipped, and padding `[n − pad₀ − 1, w·up − w_out·down + pad₀ − up + 1]`.
//! So derivatives of any order are exact. The filter is a constant and must not track.
//!
//! ```
//! use candle_core::{DType, Device, Tensor};
//! use domex_ops::{setup_filter, upsample2d};
//!
//! let filter = setup_filter(&[1.0, 3.0, 3.0, 1.0], None, &Device::Cpu, DType::F32)?;
//! let x = Tensor::ones((1, 3, 8, 8), DType::F32, &Device::Cpu)?;
//! let y = upsample2d(&x, Some(&filter), 2, [0; 4], false, 1.0)?;
//! assert_eq!(y.dims(), [1, 3, 16, 16]);
//! // The filter sums to 1 and the gain makes up for the zeros: the middle stays as it was.
//! let middle = y.get(0)?.get(0)?.get(8)?.get(8)?.to_scalar::<f32>()?;
//! assert!((middle - 1.0).abs() < 1e-6);
//! # Ok::<(), domex_ops::Error>(())
//! ```

mod filter;

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, DType, Layout, Shape, Tensor};
use domex_kernels::{
    epilogue::{self, EpilogueShape},
    upfirdn::{self as kernel, UpFirDnShape},
};

pub(crate) use self::filter::filter_size;
pub use self::filter::{SEPARABLE_TAPS, setup_filter, setup_filter2d};
use crate::{
    Error, Result,
    body::{Bodies, Body},
    check,
    cpu::{self, Element, by_dtype},
};

const OP: &str = "upfirdn2d";
const BODIES: Bodies = Bodies::CPU_AND_CUDA;

/// How [`upfirdn2d`] works. The default does nothing but filter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UpFirDn {
    /// Up-sampling factors `[x, y]`.
    pub up: [usize; 2],
    /// Down-sampling factors `[x, y]`.
    pub down: [usize; 2],
    /// Pixels added to the up-sampled picture `[x0, x1, y0, y1]`; negative ones are cropped.
    pub padding: [i64; 4],
    /// False: true convolution (the taps reversed). True: correlation.
    pub flip_filter: bool,
    /// Factor of the result.
    pub gain: f64,
}

impl Default for UpFirDn {
    fn default() -> Self {
        Self {
            up: [1; 2],
            down: [1; 2],
            padding: [0; 4],
            flip_filter: false,
            gain: 1.0,
        }
    }
}

/// `x: [n, c, h, w]` resampled with `filter`: `[kh, kw]`, or `[k]` for the separable filter `f·fᵀ`,
/// or None for the single tap 1. See the [module docs](self).
///
/// # Errors
///
/// [`Error::Shape`] when `x` or `filter` has another rank or a size of zero, or when the filter is
/// larger than the padded picture; [`Error::Parameter`] for a factor of 0, a gain that is not
/// finite, sizes that overflow, or a filter that tracks gradients.
pub fn upfirdn2d(x: &Tensor, filter: Option<&Tensor>, how: &UpFirDn) -> Result<Tensor> {
    let shape = plan(x, filter, how)?;
    if BODIES.widens(&[x]) {
        let y = upfirdn2d(&x.to_dtype(DType::F32)?, filter, how)?;
        return Ok(y.to_dtype(x.dtype())?);
    }
    if BODIES.of(&[x]) == Body::Composed {
        return composed(x, filter, how, &shape);
    }
    Ok(x.contiguous()?.apply_op1(Resample::with(shape, filter)?)?)
}

/// The same from candle's own operations.
///
/// # Errors
///
/// As [`upfirdn2d`].
pub fn reference(x: &Tensor, filter: Option<&Tensor>, how: &UpFirDn) -> Result<Tensor> {
    let shape = plan(x, filter, how)?;
    composed(x, filter, how, &shape)
}

/// Up-sampling by `up` with the filter centred; `padding` comes on top of what that needs. The
/// result has `h·up` rows when `padding` is 0.
///
/// # Errors
///
/// As [`upfirdn2d`].
pub fn upsample2d(
    x: &Tensor,
    filter: Option<&Tensor>,
    up: usize,
    padding: [i64; 4],
    flip_filter: bool,
    gain: f64,
) -> Result<Tensor> {
    let u = factor("up", up)?;
    let around = |n: i64| [(n + u - 1).div_euclid(2), (n - u).div_euclid(2)];
    let how = UpFirDn {
        up: [up; 2],
        padding: centred(filter, padding, around)?,
        flip_filter,
        gain: gain * (up as f64).powi(2),
        ..UpFirDn::default()
    };
    upfirdn2d(x, filter, &how)
}

/// Down-sampling by `down` with the filter centred; `padding` comes on top of what that needs.
///
/// # Errors
///
/// As [`upfirdn2d`].
pub fn downsample2d(
    x: &Tensor,
    filter: Option<&Tensor>,
    down: usize,
    padding: [i64; 4],
    flip_filter: bool,
    gain: f64,
) -> Result<Tensor> {
    let d = factor("down", down)?;
    let around = |n: i64| [(n - d + 1).div_euclid(2), (n - d).div_euclid(2)];
    let how = UpFirDn {
        down: [down; 2],
        padding: centred(filter, padding, around)?,
        flip_filter,
        gain,
        ..UpFirDn::default()
    };
    upfirdn2d(x, filter, &how)
}

/// Filtering at the same size; `padding` comes on top of what that needs.
///
/// # Errors
///
/// As [`upfirdn2d`].
pub fn filter2d(
    x: &Tensor,
    filter: Option<&Tensor>,
    padding: [i64; 4],
    flip_filter: bool,
    gain: f64,
) -> Result<Tensor> {
    let around = |n: i64| [n.div_euclid(2), (n - 1).div_euclid(2)];
    let how = UpFirDn {
        padding: centred(filter, padding, around)?,
        flip_filter,
        gain,
        ..UpFirDn::default()
    };
    upfirdn2d(x, filter, &how)
}

/// A resampling factor as i64, small enough for sums with it.
fn factor(name: &'static str, value: usize) -> Result<i64> {
    match i32::try_from(value) {
        Ok(f) if f > 0 => Ok(i64::from(f)),
        _ => Err(Error::parameter(OP, name, value, "from 1 to 2147483647")),
    }
}

/// `extra` plus the padding that `around` gives for the number of taps of each axis.
fn centred(
    filter: Option<&Tensor>,
    extra: [i64; 4],
    around: impl Fn(i64) -> [i64; 2],
) -> Result<[i64; 4]> {
    let [kh, kw] = filter_size(filter)?;
    let ([x0, x1], [y0, y1]) = (around(kw as i64), around(kh as i64));
    let mut padding = [x0, x1, y0, y1];
    for (p, e) in padding.iter_mut().zip(extra) {
        *p = p.checked_add(e).ok_or_else(|| {
            Error::parameter(
                OP,
                "padding",
                format!("{extra:?}"),
                "sizes that fit into memory",
            )
        })?;
    }
    Ok(padding)
}

/// Checks everything, and puts it into the kernel's form.
fn plan(x: &Tensor, filter: Option<&Tensor>, how: &UpFirDn) -> Result<UpFirDnShape> {
    check::float(OP, "x", x)?;
    let (n, c, h, w) = check::dims4(OP, "x", x, "[n, c, h, w]")?;
    let planes = check::elements(OP, &[n, c], x.dtype())?;
    let [fh, fw] = filter_size(filter)?;
    if let Some(f) = filter {
        check::float(OP, "filter", f)?;
        if f.track_op() {
            let expected = "a constant: detach it";
            return Err(Error::parameter(
                OP,
                "filter",
                "a tensor that tracks gradients",
                expected,
            ));
        }
    }
    for (name, value) in [("up", how.up), ("down", how.down)] {
        factor(name, value[0]).and(factor(name, value[1]))?;
    }
    if !how.gain.is_finite() {
        return Err(Error::parameter(OP, "gain", how.gain, "a finite number"));
    }
    let shape = UpFirDnShape {
        planes,
        h,
        w,
        fh,
        fw,
        up: how.up,
        down: how.down,
        padding: how.padding,
        flip: how.flip_filter,
        gain: how.gain,
    };
    shape.check().map_err(|why| {
        let expected = format!("one that fits filter [{fh}, {fw}] with {how:?} ({why})");
        Error::shape(OP, "x", x.dims(), expected)
    })?;
    Ok(shape)
}

fn composed(
    x: &Tensor,
    filter: Option<&Tensor>,
    how: &UpFirDn,
    shape: &UpFirDnShape,
) -> Result<Tensor> {
    let (n, c, h, w) = x.dims4()?;
    let ([ux, uy], [x0, x1, y0, y1]) = (how.up, how.padding);
    let (tall, wide) = (h * uy, w * ux);
    // Each pixel as a block [uy, ux] with the pixel in its corner.
    let y = x.reshape((n * c, h, 1, w, 1))?;
    let y = y
        .pad_with_zeros(2, 0, uy - 1)?
        .pad_with_zeros(4, 0, ux - 1)?;
    let mut y = y.reshape((n * c, 1, tall, wide))?;
    for (dim, before, after) in [(2, y0, y1), (3, x0, x1)] {
        let grow = |p: i64| p.max(0) as usize;
        y = y.pad_with_zeros(dim, grow(before), grow(after))?;
        let size = y.dim(dim)? - grow(-before) - grow(-after);
        y = y.narrow(dim, grow(-before), size)?;
    }
    y = y.contiguous()?;
    for taps in kernels(filter, how.flip_filter)? {
        y = y.conv2d(
            &taps.to_dtype(x.dtype())?.to_device(x.device())?,
            0,
            1,
            1,
            1,
        )?;
    }
    for (dim, down, size) in [
        (2, how.down[1], shape.out_h()),
        (3, how.down[0], shape.out_w()),
    ] {
        if down > 1 {
            let kept: Vec<u32> = (0..size).map(|i| (i * down) as u32).collect();
            y = y.index_select(&Tensor::from_vec(kept, size, x.device())?, dim)?;
        }
    }
    let y = y.reshape((n, c, shape.out_h(), shape.out_w()))?;
    Ok(if how.gain == 1.0 { y } else { (y * how.gain)? })
}

/// The filter as correlation kernels `[1, 1, kh, kw]`, to be applied one after the other.
fn kernels(filter: Option<&Tensor>, flip: bool) -> Result<Vec<Tensor>> {
    let Some(filter) = filter else {
        return Ok(vec![]);
    };
    let dims: Vec<usize> = (0..filter.rank()).collect();
    // candle's flip takes contiguous tensors only.
    let f = filter.contiguous()?;
    let f = if flip { f } else { f.flip(&dims)? };
    Ok(match *f.dims() {
        [k] => vec![f.reshape((1, 1, 1, k))?, f.reshape((1, 1, k, 1))?],
        _ => vec![f.unsqueeze(0)?.unsqueeze(0)?],
    })
}

#[derive(Debug, Clone)]
enum Taps {
    /// `[fh, fw]`, row by row.
    Full(Arc<[f64]>),
    /// One axis, the same for both.
    Separable(Arc<[f64]>),
}

impl Taps {
    /// In the type of the pictures.
    fn typed<T: Element>(&self) -> Vec<T> {
        let (Self::Full(taps) | Self::Separable(taps)) = self;
        taps.iter().map(|&t| T::of(t)).collect()
    }
}

/// The operator.
#[derive(Debug, Clone)]
pub(crate) struct Resample {
    shape: UpFirDnShape,
    taps: Taps,
}

impl Resample {
    /// What [`upfirdn2d`] does with pictures like `x: [n, c, h, w]`, after the same checks.
    pub(crate) fn new(x: &Tensor, filter: Option<&Tensor>, how: &UpFirDn) -> Result<Self> {
        Self::with(plan(x, filter, how)?, filter)
    }

    fn with(shape: UpFirDnShape, filter: Option<&Tensor>) -> Result<Self> {
        let taps = match filter {
            None => Taps::Full(Arc::from([1.0])),
            Some(f) => {
                let values: Vec<f64> = f.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?;
                match f.rank() {
                    1 => Taps::Separable(values.into()),
                    _ => Taps::Full(values.into()),
                }
            }
        };
        Ok(Self { shape, taps })
    }

    /// Height and width of the result.
    pub(crate) fn size(&self) -> [usize; 2] {
        [self.shape.out_h(), self.shape.out_w()]
    }

    /// The operator that takes gradients of the result to those of the pictures.
    pub(crate) fn adjoint(&self) -> Self {
        Self {
            shape: self.shape.adjoint(),
            taps: self.taps.clone(),
        }
    }

    /// The result with an epilogue, in one pass.
    pub(crate) fn then<T: Element>(
        &self,
        shape: &EpilogueShape,
        epilogue: &epilogue::Epilogue<'_, T>,
        x: &[T],
        y: &mut [T],
    ) -> domex_kernels::Result<()> {
        let typed = self.taps.typed::<T>();
        let taps = match self.taps {
            Taps::Full(_) => epilogue::Taps::Full(&typed),
            Taps::Separable(_) => epilogue::Taps::Separable([&typed; 2]),
        };
        epilogue::forward_filtered(&self.shape, taps, shape, epilogue, x, y)
    }

    /// The taps `[fh, fw]` as CUDA kernels take them.
    #[cfg(feature = "cuda")]
    pub(crate) fn cuda_taps(&self) -> Vec<f32> {
        let full: Vec<f64> = match &self.taps {
            Taps::Full(taps) => taps.to_vec(),
            Taps::Separable(f) => f
                .iter()
                .flat_map(|a| f.iter().map(move |b| a * b))
                .collect(),
        };
        domex_cuda::plan::taps(&self.shape, &full)
    }

    /// Its sizes.
    #[cfg(feature = "cuda")]
    pub(crate) fn shape(&self) -> &UpFirDnShape {
        &self.shape
    }

    fn run<T: Element>(&self, x: &[T]) -> candle_core::Result<CpuStorage> {
        let (s, taps) = (&self.shape, self.taps.typed::<T>());
        cpu::filled(s.planes * s.out_h() * s.out_w(), |y| match self.taps {
            Taps::Full(_) => kernel::upfirdn2d(s, &taps, x, y),
            Taps::Separable(_) => kernel::upfirdn2d_separable(s, &taps, &taps, x, y),
        })
    }
}

impl CustomOp1 for Resample {
    fn name(&self) -> &'static str {
        OP
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let y = by_dtype!(s, OP, T => self.run::<T>(cpu::slice(s, l)?))?;
        let (n, c, _, _) = l.shape().dims4()?;
        Ok((
            y,
            Shape::from((n, c, self.shape.out_h(), self.shape.out_w())),
        ))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        s: &candle_core::CudaStorage,
        l: &Layout,
    ) -> candle_core::Result<(candle_core::CudaStorage, Shape)> {
        use crate::cuda::{Input, compute, element_of};
        let (n, c, _, _) = l.shape().dims4()?;
        let shape = Shape::from((n, c, self.shape.out_h(), self.shape.out_w()));
        let inputs = [Input::All(s, l), Input::Floats(&self.cuda_taps())];
        let plan = domex_cuda::plan::upfirdn2d(&self.shape, element_of(s)?);
        Ok((compute(plan, &inputs, 2, shape.elem_count())?, shape))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, g: &Tensor) -> candle_core::Result<Option<Tensor>> {
        g.contiguous()?.apply_op1(self.adjoint()).map(Some)
    }
}

#[cfg(test)]
mod tests;

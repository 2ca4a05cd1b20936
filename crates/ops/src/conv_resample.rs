//! Convolution with resampling in the same step, as the up- and down-sampling layers of StyleGAN2
//! use it.
//!
//! With up-sampling by `u` the picture would be up-sampled (zeros, filter, gain u²) and then
//! convolved; both are linear and commute, so the transposed convolution of stride `u` comes first
//! and the filter runs on its result, which skips the multiplications by zero. With down-sampling
//! by `d` the filter comes first and the convolution has stride `d`. A 1×1 kernel commutes with
//! resampling altogether and runs at the smaller size. The paddings centre the filter as in
//! [`upsample2d`](crate::upsample2d) and [`downsample2d`](crate::downsample2d). Definition:
//! NVlabs/stylegan2-ada-pytorch, `torch_utils/ops/conv2d_resample.py`, for one group.
//!
//! `flip_weight` true means correlation, as [`conv2d`]; false means true convolution
//! with the kernel turned by 180°. Through the transposed convolution it is the other way round:
//! false leaves the kernel as it is.

use candle_core::Tensor;

use crate::{
    Error, Result, UpFirDn, check, conv_transpose2d, conv2d, upfirdn2d,
    upfirdn2d::{Resample, filter_size},
};

const OP: &str = "conv2d_resample";

/// `x: [n, i, h, w]` with `weight: [o, i, kh, kw]` to `[n, o, h·up/down, ..]` when `padding` is
/// `k / 2`. See the [module docs](self).
///
/// # Errors
///
/// [`Error::Parameter`] for a factor of 0, and what the steps refuse: [`conv2d`],
/// [`conv_transpose2d`], [`upfirdn2d`](crate::upfirdn2d()).
pub fn conv2d_resample(
    x: &Tensor,
    weight: &Tensor,
    filter: Option<&Tensor>,
    up: usize,
    down: usize,
    padding: usize,
    flip_weight: bool,
) -> Result<Tensor> {
    check::dims4(OP, "x", x, "[n, i, h, w]")?;
    let (_, _, kh, kw) = check::dims4(OP, "weight", weight, "[o, i, kh, kw]")?;
    if up == 1 && down == 1 {
        return conv2d(x, &turned(weight, !flip_weight)?, None, 1, padding);
    }
    let plan = Plan::new(filter, up, down, padding)?;
    let pointwise = kh == 1 && kw == 1;
    if up == 1 {
        if pointwise {
            let x = plan.resample(x, filter, 1, down, plan.padding)?;
            return conv2d(&x, weight, None, 1, 0);
        }
        let x = plan.resample(x, filter, 1, 1, plan.padding)?;
        return conv2d(&x, &turned(weight, !flip_weight)?, None, down, 0);
    }
    if pointwise && down == 1 {
        let y = conv2d(x, weight, None, 1, 0)?;
        return plan.resample(&y, filter, up, 1, plan.padding);
    }
    let weight = turned(weight, flip_weight)?.transpose(0, 1)?;
    let (crop, how) = plan.around_transposed(&weight, up)?;
    let y = upfirdn2d(&conv_transpose2d(x, &weight, up, crop)?, filter, &how)?;
    if down > 1 {
        return plan.resample(&y, filter, 1, down, [0; 4]);
    }
    Ok(y)
}

/// [`conv2d_resample`] with `up` above 1 and a kernel of more than one pixel, without its last step: what comes out, and the filter
/// that is still to be run over it.
pub(crate) fn unfiltered(
    x: &Tensor,
    weight: &Tensor,
    filter: Option<&Tensor>,
    up: usize,
    padding: usize,
    flip_weight: bool,
) -> Result<(Tensor, Resample)> {
    check::dims4(OP, "x", x, "[n, i, h, w]")?;
    check::dims4(OP, "weight", weight, "[o, i, kh, kw]")?;
    unfiltered_by(
        x,
        weight,
        filter,
        up,
        padding,
        flip_weight,
        conv_transpose2d,
    )
}

/// The same with a transposed convolution of one's own; of weights `[i, o, kh, kw]`, a stride and a padding.
pub(crate) fn unfiltered_by(
    x: &Tensor,
    weight: &Tensor,
    filter: Option<&Tensor>,
    up: usize,
    padding: usize,
    flip_weight: bool,
    transposed: impl FnOnce(&Tensor, &Tensor, usize, usize) -> Result<Tensor>,
) -> Result<(Tensor, Resample)> {
    let plan = Plan::new(filter, up, 1, padding)?;
    let weight = turned(weight, flip_weight)?.transpose(0, 1)?;
    let (crop, how) = plan.around_transposed(&weight, up)?;
    let y = transposed(x, &weight, up, crop)?;
    let filter = Resample::new(&y, filter, &how)?;
    Ok((y, filter))
}

/// `weight`, or its kernels turned by 180°.
pub(crate) fn turned(weight: &Tensor, turn: bool) -> Result<Tensor> {
    if !turn || weight.dims()[2..] == [1, 1] {
        return Ok(weight.clone());
    }
    // candle's flip takes contiguous tensors only.
    Ok(weight.contiguous()?.flip(&[2, 3])?)
}

/// The padding of the picture at its up-sampled size: the convolution's and the filter's.
struct Plan {
    padding: [i64; 4],
}

impl Plan {
    fn new(filter: Option<&Tensor>, up: usize, down: usize, padding: usize) -> Result<Self> {
        // Far above any picture, and small enough for the sums below.
        let small = |name, value: usize| {
            i32::try_from(value)
                .map(i64::from)
                .map_err(|_| Error::parameter(OP, name, value, "less than 2147483648"))
        };
        let (u, d, p) = (
            small("up", up)?,
            small("down", down)?,
            small("padding", padding)?,
        );
        if up == 0 || down == 0 {
            let (name, value) = if up == 0 { ("up", up) } else { ("down", down) };
            return Err(Error::parameter(OP, name, value, "at least 1"));
        }
        let [fh, fw] = filter_size(filter)?;
        let side = |taps: usize| {
            let n = taps as i64;
            let (mut before, mut after) = (p, p);
            if u > 1 {
                before += (n + u - 1).div_euclid(2);
                after += (n - u).div_euclid(2);
            }
            if d > 1 {
                before += (n - d + 1).div_euclid(2);
                after += (n - d).div_euclid(2);
            }
            [before, after]
        };
        let ([x0, x1], [y0, y1]) = (side(fw), side(fh));
        Ok(Self {
            padding: [x0, x1, y0, y1],
        })
    }

    fn resample(
        &self,
        x: &Tensor,
        filter: Option<&Tensor>,
        up: usize,
        down: usize,
        padding: [i64; 4],
    ) -> Result<Tensor> {
        let how = UpFirDn {
            up: [up; 2],
            down: [down; 2],
            padding,
            gain: (up as f64).powi(2),
            ..UpFirDn::default()
        };
        upfirdn2d(x, filter, &how)
    }

    /// The padding of the transposed convolution of stride `up`, and how the filter is to be run over its result, at the larger size.
    fn around_transposed(&self, weight: &Tensor, up: usize) -> Result<(usize, UpFirDn)> {
        let (kh, kw) = (weight.dim(2)? as i64, weight.dim(3)? as i64);
        let [x0, x1, y0, y1] = self.padding;
        // The transposed convolution adds k − 1 pixels in front and k − up behind.
        let rest = [
            x0 - (kw - 1),
            x1 - (kw - up as i64),
            y0 - (kh - 1),
            y1 - (kh - up as i64),
        ];
        // What would be cropped on all sides need not be computed at all.
        let crop = rest.iter().map(|p| -p).min().unwrap_or(0).max(0);
        let how = UpFirDn {
            padding: rest.map(|p| p + crop),
            gain: (up as f64).powi(2),
            ..UpFirDn::default()
        };
        Ok((crop as usize, how))
    }
}

#[cfg(test)]
mod tests;

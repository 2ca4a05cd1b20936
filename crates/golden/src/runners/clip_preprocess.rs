//! CLIP's preprocessing of picture tensors `[n, 3, h, w]` in `[-1, 1]`:
//! `(x + 1) / 2`, bicubic resize of the shorter side, centre crop, `(v - mean) / std`.
//!
//! Two areas store it: one with names and the resized picture before the crop, one with numbers.

use candle_core::Tensor;
use domex_ops::{Resize, centre_crop, resize_shorter_side};
use serde::Deserialize;

use crate::{
    Case, Result,
    computed::{Computed, dot, var},
};

/// CLIP's own statistics, for a case that does not state them.
const MEAN: [f64; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
const STD: [f64; 3] = [0.268_629_54, 0.261_302_58, 0.275_777_11];

#[derive(Deserialize)]
struct Config<T> {
    cases: Vec<T>,
    mean: Option<[f64; 3]>,
    std: Option<[f64; 3]>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
    n_px: usize,
}

#[derive(Deserialize)]
struct Numbered {
    img: String,
    image_resolution: usize,
    antialias: bool,
}

/// Cases with a name: `in.img_{name}`, `out.aa_{name}`, `out.noaa_{name}`, `out.resized_...`.
pub(crate) fn named(case: &Case) -> Result<Computed> {
    let config: Config<Named> = case.config()?;
    let mut computed = Computed::default();
    for Named { name, n_px } in &config.cases {
        for (tag, antialias) in [("aa", true), ("noaa", false)] {
            let x = var(case.input(&format!("img_{name}"))?)?;
            let resized = shrink(&x, *n_px, antialias)?;
            let y = normalise(&centre_crop(&resized, *n_px)?, config.mean, config.std)?;
            let grads = dot(&y, case.input(&format!("R_{name}"))?)?.backward()?;
            computed.out(format_args!("resized_{tag}_{name}"), resized);
            computed.out(format_args!("{tag}_{name}"), y);
            computed.grad(format_args!("{tag}_{name}"), &grads, &x)?;
        }
    }
    Ok(computed)
}

/// Cases with a number: `in.{img}`, `out.{i}.y`, `grad.{i}.x`.
pub(crate) fn numbered(case: &Case) -> Result<Computed> {
    let config: Config<Numbered> = case.config()?;
    let mut computed = Computed::default();
    for (i, sub) in config.cases.iter().enumerate() {
        let x = var(case.input(&sub.img)?)?;
        let resized = shrink(&x, sub.image_resolution, sub.antialias)?;
        let cropped = centre_crop(&resized, sub.image_resolution)?;
        let y = normalise(&cropped, config.mean, config.std)?;
        let grads = dot(&y, case.input(&format!("{i}.R"))?)?.backward()?;
        computed.out(format_args!("{i}.y"), y);
        computed.grad(format_args!("{i}.x"), &grads, &x)?;
    }
    Ok(computed)
}

fn shrink(x: &Tensor, size: usize, antialias: bool) -> Result<Tensor> {
    let unit = ((x + 1.0)? * 0.5)?;
    Ok(resize_shorter_side(
        &unit,
        size,
        Resize::Bicubic { antialias },
    )?)
}

/// `(v - mean) / std` per channel; the statistics are CLIP's where none are given.
pub(super) fn normalise(
    x: &Tensor,
    mean: Option<[f64; 3]>,
    std: Option<[f64; 3]>,
) -> Result<Tensor> {
    let row = |values: [f64; 3]| -> Result<Tensor> {
        Ok(Tensor::new(&values, x.device())?
            .to_dtype(x.dtype())?
            .reshape((1, 3, 1, 1))?)
    };
    let centred = x.broadcast_sub(&row(mean.unwrap_or(MEAN))?)?;
    Ok(centred.broadcast_div(&row(std.unwrap_or(STD))?)?)
}

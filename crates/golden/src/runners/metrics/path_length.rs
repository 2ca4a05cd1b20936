//! Perceptual path length through the case's stub networks, and the trimmed mean of given lengths.

use candle_core::{D, DType, Tensor};
use domex_metrics::{EPSILON, PathLength, Space, slerp, trimmed_mean};
use serde::Deserialize;

use super::{number, numbers};
use crate::{Case, Result, computed::Computed};

#[derive(Deserialize)]
struct Config {
    num_ws: usize,
    w_dim: usize,
    img_size: usize,
    img_resolution: usize,
}

pub(in crate::runners) fn run(case: &Case) -> Result<Computed> {
    let config: Config = case.config()?;
    let input = |name: &str| -> Result<Tensor> { Ok(case.input(name)?.to_dtype(DType::F64)?) };
    let (z, t) = (input("z")?, input("t")?);
    let mapping = input("mapping_weight")?;
    let synthesis = input("synthesis_weight")?;

    let mut computed = Computed::default();
    for (space_name, space) in [("z", Space::Z), ("w", Space::W)] {
        for (part, t) in [("full", t.clone()), ("end", t.zeros_like()?)] {
            for (view, crop) in [("crop", true), ("nocrop", false)] {
                let path = PathLength {
                    space,
                    epsilon: case.number("/epsilon").unwrap_or(EPSILON),
                    crop,
                };
                let ws = path.step(&z, &t, |z| -> Result<Tensor> {
                    let shape = (z.dim(0)?, config.num_ws, config.w_dim);
                    Ok(z.matmul(&mapping)?.tanh()?.reshape(shape)?)
                })?;
                let side = config.img_size;
                let pictures = ws.flatten_from(1)?.matmul(&synthesis)?.tanh()?;
                let pictures = pictures.reshape((ws.dim(0)?, 3, side, side))?;
                let seen = path.view(&pictures, config.img_resolution)?;
                // From [−1, 1] to [0, 255], which the stub divides by 255.
                let seen = ((seen + 1.0)? * (255.0 / 2.0))?;
                let features = (seen.flatten_from(1)? / 255.0)?
                    .matmul(&input(&format!("feature_weight_{view}"))?)?
                    .tanh()?;
                let lengths = numbers(&path.lengths(&features)?)?;
                let name = format!("{space_name}_{part}_{view}");
                computed.out(format!("dist_{name}"), lengths.clone());
                computed.out(format!("dist_f32_{name}"), lengths);
            }
        }
    }
    let n = t.dim(D::Minus1)?;
    let (a, b) = (z.narrow(0, 0, n)?, z.narrow(0, n, n)?);
    computed.out("slerp", slerp(&a, &b, &t)?);
    let lengths: Vec<f64> = input("distances")?.to_vec1()?;
    let trimmed = trimmed_mean(&lengths)?;
    computed.out("ppl", number(trimmed.mean)?);
    computed.out("lo", number(trimmed.low)?);
    computed.out("hi", number(trimmed.high)?);
    Ok(computed)
}

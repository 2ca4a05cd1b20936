//! Triplets of a reference, a nearer and a farther picture.
//!
//! Three kinds: the world's own (more differs, or the same differs more strongly); one distortion,
//! weaker and stronger; a faint distortion against a change of what is seen. Distortions are a shift,
//! a blur, noise, and a change of brightness.

use candle_core::{Device, Tensor};
use domex_ops::upload;
use domex_random::{Stream, Streams};
use image::RgbImage;
use rayon::prelude::*;

use crate::jitter::{blurred, planes};
use crate::scenes::Scenes;
use crate::{Error, Result};

/// Tensors `[n, 3, size, size]` in `[-1, 1]`.
#[derive(Debug, Clone)]
pub struct Triplets {
    /// What both are compared with.
    pub reference: Tensor,
    /// The nearer pictures.
    pub near: Tensor,
    /// The farther ones.
    pub far: Tensor,
}

/// The next `n` triplets.
///
/// # Errors
///
/// None asked for.
pub fn next(
    scenes: &dyn Scenes,
    n: usize,
    size: u32,
    stream: &mut Stream,
    device: &Device,
) -> Result<Triplets> {
    if n == 0 {
        return Err(Error::config("triplets in a batch", 0, "at least 1"));
    }
    let seeds: Vec<u64> = (0..n).map(|_| stream.next_u64()).collect();
    let made: Vec<[Vec<f32>; 3]> = seeds
        .par_iter()
        .map(|&seed| one(scenes, seed, size))
        .collect();
    let side = size as usize;
    let stack = |part: usize| -> Result<Tensor> {
        let values: Vec<f32> = made
            .iter()
            .flat_map(|triplet| triplet[part].iter().copied())
            .collect();
        let pictures = Tensor::from_vec(values, (n, 3, side, side), &Device::Cpu)?;
        Ok(upload(&pictures, device)?)
    };
    Ok(Triplets {
        reference: stack(0)?,
        near: stack(1)?,
        far: stack(2)?,
    })
}

fn one(scenes: &dyn Scenes, seed: u64, size: u32) -> [Vec<f32>; 3] {
    let triplet = scenes.triplet(seed, size);
    let mut stream = Streams::new(seed).stream("distortion");
    let kind = stream.uniform_f32();
    let distort = |picture: &RgbImage, strength: f32, stream: &Stream| {
        // The same draws for both strengths: the same distortion, weaker and stronger.
        distorted(picture, strength, &mut stream.clone())
    };
    let reference = planes(&triplet.reference);
    if kind < 0.5 {
        [reference, planes(&triplet.near), planes(&triplet.far)]
    } else if kind < 0.75 {
        let weak = 0.1 + 0.3 * stream.uniform_f32();
        let strong = 0.6 + 0.4 * stream.uniform_f32();
        let near = distort(&triplet.reference, weak, &stream);
        [
            reference,
            near,
            distort(&triplet.reference, strong, &stream),
        ]
    } else {
        let faint = 0.05 + 0.15 * stream.uniform_f32();
        let near = distort(&triplet.reference, faint, &stream);
        [reference, near, planes(&triplet.far)]
    }
}

/// One of the distortions, at a strength in `[0, 1]`.
fn distorted(picture: &RgbImage, strength: f32, stream: &mut Stream) -> Vec<f32> {
    let (w, h) = (picture.width() as usize, picture.height() as usize);
    let mut values = planes(picture);
    let kind = (stream.uniform_f32() * 4.0) as usize;
    let angle = stream.uniform_f32() * std::f32::consts::TAU;
    match kind {
        0 => {
            let reach = strength * 0.1 * w as f32;
            values = shifted(&values, w, h, reach * angle.cos(), reach * angle.sin());
        }
        1 => blurred(&mut values, w, h, 0.2 + 3.0 * strength),
        2 => values
            .iter_mut()
            .for_each(|v| *v += 0.4 * strength * stream.normal_f32()),
        _ => {
            let by = 0.6 * strength * angle.cos().signum();
            values.iter_mut().for_each(|v| *v += by);
        }
    }
    values.iter_mut().for_each(|v| *v = v.clamp(-1.0, 1.0));
    values
}

/// Moved by whole and broken pixels, bilinear; the border is repeated.
fn shifted(values: &[f32], w: usize, h: usize, dx: f32, dy: f32) -> Vec<f32> {
    let at = |plane: &[f32], x: f32, y: f32| {
        let (x, y) = (x.clamp(0.0, w as f32 - 1.0), y.clamp(0.0, h as f32 - 1.0));
        let (x0, y0) = (x as usize, y as usize);
        let (x1, y1) = ((x0 + 1).min(w - 1), (y0 + 1).min(h - 1));
        let (u, v) = (x - x0 as f32, y - y0 as f32);
        let top = plane[y0 * w + x0] * (1.0 - u) + plane[y0 * w + x1] * u;
        let bottom = plane[y1 * w + x0] * (1.0 - u) + plane[y1 * w + x1] * u;
        top * (1.0 - v) + bottom * v
    };
    let mut out = Vec::with_capacity(values.len());
    for plane in values.chunks_exact(w * h) {
        for y in 0..h {
            out.extend((0..w).map(|x| at(plane, x as f32 + dx, y as f32 + dy)));
        }
    }
    out
}

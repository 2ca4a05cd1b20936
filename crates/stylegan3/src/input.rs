//! The Fourier features that a picture begins with.
//!
//! Stored as `freqs: [c, 2]` (cycles per picture, within a disc), `phases: [c]`, `weight: [c, c]`, `transform: [3, 3]` of the user, and
//! `affine`, which makes of a row of the latent a turn and a shift of the picture:
//!
//! ```text
//! (r_c, r_s, x, y) = affine(w) / |(r_c, r_s)|
//! M = R(r_c, r_s) T(-x, -y) transform
//! f' = f M[..2, ..2],   p' = p + f M[..2, 2]
//! a = clamp(1 - (|f'| - b) / (s/2 - b), 0, 1)
//! x = W / √c · a sin(2π (f' · place + p'))
//! ```
//!
//! with the bandwidth b and the sampling rate s; the factor a damps what a user's transform brings out of the band. Places are pixels' middles, from
//! `-size/2s` to `size/2s`. Follows `SynthesisInput` of stylegan3, `training/networks_stylegan3.py`.

use std::f64::consts::PI;

use candle_core::{D, Device, Tensor};
use candle_nn::{Init, VarBuilder};
use domex_ops::{conv2d, matmul};
use domex_stylegan2::dense::{Dense, DenseConfig};
use domex_stylegan2::expect_dims;
use domex_stylegan2::weights::{Tensors, Walk, buffer, join, normal, put};

use crate::Result;
use crate::config::InputShape;

/// Names of buffers, which start as nothing else does.
pub(crate) const FREQS: &str = "freqs";
pub(crate) const PHASES: &str = "phases";
pub(crate) const TRANSFORM: &str = "transform";

/// See the [module docs](self).
#[derive(Debug, Clone)]
pub(crate) struct Input {
    affine: Dense,
    weight: Tensor,
    freqs: Tensor,
    phases: Tensor,
    transform: Tensor,
    /// Places of pixels, `[2, size²]`: x and y.
    places: Tensor,
    shape: InputShape,
}

impl Input {
    pub fn new(vb: &VarBuilder<'_>, w_dim: usize, shape: InputShape) -> Result<Self> {
        let c = shape.channels;
        // What these three start as, `init` knows.
        let constant = |dims: &[usize], name: &str| buffer(vb, dims, name, Init::Const(0.0));
        Ok(Self {
            affine: Dense::new(&vb.pp("affine"), &affine(w_dim))?,
            weight: vb.get_with_hints((c, c), "weight", normal(1.0))?,
            freqs: constant(&[c, 2], FREQS)?,
            phases: constant(&[c], PHASES)?,
            transform: constant(&[3, 3], TRANSFORM)?,
            places: places(&shape)?
                .to_dtype(vb.dtype())?
                .to_device(vb.device())?,
            shape,
        })
    }

    pub fn affine(&self) -> &Dense {
        &self.affine
    }

    pub fn set_transform(&mut self, matrix: Tensor) {
        self.transform = matrix;
    }

    /// `w: [n, w_dim]` to features `[n, c, size, size]`.
    pub fn forward(&self, w: &Tensor) -> Result<Tensor> {
        let (c, size) = (self.shape.channels, self.shape.size);
        let n = w.dim(0)?;
        // [n, 2, 3], and as columns [2, n 3].
        let moved = self.moved(w)?;
        let columns = moved
            .permute((1, 0, 2))?
            .contiguous()?
            .reshape((2, 3 * n))?;
        let freqs = matmul(&self.freqs, &columns)?.reshape((c, n, 3))?;
        let freqs = freqs.permute((1, 0, 2))?.contiguous()?;
        let shift = freqs.narrow(2, 2, 1)?.squeeze(2)?;
        let phases = shift.broadcast_add(&self.phases)?;
        let freqs = freqs.narrow(2, 0, 2)?.contiguous()?;

        let angles = matmul(&freqs.reshape((n * c, 2))?, &self.places)?;
        let phases = phases.reshape((n * c, 1))?;
        let waves = (angles.broadcast_add(&phases)? * (2.0 * PI))?.sin()?;
        let amplitudes = self.amplitudes(&freqs)?.reshape((n * c, 1))?;
        let x = waves.broadcast_mul(&amplitudes)?;
        let x = x.reshape((n, c, size, size))?;
        let weight = (&self.weight / (c as f64).sqrt())?.reshape((c, c, 1, 1))?;
        Ok(conv2d(&x, &weight, None, 1, 0)?)
    }

    /// What multiplies the frequencies, the upper two rows of M, `[n, 2, 3]`.
    fn moved(&self, w: &Tensor) -> Result<Tensor> {
        let t = self.affine.forward(w)?;
        expect_dims("transform of the Fourier features", &t, &[None, Some(4)])?;
        let length = t.narrow(1, 0, 2)?.sqr()?.sum_keepdim(1)?.sqrt()?;
        let t = t.broadcast_div(&length)?;
        let part = |index| t.narrow(1, index, 1);
        let (cos, sin, x, y) = (part(0)?, part(1)?, part(2)?, part(3)?);
        let to_x = ((&sin * &y)? - (&cos * &x)?)?;
        let to_y = ((&sin * &x)? + (&cos * &y)?)?.neg()?;
        let rows = Tensor::cat(&[&cos, &sin.neg()?, &to_x, &sin, &cos, &to_y], 1)?;
        let n = w.dim(0)?;
        let rows = matmul(&rows.reshape((2 * n, 3))?, &self.transform)?;
        Ok(rows.reshape((n, 2, 3))?)
    }

    /// By how much frequencies `[n, c, 2]` outside the band are damped, `[n, c]`.
    fn amplitudes(&self, freqs: &Tensor) -> Result<Tensor> {
        let (rate, bandwidth) = (self.shape.rate, self.shape.bandwidth);
        let length = freqs.sqr()?.sum(D::Minus1)?.sqrt()?;
        let slope = -1.0 / (rate / 2.0 - bandwidth);
        let amplitudes = length.affine(slope, 1.0 - slope * bandwidth)?;
        Ok(amplitudes.clamp(0.0, 1.0)?)
    }
}

impl Walk for Input {
    fn walk(&self, path: &str, out: &mut Tensors) {
        put(out, path, "weight", &self.weight);
        put(out, path, FREQS, &self.freqs);
        put(out, path, PHASES, &self.phases);
        put(out, path, TRANSFORM, &self.transform);
        self.affine.walk(&join(path, "affine"), out);
    }
}

/// The affine map. Its weight starts at 0 and its bias at (1, 0, 0, 0), which `init` knows.
fn affine(w_dim: usize) -> DenseConfig {
    DenseConfig::linear(w_dim, 4)
}

/// Places of pixels in double precision, `[2, size²]`.
fn places(shape: &InputShape) -> Result<Tensor> {
    let size = shape.size;
    let at = |pixel: usize| (pixel as f64 + 0.5 - size as f64 / 2.0) / shape.rate;
    let x = (0..size * size).map(|index| at(index % size));
    let y = (0..size * size).map(|index| at(index / size));
    let places: Vec<f64> = x.chain(y).collect();
    Ok(Tensor::from_vec(places, (2, size * size), &Device::Cpu)?)
}

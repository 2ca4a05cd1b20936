//! The other terms of StyleGAN-NADA's loss, on features (Gal et al. 2021, arXiv 2108.00946).
//!
//! Each takes features of any length and gives one number for each picture or patch, for the caller to sum
//! or average. `u(x) = x / ‖x‖`.

use candle_core::{D, Tensor};
use domex_clip::unit_length;
use domex_ops::{matmul, softmax};

use crate::direction::{COSINE_EPS, Guard, same_shape};
use crate::{Error, Result};

/// The published logits' scale, by which the global term divides.
const LOGITS: f64 = 100.0;

/// Cosine distances `1 − u(x)·u(t)`, `[n, m]`, of `images: [n, d]` and `texts: [m, d]`.
///
/// # Errors
///
/// Shapes that do not fit.
pub fn distances(images: &Tensor, texts: &Tensor) -> Result<Tensor> {
    let texts = unit_length(texts)?.t()?;
    Ok((1.0 - matmul(&unit_length(images)?, &texts)?)?)
}

/// The global term `1 − s/100 · c` of cosines `c` between pictures and texts, of any shape, with the scale `s: []` of the
/// network's logits.
///
/// # Errors
///
/// candle's own.
pub fn global(cosines: &Tensor, logit_scale: &Tensor) -> Result<Tensor> {
    let logits = cosines.broadcast_mul(&logit_scale.to_dtype(cosines.dtype())?)?;
    Ok(logits.affine(-LOGITS.recip(), 1.0)?)
}

/// The manifold term `|u(e)·u(b) − c|`, `[n]`: edited and base picture `[n, d]` should be as far from each
/// other as the texts, whose cosine is `c: [n]` or `[1]`.
///
/// # Errors
///
/// Shapes that do not fit.
pub fn angle(base: &Tensor, edited: &Tensor, text_cosines: &Tensor) -> Result<Tensor> {
    same_shape(base, edited)?;
    let cosines = (unit_length(edited)? * unit_length(base)?)?.sum(D::Minus1)?;
    Ok(cosines
        .clamp(-1.0, 1.0)?
        .broadcast_sub(text_cosines)?
        .abs()?)
}

/// The patch term, `[m]`, for `m` patches before and after the edit, `[m, d]`, and unit directions
/// `q: [p, d]` between texts about `p` parts: with `δ = u(u(e) − u(b))`,
/// `1/p Σ_j (1 − δ·q_j) softmax_j(δ·q)`. A patch is drawn most to the part that it goes towards already.
///
/// # Errors
///
/// Shapes that do not fit.
pub fn patch_direction(
    base: &Tensor,
    edited: &Tensor,
    part_directions: &Tensor,
    guard: Guard,
) -> Result<Tensor> {
    same_shape(base, edited)?;
    let edit = guard.unit(&(unit_length(edited)? - unit_length(base)?)?)?;
    let cosines = matmul(&edit, &part_directions.t()?)?; // [m, p]
    let scores = ((1.0 - &cosines)? * softmax(&cosines, 1)?)?;
    Ok(scores.mean(1)?)
}

/// How much the scores of `m` patches `[m, d]` against texts about parts `[p, d]` (as they are, of any
/// length) change: `1/p Σ_j |u(e)·t_j − u(b)·s_j|`, `[m]`.
///
/// # Errors
///
/// Shapes that do not fit.
pub fn patch_similarity(
    base: &Tensor,
    edited: &Tensor,
    source_parts: &Tensor,
    target_parts: &Tensor,
) -> Result<Tensor> {
    same_shape(base, edited)?;
    let scores = |images: &Tensor, parts: &Tensor| -> Result<Tensor> {
        Ok(matmul(&unit_length(images)?, &parts.t()?)?)
    };
    let change = (scores(edited, target_parts)? - scores(base, source_parts)?)?;
    Ok(change.abs()?.mean(1)?)
}

/// The texture term, `[n]`: the mean squared difference of features `[n, d]`, not brought to length 1,
/// from those that are wanted, `[n, d]` or `[1, d]`.
///
/// # Errors
///
/// Shapes that do not fit.
pub fn texture(wanted: &Tensor, edited: &Tensor) -> Result<Tensor> {
    let (n, d) = edited.dims2()?;
    match *wanted.dims() {
        [rows, length] if length == d && (rows == n || rows == 1) => {}
        _ => {
            return Err(Error::shape(
                "wanted texture features",
                wanted.dims(),
                format!("[{n} or 1, {d}]"),
            ));
        }
    }
    Ok(edited.broadcast_sub(wanted)?.sqr()?.mean(1)?)
}

/// How sharply [`contrastive`] tells directions apart: the temperature that contrastive training of pictures and texts begins with.
pub const TEMPERATURE: f64 = 0.07;

/// That an edit goes the way of its own task rather than that of another, `[n]`: the cross entropy of the cosines of
/// `edits: [n, d]` with the `directions: [k, d]` of all tasks, divided by [`TEMPERATURE`], with `own: [n]` the number of each
/// edit's own. After the contrastive adaptation of DynaGAN (Kim et al. 2022, arXiv 2211.14554), with directions for pictures of a style.
///
/// # Errors
///
/// Shapes that do not fit, or a number that no direction has.
pub fn contrastive(
    edits: &Tensor,
    directions: &Tensor,
    own: &Tensor,
    guard: Guard,
) -> Result<Tensor> {
    let edits = guard.unit(edits)?;
    let directions = Guard::Floor(COSINE_EPS).unit(directions)?;
    // Cosines are at most 1, so no exponential is beyond e^(1 / TEMPERATURE).
    let logits = (matmul(&edits, &directions.t()?)? / TEMPERATURE)?;
    let all = logits.exp()?.sum(D::Minus1)?.log()?;
    Ok((all - logits.gather(&own.unsqueeze(1)?, 1)?.squeeze(1)?)?)
}

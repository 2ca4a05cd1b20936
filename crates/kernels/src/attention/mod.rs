//! Attention of short sequences: `y = softmax(q kᵀ / √d) v`, each head apart, forward and backward.
//!
//! `q [n, queries, heads · d]`, `k, v [n, keys, heads · d]`, `y` as q, all contiguous; head h has the channels from
//! `h · d` on. *Causal* means that query i sees keys `0..=i` only (and there are as many keys as queries).
//! (Vaswani et al. 2017, arXiv 1706.03762.)
//!
//! A task is one head of one image. What it needs is copied out of the rows of all heads once, so no transposed copies of the
//! tensors are made, and the weights `p = softmax(..)` exist for a block of queries at a time. The backward pass computes them
//! again: for heads of 64 channels that is a fifth of its products, and keeping them would be `keys / d` times the memory of v.
//! With `gp = gy vᵀ` and `gs = p (gp − Σ gp p) / √d`: `gv = pᵀ gy`, `gq = gs k`, `gk = gsᵀ q`.

mod backward;
mod forward;

use crate::conv::pack::turn;
use crate::error::{Check, Result};
use crate::float::{as_f32, as_f32_mut};
use crate::simd::{Isa, LANES, Simd};
use crate::{Float, plain};

/// Queries of a block: their weights for 257 keys take 70 KiB, a fraction of a second-level cache. A multiple of the rows of
/// the largest tile, 14.
const BLOCK: usize = 56;

/// The sizes of an attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttentionShape {
    /// Images or texts.
    pub n: usize,
    /// Tokens that ask.
    pub queries: usize,
    /// Tokens that answer.
    pub keys: usize,
    /// Heads.
    pub heads: usize,
    /// Channels of a head.
    pub depth: usize,
    /// Whether a query sees only the keys up to its own place.
    pub causal: bool,
}

/// The gradients of the three operands; each is overwritten.
#[derive(Debug)]
pub struct AttentionGrads<'a, T> {
    /// As q.
    pub q: &'a mut [T],
    /// As k.
    pub k: &'a mut [T],
    /// As v.
    pub v: &'a mut [T],
}

impl AttentionShape {
    /// Refuses sizes of zero and overflow, and a causal attention with other keys than queries.
    ///
    /// # Errors
    ///
    /// The field at fault.
    pub fn check(&self) -> Result<()> {
        let check = self.checker();
        check.non_zero(&[
            ("n", self.n),
            ("queries", self.queries),
            ("keys", self.keys),
            ("heads", self.heads),
            ("depth", self.depth),
        ])?;
        check.count("q", &[self.n, self.queries, self.heads, self.depth])?;
        check.count("k", &[self.n, self.keys, self.heads, self.depth])?;
        // A task's buffers: the weights of a block of queries, and the operands of a head with whole vectors of channels.
        let most = |size: usize| size.checked_next_multiple_of(LANES).unwrap_or(usize::MAX);
        let rows = self.queries.max(self.keys);
        check.count("weights", &[2 * BLOCK, most(self.keys)])?;
        check.count("a head", &[8, most(rows), most(self.depth)])?;
        if self.causal {
            check.length("keys of a causal attention", self.keys, self.queries)?;
        }
        Ok(())
    }

    /// Elements of q and y.
    #[must_use]
    pub fn q_len(&self) -> usize {
        self.n * self.queries * self.width()
    }

    /// Elements of k and of v.
    #[must_use]
    pub fn k_len(&self) -> usize {
        self.n * self.keys * self.width()
    }

    /// Channels of all heads.
    fn width(&self) -> usize {
        self.heads * self.depth
    }

    fn checker(&self) -> Check<'_> {
        Check {
            operator: "attention",
            shape: self,
        }
    }

    fn check_all(&self, q: &[(&'static str, usize)], k: &[(&'static str, usize)]) -> Result<()> {
        self.check()?;
        let check = self.checker();
        q.iter()
            .try_for_each(|&(name, found)| check.length(name, found, self.q_len()))?;
        k.iter()
            .try_for_each(|&(name, found)| check.length(name, found, self.k_len()))
    }

    /// Keys that the queries before `end` see.
    fn seen(&self, end: usize) -> usize {
        if self.causal { end } else { self.keys }
    }

    /// Keys, rounded up to whole vectors.
    fn key_lanes(&self) -> usize {
        self.keys.next_multiple_of(LANES)
    }

    /// Channels of a head, rounded up to whole vectors.
    fn depth_lanes(&self) -> usize {
        self.depth.next_multiple_of(LANES)
    }

    fn scale(&self) -> f32 {
        (self.depth as f64).sqrt().recip() as f32
    }

    /// Where the rows of a head of an image begin, with `rows` rows to an image.
    fn start(&self, index: usize, rows: usize) -> usize {
        let (image, head) = (index / self.heads, index % self.heads);
        image * rows * self.width() + head * self.depth
    }
}

/// `y = softmax(q kᵀ / √d) v`; y is overwritten.
///
/// # Errors
///
/// What [`AttentionShape::check`] refuses; slices of another length than the shape's.
pub fn forward<T: Float>(s: &AttentionShape, q: &[T], k: &[T], v: &[T], y: &mut [T]) -> Result<()> {
    s.check_all(
        &[("q", q.len()), ("y", y.len())],
        &[("k", k.len()), ("v", v.len())],
    )?;
    match (as_f32(q), as_f32(k), as_f32(v), as_f32_mut(y)) {
        (Some(q), Some(k), Some(v), Some(y)) => forward::forward(Isa::best(), s, [q, k, v], y),
        _ => plain::attention(s, q, k, v, y),
    }
    Ok(())
}

/// The gradients of all three operands from that of y.
///
/// # Errors
///
/// As [`forward`].
pub fn backward<T: Float>(
    s: &AttentionShape,
    [q, k, v]: [&[T]; 3],
    gy: &[T],
    grads: AttentionGrads<'_, T>,
) -> Result<()> {
    let AttentionGrads {
        q: gq,
        k: gk,
        v: gv,
    } = grads;
    s.check_all(
        &[("q", q.len()), ("gy", gy.len()), ("gq", gq.len())],
        &[
            ("k", k.len()),
            ("v", v.len()),
            ("gk", gk.len()),
            ("gv", gv.len()),
        ],
    )?;
    let operands = (as_f32(q), as_f32(k), as_f32(v), as_f32(gy));
    if let (Some(q), Some(k), Some(v), Some(gy)) = operands {
        let grads = (as_f32_mut(gq), as_f32_mut(gk), as_f32_mut(gv));
        if let (Some(gq), Some(gk), Some(gv)) = grads {
            backward::backward(Isa::best(), s, [q, k, v, gy], [gq, gk, gv]);
        }
        return Ok(());
    }
    plain::attention_backward(s, [q, k, v], gy, [gq, gk, gv]);
    Ok(())
}

/// The rows of a head with whole vectors of channels: `to[row][lanes]`, zeros behind the last channel.
#[inline(always)]
fn gather(s: &AttentionShape, x: &[f32], rows: usize, to: &mut [f32]) {
    let (lanes, depth) = (s.depth_lanes(), s.depth);
    for (row, to) in to.chunks_exact_mut(lanes).take(rows).enumerate() {
        to[..depth].copy_from_slice(&x[row * s.width()..][..depth]);
        to[depth..].fill(0.0);
    }
}

/// The rows of a head turned: `to[channel][keys]`, zeros behind the last key.
#[inline(always)]
fn gather_turned<S: Simd>(simd: S, s: &AttentionShape, x: &[f32], to: &mut [f32]) {
    let lanes = s.key_lanes();
    if lanes > s.keys {
        to.fill(0.0);
    }
    for first in (0..s.keys).step_by(LANES) {
        let rows = LANES.min(s.keys - first);
        let x = &x[first * s.width()..];
        // Sixteen channels of sixteen keys at a time.
        for channel in (0..s.depth).step_by(LANES) {
            let channels = LANES.min(s.depth - channel);
            let mut places = [0; LANES];
            for (c, place) in places.iter_mut().enumerate() {
                *place = (channel + c) * lanes;
            }
            let to = &mut to[first..];
            turn(
                simd,
                &x[channel..],
                s.width(),
                rows,
                &places[..channels],
                to,
            );
        }
    }
}

/// Scores to weights, in place: the softmax of each row over the keys that its query sees. Rows have `lanes` places, of which
/// those beyond the last key seen become zero.
#[inline(always)]
fn weigh(s: &AttentionShape, first: usize, scores: &mut [f32], lanes: usize) {
    let scale = s.scale();
    for (row, scores) in scores.chunks_exact_mut(lanes).enumerate() {
        let seen = if s.causal { first + row + 1 } else { s.keys };
        let mut most = [f32::NEG_INFINITY; LANES];
        let (whole, rest) = scores[..seen].as_chunks::<LANES>();
        for chunk in whole {
            for lane in 0..LANES {
                most[lane] = if chunk[lane] > most[lane] {
                    chunk[lane]
                } else {
                    most[lane]
                };
            }
        }
        for (most, &x) in most.iter_mut().zip(rest) {
            *most = if x > *most { x } else { *most };
        }
        let most = most.into_iter().fold(f32::NEG_INFINITY, f32::max);
        for x in &mut scores[..seen] {
            *x = (*x - most) * scale;
        }
        scores[seen..].fill(f32::NEG_INFINITY);
    }
    // Over all rows at once: short rows would leave most of the work to the scalar remainder of each.
    scores.iter_mut().for_each(|x| *x = x.fast_exp());
    for scores in scores.chunks_exact_mut(lanes) {
        let factor = 1.0 / crate::math::sum(scores, scores, |x, _| x);
        scores.iter_mut().for_each(|x| *x *= factor);
    }
}

#[cfg(test)]
mod tests;

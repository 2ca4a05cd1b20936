//! Attention as its formula reads.

use crate::Float;
use crate::attention::AttentionShape;

/// `softmax(q kᵀ / √d)` of one head of one image, `[queries, keys]`; zero where a query does not see a key.
fn weights<T: Float>(s: &AttentionShape, q: &[T], k: &[T], at: [usize; 2]) -> Vec<f64> {
    let width = s.heads * s.depth;
    let scale = (s.depth as f64).sqrt().recip();
    let mut p = vec![0.0; s.queries * s.keys];
    for (i, p) in p.chunks_exact_mut(s.keys).enumerate() {
        let seen = if s.causal { i + 1 } else { s.keys };
        let q = &q[at[0] + i * width..][..s.depth];
        for (j, p) in p[..seen].iter_mut().enumerate() {
            let k = &k[at[1] + j * width..][..s.depth];
            *p = dot(q, k) * scale;
        }
        let most = p[..seen].iter().copied().fold(f64::NEG_INFINITY, f64::max);
        p[..seen].iter_mut().for_each(|p| *p = (*p - most).exp());
        let total: f64 = p.iter().sum();
        p.iter_mut().for_each(|p| *p /= total);
    }
    p
}

fn dot<T: Float>(a: &[T], b: &[T]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| a.wide() * b.wide()).sum()
}

/// Where the rows of each head of each image begin in q and in k.
fn heads(s: &AttentionShape) -> impl Iterator<Item = [usize; 2]> + '_ {
    let width = s.heads * s.depth;
    (0..s.n * s.heads).map(move |index| {
        let (image, head) = (index / s.heads, index % s.heads);
        [s.queries, s.keys].map(|rows| image * rows * width + head * s.depth)
    })
}

/// See [`crate::attention::forward`].
pub fn attention<T: Float>(s: &AttentionShape, q: &[T], k: &[T], v: &[T], y: &mut [T]) {
    let width = s.heads * s.depth;
    for at in heads(s) {
        let p = weights(s, q, k, at);
        for (i, p) in p.chunks_exact(s.keys).enumerate() {
            for (c, y) in y[at[0] + i * width..][..s.depth].iter_mut().enumerate() {
                let v = |j: usize| v[at[1] + j * width + c].wide();
                *y = T::of(p.iter().enumerate().map(|(j, &p)| p * v(j)).sum());
            }
        }
    }
}

/// See [`crate::attention::backward`].
pub fn attention_backward<T: Float>(
    s: &AttentionShape,
    [q, k, v]: [&[T]; 3],
    gy: &[T],
    grads: [&mut [T]; 3],
) {
    let width = s.heads * s.depth;
    let scale = (s.depth as f64).sqrt().recip();
    let mut sums = [q.len(), k.len(), v.len()].map(|len| vec![0f64; len]);
    let [gq, gk, gv] = &mut sums;
    for at in heads(s) {
        let p = weights(s, q, k, at);
        for (i, p) in p.chunks_exact(s.keys).enumerate() {
            let row = at[0] + i * width;
            let gy = &gy[row..][..s.depth];
            let of_weight = |j: usize| dot(gy, &v[at[1] + j * width..][..s.depth]);
            let gp: Vec<f64> = (0..s.keys).map(of_weight).collect();
            let level: f64 = gp.iter().zip(p).map(|(g, p)| g * p).sum();
            for (j, (&p, &gp)) in p.iter().zip(&gp).enumerate() {
                let (gs, column) = (p * (gp - level) * scale, at[1] + j * width);
                for c in 0..s.depth {
                    gv[column + c] += p * gy[c].wide();
                    gq[row + c] += gs * k[column + c].wide();
                    gk[column + c] += gs * q[row + c].wide();
                }
            }
        }
    }
    for (to, from) in grads.into_iter().zip(&sums) {
        to.iter_mut()
            .zip(from)
            .for_each(|(to, &from)| *to = T::of(from));
    }
}

//! Noise that is a pure function of position and seed: the same pixel always gets the same grain,
//! in whatever order and on however many threads a picture is drawn.

/// A well-mixed hash of two lattice coordinates and a seed (the finaliser of splitmix64).
pub(crate) fn hash(x: i32, y: i32, seed: u32) -> u32 {
    let mut z = (u64::from(x as u32) << 32 | u64::from(y as u32))
        .wrapping_add(u64::from(seed).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z >> 32) as u32 ^ z as u32
}

/// Uniform in `[0, 1)` at a lattice point.
pub(crate) fn uniform(x: i32, y: i32, seed: u32) -> f32 {
    (hash(x, y, seed) >> 8) as f32 / (1 << 24) as f32
}

/// Nearly normal, mean 0 and deviation 1, at a lattice point: the sum of the four bytes of a hash.
pub(crate) fn normal(x: i32, y: i32, seed: u32) -> f32 {
    let bytes = hash(x, y, seed).to_le_bytes();
    let sum: f32 = bytes.iter().map(|&b| f32::from(b)).sum();
    // Four uniform bytes: mean 510, deviation 147.8.
    (sum - 510.0) / 147.8
}

/// Smooth value noise in `[-1, 1]`, of one feature per unit length.
pub(crate) fn smooth(x: f32, y: f32, seed: u32) -> f32 {
    let (x0, y0) = (x.floor(), y.floor());
    let (fx, fy) = (ease(x - x0), ease(y - y0));
    let (i, j) = (x0 as i32, y0 as i32);
    let top = lerp(uniform(i, j, seed), uniform(i + 1, j, seed), fx);
    let bottom = lerp(uniform(i, j + 1, seed), uniform(i + 1, j + 1, seed), fx);
    2.0 * lerp(top, bottom, fy) - 1.0
}

/// Two octaves of [`smooth`].
pub(crate) fn rough(x: f32, y: f32, seed: u32) -> f32 {
    (smooth(x, y, seed) + 0.5 * smooth(2.0 * x + 7.3, 2.0 * y + 1.9, seed ^ 0x5bd1)) / 1.5
}

pub(crate) fn lerp(a: f32, b: f32, t: f32) -> f32 {
    a + (b - a) * t
}

/// `3t² − 2t³`, for `t` in `[0, 1]`.
fn ease(t: f32) -> f32 {
    t * t * (3.0 - 2.0 * t)
}

/// 0 below `from`, 1 above `to`, smooth between; `from` may be the larger.
pub(crate) fn smoothstep(from: f32, to: f32, x: f32) -> f32 {
    ease(((x - from) / (to - from)).clamp(0.0, 1.0))
}

//! Pictures of no domain, made of scenes.
//!
//! What a generator makes that has not learnt a domain is between two of them, a tint of the source, or soft. Each [`Kind`] is
//! one way to be that. All are functions of a seed.

use domex_random::{Stream, Streams};
use rayon::prelude::*;

use crate::jitter::{Jitter, blurred, planes};
use crate::scenes::Scenes;

/// A way to be of no domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The same scene in two domains, mixed pixel by pixel.
    Blend,
    /// What is coarse of one domain with what is fine of another.
    Bands,
    /// A scene of the source with the mean and the contrast of each colour of another domain.
    Graded,
    /// The middle of the picture of the source and the rest of another domain, or the other way around.
    Ground,
    /// Any scene, so soft that its strokes are gone.
    Soft,
    /// A scene of the source through a strong filter: a tint, grey, few levels, a negative, colours exchanged.
    Filtered,
    /// Ellipses and rectangles.
    Shapes,
    /// Noise, fine or coarse.
    Noise,
}

/// All of them.
pub const KINDS: [Kind; 8] = [
    Kind::Blend,
    Kind::Bands,
    Kind::Graded,
    Kind::Ground,
    Kind::Soft,
    Kind::Filtered,
    Kind::Shapes,
    Kind::Noise,
];

impl Kind {
    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Blend => "blend",
            Self::Bands => "bands of two",
            Self::Graded => "colour grade",
            Self::Ground => "other ground",
            Self::Soft => "softened",
            Self::Filtered => "filtered photo",
            Self::Shapes => "shapes",
            Self::Noise => "noise",
        }
    }
}

/// Domains closer than this to the source, as a root mean square, would make a picture that is the source or the domain.
const APART: f32 = 0.2;

/// Makes them from a world.
pub struct Nones<'a> {
    scenes: &'a dyn Scenes,
    size: u32,
}

impl<'a> Nones<'a> {
    /// Of scenes of `size × size` pixels.
    pub fn new(scenes: &'a dyn Scenes, size: u32) -> Self {
        Self { scenes, size }
    }

    /// Pictures of these kinds and seeds, one after the other, as values `[3, size, size]` in `[-1, 1]`.
    pub fn draw(&self, plan: &[(Kind, u64)], jitter: Jitter) -> Vec<f32> {
        let side = self.size as usize;
        let one = |&(kind, seed): &(Kind, u64)| {
            let mut stream = Streams::new(seed).stream("jitter");
            jitter.of_planes(self.one(kind, seed), side, side, &mut stream)
        };
        let made: Vec<Vec<f32>> = plan.par_iter().map(one).collect();
        made.concat()
    }

    fn one(&self, kind: Kind, seed: u64) -> Vec<f32> {
        let mut stream = Streams::new(seed).stream("of no domain");
        let stream = &mut stream;
        let mut x = match kind {
            Kind::Blend => {
                let (mut a, b) = self.pair(stream);
                let share = 0.35 + 0.3 * stream.uniform_f32();
                mix(&mut a, &b, |_| share);
                a
            }
            Kind::Bands => {
                let (mut a, b) = self.pair(stream);
                let sigma = 1.5 + 1.5 * stream.uniform_f32();
                let mut coarse = b.clone();
                self.blur(&mut coarse, sigma);
                self.blur(&mut a, sigma);
                for ((a, b), coarse) in a.iter_mut().zip(&b).zip(coarse) {
                    *a += b - coarse;
                }
                a
            }
            Kind::Graded => {
                let (photo, other) = self.beside_source(stream);
                graded(&photo, &other)
            }
            Kind::Ground => {
                let (mut photo, mut other) = self.beside_source(stream);
                if stream.uniform_f32() < 0.5 {
                    std::mem::swap(&mut photo, &mut other);
                }
                let side = self.size as usize;
                let radius = 0.24 + 0.1 * stream.uniform_f32();
                mix(&mut photo, &other, |at| {
                    let place = |x: usize| (x as f32 + 0.5) / side as f32 - 0.5;
                    let (x, y) = (place(at % side), place(at / side % side));
                    let from = (x * x + (0.8 * y).powi(2)).sqrt();
                    ((from - radius) / 0.08 + 0.5).clamp(0.0, 1.0)
                });
                photo
            }
            Kind::Soft => {
                let domain = pick(self.scenes.domains(), stream);
                let mut x = self.scene(domain, stream.next_u64());
                let sigma = 1.8 + 2.2 * stream.uniform_f32();
                self.blur(&mut x, sigma);
                x
            }
            Kind::Filtered => {
                let photo = self.scene(0, stream.next_u64());
                filtered(&photo, stream)
            }
            Kind::Shapes => self.shapes(stream),
            Kind::Noise => self.noise(stream),
        };
        x.iter_mut().for_each(|x| *x = x.clamp(-1.0, 1.0));
        x
    }

    fn scene(&self, domain: usize, seed: u64) -> Vec<f32> {
        planes(&self.scenes.scene(domain, seed, self.size).picture)
    }

    fn blur(&self, x: &mut [f32], sigma: f32) {
        blurred(x, self.size as usize, self.size as usize, sigma);
    }

    /// One scene in two domains that differ.
    fn pair(&self, stream: &mut Stream) -> (Vec<f32>, Vec<f32>) {
        let seed = stream.next_u64();
        let mut found = (Vec::new(), Vec::new());
        for _ in 0..4 {
            let domains = [0; 2].map(|_| pick(self.scenes.domains(), stream));
            let [a, b] = domains.map(|domain| self.scene(domain, seed));
            let apart = rms(&a, &b);
            found = (a, b);
            if apart > APART {
                break;
            }
        }
        found
    }

    /// A scene of the source, and one of another domain that looks different.
    fn beside_source(&self, stream: &mut Stream) -> (Vec<f32>, Vec<f32>) {
        let seed = stream.next_u64();
        let photo = self.scene(0, seed);
        let mut other = photo.iter().map(|x| -x).collect();
        for _ in 0..6 {
            let domain = 1 + pick(self.scenes.domains() - 1, stream);
            let found = self.scene(domain, seed);
            // Its colours and its ground, both: else what is made of it may be the source or the domain itself.
            if rms(&photo, &graded(&photo, &found)) > APART {
                other = found;
                break;
            }
        }
        (photo, other)
    }

    fn shapes(&self, stream: &mut Stream) -> Vec<f32> {
        let side = self.size as usize;
        let mut x = flat(side, colour(stream));
        for _ in 0..1 + pick(6, stream) {
            let mut unit = || stream.uniform_f32();
            let (cx, cy) = (0.15 + 0.7 * unit(), 0.15 + 0.7 * unit());
            let (rx, ry) = (0.08 + 0.3 * unit(), 0.08 + 0.3 * unit());
            let round = unit() < 0.6;
            let shade = colour(stream);
            for at in 0..side * side {
                let place = |x: usize, centre: f32, radius: f32| {
                    ((x as f32 + 0.5) / side as f32 - centre) / radius
                };
                let (u, v) = (place(at % side, cx, rx), place(at / side, cy, ry));
                let inside = match round {
                    true => u * u + v * v < 1.0,
                    false => u.abs().max(v.abs()) < 1.0,
                };
                if inside {
                    (0..3).for_each(|channel| x[channel * side * side + at] = shade[channel]);
                }
            }
        }
        let sigma = 2.0 * stream.uniform_f32();
        if sigma > 0.5 {
            self.blur(&mut x, sigma);
        }
        x
    }

    fn noise(&self, stream: &mut Stream) -> Vec<f32> {
        let side = self.size as usize;
        let mut x = vec![0f32; 3 * side * side];
        stream.fill_normal(&mut x);
        let sigma = 5.0 * stream.uniform_f32();
        if sigma > 0.7 {
            self.blur(&mut x, sigma);
        }
        let power = (x.iter().map(|x| x * x).sum::<f32>() / x.len() as f32).sqrt();
        let strength = 0.15 + 0.6 * stream.uniform_f32();
        let ground = colour(stream);
        for (at, x) in x.iter_mut().enumerate() {
            *x = ground[at / (side * side)] + strength * *x / power.max(1e-6);
        }
        x
    }
}

fn pick(n: usize, stream: &mut Stream) -> usize {
    ((stream.uniform_f32() * n as f32) as usize).min(n.saturating_sub(1))
}

fn colour(stream: &mut Stream) -> [f32; 3] {
    std::array::from_fn(|_| 2.0 * stream.uniform_f32() - 1.0)
}

fn flat(side: usize, colour: [f32; 3]) -> Vec<f32> {
    colour
        .iter()
        .flat_map(|&c| std::iter::repeat_n(c, side * side))
        .collect()
}

fn rms(a: &[f32], b: &[f32]) -> f32 {
    let sum: f32 = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum();
    (sum / a.len().max(1) as f32).sqrt()
}

/// `a` becomes `a + share (b − a)`, with the share of each place.
fn mix(a: &mut [f32], b: &[f32], share: impl Fn(usize) -> f32) {
    for (at, (a, b)) in a.iter_mut().zip(b).enumerate() {
        *a += share(at) * (b - *a);
    }
}

/// Mean and deviation.
fn moments(plane: &[f32]) -> (f32, f32) {
    let n = plane.len().max(1) as f32;
    let mean = plane.iter().sum::<f32>() / n;
    let variance = plane.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / n;
    (mean, variance.sqrt())
}

/// `photo` with the mean and the contrast of each colour of `other`.
fn graded(photo: &[f32], other: &[f32]) -> Vec<f32> {
    let pixels = photo.len() / 3;
    let mut out = Vec::with_capacity(photo.len());
    for (plane, other) in photo.chunks(pixels).zip(other.chunks(pixels)) {
        let ((mean, deviation), (to, wide)) = (moments(plane), moments(other));
        let gain = wide / deviation.max(1e-3);
        out.extend(
            plane
                .iter()
                .map(|x| (to + gain * (x - mean)).clamp(-1.0, 1.0)),
        );
    }
    out
}

/// A strong filter over a picture `[3, h, w]`.
fn filtered(photo: &[f32], stream: &mut Stream) -> Vec<f32> {
    let pixels = photo.len() / 3;
    let mean = |at: usize| (photo[at] + photo[pixels + at] + photo[2 * pixels + at]) / 3.0;
    let mut out = photo.to_vec();
    match pick(5, stream) {
        // A tint: one colour is taken away and another added, more than a jitter does.
        0 => {
            let down = pick(3, stream);
            let up = (down + 1 + pick(2, stream)) % 3;
            let strength = 0.35 + 0.4 * stream.uniform_f32();
            for at in 0..pixels {
                out[down * pixels + at] -= strength;
                out[up * pixels + at] += strength;
            }
        }
        1 => (0..pixels).for_each(|at| {
            let grey = mean(at);
            (0..3).for_each(|channel| out[channel * pixels + at] = grey);
        }),
        2 => out
            .iter_mut()
            .for_each(|x| *x = ((*x + 1.0) * 1.5).floor().min(2.0) - 1.0),
        3 => out.iter_mut().for_each(|x| *x = -*x),
        _ => {
            let turn = 1 + pick(2, stream);
            out.rotate_left(turn * pixels);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::portraits::World;

    fn drawn(kind: Kind, seed: u64) -> Vec<f32> {
        Nones::new(&World::new(), 32).draw(&[(kind, seed)], Jitter::NONE)
    }

    #[test]
    fn every_kind_is_a_picture_and_follows_from_its_seed() {
        for kind in KINDS {
            let x = drawn(kind, 1);
            assert_eq!(x.len(), 3 * 32 * 32);
            assert!(x.iter().all(|x| (-1.0..=1.0).contains(x)), "{kind:?}");
            assert!(moments(&x).1 > 0.02, "{kind:?}");
            assert_eq!(x, drawn(kind, 1), "{kind:?}");
            assert_ne!(x, drawn(kind, 2), "{kind:?}");
        }
    }

    #[test]
    fn every_filter_changes_the_picture() {
        let photo: Vec<f32> = (0..3 * 16).map(|x| x as f32 / 40.0 - 0.7).collect();
        let mut stream = Streams::new(0).stream("filters");
        for _ in 0..100 {
            assert!(rms(&filtered(&photo, &mut stream), &photo) > 0.1);
        }
    }

    #[test]
    fn a_grade_has_the_colours_of_the_other_picture_and_the_shapes_of_the_first() {
        let world = World::new();
        let [photo, comic] = [0, 7].map(|domain| planes(&world.scene(domain, 3, 32).picture));
        let made = graded(&photo, &comic);
        for channel in 0..3 {
            let plane = |x: &[f32]| moments(&x[channel * 1024..][..1024]).0;
            assert!((plane(&made) - plane(&comic)).abs() < 0.1);
        }
        assert!(rms(&made, &photo) > 0.1);
    }
}

//! Shapes as signed distances: negative inside, in the units of the picture's side.
//!
//! A distance answers every question that a picture asks: coverage of a pixel (antialiasing at any
//! size), an outline of any width, a soft shadow, a glow. Distances of ellipses and stretched
//! shapes are approximate (exact on the border and to first order beside it), which is all that
//! is looked at.

use super::lanes::{LANES, Lanes, Points, both};
use super::noise::smooth;

/// A point or vector of the picture, x to the right, y down, the side being 1.
pub(crate) type P = [f32; 2];

/// A shape. See the [module docs](self).
#[derive(Debug, Clone)]
pub(crate) enum Shape {
    /// Everything.
    All,
    /// Axis-parallel ellipse.
    Ellipse { at: P, radii: P },
    /// An ellipse that narrows towards the chin: `jaw` from 0 (ellipse) to 1 (a point).
    Head { at: P, radii: P, jaw: f32 },
    /// Rectangle with round corners, turned by `angle` (radians, clockwise).
    Rect {
        at: P,
        half: P,
        round: f32,
        angle: f32,
    },
    /// A segment with round ends; the radius goes from `r[0]` at `a` to `r[1]` at `b`.
    Stroke { a: P, b: P, r: [f32; 2] },
    /// The part between two parabolas that meet at the corners: lips, lids, lenses. `bow` moves
    /// the corners up against the middle.
    Lens {
        at: P,
        half: f32,
        up: f32,
        down: f32,
        bow: f32,
    },
    /// A closed polygon.
    Polygon(Vec<P>),
    /// The border of a shape, `width` wide.
    Ring(Box<Shape>, f32),
    /// Any of these.
    Union(Vec<Shape>),
    /// The first without the second.
    Without(Box<Shape>, Box<Shape>),
    /// Both.
    Both(Box<Shape>, Box<Shape>),
    /// Above (`true`) or below the height `y`.
    Half { y: f32, above: bool },
    /// A border with waves of this height, `per` of them in a picture's side.
    Wavy {
        inner: Box<Shape>,
        height: f32,
        per: f32,
        seed: u32,
    },
}

impl Shape {
    pub(crate) fn circle(at: P, r: f32) -> Self {
        Self::Ellipse { at, radii: [r, r] }
    }

    pub(crate) fn stroke(a: P, b: P, r: f32) -> Self {
        Self::Stroke { a, b, r: [r, r] }
    }

    /// A smooth line through three points, as two strokes on each side of the middle.
    pub(crate) fn curve(a: P, mid: P, b: P, r: f32) -> Self {
        // The control point that makes a quadratic Bézier curve pass the middle.
        let c = [
            2.0 * mid[0] - 0.5 * (a[0] + b[0]),
            2.0 * mid[1] - 0.5 * (a[1] + b[1]),
        ];
        let at = |t: f32| {
            let s = 1.0 - t;
            [0, 1].map(|k| s * s * a[k] + 2.0 * s * t * c[k] + t * t * b[k])
        };
        const PARTS: usize = 4;
        let points: Vec<P> = (0..=PARTS).map(|i| at(i as f32 / PARTS as f32)).collect();
        Self::Union(
            points
                .windows(2)
                .map(|p| Self::stroke(p[0], p[1], r))
                .collect(),
        )
    }

    pub(crate) fn without(self, other: Self) -> Self {
        Self::Without(Box::new(self), Box::new(other))
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self::Both(Box::new(self), Box::new(other))
    }

    pub(crate) fn wavy(self, height: f32, per: f32, seed: u32) -> Self {
        Self::Wavy {
            inner: Box::new(self),
            height,
            per,
            seed,
        }
    }

    pub(crate) fn ring(self, width: f32) -> Self {
        Self::Ring(Box::new(self), width)
    }

    /// Signed distance of each point.
    pub(crate) fn distances(&self, p: &Points) -> Lanes {
        match self {
            Self::All => [-1.0; LANES],
            Self::Ellipse { at, radii } => ellipse(&from(p, *at), *radii),
            Self::Head { at, radii, jaw } => {
                let q = from(p, *at).map(|q| widened(q, *radii, *jaw));
                ellipse(&q, *radii)
            }
            Self::Rect {
                at,
                half,
                round,
                angle,
            } => {
                let (sin, cos) = angle.sin_cos();
                p.each(|p| {
                    let q = [p[0] - at[0], p[1] - at[1]];
                    let q = [q[0] * cos + q[1] * sin, q[1] * cos - q[0] * sin];
                    let d = [q[0].abs() - half[0] + round, q[1].abs() - half[1] + round];
                    length(d[0].max(0.0), d[1].max(0.0)) + d[0].max(d[1]).min(0.0) - round
                })
            }
            Self::Stroke { a, b, r } => p.each(|p| stroke(p, *a, *b, *r)),
            Self::Lens {
                at,
                half,
                up,
                down,
                bow,
            } => lens(&from(p, *at), *half, [*up, *down], *bow),
            Self::Polygon(points) => polygon(points, p),
            Self::Ring(inner, width) => inner.distances(p).map(|d| d.abs() - 0.5 * width),
            Self::Union(parts) => parts.iter().fold([f32::INFINITY; LANES], |nearest, part| {
                both(&nearest, &part.distances(p), f32::min)
            }),
            Self::Without(a, b) => both(&a.distances(p), &b.distances(p), |a, b| a.max(-b)),
            Self::Both(a, b) => both(&a.distances(p), &b.distances(p), f32::max),
            Self::Half { y, above } => {
                let sign = if *above { 1.0 } else { -1.0 };
                p.each(|p| sign * (p[1] - y))
            }
            Self::Wavy {
                inner,
                height,
                per,
                seed,
            } => {
                let mut distances = inner.distances(p);
                for (i, d) in distances.iter_mut().enumerate() {
                    // Far away the waves decide nothing.
                    if d.abs() <= 2.0 * height + 0.05 {
                        *d += height * smooth(p.x[i] * per, p.y[i] * per, *seed);
                    }
                }
                distances
            }
        }
    }

    /// A box around the shape, `[left, top, right, bottom]`.
    pub(crate) fn bounds(&self) -> [f32; 4] {
        const EVERYWHERE: [f32; 4] = [-9.0, -9.0, 9.0, 9.0];
        match self {
            Self::All | Self::Half { .. } => EVERYWHERE,
            Self::Ellipse { at, radii } | Self::Head { at, radii, .. } => {
                // A head bulges by up to three parts in a hundred at the cheeks.
                around(*at, [radii[0] * 1.04, radii[1]])
            }
            Self::Rect { at, half, .. } => {
                let reach = length(half[0], half[1]);
                around(*at, [reach, reach])
            }
            Self::Stroke { a, b, r } => {
                let r = r[0].max(r[1]);
                join(around(*a, [r, r]), around(*b, [r, r]))
            }
            Self::Lens {
                at,
                half,
                up,
                down,
                bow,
            } => {
                let tall = up.abs().max(down.abs()) + bow.abs();
                around(*at, [*half, tall])
            }
            Self::Polygon(points) => points
                .iter()
                .map(|&p| around(p, [0.0, 0.0]))
                .reduce(join)
                .unwrap_or(EVERYWHERE),
            Self::Ring(inner, width) => grow(inner.bounds(), 0.5 * width),
            Self::Union(parts) => parts
                .iter()
                .map(Self::bounds)
                .reduce(join)
                .unwrap_or(EVERYWHERE),
            Self::Without(a, _) => a.bounds(),
            Self::Both(a, b) => {
                let (a, b) = (a.bounds(), b.bounds());
                [
                    a[0].max(b[0]),
                    a[1].max(b[1]),
                    a[2].min(b[2]),
                    a[3].min(b[3]),
                ]
            }
            Self::Wavy { inner, height, .. } => grow(inner.bounds(), *height),
        }
    }
}

/// The points as seen from `origin`.
fn from(p: &Points, origin: P) -> Points {
    p.map(|p| [p[0] - origin[0], p[1] - origin[1]])
}

/// First-order distance of an ellipse at the origin: `k (k − 1) / |q / r²|` with `k = |q / r|`.
fn ellipse(q: &Points, r: P) -> Lanes {
    let k = q.each(|q| length(q[0] / r[0], q[1] / r[1]));
    let slope = q.each(|q| length(q[0] / (r[0] * r[0]), q[1] / (r[1] * r[1])));
    let beside = both(&k, &slope, |k, slope| k * (k - 1.0) / slope.max(1e-6));
    let middle = -r[0].min(r[1]);
    // Apart from the division: a branch around that would keep it out of the vector registers.
    both(
        &slope,
        &beside,
        |slope, d| if slope < 1e-6 { middle } else { d },
    )
}

/// Not `hypot`, whose care for overflow costs many times as much.
pub(crate) fn length(x: f32, y: f32) -> f32 {
    (x * x + y * y).sqrt()
}

/// From an ellipse whose lower half narrows towards the chin, to the ellipse.
#[inline(always)]
fn widened(q: P, radii: P, jaw: f32) -> P {
    let t = (q[1] / radii[1]).clamp(0.0, 1.2);
    let narrow = 1.0 - jaw * t * t * 0.55 + 0.10 * (1.0 - jaw) * t * (1.0 - t);
    [q[0] / narrow.max(0.2), q[1]]
}

/// A segment whose radius goes from `r[0]` at `a` to `r[1]` at `b`.
#[inline(always)]
fn stroke(p: P, a: P, b: P, r: [f32; 2]) -> f32 {
    let (pa, ba) = ([p[0] - a[0], p[1] - a[1]], [b[0] - a[0], b[1] - a[1]]);
    let squared = (ba[0] * ba[0] + ba[1] * ba[1]).max(1e-12);
    let t = ((pa[0] * ba[0] + pa[1] * ba[1]) / squared).clamp(0.0, 1.0);
    length(pa[0] - t * ba[0], pa[1] - t * ba[1]) - (r[0] + (r[1] - r[0]) * t)
}

/// Between two parabolas around the origin, `[up, down]` high.
fn lens(q: &Points, half: f32, [up, down]: [f32; 2], bow: f32) -> Lanes {
    let q = q.map(|q| {
        let bent = (q[0] / half).clamp(-1.3, 1.3);
        [(q[0] / half).abs(), q[1] + bow * (bent * bent)]
    });
    // The slope of the border at the corners makes the vertical distance too long.
    let vertical = q.each(|[t, y]| {
        let inside = (1.0 - t * t).max(0.0);
        (-y - up * inside).max(y - down * inside) * 0.8
    });
    let beside = q.each(|[t, y]| length((t - 1.0) * half, y));
    let mut out = vertical;
    for i in 0..LANES {
        out[i] = if q.x[i] <= 1.0 {
            vertical[i]
        } else {
            beside[i]
        };
    }
    out
}

fn polygon(points: &[P], p: &Points) -> Lanes {
    let mut nearest = [f32::INFINITY; LANES];
    let mut crossings = [0_u32; LANES];
    for (i, &a) in points.iter().enumerate() {
        let b = points[(i + 1) % points.len()];
        nearest = both(&nearest, &p.each(|p| stroke(p, a, b, [0.0; 2])), f32::min);
        for (i, crossings) in crossings.iter_mut().enumerate() {
            let [x, y] = p.at(i);
            let crosses =
                (a[1] > y) != (b[1] > y) && x < (b[0] - a[0]) * (y - a[1]) / (b[1] - a[1]) + a[0];
            *crossings += u32::from(crosses);
        }
    }
    for (d, crossings) in nearest.iter_mut().zip(crossings) {
        *d = if crossings % 2 == 1 { -*d } else { *d };
    }
    nearest
}

fn around(at: P, reach: P) -> [f32; 4] {
    [
        at[0] - reach[0],
        at[1] - reach[1],
        at[0] + reach[0],
        at[1] + reach[1],
    ]
}

fn grow(b: [f32; 4], by: f32) -> [f32; 4] {
    [b[0] - by, b[1] - by, b[2] + by, b[3] + by]
}

fn join(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
    [
        a[0].min(b[0]),
        a[1].min(b[1]),
        a[2].max(b[2]),
        a[3].max(b[3]),
    ]
}

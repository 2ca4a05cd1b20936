//! Several neighbouring pixels of a row at once, for the compiler to put into vector registers.

use super::shape::P;

/// How many; two registers of the smallest instruction set of today's processors, and no wider than an eye at 64².
pub(crate) const LANES: usize = 8;

/// A number for each pixel.
pub(crate) type Lanes = [f32; LANES];

/// A point for each pixel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Points {
    pub(crate) x: Lanes,
    pub(crate) y: Lanes,
}

impl Points {
    /// Points of a row from `first` on, `step` apart.
    pub(crate) fn row(first: P, step: f32) -> Self {
        let mut x = [0.0; LANES];
        for (i, x) in x.iter_mut().enumerate() {
            *x = first[0] + i as f32 * step;
        }
        Self {
            x,
            y: [first[1]; LANES],
        }
    }

    /// The point of one pixel.
    pub(crate) fn at(&self, i: usize) -> P {
        [self.x[i], self.y[i]]
    }

    /// A number of each point.
    #[inline(always)]
    pub(crate) fn each(&self, number: impl Fn(P) -> f32) -> Lanes {
        let mut out = [0.0; LANES];
        for i in 0..LANES {
            out[i] = number([self.x[i], self.y[i]]);
        }
        out
    }

    /// Another point for each.
    #[inline(always)]
    pub(crate) fn map(&self, moved: impl Fn(P) -> P) -> Self {
        let mut out = *self;
        for i in 0..LANES {
            [out.x[i], out.y[i]] = moved([self.x[i], self.y[i]]);
        }
        out
    }
}

/// Both numbers of each pixel to one.
#[inline(always)]
pub(crate) fn both(a: &Lanes, b: &Lanes, one: impl Fn(f32, f32) -> f32) -> Lanes {
    let mut out = [0.0; LANES];
    for i in 0..LANES {
        out[i] = one(a[i], b[i]);
    }
    out
}

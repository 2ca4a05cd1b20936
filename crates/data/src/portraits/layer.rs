//! A portrait as layers of shapes, from back to front: what each is, how it is painted and lit.

use super::colour::{Rgb, mix};
use super::noise::{rough, smooth};
use super::shape::{P, Shape, length};

/// What a layer belongs to. Renderings treat parts differently, characters replace them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Background,
    HairBack,
    Body,
    Neck,
    Ear,
    Face,
    Wrinkle,
    Nose,
    Sclera,
    Iris,
    Lid,
    Brow,
    Mouth,
    Beard,
    Hair,
    Glasses,
    Hat,
    /// What a character adds.
    Extra,
}

/// The colour of a layer before light, as a function of the place.
#[derive(Debug, Clone)]
pub(crate) enum Paint {
    Flat(Rgb),
    /// From the first colour at height `y[0]` to the second at `y[1]`.
    Vertical([Rgb; 2], P),
    /// Around a centre, from the first colour to the second at `radius`.
    Radial([Rgb; 2], P, f32),
    /// Hairs: streaks along `along` (per unit length across, and along) between two colours.
    Strands {
        colours: [Rgb; 2],
        across: f32,
        down: f32,
        seed: u32,
    },
    /// Blotches of the second colour on the first: how many per unit, how much of it.
    Blotches {
        colours: [Rgb; 2],
        per: f32,
        amount: f32,
        seed: u32,
    },
    /// Horizontal stripes, so many per unit.
    Stripes([Rgb; 2], f32),
}

impl Paint {
    pub(crate) fn at(&self, p: P) -> Rgb {
        match self {
            Self::Flat(c) => *c,
            Self::Vertical(c, y) => {
                mix(c[0], c[1], ((p[1] - y[0]) / (y[1] - y[0])).clamp(0.0, 1.0))
            }
            Self::Radial(c, at, r) => {
                let d = length(p[0] - at[0], p[1] - at[1]);
                mix(c[0], c[1], (d / r).min(1.0))
            }
            Self::Strands {
                colours,
                across,
                down,
                seed,
            } => {
                let t = 0.5 + 0.5 * rough(p[0] * across, p[1] * down, *seed);
                mix(colours[0], colours[1], t)
            }
            Self::Blotches {
                colours,
                per,
                amount,
                seed,
            } => {
                let t = (smooth(p[0] * per, p[1] * per, *seed) - 1.0 + 2.0 * amount) * 2.0;
                mix(colours[0], colours[1], t.clamp(0.0, 1.0))
            }
            Self::Stripes(c, per) => {
                let t = (p[1] * per).fract();
                mix(c[0], c[1], if t < 0.5 { 0.0 } else { 1.0 })
            }
        }
    }
}

/// The surface that the light falls on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Relief {
    /// Not lit: it has the brightness given.
    Even(f32),
    /// An ellipsoid over this ellipse, `height` times as steep as a sphere.
    Round { at: P, radii: P, height: f32 },
}

/// The normal of an ellipsoid over an ellipse, see [`Relief::Round`]: x to the right, y down, z to the viewer.
#[inline(always)]
pub(crate) fn normal(p: P, at: P, radii: P, height: f32) -> [f32; 3] {
    let u = ((p[0] - at[0]) / radii[0]).clamp(-1.2, 1.2) * height;
    let v = ((p[1] - at[1]) / radii[1]).clamp(-1.2, 1.2) * height;
    let z = (1.0 - u * u - v * v).max(0.04).sqrt();
    let length = (u * u + v * v + z * z).sqrt();
    [u / length, v / length, z / length]
}

/// One layer.
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    pub(crate) part: Part,
    pub(crate) shape: Shape,
    pub(crate) paint: Paint,
    pub(crate) relief: Relief,
    /// It leans with the head.
    pub(crate) leans: bool,
    /// Half the width over which the border fades; 0 is a sharp, antialiased border.
    pub(crate) soft: f32,
    pub(crate) opacity: f32,
    /// Strength of the line that drawings put on the border.
    pub(crate) line: f32,
    /// Strength of the shadow on what is behind.
    pub(crate) shadow: f32,
    /// Strength of the highlight.
    pub(crate) gloss: f32,
    /// What drawings leave out because it is light, not form.
    pub(crate) tone_only: bool,
}

impl Layer {
    /// A sharp opaque layer of the head, with an outline, evenly lit.
    pub(crate) fn new(part: Part, shape: Shape, paint: Paint) -> Self {
        Self {
            part,
            shape,
            paint,
            relief: Relief::Even(1.0),
            leans: true,
            soft: 0.0,
            opacity: 1.0,
            line: 1.0,
            shadow: 0.0,
            gloss: 0.0,
            tone_only: false,
        }
    }

    pub(crate) fn flat(part: Part, shape: Shape, colour: Rgb) -> Self {
        Self::new(part, shape, Paint::Flat(colour))
    }

    pub(crate) fn round(mut self, at: P, radii: P, height: f32) -> Self {
        self.relief = Relief::Round { at, radii, height };
        self
    }

    pub(crate) fn relief(mut self, relief: Relief) -> Self {
        self.relief = relief;
        self
    }

    pub(crate) fn upright(mut self) -> Self {
        self.leans = false;
        self
    }

    pub(crate) fn soft(mut self, soft: f32) -> Self {
        self.soft = soft;
        self.line = 0.0;
        self
    }

    pub(crate) fn opacity(mut self, opacity: f32) -> Self {
        self.opacity = opacity;
        self
    }

    pub(crate) fn line(mut self, line: f32) -> Self {
        self.line = line;
        self
    }

    pub(crate) fn shadow(mut self, shadow: f32) -> Self {
        self.shadow = shadow;
        self
    }

    pub(crate) fn gloss(mut self, gloss: f32) -> Self {
        self.gloss = gloss;
        self
    }

    pub(crate) fn tone_only(mut self) -> Self {
        self.tone_only = true;
        self.line = 0.0;
        self
    }
}

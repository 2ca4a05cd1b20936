//! From factors to layers: an ordinary person, from the background to the hat.
//!
//! The head is an ellipsoid. A feature has a place `(u, v)` on it (the face being `[-1, 1]²`),
//! which yaw turns: `x = u cos θ + z sin θ` with the depth `z` of the ellipsoid there. Leaning is
//! a rotation of every layer of the head around the neck, done where a pixel is looked up.

use super::colour::{Rgb, hsv, mix, ramp, rgb, times};
use super::factors::{Background, EyeColour, Factors, HairColour};
use super::layer::{Layer, Paint, Part, Relief};
use super::shape::{P, Shape};
use super::{face, hair, wear};

/// The geometry that every layer of the head shares, and the colours that several use.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) at: P,
    pub(crate) radii: P,
    pub(crate) jaw: f32,
    /// Turn of the head, radians.
    pub(crate) turn: f32,
    pub(crate) skin: Rgb,
    pub(crate) hair: Rgb,
    pub(crate) cloth: Rgb,
    pub(crate) iris: Rgb,
    pub(crate) seed: u32,
}

impl Head {
    fn new(f: &Factors, seed: u32) -> Self {
        Self {
            at: [0.5, 0.48],
            radii: [0.185 + 0.04 * f.face_width, 0.265],
            jaw: 0.25 + 0.55 * f.jaw,
            turn: 0.6 * f.yaw,
            skin: ramp(
                &[
                    rgb(0xf6d7c0),
                    rgb(0xe8b793),
                    rgb(0xc98d62),
                    rgb(0x8f5a3a),
                    rgb(0x5b3825),
                ],
                f.skin,
            ),
            hair: match f.hair_colour {
                HairColour::Black => rgb(0x1e1a1c),
                HairColour::Brown => rgb(0x5a3620),
                HairColour::Blond => rgb(0xd9b25a),
                HairColour::Red => rgb(0xa8421c),
                HairColour::Grey => rgb(0xb9b8b6),
            },
            cloth: hsv(f.cloth_hue, 0.55, 0.6),
            iris: match f.eye_colour {
                EyeColour::Brown => rgb(0x5b3314),
                EyeColour::Blue => rgb(0x3f78c4),
                EyeColour::Green => rgb(0x4c8a3c),
            },
            seed,
        }
    }

    /// Where the feature at `(u, v)` of the face is seen.
    pub(crate) fn place(&self, u: f32, v: f32) -> P {
        let (sin, cos) = self.turn.sin_cos();
        let x = u * cos + depth(u, v) * sin * 0.85;
        [
            self.at[0] + x * self.radii[0],
            self.at[1] + v * self.radii[1],
        ]
    }

    /// How much narrower a feature at `(u, v)` looks for the turn.
    pub(crate) fn squeeze(&self, u: f32, v: f32) -> f32 {
        let (sin, cos) = self.turn.sin_cos();
        (cos - u / depth(u, v) * sin).clamp(0.35, 1.15)
    }

    /// The face's outline, `by` larger on every side.
    pub(crate) fn outline(&self, by: f32) -> Shape {
        Shape::Head {
            at: self.at,
            radii: [self.radii[0] + by, self.radii[1] + by],
            jaw: self.jaw,
        }
    }

    /// Light on a layer as on the head itself.
    pub(crate) fn relief(&self) -> Relief {
        Relief::Round {
            at: [
                self.at[0] + 0.35 * self.turn.sin() * self.radii[0],
                self.at[1],
            ],
            radii: [self.radii[0] * 1.12, self.radii[1] * 1.15],
            height: 0.95,
        }
    }
}

fn depth(u: f32, v: f32) -> f32 {
    (1.0 - u * u - 0.5 * v * v).max(0.08).sqrt()
}

/// Layers from back to front, with what characters need to change them.
#[derive(Debug, Clone)]
pub(crate) struct Scene {
    pub(crate) head: Head,
    pub(crate) factors: Factors,
    pub(crate) layers: Vec<Layer>,
}

impl Scene {
    /// An ordinary person.
    pub(crate) fn person(factors: &Factors, seed: u32) -> Self {
        let f = factors.clamped();
        let head = Head::new(&f, seed);
        let mut layers = Vec::with_capacity(64);
        background(&mut layers, &f, seed);
        hair::back(&mut layers, &head, &f);
        body(&mut layers, &head, &f);
        face::ears(&mut layers, &head);
        face::skin(&mut layers, &head, &f);
        face::eyes(&mut layers, &head, &f);
        face::nose(&mut layers, &head, &f);
        face::mouth(&mut layers, &head, &f);
        wear::beard(&mut layers, &head, &f);
        hair::front(&mut layers, &head, &f);
        wear::glasses(&mut layers, &head, &f);
        wear::hat(&mut layers, &head, &f);
        Self {
            head,
            factors: f,
            layers,
        }
    }

    /// Removes every layer of these parts.
    pub(crate) fn remove(&mut self, parts: &[Part]) {
        self.layers.retain(|layer| !parts.contains(&layer.part));
    }

    /// Changes every layer of these parts.
    pub(crate) fn change(&mut self, parts: &[Part], change: impl Fn(&mut Layer)) {
        for layer in &mut self.layers {
            if parts.contains(&layer.part) {
                change(layer);
            }
        }
    }

    /// Paints these parts anew.
    pub(crate) fn paint(&mut self, parts: &[Part], paint: &Paint) {
        self.change(parts, |layer| layer.paint = paint.clone());
    }

    /// Puts layers directly in front of the last one of `part`, or before everything else of the
    /// head when there is none.
    pub(crate) fn after(&mut self, part: Part, layers: impl IntoIterator<Item = Layer>) {
        let at = self.layers.iter().rposition(|layer| layer.part == part);
        let at = at.map_or(1, |i| i + 1);
        self.layers.splice(at..at, layers);
    }

    /// Puts layers in front of everything.
    pub(crate) fn on_top(&mut self, layers: impl IntoIterator<Item = Layer>) {
        self.layers.extend(layers);
    }
}

fn background(layers: &mut Vec<Layer>, f: &Factors, seed: u32) {
    let value = 0.22 + 0.62 * f.background_value;
    let colour = hsv(f.background_hue, 0.38, value);
    let behind = |paint| {
        Layer::new(Part::Background, Shape::All, paint)
            .upright()
            .line(0.0)
    };
    match f.background {
        Background::Plain => {
            let edge = times(colour, 0.72);
            layers.push(behind(Paint::Radial([colour, edge], [0.5, 0.45], 0.8)));
        }
        Background::Gradient => {
            let light = mix(colour, [1.0; 3], 0.3);
            layers.push(behind(Paint::Vertical(
                [light, times(colour, 0.45)],
                [0.0, 1.0],
            )));
        }
        Background::Bokeh => {
            layers.push(behind(Paint::Vertical(
                [times(colour, 0.6), times(colour, 0.35)],
                [0.0, 1.0],
            )));
            for i in 0..7 {
                let draw = |k: i32| super::noise::uniform(i, k, seed ^ 0xb0e4);
                let light = hsv(
                    f.background_hue + 0.16 * (draw(3) - 0.5),
                    0.45,
                    0.55 + 0.45 * value,
                );
                let shape = Shape::circle([draw(0), 0.75 * draw(1)], 0.05 + 0.06 * draw(2));
                let disc = Layer::flat(Part::Background, shape, light).upright();
                layers.push(disc.soft(0.012).opacity(0.55).tone_only());
            }
        }
    }
}

fn body(layers: &mut Vec<Layer>, head: &Head, f: &Factors) {
    let chest = [0.5, 1.16];
    let shoulders = Shape::Union(vec![
        Shape::Ellipse {
            at: chest,
            radii: [0.44 + 0.03 * f.face_width, 0.36],
        },
        Shape::Rect {
            at: [0.5, 0.92],
            half: [0.15, 0.12],
            round: 0.1,
            angle: 0.0,
        },
    ]);
    let cloth = Paint::Vertical([head.cloth, times(head.cloth, 0.7)], [0.8, 1.0]);
    layers.push(
        Layer::new(Part::Body, shoulders, cloth)
            .upright()
            .round([0.5, 1.1], [0.5, 0.42], 0.9)
            .shadow(0.25),
    );
    let neck = Shape::Union(vec![
        Shape::Rect {
            at: [0.5, 0.78],
            half: [0.085 + 0.02 * f.face_width, 0.12],
            round: 0.05,
            angle: 0.0,
        },
        Shape::Ellipse {
            at: [0.5, 0.86],
            radii: [0.125, 0.075],
        },
    ]);
    layers.push(Layer::flat(Part::Neck, neck, head.skin).upright().round(
        [0.5, 0.75],
        [0.15, 0.35],
        0.9,
    ));
}

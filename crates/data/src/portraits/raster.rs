//! Layers to pixels: colour, light and lines, kept apart for the renderings to use as they like.

use super::colour::{Rgb, mix};
use super::factors::Factors;
use super::lanes::{LANES, Lanes, Points};
use super::layer::{Layer, Part, Relief, normal};
use super::noise::smoothstep;
use super::scene::Scene;
use super::shape::P;

/// What is known of every pixel of a square picture, in rows from the top.
#[derive(Debug, Clone)]
pub(crate) struct Canvas {
    /// Pixels on a side.
    pub(crate) size: usize,
    /// Colour before light.
    pub(crate) albedo: Vec<Rgb>,
    /// Light that falls there, 1 being ordinary.
    pub(crate) light: Vec<f32>,
    /// Highlight, added to the lit colour.
    pub(crate) gloss: Vec<f32>,
    /// Strength of the outline there, 0 to 1.
    pub(crate) line: Vec<f32>,
    /// What covers most of the pixel.
    pub(crate) part: Vec<Part>,
}

/// The light of a scene: where it comes from and how strong it is.
#[derive(Debug, Clone, Copy)]
struct Lamp {
    towards: [f32; 3],
    /// Half-way between the light and a viewer straight ahead.
    half: [f32; 3],
    ambient: f32,
    diffuse: f32,
}

impl Lamp {
    fn new(f: &Factors) -> Self {
        let (x, y, z) = (0.85 * f.light, -0.45_f32, 0.62_f32);
        let length = (x * x + y * y + z * z).sqrt();
        let towards = [x / length, y / length, z / length];
        let between = (2.0 + 2.0 * towards[2]).sqrt();
        Self {
            towards,
            half: [
                towards[0] / between,
                towards[1] / between,
                (towards[2] + 1.0) / between,
            ],
            ambient: 0.42,
            diffuse: 0.78,
        }
    }

    /// Light and highlight on a layer.
    fn on(&self, layer: &Layer, points: &Points) -> (Lanes, Lanes) {
        let (at, radii, height) = match layer.relief {
            Relief::Even(even) => {
                let light = even * (self.ambient + 0.62 * self.diffuse);
                return ([light; LANES], [0.0; LANES]);
            }
            Relief::Round { at, radii, height } => (at, radii, height),
        };
        let (mut light, mut gloss) = ([0.0; LANES], [0.0; LANES]);
        for i in 0..LANES {
            let n = normal(points.at(i), at, radii, height);
            let along = |v: [f32; 3]| n[0] * v[0] + n[1] * v[1] + n[2] * v[2];
            // Light wraps around a little, as it does on skin.
            let wrapped = ((along(self.towards) + 0.25) / 1.25).max(0.0);
            light[i] = self.ambient + self.diffuse * wrapped;
            gloss[i] = layer.gloss * along(self.half).max(0.0).powi(16);
        }
        (light, gloss)
    }
}

/// The pixels of a row that are drawn together.
struct Run {
    /// Number of the first.
    at: usize,
    /// How many lie within the window.
    len: usize,
    points: Points,
}

/// The neck, around which the head leans.
const PIVOT: P = [0.5, 0.80];

/// How close the camera is, and what it looks at.
const ZOOM: f32 = 1.16;
const MIDDLE: P = [0.5, 0.515];

/// Leaning at `tilt` = 1, in radians.
const LEAN: f32 = 0.16;

impl Canvas {
    /// Draws a scene, `size` pixels on a side; outlines are `pen` wide (in parts of the side).
    pub(crate) fn draw(scene: &Scene, size: usize, pen: f32) -> Self {
        let n = size * size;
        let mut canvas = Self {
            size,
            albedo: vec![[0.0; 3]; n],
            light: vec![1.0; n],
            gloss: vec![0.0; n],
            line: vec![0.0; n],
            part: vec![Part::Background; n],
        };
        let lamp = Lamp::new(&scene.factors);
        let lean = (LEAN * scene.factors.tilt).sin_cos();
        for layer in &scene.layers {
            canvas.layer(layer, &lamp, lean, pen);
        }
        canvas
    }

    fn layer(&mut self, layer: &Layer, lamp: &Lamp, lean: (f32, f32), pen: f32) {
        let pixel = 1.0 / (ZOOM * self.size as f32);
        let shadow_at = [-0.028 * lamp.towards[0], 0.022];
        let reach = if layer.shadow > 0.0 { 0.075 } else { 0.0 };
        let margin = layer.soft + pen + pixel + reach;
        let Some((columns, rows)) = self.window(layer, margin, lean) else {
            return;
        };
        let fade = (2.0 * layer.soft).max(pixel);
        let corner = MIDDLE.map(|m| m - 0.5 / ZOOM);
        for j in rows {
            let mut i = columns.start;
            while i < columns.end {
                let first = [
                    corner[0] + (i as f32 + 0.5) * pixel,
                    corner[1] + (j as f32 + 0.5) * pixel,
                ];
                let mut points = Points::row(first, pixel);
                if layer.leans {
                    points = points.map(|p| turn_back(p, lean));
                }
                let distances = layer.shape.distances(&points);
                let (start, end) = (i, (i + LANES).min(columns.end));
                i += LANES;
                if distances.iter().all(|&d| d > margin) {
                    // Nothing begins nearer to the last one than that; half, because distances are approximate.
                    i += (0.5 * (distances[LANES - 1] - margin) / pixel) as usize;
                    continue;
                }
                let cover = distances.map(|d| (0.5 - d / fade).clamp(0.0, 1.0) * layer.opacity);
                let at = j * self.size + start;
                let run = Run {
                    at,
                    len: end - start,
                    points,
                };
                if layer.shadow > 0.0 && cover.iter().any(|&cover| cover < 1.0) {
                    self.shade(&run, layer, &cover, shadow_at);
                }
                if cover.iter().any(|&cover| cover > 0.0) {
                    self.cover(&run, layer, &cover, lamp);
                }
                if layer.line > 0.0 && pen > 0.0 {
                    let lines = &mut self.line[at..][..run.len];
                    for (line, d) in lines.iter_mut().zip(distances) {
                        let stroke = (0.5 + (0.5 * pen - d.abs()) / pixel).clamp(0.0, 1.0);
                        *line = line.max(stroke * layer.line);
                    }
                }
            }
        }
    }

    /// The shadow of a layer, where it does not cover all.
    fn shade(&mut self, run: &Run, layer: &Layer, cover: &Lanes, shadow_at: P) {
        let moved = run
            .points
            .map(|p| [p[0] - shadow_at[0], p[1] - shadow_at[1]]);
        let dark = layer
            .shape
            .distances(&moved)
            .map(|d| smoothstep(0.035, -0.02, d) * layer.shadow);
        for i in 0..run.len {
            // Shadows fall on the person, hardly on what is far behind.
            let far = match self.part[run.at + i] {
                Part::Background => 0.15,
                _ => 1.0,
            };
            if cover[i] < 1.0 {
                self.light[run.at + i] *= 1.0 - 0.6 * dark[i] * far;
            }
        }
    }

    fn cover(&mut self, run: &Run, layer: &Layer, cover: &Lanes, lamp: &Lamp) {
        let (light, gloss) = lamp.on(layer, &run.points);
        for i in 0..run.len {
            let (k, cover) = (run.at + i, cover[i]);
            if cover <= 0.0 {
                continue;
            }
            self.albedo[k] = mix(self.albedo[k], layer.paint.at(run.points.at(i)), cover);
            if !layer.tone_only || layer.part == Part::Iris {
                self.light[k] += (light[i] - self.light[k]) * cover;
            }
            self.gloss[k] += (gloss[i] - self.gloss[k]) * cover;
            self.line[k] *= 1.0 - cover;
            if cover > 0.5 && !layer.tone_only {
                self.part[k] = layer.part;
            }
        }
    }

    /// Columns and rows that a layer can touch.
    fn window(
        &self,
        layer: &Layer,
        margin: f32,
        lean: (f32, f32),
    ) -> Option<(std::ops::Range<usize>, std::ops::Range<usize>)> {
        let b = layer.shape.bounds();
        let mut b = [b[0] - margin, b[1] - margin, b[2] + margin, b[3] + margin];
        if layer.leans {
            let corners = [[b[0], b[1]], [b[2], b[1]], [b[0], b[3]], [b[2], b[3]]];
            let turned = corners.map(|p| turn_back(p, (-lean.0, lean.1)));
            for (k, lower) in [(0, true), (1, true), (2, false), (3, false)] {
                let values = turned.map(|p| p[k % 2]);
                b[k] = if lower {
                    values.into_iter().fold(f32::INFINITY, f32::min)
                } else {
                    values.into_iter().fold(f32::NEG_INFINITY, f32::max)
                };
            }
        }
        let size = self.size as f32;
        let clip = |x: f32, m: f32| (((x - m) * ZOOM + 0.5) * size).clamp(0.0, size);
        let columns = clip(b[0], MIDDLE[0]).floor() as usize..clip(b[2], MIDDLE[0]).ceil() as usize;
        let rows = clip(b[1], MIDDLE[1]).floor() as usize..clip(b[3], MIDDLE[1]).ceil() as usize;
        (!columns.is_empty() && !rows.is_empty()).then_some((columns, rows))
    }

    /// Lit colour of a pixel, before the lamp's own colour.
    pub(crate) fn lit(&self, k: usize) -> Rgb {
        let ([r, g, b], light, gloss) = (self.albedo[k], self.light[k], self.gloss[k]);
        [r * light + gloss, g * light + gloss, b * light + gloss]
    }
}

/// From the picture to the upright head.
fn turn_back(p: P, (sin, cos): (f32, f32)) -> P {
    let (x, y) = (p[0] - PIVOT[0], p[1] - PIVOT[1]);
    [PIVOT[0] + x * cos + y * sin, PIVOT[1] + y * cos - x * sin]
}

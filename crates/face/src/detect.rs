//! From a picture to faces.

use std::path::Path;

use candle_core::{Device, Tensor};
use domex_data::pil_resize::resize_bicubic;
use image::RgbImage;
use image::imageops::{crop_imm, flip_horizontal};

use crate::network::CHANNELS;
use crate::{Result, STRIDES, YuNet};

/// A face that was found, in pixels of its picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Face {
    /// How sure the network is, 0 to 1.
    pub score: f64,
    /// Left, top, width and height of the box around it. It may leave the picture.
    pub bounds: [f64; 4],
    /// Where eyes, tip of the nose and corners of the mouth are, `[x, y]` each, the left one *in the picture* first.
    pub landmarks: [[f64; 2]; 5],
}

impl Face {
    /// Width times height.
    #[must_use]
    pub fn area(&self) -> f64 {
        self.bounds[2] * self.bounds[3]
    }

    /// The middle of its box.
    #[must_use]
    pub fn centre(&self) -> [f64; 2] {
        [0, 1].map(|axis| self.bounds[axis] + self.bounds[axis + 2] / 2.0)
    }

    /// What the boxes of two faces have in common, over what they cover together.
    fn overlap(&self, other: &Self) -> f64 {
        let shared = |axis: usize| {
            let (a, b) = (&self.bounds, &other.bounds);
            let end = (a[axis] + a[axis + 2]).min(b[axis] + b[axis + 2]);
            (end - a[axis].max(b[axis])).max(0.0)
        };
        let both = shared(0) * shared(1);
        both / (self.area() + other.area() - both)
    }

    /// In a picture whose pixels are `scale` as large, which begins at `origin`.
    fn moved(&self, scale: [f64; 2], origin: [f64; 2]) -> Self {
        let [x, y, width, height] = self.bounds;
        let point = |[x, y]: [f64; 2]| [x * scale[0] + origin[0], y * scale[1] + origin[1]];
        let [x, y] = point([x, y]);
        Self {
            score: self.score,
            bounds: [x, y, width * scale[0], height * scale[1]],
            landmarks: self.landmarks.map(point),
        }
    }

    /// In the mirror image of a picture of this width.
    fn mirrored(&self, width: f64) -> Self {
        let [x, y, w, h] = self.bounds;
        let [left_eye, right_eye, nose, left_mouth, right_mouth] =
            self.landmarks.map(|[x, y]| [width - x, y]);
        Self {
            score: self.score,
            bounds: [width - x - w, y, w, h],
            landmarks: [right_eye, left_eye, nose, right_mouth, left_mouth],
        }
    }

    /// The mean of what several looks saw of one face, if there was one.
    fn mean(seen: &[Self]) -> Option<Self> {
        let count = seen.len() as f64;
        let mean = |of: &dyn Fn(&Self) -> f64| seen.iter().map(of).sum::<f64>() / count;
        (!seen.is_empty()).then(|| Self {
            score: mean(&|face| face.score),
            bounds: [0, 1, 2, 3].map(|i| mean(&|face| face.bounds[i])),
            landmarks: [0, 1, 2, 3, 4]
                .map(|point| [0, 1].map(|axis| mean(&|face| face.landmarks[point][axis]))),
        })
    }
}

/// What is less sure is no face. Faces of photographs reach 0.9 as a rule; muzzles of dogs and cats 0.8.
const SURE: f64 = 0.85;

/// Of two boxes that share more than this the surer one is kept.
const OVERLAP: f64 = 0.3;

/// Pixels on the longer side of a picture at which faces are looked for, one after the other until there is one. The network
/// knows faces of about 10 to 300 pixels: the second size is for one that fills its picture, the third for small ones.
pub const SIDES: [u32; 3] = [640, 320, 1280];

/// Pixels on the longer side of a face at the looks after the first: of those tried (64 to 320) where eyes and mouth came out best.
const AGAIN: [f64; 2] = [96.0, 160.0];

/// Finds faces. See the [crate's docs](crate).
#[derive(Debug, Clone)]
pub struct Detector {
    network: YuNet,
    device: Device,
}

impl Detector {
    /// With a network on `device`.
    #[must_use]
    pub fn new(network: YuNet, device: &Device) -> Self {
        Self {
            network,
            device: device.clone(),
        }
    }

    /// With the network of a file: see [`YuNet::load`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn load(path: impl AsRef<Path>, device: &Device) -> Result<Self> {
        Ok(Self::new(YuNet::load(path, device)?, device))
    }

    /// The faces of a picture, the largest first, as one look saw them: see [`refined`](Self::refined).
    ///
    /// # Errors
    ///
    /// An empty picture; what [`YuNet::forward`] says.
    pub fn faces(&self, picture: &RgbImage) -> Result<Vec<Face>> {
        let longer = picture.width().max(picture.height());
        for side in SIDES {
            // More pixels than there are tell nothing.
            if side > SIDES[0] && longer <= SIDES[0] {
                continue;
            }
            let mut faces = self.look(picture, f64::from(side) / f64::from(longer))?;
            faces.sort_by(|a, b| b.area().total_cmp(&a.area()));
            if !faces.is_empty() {
                return Ok(faces);
            }
        }
        Ok(Vec::new())
    }

    /// Faces of the picture resized by `scale`, the surest first.
    fn look(&self, picture: &RgbImage, scale: f64) -> Result<Vec<Face>> {
        let (width, height) = picture.dimensions();
        let resized = |side: u32| ((f64::from(side) * scale).round() as u32).max(1);
        let small = resize_bicubic(picture, resized(width), resized(height))?;
        let input = self.tensor(&small)?;
        let mut faces = Vec::new();
        for (level, stride) in self.network.forward(&input)?.iter().zip(STRIDES) {
            let (_, _, rows, columns) = level.dims4()?;
            let values: Vec<f32> = level.flatten_all()?.to_vec1()?;
            faces.extend(decode(&values, rows, columns, stride));
        }
        let scale = [
            f64::from(width) / f64::from(small.width()),
            f64::from(height) / f64::from(small.height()),
        ];
        let faces = distinct(faces).into_iter();
        Ok(faces.map(|face| face.moved(scale, [0.0; 2])).collect())
    }

    /// One of these faces, with eyes and mouth as the mean of further looks at its surroundings, in two sizes and in the mirror;
    /// as it was, if it is not seen there.
    ///
    /// # Errors
    ///
    /// As of [`faces`](Self::faces).
    pub fn refined(&self, picture: &RgbImage, face: &Face) -> Result<Face> {
        let [_, _, width, height] = face.bounds;
        let (longer, [x, y]) = (width.max(height), face.centre());
        let window = |centre: f64, limit: u32| {
            let limit = f64::from(limit);
            let start = (centre - longer).floor().clamp(0.0, limit - 1.0);
            let end = (centre + longer).ceil().clamp(start + 1.0, limit);
            (start as u32, (end - start) as u32)
        };
        let (left, columns) = window(x, picture.width());
        let (top, rows) = window(y, picture.height());
        let around = crop_imm(picture, left, top, columns, rows).to_image();
        let mirror = flip_horizontal(&around);
        let origin = [f64::from(left), f64::from(top)];
        let nearest = |faces: Vec<Face>| {
            let faces = faces.into_iter().map(|face| face.moved([1.0; 2], origin));
            let nearest = faces.max_by(|a, b| a.overlap(face).total_cmp(&b.overlap(face)));
            nearest.filter(|nearest| nearest.overlap(face) > OVERLAP)
        };
        let mut seen = Vec::new();
        for pixels in AGAIN {
            let scale = pixels / longer.max(8.0);
            seen.extend(nearest(self.look(&around, scale)?));
            let mirrored = self.look(&mirror, scale)?.into_iter();
            let mirrored = mirrored.map(|face| face.mirrored(f64::from(columns)));
            seen.extend(nearest(mirrored.collect()));
        }
        Ok(Face::mean(&seen).unwrap_or_else(|| face.clone()))
    }

    /// `[1, 3, h, w]` as the network reads it, with black on the right and below up to multiples of 32.
    fn tensor(&self, picture: &RgbImage) -> Result<Tensor> {
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        let (w, h) = (width.next_multiple_of(32), height.next_multiple_of(32));
        let mut values = vec![0f32; 3 * w * h];
        for (x, y, pixel) in picture.enumerate_pixels() {
            for (channel, value) in pixel.0.into_iter().rev().enumerate() {
                values[(channel * h + y as usize) * w + x as usize] = f32::from(value);
            }
        }
        Ok(Tensor::from_vec(values, (1, 3, h, w), &self.device)?)
    }
}

/// The faces that a level is sure of, of its predictions `[16, rows, columns]`: with the logits `c` and `o` a score of
/// `√(σ(c) σ(o))`; at the place `(x, y)` a centre at `stride · (x + p₀, y + p₁)`, sizes `stride · exp(p₂, p₃)`, and
/// points at `stride · (x + pᵢ, y + pⱼ)`.
fn decode(values: &[f32], rows: usize, columns: usize, stride: usize) -> Vec<Face> {
    let plane = rows * columns;
    debug_assert_eq!(values.len(), CHANNELS * plane);
    let stride = stride as f64;
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let face = |place: usize| {
        let value = |channel: usize| f64::from(values[channel * plane + place]);
        let score = (sigmoid(value(0)) * sigmoid(value(1))).sqrt();
        if score < SURE {
            return None;
        }
        let at = [(place % columns) as f64, (place / columns) as f64];
        let point = |channel: usize| [0, 1].map(|axis| stride * (at[axis] + value(channel + axis)));
        let [x, y] = point(2);
        let [width, height] = [4, 5].map(|channel| stride * value(channel).exp());
        let face = Face {
            score,
            bounds: [x - width / 2.0, y - height / 2.0, width, height],
            landmarks: [6, 8, 10, 12, 14].map(point),
        };
        let is_finite = face.area().is_finite() && face.bounds.iter().all(|v| v.is_finite());
        is_finite.then_some(face)
    };
    (0..plane).filter_map(face).collect()
}

/// The surest of the faces whose boxes overlap.
fn distinct(mut faces: Vec<Face>) -> Vec<Face> {
    faces.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut kept: Vec<Face> = Vec::new();
    for face in faces {
        if kept.iter().all(|other| other.overlap(&face) <= OVERLAP) {
            kept.push(face);
        }
    }
    kept
}

#[cfg(test)]
mod tests;

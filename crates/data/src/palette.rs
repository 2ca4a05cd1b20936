//! A palette for many pictures at once, for formats with 256 colours.
//!
//! Median cut (Heckbert 1982) over a histogram of 5 bits a channel gives the first guess, a few rounds of k-means
//! on the same histogram refine it. One palette serves all frames of an animation. There is no dither: enlarged
//! pixels show its pattern, and it moves from frame to frame.

use image::RgbImage;

/// Bits a channel keeps in the histogram.
const BITS: u32 = 5;
const BINS: usize = 1 << (3 * BITS);

/// At most 256 colours, and for each histogram bin the nearest of them.
#[derive(Debug, Clone)]
pub struct Palette {
    colours: Vec<[u8; 3]>,
    nearest: Vec<u8>,
    exact: bool,
}

/// One occupied histogram bin: how many pixels, and their mean colour.
#[derive(Clone, Copy)]
struct Bin {
    count: f64,
    mean: [f64; 3],
}

impl Palette {
    /// The palette of a set of pictures; `most` is at most 256. Pictures that hold no more colours than that
    /// keep them exactly.
    #[must_use]
    pub fn of(pictures: &[RgbImage], most: usize) -> Self {
        let most = most.clamp(2, 256);
        if let Some(colours) = few_colours(pictures, most) {
            let nearest = Vec::new();
            return Self {
                colours,
                nearest,
                exact: true,
            };
        }
        let bins = histogram(pictures);
        let mut centres = median_cut(bins.clone(), most);
        for _ in 0..4 {
            refine(&bins, &mut centres);
        }
        let colours: Vec<[u8; 3]> = centres
            .iter()
            .map(|c| c.map(|v| v.round().clamp(0.0, 255.0) as u8))
            .collect();
        let half = f64::from(1 << (7 - BITS));
        let nearest = (0..BINS)
            .map(|i| index_of(&centres, bin_corner(i).map(|v| v + half)) as u8)
            .collect();
        Self {
            colours,
            nearest,
            exact: false,
        }
    }

    /// The colours.
    #[must_use]
    pub fn colours(&self) -> &[[u8; 3]] {
        &self.colours
    }

    /// The picture in the palette's colours.
    #[must_use]
    pub fn apply(&self, picture: &RgbImage) -> RgbImage {
        if self.exact {
            return picture.clone();
        }
        let mut out = picture.clone();
        for pixel in out.pixels_mut() {
            pixel.0 = self.colours[usize::from(self.nearest[bin_of(pixel.0)])];
        }
        out
    }
}

/// The distinct colours, when there are no more than `most`.
fn few_colours(pictures: &[RgbImage], most: usize) -> Option<Vec<[u8; 3]>> {
    let mut seen = std::collections::BTreeSet::new();
    for pixel in pictures.iter().flat_map(|p| p.pixels()) {
        seen.insert(pixel.0);
        if seen.len() > most {
            return None;
        }
    }
    Some(seen.into_iter().collect())
}

fn bin_of(c: [u8; 3]) -> usize {
    let part = |v: u8| usize::from(v >> (8 - BITS));
    (part(c[0]) << (2 * BITS)) | (part(c[1]) << BITS) | part(c[2])
}

fn bin_corner(i: usize) -> [f64; 3] {
    let mask = (1 << BITS) - 1;
    [i >> (2 * BITS), (i >> BITS) & mask, i & mask].map(|v| (v << (8 - BITS)) as f64)
}

fn histogram(pictures: &[RgbImage]) -> Vec<Bin> {
    let mut bins = vec![
        Bin {
            count: 0.0,
            mean: [0.0; 3]
        };
        BINS
    ];
    for pixel in pictures.iter().flat_map(|p| p.pixels()) {
        let bin = &mut bins[bin_of(pixel.0)];
        bin.count += 1.0;
        for (m, &v) in bin.mean.iter_mut().zip(&pixel.0) {
            *m += f64::from(v);
        }
    }
    bins.retain(|b| b.count > 0.0);
    for bin in &mut bins {
        bin.mean = bin.mean.map(|m| m / bin.count);
    }
    bins
}

/// Splits the box of largest spread at its median until there are `most` boxes; returns their means.
fn median_cut(bins: Vec<Bin>, most: usize) -> Vec<[f64; 3]> {
    let mut boxes = vec![bins];
    while boxes.len() < most {
        let widest = (0..boxes.len())
            .filter(|&i| boxes[i].len() > 1)
            .max_by(|&a, &b| spread(&boxes[a]).1.total_cmp(&spread(&boxes[b]).1));
        let Some(i) = widest else { break };
        let mut lower = boxes.swap_remove(i);
        let axis = spread(&lower).0;
        lower.sort_by(|a, b| a.mean[axis].total_cmp(&b.mean[axis]));
        let half = lower.iter().map(|b| b.count).sum::<f64>() / 2.0;
        let mut sum = 0.0;
        let cut = lower.iter().position(|b| {
            sum += b.count;
            sum >= half
        });
        let upper = lower.split_off((cut.unwrap_or(0) + 1).min(lower.len() - 1));
        boxes.push(lower);
        boxes.push(upper);
    }
    boxes
        .iter()
        .filter(|b| !b.is_empty())
        .map(|b| mean(b))
        .collect()
}

fn mean(bins: &[Bin]) -> [f64; 3] {
    let total: f64 = bins.iter().map(|b| b.count).sum();
    [0, 1, 2].map(|k| bins.iter().map(|b| b.mean[k] * b.count).sum::<f64>() / total.max(1.0))
}

/// The axis along which a box is widest, and the weight of splitting it there (extent × √pixels: large areas of
/// smooth skin deserve more colours than a few stray pixels).
fn spread(bins: &[Bin]) -> (usize, f64) {
    let mut best = (0, -1.0);
    for axis in 0..3 {
        let values = || bins.iter().map(|b| b.mean[axis]);
        let extent = values().fold(f64::MIN, f64::max) - values().fold(f64::MAX, f64::min);
        if extent > best.1 {
            best = (axis, extent);
        }
    }
    (
        best.0,
        best.1 * bins.iter().map(|b| b.count).sum::<f64>().powf(0.5),
    )
}

/// One round of k-means.
fn refine(bins: &[Bin], centres: &mut [[f64; 3]]) {
    let mut sums = vec![(0.0, [0.0; 3]); centres.len()];
    for bin in bins {
        let sum = &mut sums[index_of(centres, bin.mean)];
        sum.0 += bin.count;
        for (s, m) in sum.1.iter_mut().zip(bin.mean) {
            *s += m * bin.count;
        }
    }
    for (centre, (count, sum)) in centres.iter_mut().zip(sums) {
        if count > 0.0 {
            *centre = sum.map(|s| s / count);
        }
    }
}

fn index_of(centres: &[[f64; 3]], colour: [f64; 3]) -> usize {
    let distance = |c: &[f64; 3]| (0..3).map(|k| (c[k] - colour[k]).powi(2)).sum::<f64>();
    (0..centres.len())
        .min_by(|&a, &b| distance(&centres[a]).total_cmp(&distance(&centres[b])))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp() -> RgbImage {
        RgbImage::from_fn(128, 128, |x, y| {
            image::Rgb([(x * 2) as u8, (y * 2) as u8, ((x + y) / 2) as u8])
        })
    }

    #[test]
    fn few_colours_are_kept_exactly() {
        let picture = RgbImage::from_fn(10, 10, |x, _| image::Rgb([x as u8, 0, 200]));
        let palette = Palette::of(std::slice::from_ref(&picture), 256);
        assert_eq!(palette.colours().len(), 10);
        assert_eq!(palette.apply(&picture), picture);
    }

    #[test]
    fn many_colours_come_close() {
        let picture = ramp();
        let palette = Palette::of(std::slice::from_ref(&picture), 256);
        assert!(palette.colours().len() <= 256 && palette.colours().len() > 200);
        let out = palette.apply(&picture);
        let error: f64 = picture
            .as_raw()
            .iter()
            .zip(out.as_raw())
            .map(|(&a, &b)| f64::from(a.abs_diff(b)))
            .sum();
        let error = error / picture.as_raw().len() as f64;
        assert!(error < 8.0, "mean error {error}");
    }
}

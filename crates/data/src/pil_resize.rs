//! Resizing of 8-bit pictures, with the very bytes that Pillow gives.
//!
//! CLIP's published preprocessing of a file resizes it with Pillow before anything becomes a float, and the
//! published features were computed from those bytes; data sets are made with the Lanczos filter. Along one axis, with
//! `scale = input / output` and `stretch = max(scale, 1)`, output `o` is centred at `c = (o + ½) · scale` and takes the
//! inputs from `⌊c − r·stretch + ½⌋` up to but without `⌊c + r·stretch + ½⌋`, cut at the edges, with weights
//! `k((i + ½ − c) / stretch)` divided by their sum; `k` is Keys' cubic with a = −0.5 and r = 2, or
//! `sinc(x) · sinc(x / 3)` with r = 3. Weights are rounded to
//! multiples of 2⁻²², the sum of products is rounded and clamped to a byte: first along rows, then, from those
//! bytes, along columns. An axis whose size does not change is skipped.
//!
//! Source: Pillow, `src/libImaging/Resample.c`. The crate `fast_image_resize` was measured against it and is not
//! a substitute: on the reference cases 16 to 29 % of its bytes differ, by up to 6 (version 6.1.0, all its
//! instruction sets).

use std::f64::consts::PI;

use image::{RgbImage, imageops};

use crate::error::{Error, Result};

/// Bits after the point in a weight.
const PRECISION: u32 = 22;
/// No picture made here may be larger.
const LARGEST: u64 = 1 << 30;

/// The function that weighs the pixels around a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// Keys' cubic with a = −0.5.
    Bicubic,
    /// Lanczos' window of three lobes.
    Lanczos,
}

/// `picture` resized to `width` × `height`, as Pillow's `Image.resize((width, height), BICUBIC)`.
///
/// ```
/// let picture = image::RgbImage::from_fn(9, 7, |x, y| image::Rgb([30 * x as u8, 40 * y as u8, 128]));
/// let small = domex_data::pil_resize::resize_bicubic(&picture, 4, 3)?;
/// assert_eq!(small.dimensions(), (4, 3));
/// assert_eq!(small.get_pixel(1, 1).0[2], 128);
/// # Ok::<(), domex_data::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::Shape`] when either picture has no pixels or the new one would take more than a gigabyte.
pub fn resize_bicubic(picture: &RgbImage, width: u32, height: u32) -> Result<RgbImage> {
    resize(picture, width, height, Filter::Bicubic)
}

/// `picture` resized to `width` × `height`, as Pillow's `Image.resize` with this filter.
///
/// # Errors
///
/// As [`resize_bicubic`].
pub fn resize(picture: &RgbImage, width: u32, height: u32, filter: Filter) -> Result<RgbImage> {
    let (old_width, old_height) = picture.dimensions();
    if old_width == 0 || old_height == 0 {
        return Err(unfit(
            format!("a picture of {old_width}x{old_height}"),
            "at least one pixel",
        ));
    }
    // The picture between the two passes has the new width and the old height.
    let bytes = u64::from(width).saturating_mul(3 * u64::from(height.max(old_height)));
    if width == 0 || height == 0 || bytes > LARGEST {
        return Err(unfit(
            format!("a size of {width}x{height}"),
            "1 byte to 1 gigabyte",
        ));
    }
    let mut result = picture.clone();
    if width != old_width {
        result = along_rows(&result, width, filter);
    }
    if height != old_height {
        result = along_columns(&result, height, filter);
    }
    Ok(result)
}

/// `picture` resized so that its shorter edge is `size` and its longer one `⌊size · long / short⌋`, as
/// torchvision's `Resize(size, BICUBIC)` does with a Pillow picture.
///
/// # Errors
///
/// As [`resize_bicubic`].
pub fn resize_shorter_side(picture: &RgbImage, size: u32) -> Result<RgbImage> {
    let (width, height) = picture.dimensions();
    let (short, long) = (u64::from(width.min(height)), u64::from(width.max(height)));
    let long = (u64::from(size) * long).checked_div(short).unwrap_or(0);
    let long = u32::try_from(long).unwrap_or(u32::MAX);
    if width <= height {
        resize_bicubic(picture, size, long)
    } else {
        resize_bicubic(picture, long, size)
    }
}

/// The middle `size` × `size` pixels of `picture`, as torchvision's `CenterCrop(size)`: the offset
/// `(edge − size) / 2` is rounded half to even.
///
/// # Errors
///
/// [`Error::Shape`] when `size` is 0 or larger than an edge.
pub fn centre_crop(picture: &RgbImage, size: u32) -> Result<RgbImage> {
    let (width, height) = picture.dimensions();
    if size == 0 || size > width.min(height) {
        return Err(unfit(
            format!("a crop of {size}x{size}"),
            &format!("one inside {width}x{height}"),
        ));
    }
    let offset = |edge: u32| {
        let slack = edge - size;
        // A half goes to the even neighbour: 1/2 to 0, 3/2 to 2.
        slack / 2 + u32::from(slack % 4 == 3)
    };
    Ok(imageops::crop_imm(picture, offset(width), offset(height), size, size).to_image())
}

fn unfit(found: String, expected: &str) -> Error {
    Error::Shape {
        what: "resizing a picture",
        found,
        expected: expected.to_owned(),
    }
}

/// One output position: its first input and the weights from there on.
struct Taps {
    first: usize,
    weights: Vec<i32>,
}

/// The taps of every output position along one axis.
fn taps(inputs: u32, outputs: u32, filter: Filter) -> Vec<Taps> {
    let scale = f64::from(inputs) / f64::from(outputs);
    let stretch = scale.max(1.0);
    let (kernel, radius): (fn(f64) -> f64, f64) = match filter {
        Filter::Bicubic => (cubic, 2.0),
        Filter::Lanczos => (lanczos, 3.0),
    };
    let support = radius * stretch;
    let position = |o: u32| {
        let centre = (f64::from(o) + 0.5) * scale;
        let first = (centre - support + 0.5).max(0.0) as u32;
        let end = ((centre + support + 0.5) as u32).min(inputs);
        // Pillow multiplies by the reciprocal.
        let shrink = 1.0 / stretch;
        let weights: Vec<f64> = (first..end)
            .map(|i| kernel((f64::from(i) - centre + 0.5) * shrink))
            .collect();
        let sum: f64 = weights.iter().sum();
        let fixed = |weight: f64| {
            let weight = weight / sum * f64::from(1 << PRECISION);
            (weight + 0.5f64.copysign(weight)) as i32
        };
        Taps {
            first: first as usize,
            weights: weights.into_iter().map(fixed).collect(),
        }
    };
    (0..outputs).map(position).collect()
}

/// Keys' cubic with a = −0.5.
fn cubic(t: f64) -> f64 {
    const A: f64 = -0.5;
    let t = t.abs();
    if t < 1.0 {
        ((A + 2.0) * t - (A + 3.0)) * t * t + 1.0
    } else if t < 2.0 {
        (((t - 5.0) * t + 8.0) * t - 4.0) * A
    } else {
        0.0
    }
}

/// `sinc(t) · sinc(t / 3)` within three lobes.
fn lanczos(t: f64) -> f64 {
    let sinc = |t: f64| match t == 0.0 {
        true => 1.0,
        false => (t * PI).sin() / (t * PI),
    };
    match (-3.0..3.0).contains(&t) {
        true => sinc(t) * sinc(t / 3.0),
        false => 0.0,
    }
}

/// A sum of products as a byte.
fn byte(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

/// Half a unit, so that shifting rounds. The sums fit: the positive weights add up to less than 1.5.
const HALF: i32 = 1 << (PRECISION - 1);

fn along_rows(picture: &RgbImage, width: u32, filter: Filter) -> RgbImage {
    let mut result = RgbImage::new(width, picture.height());
    let taps = taps(picture.width(), width, filter);
    let rows = picture.chunks_exact(3 * picture.width() as usize);
    for (old, new) in rows.zip(result.chunks_exact_mut(3 * width as usize)) {
        for (pixel, taps) in new.as_chunks_mut::<3>().0.iter_mut().zip(&taps) {
            let mut sums = [HALF; 3];
            let inputs = &old.as_chunks::<3>().0[taps.first..];
            for (input, &weight) in inputs.iter().zip(&taps.weights) {
                for (sum, &value) in sums.iter_mut().zip(input) {
                    *sum += i32::from(value) * weight;
                }
            }
            *pixel = sums.map(byte);
        }
    }
    result
}

fn along_columns(picture: &RgbImage, height: u32, filter: Filter) -> RgbImage {
    let mut result = RgbImage::new(picture.width(), height);
    let row = 3 * picture.width() as usize;
    let mut sums = vec![0; row];
    for (new, taps) in result
        .chunks_exact_mut(row)
        .zip(taps(picture.height(), height, filter))
    {
        sums.fill(HALF);
        let inputs = picture.chunks_exact(row).skip(taps.first);
        for (input, &weight) in inputs.zip(&taps.weights) {
            for (sum, &value) in sums.iter_mut().zip(input) {
                *sum += i32::from(value) * weight;
            }
        }
        new.iter_mut()
            .zip(&sums)
            .for_each(|(new, &sum)| *new = byte(sum));
    }
    result
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    #[test]
    fn flat_pictures_stay_flat_and_the_same_size_is_a_copy() {
        let flat = RgbImage::from_pixel(13, 9, Rgb([0, 200, 255]));
        for (width, height) in [(1, 1), (5, 4), (13, 20), (40, 9)] {
            let resized = resize_bicubic(&flat, width, height).unwrap();
            assert!(
                resized.pixels().all(|p| p.0 == [0, 200, 255]),
                "{width}x{height}"
            );
        }
        let noise = RgbImage::from_fn(7, 6, |x, y| {
            Rgb([(x * y * 31) as u8, (x * 77) as u8, (y * 99) as u8])
        });
        assert_eq!(resize_bicubic(&noise, 7, 6).unwrap(), noise);
    }

    #[test]
    fn overshoot_is_clamped() {
        let step = RgbImage::from_fn(8, 1, |x, _| Rgb([if x < 4 { 0 } else { 255 }; 3]));
        let row: Vec<u8> = resize_bicubic(&step, 16, 1)
            .unwrap()
            .pixels()
            .map(|p| p.0[0])
            .collect();
        assert_eq!(row[..6], [0; 6]);
        assert_eq!(row[10..], [255; 6]);
        assert!(row[7] > 0 && row[8] < 255);
        // The two sides mirror each other.
        assert!(
            (0..16).all(|i| u16::from(row[i]) + u16::from(row[15 - i]) == 255),
            "{row:?}"
        );
    }

    #[test]
    fn crops_round_half_to_even() {
        let ramp = |edge: u32| RgbImage::from_fn(edge, edge, |x, y| Rgb([x as u8, y as u8, 0]));
        let first = |slack: u32| centre_crop(&ramp(4 + slack), 4).unwrap().get_pixel(0, 0).0;
        let firsts: Vec<[u8; 3]> = (0..6).map(first).collect();
        assert_eq!(firsts, [0, 0, 1, 2, 2, 2].map(|i| [i, i, 0]));
    }

    #[test]
    fn refusals() {
        let picture = RgbImage::new(4, 3);
        let text = |r: Result<RgbImage>| r.unwrap_err().to_string();
        assert!(text(resize_bicubic(&RgbImage::new(0, 3), 4, 4)).contains("0x3"));
        assert!(text(resize_bicubic(&picture, 0, 4)).contains("0x4"));
        assert!(text(resize_bicubic(&picture, u32::MAX, u32::MAX)).contains("gigabyte"));
        assert!(text(resize_shorter_side(&picture, 0)).contains("0x0"));
        assert!(text(resize_shorter_side(&picture, u32::MAX)).contains("gigabyte"));
        assert!(resize_shorter_side(&RgbImage::new(0, 0), 3).is_err());
        assert!(text(centre_crop(&picture, 4)).contains("inside 4x3"));
        assert!(centre_crop(&picture, 0).is_err());
    }
}

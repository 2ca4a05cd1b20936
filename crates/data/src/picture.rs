//! Pictures as tensors and as files.
//!
//! Networks speak tensors `[n, c, h, w]` in [−1, 1] with c 3 (RGB) or 1 (grey); files hold bytes. The published
//! StyleGAN2 programs turn one into the other with `(x · 127.5 + 128)`, clamped to [0, 255] and truncated, and back
//! with `b / 127.5 − 1`; [`to_rgb`] and [`from_rgb`] do exactly that, so that a seed gives the same bytes.

use std::io::Cursor;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use image::{GrayImage, ImageFormat, RgbImage};

pub use crate::background::Background;
pub use crate::decode::{Decoded, ENDINGS, MOST_PIXELS, decode_on, is_picture};
use crate::error::{Error, Result};
use crate::file;
use crate::folder::write_atomic;

/// One byte from one value in [−1, 1], as the published programs do it in float32. NaN gives 0.
#[must_use]
pub fn to_byte(x: f32) -> u8 {
    // `as` saturates and truncates: the clamp of the formula.
    (x * 127.5 + 128.0) as u8
}

/// One value in [−1, 1] from one byte.
#[must_use]
pub fn from_byte(b: u8) -> f32 {
    f32::from(b) / 127.5 - 1.0
}

/// Pictures from a tensor `[n, 3, h, w]` or `[n, 1, h, w]` (or one picture without `n`), values in [−1, 1];
/// what lies outside is clamped. Any float type, any device.
///
/// ```
/// use candle_core::{Device, Tensor};
/// let grey = Tensor::zeros((1, 1, 4, 4), candle_core::DType::F32, &Device::Cpu)?;
/// let pictures = domex_data::picture::to_rgb(&grey)?;
/// assert_eq!(pictures[0].get_pixel(0, 0).0, [128, 128, 128]);
/// # Ok::<(), domex_data::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::Shape`] for another shape, [`Error::Candle`] when the tensor cannot be brought to the host.
pub fn to_rgb(tensor: &Tensor) -> Result<Vec<RgbImage>> {
    let tensor = if tensor.rank() == 3 {
        tensor.unsqueeze(0)?
    } else {
        tensor.clone()
    };
    let bad = |found: &[usize]| Error::Shape {
        what: "pictures as a tensor",
        found: format!("{found:?}"),
        expected: "[n, 3, h, w] or [n, 1, h, w]".into(),
    };
    let &[n, c, h, w] = tensor.dims() else {
        return Err(bad(tensor.dims()));
    };
    if !(c == 3 || c == 1) || h == 0 || w == 0 || h > u32::MAX as usize || w > u32::MAX as usize {
        return Err(bad(tensor.dims()));
    }
    let values: Vec<f32> = tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
    let plane = h * w;
    let mut pictures = Vec::with_capacity(n);
    for picture in values.chunks_exact(c * plane) {
        let mut bytes = Vec::with_capacity(3 * plane);
        for i in 0..plane {
            for channel in 0..3 {
                bytes.push(to_byte(picture[(channel % c) * plane + i]));
            }
        }
        let image =
            RgbImage::from_raw(w as u32, h as u32, bytes).ok_or_else(|| bad(&[n, c, h, w]))?;
        pictures.push(image);
    }
    Ok(pictures)
}

/// A tensor `[n, 3, h, w]` in [−1, 1] from pictures of one size.
///
/// # Errors
///
/// [`Error::Shape`] when there is none or their sizes differ, [`Error::Candle`] from the device.
pub fn from_rgb(pictures: &[RgbImage], dtype: DType, device: &Device) -> Result<Tensor> {
    channels_of(3, pictures, dtype, device)
}

/// A tensor `[n, 1, h, w]` in [−1, 1] from grey pictures of one size, whose three channels are the same.
///
/// # Errors
///
/// Those of [`from_rgb`].
pub fn from_grey(pictures: &[RgbImage], dtype: DType, device: &Device) -> Result<Tensor> {
    channels_of(1, pictures, dtype, device)
}

/// The first channels.
fn channels_of(
    channels: usize,
    pictures: &[RgbImage],
    dtype: DType,
    device: &Device,
) -> Result<Tensor> {
    let (w, h) = same_size(pictures)?;
    let plane = w as usize * h as usize;
    let mut values = vec![0f32; pictures.len() * channels * plane];
    for (picture, out) in pictures
        .iter()
        .zip(values.chunks_exact_mut(channels * plane))
    {
        for (i, pixel) in picture.as_raw().chunks_exact(3).enumerate() {
            for channel in 0..channels {
                out[channel * plane + i] = from_byte(pixel[channel]);
            }
        }
    }
    let shape = (pictures.len(), channels, h as usize, w as usize);
    Ok(Tensor::from_vec(values, shape, device)?.to_dtype(dtype)?)
}

/// The width and height that all pictures share.
pub(crate) fn same_size(pictures: &[RgbImage]) -> Result<(u32, u32)> {
    let Some(first) = pictures.first() else {
        return Err(Error::Shape {
            what: "a set of pictures",
            found: "none".into(),
            expected: "one or more".into(),
        });
    };
    let size = first.dimensions();
    if let Some(other) = pictures.iter().find(|p| p.dimensions() != size) {
        let (w, h) = other.dimensions();
        return Err(Error::Shape {
            what: "a set of pictures",
            found: format!("one of {w} × {h}"),
            expected: format!("{} × {} as the first", size.0, size.1),
        });
    }
    Ok(size)
}

/// Reads a picture file as RGB, whatever its name says: see [`decode_on`], with white behind what is transparent. What was
/// changed by that is logged as a warning, as nobody sees it in the result.
///
/// # Errors
///
/// Those of [`file::read`], or [`Error::Decode`], with the file's path.
pub fn read(path: &Path) -> Result<RgbImage> {
    let decoded = decoded(path)?;
    let name = path.display();
    if decoded.transparent {
        tracing::warn!("{name}: is transparent somewhere; white shows there");
    }
    if decoded.turned {
        tracing::warn!("{name}: is turned upright, as its EXIF says");
    }
    Ok(decoded.picture)
}

/// Width and height as [`read`] would give them.
///
/// # Errors
///
/// As [`read`].
pub fn dimensions(path: &Path) -> Result<(u32, u32)> {
    Ok(decoded(path)?.picture.dimensions())
}

fn decoded(path: &Path) -> Result<Decoded> {
    let bytes = file::read(path, file::LARGEST_PICTURE)?;
    decode_on(&bytes, path, Background::default())
}

/// [`read`] for bytes at hand; `path` is only for the error.
///
/// # Errors
///
/// [`Error::Decode`].
pub fn decode(bytes: &[u8], path: &Path) -> Result<RgbImage> {
    Ok(decode_on(bytes, path, Background::default())?.picture)
}

/// Encodes a picture as PNG.
///
/// # Errors
///
/// [`Error::Encode`] for an empty picture.
pub fn encode_png(picture: &RgbImage) -> Result<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    picture
        .write_to(&mut bytes, ImageFormat::Png)
        .map_err(|e| Error::Encode {
            what: "a PNG picture",
            reason: e.to_string(),
        })?;
    Ok(bytes.into_inner())
}

/// Encodes a grey picture, whose three channels are the same, as PNG of one channel.
///
/// # Errors
///
/// As [`encode_png`].
pub fn encode_grey_png(picture: &RgbImage) -> Result<Vec<u8>> {
    let grey = GrayImage::from_fn(picture.width(), picture.height(), |x, y| {
        image::Luma([picture.get_pixel(x, y).0[0]])
    });
    let mut bytes = Cursor::new(Vec::new());
    grey.write_to(&mut bytes, ImageFormat::Png)
        .map_err(|error| Error::Encode {
            what: "a PNG picture",
            reason: error.to_string(),
        })?;
    Ok(bytes.into_inner())
}

/// Writes a PNG file, whole or not at all.
///
/// # Errors
///
/// [`Error::Encode`] or [`Error::Write`], with the file's path.
pub fn write_png(path: &Path, picture: &RgbImage) -> Result<()> {
    write_atomic(path, &encode_png(picture)?)
}

/// The picture, each pixel a square of `factor` pixels.
#[must_use]
pub fn enlarge(picture: &RgbImage, factor: u32) -> RgbImage {
    let factor = factor.max(1);
    let (w, h) = picture.dimensions();
    RgbImage::from_fn(w * factor, h * factor, |x, y| {
        *picture.get_pixel(x / factor, y / factor)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_agree_with_the_published_formula() {
        // Values and bytes computed with torch: (x * 127.5 + 128).clamp(0, 255).to(torch.uint8).
        let cases: [(f32, u8); 10] = [
            (-1.0, 0),
            (-0.999, 0),
            (-0.996, 1),
            (0.0, 128),
            (0.003_921_6, 128),
            (0.5, 191),
            (0.992, 254),
            (0.999, 255),
            (1.0, 255),
            (7.0, 255),
        ];
        for (x, byte) in cases {
            assert_eq!(to_byte(x), byte, "{x}");
        }
        assert_eq!(to_byte(-3.0), 0);
        assert_eq!(to_byte(f32::NAN), 0);
    }

    #[test]
    fn every_byte_survives_the_round_trip() {
        let picture = RgbImage::from_fn(16, 16, |x, y| {
            let b = (y * 16 + x) as u8;
            image::Rgb([b, 255 - b, b / 2])
        });
        for dtype in [DType::F32, DType::F64] {
            let pictures = [picture.clone(), picture.clone()];
            let tensor = from_rgb(&pictures, dtype, &Device::Cpu).unwrap();
            let red = from_grey(&pictures, dtype, &Device::Cpu).unwrap();
            let same = (tensor.narrow(1, 0, 1).unwrap() - red).unwrap();
            let apart = same.abs().unwrap().max_all().unwrap();
            assert_eq!(
                apart
                    .to_dtype(DType::F32)
                    .unwrap()
                    .to_scalar::<f32>()
                    .unwrap(),
                0.0
            );
            assert_eq!(tensor.dims(), [2, 3, 16, 16]);
            let back = to_rgb(&tensor).unwrap();
            assert_eq!(back[1], picture);
        }
    }

    #[test]
    fn wrong_shapes_are_named() {
        let t = Tensor::zeros((2, 4, 8, 8), DType::F32, &Device::Cpu).unwrap();
        assert!(to_rgb(&t).unwrap_err().to_string().contains("[2, 4, 8, 8]"));
        assert!(from_rgb(&[], DType::F32, &Device::Cpu).is_err());
        let err = from_rgb(
            &[RgbImage::new(2, 2), RgbImage::new(3, 2)],
            DType::F32,
            &Device::Cpu,
        )
        .unwrap_err();
        assert!(err.to_string().contains("3 × 2"), "{err}");
    }

    #[test]
    fn files_round_trip_and_bad_files_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("picture.png");
        let picture = RgbImage::from_fn(5, 3, |x, y| image::Rgb([x as u8 * 40, y as u8 * 80, 7]));
        write_png(&path, &picture).unwrap();
        assert_eq!(read(&path).unwrap(), picture);

        let whole = std::fs::read(&path).unwrap();
        let missing = read(&dir.path().join("absent.png")).unwrap_err();
        assert!(missing.to_string().contains("absent.png"), "{missing}");
        for (name, bytes) in [
            ("empty.png", &[][..]),
            ("cut.png", &whole[..whole.len() / 2]),
            ("text.png", b"hello"),
        ] {
            let path = dir.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            let err = read(&path).unwrap_err();
            assert!(matches!(err, Error::Decode { .. }), "{err}");
            assert!(err.to_string().contains(name), "{err}");
        }
    }

    #[test]
    fn a_header_that_claims_too_much_is_refused() {
        let mut bytes = encode_png(&RgbImage::new(8, 8)).unwrap();
        // IHDR: width and height at 16..24, its checksum at 29..33.
        bytes[16..20].copy_from_slice(&16_000u32.to_be_bytes());
        bytes[20..24].copy_from_slice(&16_000u32.to_be_bytes());
        let crc = crc32(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&crc.to_be_bytes());
        let err = decode(&bytes, Path::new("bomb.png")).unwrap_err();
        assert!(err.to_string().contains("bomb.png"), "{err}");
        assert!(err.to_string().contains("16000"), "{err}");
    }

    fn crc32(bytes: &[u8]) -> u32 {
        let mut crc = u32::MAX;
        for &b in bytes {
            crc ^= u32::from(b);
            for _ in 0..8 {
                crc = (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg());
            }
        }
        !crc
    }

    #[test]
    fn enlarging_repeats_pixels() {
        let picture = RgbImage::from_fn(2, 1, |x, _| image::Rgb([x as u8, 0, 0]));
        let big = enlarge(&picture, 3);
        assert_eq!(big.dimensions(), (6, 3));
        assert_eq!(big.get_pixel(2, 2).0[0], 0);
        assert_eq!(big.get_pixel(3, 0).0[0], 1);
    }
}

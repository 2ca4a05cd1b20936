//! From the bytes of a picture file to an upright picture in RGB.

use std::io::Cursor;
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder as _, ImageFormat, ImageReader, RgbImage};

use crate::error::{Error, Result};
use crate::picture::Background;

/// No picture may have more pixels: 178 956 970, beyond which Pillow, and with it the published programs, refuses too.
pub const MOST_PIXELS: u64 = 178_956_970;

/// No decoded picture may need more memory than this.
const MOST_BYTES: u64 = 1 << 30;

/// How the names of pictures end, in lower case.
pub const ENDINGS: [&str; 17] = [
    "png", "jpg", "jpeg", "jpe", "jfif", "jif", "pjpeg", "gif", "webp", "bmp", "dib", "tif",
    "tiff", "ppm", "pgm", "pbm", "pnm",
];

/// Whether a name is that of a picture that can be read. Hidden files are none.
#[must_use]
pub fn is_picture(name: &Path) -> bool {
    let file = name.file_name().unwrap_or_default().to_string_lossy();
    let extension = name.extension().map(|e| e.to_string_lossy().to_lowercase());
    let known = extension.is_some_and(|extension| ENDINGS.contains(&extension.as_str()));
    known && !file.starts_with('.')
}

/// A picture, and what was done to its file's pixels on the way.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// The picture.
    pub picture: RgbImage,
    /// Its three channels are the same: the file has one, and so has what lies behind it.
    pub grey: bool,
    /// It is transparent somewhere, and the background shows there.
    pub transparent: bool,
    /// It was turned or mirrored, as its EXIF entry `Orientation` asks for.
    pub turned: bool,
}

/// Decodes a PNG, JPEG, GIF (first frame), WebP, BMP, TIFF or PNM file, whatever its name says: turned upright, laid on
/// `background`, 16-bit channels reduced to 8. `path` is only for the error.
///
/// # Errors
///
/// [`Error::Decode`] for bytes that are no such picture, are cut short, or claim too many pixels.
pub fn decode_on(bytes: &[u8], path: &Path, background: Background) -> Result<Decoded> {
    let (picture, orientation) = decoded(bytes).map_err(|reason| Error::Decode {
        path: path.to_path_buf(),
        reason,
    })?;
    let grey = !picture.color().has_color();
    let (picture, transparent) = background.under(picture);
    let turned = orientation != Orientation::NoTransforms;
    let mut picture = DynamicImage::from(picture);
    picture.apply_orientation(orientation);
    Ok(Decoded {
        picture: picture.into_rgb8(),
        grey: grey && (background.is_grey() || !transparent),
        transparent,
        turned,
    })
}

fn decoded(bytes: &[u8]) -> std::result::Result<(DynamicImage, Orientation), String> {
    if bytes.is_empty() {
        return Err("the file is empty".into());
    }
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|error| error.to_string())?;
    // The decoder fills what is missing with grey, and says nothing.
    if reader.format() == Some(ImageFormat::Jpeg) && jpeg_is_cut(bytes) {
        return Err(CUT.into());
    }
    let mut limits = image::Limits::default();
    limits.max_alloc = Some(MOST_BYTES);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|error| reason(&error))?;
    let (w, h) = decoder.dimensions();
    if u64::from(w) * u64::from(h) > MOST_PIXELS {
        return Err(format!(
            "it has {w} × {h} pixels, more than {MOST_PIXELS}; make it smaller"
        ));
    }
    // A header can claim any size; a compressed picture is never this much smaller than its pixels.
    let likely = (bytes.len() as u64).saturating_mul(4096).max(1 << 20);
    if decoder.total_bytes() > MOST_BYTES.min(likely) {
        let size = bytes.len();
        return Err(format!(
            "its header claims {w} × {h} pixels in {size} bytes"
        ));
    }
    // What is wrong with the EXIF block is no fault of the pixels.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let picture = DynamicImage::from_decoder(decoder).map_err(|error| reason(&error))?;
    Ok((picture, orientation))
}

const CUT: &str = "the file is cut short";

/// The decoder's reason, in our words where the file ends too early.
fn reason(error: &image::ImageError) -> String {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(this) = cause {
        let io = this.downcast_ref::<std::io::Error>();
        if io.is_some_and(|io| io.kind() == std::io::ErrorKind::UnexpectedEof) {
            return CUT.into();
        }
        cause = this.source();
    }
    error.to_string()
}

/// Whether a JPEG file ends before its mark of the end (EOI). Segments are stepped over by their lengths, so that the
/// mark of an embedded thumbnail is not taken for it; what is no mark is coded data.
fn jpeg_is_cut(bytes: &[u8]) -> bool {
    let mut at = 2;
    while let Some(&[first, code]) = bytes.get(at..at + 2) {
        at += match (first, code) {
            (0xFF, 0xD9) => return false,
            // Marks may be filled up; a coded FF is followed by 00; restarts and SOI stand alone.
            (0xFF, 0xFF) => 1,
            (0xFF, 0x00 | 0x01 | 0xD0..=0xD8) => 2,
            (0xFF, _) => match bytes.get(at + 2..at + 4) {
                Some(&[high, low]) => 2 + usize::from(u16::from_be_bytes([high, low])),
                _ => return true,
            },
            _ => 1,
        };
    }
    true
}

#[cfg(test)]
mod tests {
    use image::codecs::jpeg::JpegEncoder;
    use image::{GrayAlphaImage, GrayImage, LumaA, Rgb, RgbaImage};

    use super::*;

    fn decode(bytes: &[u8]) -> Result<Decoded> {
        decode_on(bytes, Path::new("x"), Background::default())
    }

    fn noise() -> RgbImage {
        RgbImage::from_fn(48, 40, |x, y| {
            Rgb([(x * y * 31) as u8, (x * 77) as u8, (y * 99) as u8])
        })
    }

    fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn every_format_is_read_and_refused_when_it_is_cut() {
        for format in [
            ImageFormat::Png,
            ImageFormat::Jpeg,
            ImageFormat::Gif,
            ImageFormat::WebP,
            ImageFormat::Bmp,
            ImageFormat::Tiff,
            ImageFormat::Pnm,
        ] {
            let bytes = encoded(&noise().into(), format);
            let whole = decode(&bytes).unwrap();
            assert_eq!(whole.picture.dimensions(), (48, 40), "{format:?}");
            for percent in [1, 10, 30, 60, 90, 97] {
                let cut = &bytes[..bytes.len() * percent / 100];
                let found = decode(cut);
                assert!(found.is_err(), "{format:?}: {percent} % were accepted");
            }
        }
    }

    /// 16 × 16 pixels of the grey 148 in two scans: DC of four blocks, then AC that is all zero.
    fn progressive() -> Vec<u8> {
        let mut bytes = vec![0xFF, 0xD8, 0xFF, 0xDB, 0, 67, 0];
        bytes.extend([8; 64]); // quantisation
        bytes.extend([0xFF, 0xC2, 0, 11, 8, 0, 16, 0, 16, 1, 1, 0x11, 0]);
        let mut codes = |class: u8, lengths: [u8; 2], symbols: &[u8]| {
            bytes.extend([0xFF, 0xC4, 0, 19 + symbols.len() as u8, class]);
            bytes.extend(lengths);
            bytes.extend([0; 14]);
            bytes.extend(symbols);
        };
        codes(0x00, [1, 1], &[0, 5]);
        codes(0x10, [1, 0], &[0]);
        bytes.extend([0xFF, 0xDA, 0, 8, 1, 1, 0, 0, 0, 0, 0xA8, 0x3F]);
        bytes.extend([0xFF, 0xDA, 0, 8, 1, 1, 0, 1, 63, 0, 0x0F]);
        bytes.extend([0xFF, 0xD9]);
        bytes
    }

    #[test]
    fn a_progressive_jpeg_is_read() {
        let found = decode(&progressive()).unwrap();
        assert!(found.grey && found.picture.pixels().all(|pixel| pixel.0 == [148; 3]));
    }

    #[test]
    fn a_jpeg_is_refused_wherever_it_is_cut() {
        let baseline = encoded(&noise().into(), ImageFormat::Jpeg);
        for whole in [baseline, progressive()] {
            assert!(decode(&whole).is_ok());
            for end in 3..whole.len() {
                let error = decode(&whole[..end]).unwrap_err().to_string();
                assert!(error.contains("cut short"), "{end}: {error}");
            }
            // What cameras append is not part of the picture.
            assert!(decode(&[&whole[..], b"trailer"].concat()).is_ok());
        }
    }

    #[test]
    fn the_end_of_a_thumbnail_is_not_the_end_of_the_picture() {
        let picture = encoded(&noise().into(), ImageFormat::Jpeg);
        let thumbnail = encoded(&RgbImage::new(4, 4).into(), ImageFormat::Jpeg);
        let length = (thumbnail.len() as u16 + 2).to_be_bytes();
        let segment = [&[0xFF, 0xE1], &length[..], &thumbnail].concat();
        let whole = [&picture[..2], &segment, &picture[2..]].concat();
        assert!(decode(&whole).is_ok());
        assert!(decode(&whole[..whole.len() - 9]).is_err());
    }

    /// A JPEG whose EXIF block holds nothing but this orientation.
    fn oriented(picture: &RgbImage, orientation: u8) -> Vec<u8> {
        let mut bytes = Vec::new();
        let encoder = JpegEncoder::new_with_quality(&mut bytes, 100);
        picture.write_with_encoder(encoder).unwrap();
        let tiff = b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0";
        let exif = [b"Exif\0\0", &tiff[..], &[orientation], &[0; 6]].concat();
        let length = (exif.len() as u16 + 2).to_be_bytes();
        [&bytes[..2], &[0xFF, 0xE1], &length, &exif, &bytes[2..]].concat()
    }

    #[test]
    fn a_picture_is_turned_as_its_exif_asks() {
        // Dark left half.
        let picture = RgbImage::from_fn(32, 16, |x, _| Rgb([if x < 16 { 0 } else { 255 }; 3]));
        let dark = |picture: &RgbImage, x: u32, y: u32| picture.get_pixel(x, y).0[0] < 128;
        let plain = decode(&oriented(&picture, 1)).unwrap();
        assert!(!plain.turned && dark(&plain.picture, 2, 8) && !dark(&plain.picture, 30, 8));
        let mirrored = decode(&oriented(&picture, 2)).unwrap();
        assert!(mirrored.turned && dark(&mirrored.picture, 30, 8));
        // A quarter turn to the right: what was left is on top.
        let turned = decode(&oriented(&picture, 6)).unwrap();
        assert_eq!(turned.picture.dimensions(), (16, 32));
        assert!(turned.turned && dark(&turned.picture, 8, 2) && !dark(&turned.picture, 8, 30));
    }

    #[test]
    fn grey_is_told_from_colour_on_any_background() {
        let grey = encoded(&GrayImage::new(4, 4).into(), ImageFormat::Png);
        let hidden = GrayAlphaImage::from_pixel(4, 4, LumaA([0, 0]));
        let hidden = encoded(&hidden.into(), ImageFormat::Png);
        let red = Background([255, 0, 0]);
        let found = |bytes: &[u8], on| {
            let found = decode_on(bytes, Path::new("x"), on).unwrap();
            (found.grey, found.transparent)
        };
        assert_eq!(found(&grey, red), (true, false));
        assert_eq!(found(&hidden, Background::default()), (true, true));
        assert_eq!(found(&hidden, red), (false, true));
        let colour = encoded(&RgbaImage::new(4, 4).into(), ImageFormat::Png);
        assert_eq!(found(&colour, Background::default()), (false, true));
    }

    #[test]
    fn too_many_pixels_are_refused_before_they_are_decoded() {
        // A PNM header is all that is looked at.
        let error = decode(b"P6 20000 20000 255\n").unwrap_err().to_string();
        assert!(error.contains("20000 × 20000 pixels, more than"), "{error}");
    }

    #[test]
    fn names_are_those_of_pictures_by_their_endings() {
        for name in ["a.png", "b/A.JFIF", "x.jpe", "x.Tiff", "x.ppm"] {
            assert!(is_picture(Path::new(name)), "{name}");
        }
        for name in ["a.txt", ".a.png", "png", "a.heic"] {
            assert!(!is_picture(Path::new(name)), "{name}");
        }
    }
}

//! MP4 films in H.264, which editors and messengers take. The encoder and the container are crates; what is decided here is
//! how colours become luma and chroma, and how fine they are kept.

use std::io::Cursor;

use image::RgbImage;
use muxide::api::{MuxerBuilder, VideoCodec};
use rusty_h264_common::YuvFrame;
use rusty_h264_encoder::{Encoder, EncoderConfig, Preset};

use crate::error::{Error, Result};

/// Quantizer. 94 frames of a walk along a domain at 256 × 302 took 256 KB, where the GIF took 1661.
const QP: u8 = 16;

/// Seconds from one frame that stands alone to the next: where players can jump to.
const KEYFRAMES: f64 = 2.0;

/// The unit type of the settings that stand before each frame that stands alone.
const SETTINGS_UNIT: u8 = 7;

/// `frames` of one size in this order, once. A side of an odd number of pixels gets one more, as its last.
pub(super) fn encode(frames: &[RgbImage], order: &[usize], delay_ms: u32) -> Result<Vec<u8>> {
    let fps = 1000.0 / f64::from(delay_ms.max(1));
    let shown: Vec<YuvFrame> = order.iter().map(|&at| planes(&frames[at])).collect();
    let (width, height) = (shown[0].width, shown[0].height);
    let mut config = EncoderConfig::new(width, height);
    config.preset = Preset::Balanced;
    config.qp = QP;
    config.gop_size = (KEYFRAMES * fps).ceil() as u32;
    config.framerate = fps as f32;
    let encoder = Encoder::new(config).map_err(failed)?;
    let units = encoder.encode_all(&shown).map_err(failed)?;
    let mut bytes = Cursor::new(Vec::new());
    let mut film = MuxerBuilder::new(&mut bytes)
        .video(VideoCodec::H264, width as u32, height as u32, fps)
        .build()
        .map_err(failed)?;
    for (at, unit) in units.iter().enumerate() {
        let stands_alone = unit_types(unit).any(|kind| kind == SETTINGS_UNIT);
        film.write_video(at as f64 / fps, unit, stands_alone)
            .map_err(failed)?;
    }
    film.finish().map_err(failed)?;
    Ok(bytes.into_inner())
}

#[allow(clippy::needless_pass_by_value)] // Fits `map_err`.
fn failed(error: impl std::fmt::Display) -> Error {
    Error::Encode {
        what: "an MP4 film",
        reason: error.to_string(),
    }
}

/// The types of the units in an access unit, each after a start code.
fn unit_types(unit: &[u8]) -> impl Iterator<Item = u8> + '_ {
    let starts = unit.windows(4).filter(|bytes| bytes[..3] == [0, 0, 1]);
    starts.map(|bytes| bytes[3] & 31)
}

/// Luma of each pixel, and chroma of each four, as BT.601 has them in limited range: what players take for granted in films of this size.
fn planes(picture: &RgbImage) -> YuvFrame {
    let even = |side: u32| side + side % 2;
    let (width, height) = (even(picture.width()), even(picture.height()));
    let pixel = |x: u32, y: u32| {
        let (x, y) = (x.min(picture.width() - 1), y.min(picture.height() - 1));
        picture.get_pixel(x, y).0.map(f32::from)
    };
    let mut frame = YuvFrame {
        width: width as usize,
        height: height as usize,
        y: Vec::with_capacity((width * height) as usize),
        u: Vec::with_capacity((width * height / 4) as usize),
        v: Vec::with_capacity((width * height / 4) as usize),
    };
    for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
        let [red, green, blue] = pixel(x, y);
        let luma = 16.0 + (65.481 * red + 128.553 * green + 24.966 * blue) / 255.0;
        frame.y.push(luma.round() as u8);
    }
    for (y, x) in (0..height)
        .step_by(2)
        .flat_map(|y| (0..width).step_by(2).map(move |x| (y, x)))
    {
        let four = [
            pixel(x, y),
            pixel(x + 1, y),
            pixel(x, y + 1),
            pixel(x + 1, y + 1),
        ];
        let [red, green, blue] = [0, 1, 2].map(|c| four.iter().map(|p| p[c]).sum::<f32>() / 4.0);
        let blueness = 128.0 + (-37.797 * red - 74.203 * green + 112.0 * blue) / 255.0;
        let redness = 128.0 + (112.0 * red - 93.786 * green - 18.214 * blue) / 255.0;
        frame.u.push(blueness.round() as u8);
        frame.v.push(redness.round() as u8);
    }
    frame
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    /// What follows a box's name.
    fn after<'a>(bytes: &'a [u8], name: &[u8; 4]) -> &'a [u8] {
        let at = bytes.windows(4).position(|four| four == name);
        &bytes[at.unwrap() + 4..]
    }

    fn number(bytes: &[u8]) -> u32 {
        u32::from_be_bytes(bytes[..4].try_into().unwrap())
    }

    #[test]
    fn a_film_has_its_frames_size_and_time() {
        let frames: Vec<_> = (0..5)
            .map(|at| RgbImage::from_fn(63, 48, |x, y| Rgb([x as u8 * 4, y as u8 * 5, at * 50])))
            .collect();
        let bytes = encode(&frames, &[0, 1, 2, 3, 4, 3, 2, 1], 40).unwrap();
        assert_eq!(&bytes[4..8], b"ftyp");
        // Version and flags, the size of all samples, their number.
        assert_eq!(number(&after(&bytes, b"stsz")[8..]), 8);
        let header = after(&bytes, b"mvhd");
        let (unit, length) = (number(&header[12..]), number(&header[16..]));
        assert!((f64::from(length) / f64::from(unit) - 8.0 * 0.04).abs() < 0.01);
        let track = after(&bytes, b"tkhd");
        assert_eq!(
            [number(&track[76..]) >> 16, number(&track[80..]) >> 16],
            [64, 48]
        );
    }

    #[test]
    fn colours_are_those_of_the_standard() {
        let of = |rgb| {
            let frame = planes(&RgbImage::from_pixel(2, 2, Rgb(rgb)));
            [frame.y[0], frame.u[0], frame.v[0]]
        };
        assert_eq!(of([255, 255, 255]), [235, 128, 128]);
        assert_eq!(of([0, 0, 0]), [16, 128, 128]);
        assert_eq!(of([255, 0, 0]), [81, 90, 240]);
        assert_eq!(of([0, 0, 255]), [41, 240, 110]);
    }
}

//! Animated WebP: lossless frames, each encoded by the crate `image`, in the container that the format describes
//! (developers.google.com/speed/webp/docs/riff_container).

use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, ImageEncoder as _, RgbImage};

use crate::error::{Error, Result};

/// Bit of a file's flags: it holds an animation.
const ANIMATION: u8 = 0x02;
/// Bit of a frame's flags: it replaces what is below.
const NO_BLENDING: u8 = 0x02;
/// What stands before the chunks of a file: `RIFF`, its size, `WEBP`.
const HEADER: usize = 12;

/// `frames` of one size in this order, as an endless loop.
pub(super) fn encode(frames: &[RgbImage], order: &[usize], delay_ms: u32) -> Result<Vec<u8>> {
    let (width, height) = frames[0].dimensions();
    let encoded = frames.iter().map(still).collect::<Result<Vec<_>>>()?;

    let mut body = b"WEBP".to_vec();
    let mut canvas = vec![ANIMATION, 0, 0, 0];
    canvas.extend(three(width - 1));
    canvas.extend(three(height - 1));
    chunk(&mut body, b"VP8X", &canvas);
    // A background, which nothing shows through, and no last round.
    chunk(&mut body, b"ANIM", &[0; 6]);
    for &index in order {
        // At the upper left.
        let mut frame = vec![0; 6];
        for number in [width - 1, height - 1, delay_ms] {
            frame.extend(three(number));
        }
        frame.push(NO_BLENDING);
        frame.extend(&encoded[index]);
        chunk(&mut body, b"ANMF", &frame);
    }
    let mut file = Vec::with_capacity(body.len() + 8);
    chunk(&mut file, b"RIFF", &body);
    Ok(file)
}

/// The chunks of a still picture.
fn still(picture: &RgbImage) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let (width, height) = picture.dimensions();
    WebPEncoder::new_lossless(&mut bytes)
        .write_image(picture, width, height, ExtendedColorType::Rgb8)
        .map_err(|error| Error::Encode {
            what: "a WebP animation",
            reason: error.to_string(),
        })?;
    Ok(bytes.split_off(HEADER))
}

/// Its name, its size, and its bytes to an even number.
fn chunk(out: &mut Vec<u8>, name: &[u8; 4], bytes: &[u8]) {
    out.extend(name);
    out.extend((bytes.len() as u32).to_le_bytes());
    out.extend(bytes);
    if !bytes.len().is_multiple_of(2) {
        out.push(0);
    }
}

/// A number of 24 bits, the lowest first.
fn three(number: u32) -> impl Iterator<Item = u8> {
    number.to_le_bytes().into_iter().take(3)
}

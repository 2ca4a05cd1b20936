//! What is sent to the server: bodies of a bounded size, and pictures in them.

use std::io::Cursor;
use std::path::Path;
use std::time::Duration;

use axum::body::Body;
use domex_data::picture::{Background, decode_on};
use http_body_util::BodyExt as _;
use image::{ImageReader, RgbImage};
use serde::de::DeserializeOwned;

use crate::refusal::Refusal;

/// How often a body may be longer than its limit and is still read to its end. A server that answers earlier closes the connection on
/// what is still sent, and a browser then shows no answer.
const DRAINED: usize = 8;

/// A body must be there by then.
const PATIENCE: Duration = Duration::from_secs(60);

/// A picture that is longer in one direction has no middle worth showing.
const LONGEST: u32 = 16;

/// The whole body, of at most `limit` bytes. `what` it is, for the refusal.
pub async fn bytes(body: Body, what: &'static str, limit: usize) -> Result<Vec<u8>, Refusal> {
    match tokio::time::timeout(PATIENCE, drained(body, what, limit)).await {
        Ok(bytes) => bytes,
        Err(_) => Err(Refusal::TooLong(PATIENCE)),
    }
}

async fn drained(mut body: Body, what: &'static str, limit: usize) -> Result<Vec<u8>, Refusal> {
    let (mut bytes, mut total) = (Vec::new(), 0usize);
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|error| Refusal::Malformed(format!("{what} is cut short: {error}")))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        total = total.saturating_add(data.len());
        match total {
            total if total <= limit => bytes.extend_from_slice(&data),
            total if total > limit.saturating_mul(DRAINED) => break,
            _ => bytes = Vec::new(),
        }
    }
    match total <= limit {
        true => Ok(bytes),
        false => Err(Refusal::TooLarge { what, limit }),
    }
}

/// A JSON document.
pub async fn json<T: DeserializeOwned>(body: Body, limit: usize) -> Result<T, Refusal> {
    let bytes = bytes(body, "the request", limit).await?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Refusal::Malformed(format!("the request cannot be read: {error}")))
}

/// A picture of any format that is read, upright, and what was done to it.
pub fn picture(bytes: &[u8], most_pixels: u64) -> Result<(RgbImage, Vec<String>), Refusal> {
    let path = Path::new("the picture");
    check_size(bytes, most_pixels)?;
    let decoded = decode_on(bytes, path, Background::default())?;
    let mut notes = Vec::new();
    if decoded.transparent {
        notes.push("white shows where the picture is transparent".to_owned());
    }
    if decoded.turned {
        notes.push("the picture is turned upright, as its EXIF says".to_owned());
    }
    Ok((decoded.picture, notes))
}

/// By the header alone.
fn check_size(bytes: &[u8], most_pixels: u64) -> Result<(), Refusal> {
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format();
    // What cannot be read at all its reader says better.
    let Some((width, height)) = reader.ok().and_then(|reader| reader.into_dimensions().ok()) else {
        return Ok(());
    };
    let pixels = u64::from(width) * u64::from(height);
    if pixels > most_pixels {
        return Err(Refusal::Unusable(format!(
            "the picture has {width} × {height} pixels, more than {most_pixels}; make it smaller"
        )));
    }
    if width.max(height) / width.min(height).max(1) >= LONGEST {
        return Err(Refusal::Unusable(format!(
            "the picture has {width} × {height} pixels, a narrow strip; cut out what is to be shown"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use domex_data::picture::encode_png;
    use image::ImageEncoder as _;
    use image::codecs::png::PngEncoder;

    fn png(width: u32, height: u32) -> Vec<u8> {
        encode_png(&RgbImage::new(width, height)).unwrap()
    }

    #[test]
    fn a_picture_that_lies_on_its_side_is_turned_and_said() {
        let mut bytes = Vec::new();
        let mut encoder = PngEncoder::new(&mut bytes);
        // One entry: the orientation, a quarter turn to the right.
        let exif = b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
        encoder.set_exif_metadata(exif.to_vec()).unwrap();
        RgbImage::new(20, 16).write_with_encoder(encoder).unwrap();
        let (turned, notes) = picture(&bytes, 1000).unwrap();
        assert_eq!(turned.dimensions(), (16, 20));
        assert!(notes[0].contains("turned upright"), "{notes:?}");
    }

    #[test]
    fn large_narrow_and_damaged_pictures_are_refused() {
        let refused = |bytes: &[u8]| picture(bytes, 1000).unwrap_err().to_string();
        assert!(refused(&png(40, 40)).contains("more than 1000"));
        assert!(refused(&png(2, 64)).contains("strip"));
        assert!(refused(b"GIF89a").contains("not a readable"));
        // A header alone that claims everything.
        assert!(refused(b"P6 60000 60000 255\n").contains("more than"));
    }
}

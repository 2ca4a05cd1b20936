//! Texts beside the pixels of a PNG picture: `iTXt` chunks (section 11.3.3 of the PNG specification), which picture viewers
//! keep and show.

use std::collections::BTreeMap;
use std::io::Cursor;

use image::RgbImage;
use png::{BitDepth, ColorType, Decoder, Encoder, Limits};

use crate::error::{Error, Result};

/// No text that is read may be longer, in bytes: compressed ones are cut off there.
const LONGEST: usize = 8 << 20;

/// All that a decoder may allocate for what stands before the pixels.
const MOST_MEMORY: usize = 64 << 20;

/// Encodes a picture as PNG with texts under keywords of 1 to 79 Latin letters.
///
/// ```
/// use domex_data::png_text;
/// let picture = image::RgbImage::new(4, 4);
/// let bytes = png_text::encode(&picture, &[("Title", "Ein Männlein")])?;
/// assert_eq!(png_text::read(&bytes)?["Title"], "Ein Männlein");
/// # Ok::<(), domex_data::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::Encode`] for an empty picture or a keyword that PNG does not allow.
pub fn encode(picture: &RgbImage, texts: &[(&str, &str)]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let encoded = || -> std::result::Result<(), png::EncodingError> {
        let mut encoder = Encoder::new(&mut bytes, picture.width(), picture.height());
        encoder.set_color(ColorType::Rgb);
        encoder.set_depth(BitDepth::Eight);
        for (keyword, text) in texts {
            encoder.add_itxt_chunk((*keyword).to_owned(), (*text).to_owned())?;
        }
        let mut writer = encoder.write_header()?;
        writer.write_image_data(picture.as_raw())?;
        writer.finish()
    };
    let mut encoded = encoded;
    encoded().map_err(|error| Error::Encode {
        what: "a PNG picture with texts",
        reason: error.to_string(),
    })?;
    Ok(bytes)
}

/// The texts before the pixels of a PNG file, by keyword; none of a file without any. Pixels are not looked at.
///
/// # Errors
///
/// [`Error::Decode`] for bytes that are no PNG, or texts that are damaged or longer than 8 MiB.
pub fn read(bytes: &[u8]) -> Result<BTreeMap<String, String>> {
    let failed = |reason: String| Error::Decode {
        path: "the PNG picture".into(),
        reason,
    };
    let limits = Limits { bytes: MOST_MEMORY };
    let reader = Decoder::new_with_limits(Cursor::new(bytes), limits).read_info();
    let reader = reader.map_err(|error| failed(error.to_string()))?;
    let mut texts = BTreeMap::new();
    for chunk in &reader.info().utf8_text {
        let mut chunk = chunk.clone();
        let text = chunk
            .decompress_text_with_limit(LONGEST)
            .and_then(|()| chunk.get_text());
        let text = text.map_err(|error| failed(format!("text {:?}: {error}", chunk.keyword)))?;
        texts.insert(chunk.keyword, text);
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> RgbImage {
        RgbImage::from_fn(9, 5, |x, y| image::Rgb([x as u8 * 20, y as u8 * 40, 7]))
    }

    #[test]
    fn texts_come_back_and_the_pixels_are_those_of_any_reader() {
        let long = "π ".repeat(50_000);
        let bytes = encode(&picture(), &[("one", "1"), ("two", &long)]).unwrap();
        let texts = read(&bytes).unwrap();
        assert_eq!((&*texts["one"], &*texts["two"]), ("1", &*long));
        let seen = crate::picture::decode(&bytes, "x.png".as_ref()).unwrap();
        assert_eq!(seen, picture());
    }

    #[test]
    fn a_picture_without_texts_has_none() {
        let bytes = crate::picture::encode_png(&picture()).unwrap();
        assert!(read(&bytes).unwrap().is_empty());
    }

    #[test]
    fn what_is_no_png_is_refused_wherever_it_is_cut() {
        let bytes = encode(&picture(), &[("one", "1")]).unwrap();
        for end in 0..bytes.len() {
            // Behind the texts, pixels may be missing.
            if let Ok(texts) = read(&bytes[..end]) {
                assert_eq!(texts["one"], "1", "{end}");
            }
        }
        assert!(read(b"").is_err() && read(b"GIF89a").is_err());
    }

    #[test]
    fn a_text_that_grows_beyond_measure_is_refused() {
        let mut chunk = png::text_metadata::ITXtChunk::new("bomb", "0".repeat(LONGEST + 1));
        chunk.compressed = true;
        chunk.compress_text().unwrap();
        let mut bytes = Vec::new();
        let mut writer = Encoder::new(&mut bytes, 1, 1).write_header().unwrap();
        writer.write_text_chunk(&chunk).unwrap();
        writer.write_image_data(&[0]).unwrap();
        writer.finish().unwrap();
        assert!(bytes.len() < 100_000);
        let error = read(&bytes).unwrap_err().to_string();
        assert!(error.contains("bomb"), "{error}");
    }
}

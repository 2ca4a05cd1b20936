//! What lies behind a transparent picture.

use std::fmt;
use std::str::FromStr;

use image::{DynamicImage, RgbImage};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The colour that shows where a picture is transparent: white, as on a page, unless another is asked for.
///
/// Under full transparency a file may hold any colour, which its maker never saw; it must not reach a network.
///
/// ```
/// use domex_data::picture::Background;
/// assert_eq!("black".parse::<Background>()?.0, [0, 0, 0]);
/// assert_eq!("#8090a0".parse::<Background>()?.0, [0x80, 0x90, 0xa0]);
/// # Ok::<(), domex_data::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Background(pub [u8; 3]);

/// Colours with a name.
const NAMED: [(&str, [u8; 3]); 4] = [
    ("white", [255; 3]),
    ("black", [0; 3]),
    ("grey", [128; 3]),
    ("gray", [128; 3]),
];

impl Background {
    /// Whether it has no colour of its own, so that a grey picture stays grey on it.
    pub(crate) fn is_grey(self) -> bool {
        self.0 == [self.0[0]; 3]
    }

    /// The picture without transparency, and whether it had any.
    pub(crate) fn under(self, picture: DynamicImage) -> (RgbImage, bool) {
        if !picture.color().has_alpha() {
            return (picture.into_rgb8(), false);
        }
        let picture = picture.into_rgba8();
        let mut transparent = false;
        let mut flat = RgbImage::new(picture.width(), picture.height());
        for (pixel, flat) in picture.pixels().zip(flat.pixels_mut()) {
            let [colour @ .., alpha] = pixel.0;
            transparent |= alpha < 255;
            for ((flat, colour), behind) in flat.0.iter_mut().zip(colour).zip(self.0) {
                let (front, back) = (u32::from(alpha), u32::from(255 - alpha));
                let sum = u32::from(colour) * front + u32::from(behind) * back;
                *flat = ((sum + 127) / 255) as u8;
            }
        }
        (flat, transparent)
    }
}

impl Default for Background {
    fn default() -> Self {
        Self([255; 3])
    }
}

impl FromStr for Background {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Some((_, colour)) = NAMED.iter().find(|(name, _)| *name == text) {
            return Ok(Self(*colour));
        }
        let is_hex = |digits: &&str| digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let digits = text.strip_prefix('#').filter(is_hex);
        let digits = digits.filter(|digits| digits.len() == 6);
        let number = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let [_, colour @ ..] = number
            .ok_or_else(|| Error::Unknown {
                what: "background",
                found: text.to_owned(),
                known: "white, black, grey or #rrggbb".to_owned(),
            })?
            .to_be_bytes();
        Ok(Self(colour))
    }
}

impl TryFrom<String> for Background {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Background> for String {
    fn from(background: Background) -> Self {
        background.to_string()
    }
}

impl fmt::Display for Background {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((name, _)) = NAMED.iter().find(|(_, colour)| *colour == self.0) {
            return f.write_str(name);
        }
        let [r, g, b] = self.0;
        write!(f, "#{r:02x}{g:02x}{b:02x}")
    }
}

#[cfg(test)]
mod tests {
    use image::{Rgba, RgbaImage};

    use super::*;

    #[test]
    fn colours_are_read_as_they_are_written() {
        for text in ["white", "black", "grey", "#0102ff"] {
            assert_eq!(text.parse::<Background>().unwrap().to_string(), text);
        }
        for text in ["mauve", "#12345", "#+12345", "", "123456"] {
            let error = text.parse::<Background>().unwrap_err().to_string();
            assert!(error.contains("#rrggbb"), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_hidden_does_not_show() {
        let alphas = [0, 255, 51];
        let picture = RgbaImage::from_fn(3, 1, |x, _| Rgba([200, 0, 0, alphas[x as usize]]));
        let (flat, transparent) = Background([0, 100, 0]).under(picture.into());
        assert!(transparent);
        let pixels: Vec<_> = flat.pixels().map(|pixel| pixel.0).collect();
        assert_eq!(pixels, [[0, 100, 0], [200, 0, 0], [40, 80, 0]]);
    }

    #[test]
    fn a_picture_that_hides_nothing_is_not_transparent() {
        let picture = RgbaImage::from_pixel(2, 2, Rgba([1, 2, 3, 255]));
        let (flat, transparent) = Background::default().under(picture.into());
        assert!(!transparent && flat.pixels().all(|pixel| pixel.0 == [1, 2, 3]));
    }
}

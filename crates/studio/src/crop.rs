//! What of a photo is looked for: its middle, all of it, or a face.

use std::str::FromStr;

use domex_data::pil_resize::{centre_crop, resize_shorter_side};
use image::RgbImage;

use crate::refusal::Refusal;

/// Cuts faces out of photos.
pub trait Faces: Send + Sync {
    /// Why it cannot now, and what to do about it; `None` where it can.
    fn missing(&self) -> Option<String>;

    /// The square around a face, `side` pixels wide, and what its user should know of it. Faces are numbered from 1, the largest first; without a
    /// number that one is taken.
    ///
    /// # Errors
    ///
    /// No face, or none of this number; as of [`missing`](Self::missing).
    fn cut(
        &self,
        photo: &RgbImage,
        number: Option<u16>,
        side: u32,
    ) -> domex_error::Result<(RgbImage, Vec<String>)>;
}

/// What of a photo is taken. In an address: `center`, `none`, `face` or `face-2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crop {
    /// The square in its middle.
    Center,
    /// All of a square.
    None,
    /// The square around a face, of this number.
    Face(Option<u16>),
}

impl FromStr for Crop {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let number = |digits: &str| digits.parse().ok().filter(|&number: &u16| number > 0);
        match (text, text.strip_prefix("face-")) {
            ("center", _) => Ok(Self::Center),
            ("none", _) => Ok(Self::None),
            ("face", _) => Ok(Self::Face(None)),
            (_, Some(digits)) if number(digits).is_some() => Ok(Self::Face(number(digits))),
            (_, Some(digits)) => Err(Refusal::Settings(format!(
                "face {digits:?}: faces are numbered from 1, the largest, to {}",
                u16::MAX
            ))),
            _ => Err(Refusal::Settings(format!(
                "crop {text:?}: there are center, none, face, and face-N for one of several"
            ))),
        }
    }
}

impl Crop {
    /// What is taken of a photo, `side` pixels wide, and what was done.
    pub fn cut(
        self,
        photo: RgbImage,
        side: u32,
        faces: &dyn Faces,
    ) -> Result<(RgbImage, Vec<String>), Refusal> {
        let (width, height) = photo.dimensions();
        let mut notes = Vec::new();
        match self {
            Self::Face(number) => return Ok(faces.cut(&photo, number, side)?),
            Self::None if width != height => {
                return Err(Refusal::Unusable(format!(
                    "the picture has {width} × {height} pixels, and without a crop only a square is taken; crop it to its middle or a face"
                )));
            }
            _ if (width, height) == (side, side) => return Ok((photo, notes)),
            _ if width != height => notes.push(format!(
                "of {width} × {height} pixels the square in the middle is taken"
            )),
            _ => {}
        }
        let resized = resize_shorter_side(&photo, side)?;
        Ok((centre_crop(&resized, side)?, notes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domex_error::user_error;

    /// Takes the upper left pixel for face 1, and knows no other.
    struct Corner;

    impl Faces for Corner {
        fn missing(&self) -> Option<String> {
            None
        }

        fn cut(
            &self,
            photo: &RgbImage,
            number: Option<u16>,
            side: u32,
        ) -> domex_error::Result<(RgbImage, Vec<String>)> {
            match number.unwrap_or(1) {
                1 => Ok((RgbImage::from_pixel(side, side, photo[(0, 0)]), Vec::new())),
                _ => Err(user_error("there is one face")),
            }
        }
    }

    fn cut(crop: &str, width: u32, height: u32) -> Result<(RgbImage, Vec<String>), Refusal> {
        let crop: Crop = crop.parse()?;
        let mut photo = RgbImage::new(width, height);
        photo[(0, 0)].0 = [200; 3];
        crop.cut(photo, 16, &Corner)
    }

    #[test]
    fn the_middle_of_any_picture_is_taken_and_said() {
        let (picture, notes) = cut("center", 40, 20).unwrap();
        assert_eq!(picture.dimensions(), (16, 16));
        assert!(notes[0].contains("40 × 20"), "{notes:?}");
        assert!(cut("center", 16, 16).unwrap().1.is_empty());
    }

    #[test]
    fn without_a_crop_a_square_is_taken_whole_and_nothing_else() {
        assert_eq!(cut("none", 20, 20).unwrap().0.dimensions(), (16, 16));
        let refused = cut("none", 20, 21).unwrap_err().to_string();
        assert!(refused.contains("20 × 21"), "{refused}");
    }

    #[test]
    fn a_face_is_cut_by_what_finds_faces() {
        for crop in ["face", "face-1"] {
            assert_eq!(cut(crop, 40, 20).unwrap().0[(9, 9)].0, [200; 3]);
        }
        assert!(
            cut("face-2", 40, 20)
                .unwrap_err()
                .to_string()
                .contains("one face")
        );
    }

    #[test]
    fn other_words_are_refused() {
        for (crop, words) in [
            ("middle", "center, none, face"),
            ("face-0", "numbered from 1"),
            ("face-70000", "numbered from 1"),
            ("face-", "numbered from 1"),
        ] {
            let refused = crop.parse::<Crop>().unwrap_err().to_string();
            assert!(refused.contains(words), "{refused}");
        }
    }
}

//! The settings within a picture: how a download or a preset can be dropped on the page again.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use domex_data::png_text;
use image::RgbImage;
use serde::{Deserialize, Serialize};

use crate::engine::PhotoBytes;
use crate::refusal::Refusal;
use crate::settings::Settings;

/// Keyword of the settings, as JSON.
const SETTINGS: &str = "domex studio";

/// Keyword of what was found for the photo, in base 64.
const PHOTO: &str = "domex studio photo";

/// What a picture says about itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stamp {
    /// The program and its version.
    pub program: String,
    /// The model that drew it.
    pub model: String,
    /// All that it is made of.
    pub settings: Settings,
    /// What was found for its photo.
    #[serde(skip)]
    pub photo: Option<PhotoBytes>,
}

impl Stamp {
    /// Of a picture that this program draws.
    pub fn new(model: &str, settings: Settings, photo: Option<PhotoBytes>) -> Self {
        Self {
            program: concat!("domex ", env!("CARGO_PKG_VERSION")).to_owned(),
            model: model.to_owned(),
            settings,
            photo,
        }
    }

    /// A PNG file of the picture with the stamp in it.
    ///
    /// # Errors
    ///
    /// A picture that cannot be encoded.
    pub fn encode(&self, picture: &RgbImage) -> Result<Vec<u8>, Refusal> {
        let settings =
            serde_json::to_string(self).map_err(|error| Refusal::Failed(error.to_string()))?;
        let photo = self.photo.as_ref().map(|bytes| BASE64.encode(bytes));
        let mut texts = vec![
            ("Software", self.program.as_str()),
            (SETTINGS, settings.as_str()),
        ];
        texts.extend(photo.as_ref().map(|photo| (PHOTO, photo.as_str())));
        Ok(png_text::encode(picture, &texts)?)
    }

    /// The stamp of a PNG file, `None` where there is none: any other picture.
    ///
    /// # Errors
    ///
    /// A stamp that is damaged.
    pub fn read(bytes: &[u8]) -> Result<Option<Self>, Refusal> {
        // What is no PNG, or a damaged one, is for the reader of pictures to judge.
        let Ok(texts) = png_text::read(bytes) else {
            return Ok(None);
        };
        let Some(text) = texts.get(SETTINGS) else {
            return Ok(None);
        };
        let damaged = |reason: String| {
            Refusal::Unusable(format!(
                "the settings in this picture are damaged: {reason}"
            ))
        };
        let mut stamp: Self =
            serde_json::from_str(text).map_err(|error| damaged(error.to_string()))?;
        let photo = texts.get(PHOTO).map(|text| BASE64.decode(text));
        let photo = photo
            .transpose()
            .map_err(|error| damaged(error.to_string()))?;
        stamp.photo = photo.map(Into::into);
        Ok(Some(stamp))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{PhotoId, Source};

    fn stamp() -> Stamp {
        let photo: PhotoBytes = vec![1, 2, 3].into();
        let settings = Settings {
            source: Source::Photo(PhotoId::of(&photo)),
            truncation: 0.7,
            domains: [("Гравюра".to_owned(), 0.25)].into(),
            directions: [(3, -0.1)].into(),
            mixing: None,
            region: None,
        };
        Stamp::new("faces", settings, Some(photo))
    }

    #[test]
    fn a_stamp_comes_back_from_a_picture() {
        let bytes = stamp().encode(&RgbImage::new(3, 3)).unwrap();
        assert_eq!(Stamp::read(&bytes).unwrap(), Some(stamp()));
    }

    #[test]
    fn other_pictures_have_none_and_damaged_ones_are_refused() {
        let plain = domex_data::picture::encode_png(&RgbImage::new(3, 3)).unwrap();
        assert_eq!(Stamp::read(&plain).unwrap(), None);
        assert_eq!(Stamp::read(b"no picture").unwrap(), None);
        for texts in [
            vec![(SETTINGS, "{}")],
            vec![
                (
                    SETTINGS,
                    r#"{"program":"","model":"","settings":{"source":{"seed":1}}}"#,
                ),
                (PHOTO, "?"),
            ],
        ] {
            let bytes = png_text::encode(&RgbImage::new(3, 3), &texts).unwrap();
            let refused = Stamp::read(&bytes).unwrap_err().to_string();
            assert!(refused.contains("damaged"), "{refused}");
        }
    }
}

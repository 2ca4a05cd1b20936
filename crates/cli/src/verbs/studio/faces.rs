//! Faces of photos, as `--crop face` of other verbs finds them.

use domex_error::user_error;
use domex_face::Outside;
use domex_studio::Faces;
use image::RgbImage;

use crate::crop::{self, LEAVES};
use crate::models;

/// With the network of the cache, which is read for each photo: it is small, and may be fetched while the studio serves.
pub struct Photographs;

impl Faces for Photographs {
    fn missing(&self) -> Option<String> {
        models::face_detector().err().map(|error| error.message())
    }

    fn cut(
        &self,
        photo: &RgbImage,
        number: Option<u16>,
        side: u32,
    ) -> domex_error::Result<(RgbImage, Vec<String>)> {
        let found = crop::Faces::open(number)?
            .choose(photo)?
            .map_err(user_error)?;
        let told = [
            found.several("the number beside Crop"),
            found.leaves.then(|| LEAVES.to_owned()),
        ];
        let told = told.into_iter().flatten();
        Ok((
            found.square.cut(photo, side, Outside::Mirrored)?,
            told.map(|what| format!("the photo {what}")).collect(),
        ))
    }
}

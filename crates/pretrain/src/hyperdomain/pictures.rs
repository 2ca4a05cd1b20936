//! Where pictures of texts come from.

use domex_random::Stream;
use image::RgbImage;

use crate::Result;

/// Pictures of which it is known what text they show, and of which latent.
pub trait TextPictures: Send + Sync {
    /// A picture of the text of this number, as large as those of the generator, and the numbers `z` of the latent that shows the
    /// same in the generator's own domain.
    ///
    /// # Errors
    ///
    /// A number without a text.
    fn draw(&self, text: usize, stream: &mut Stream) -> Result<(RgbImage, Vec<f32>)>;
}

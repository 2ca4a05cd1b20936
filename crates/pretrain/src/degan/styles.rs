//! Where pictures of styles come from.

use domex_data::source::PictureSource;
use domex_random::Stream;
use image::RgbImage;

use crate::{Error, Result};

/// A picture of a style, as large as those of the generator.
#[derive(Debug, Clone)]
pub struct Style {
    /// The picture.
    pub picture: RgbImage,
    /// The numbers `z` of the latent that shows the same in the generator's own domain, if they are known.
    pub latent: Option<Vec<f32>>,
}

/// Pictures of styles, in domains.
pub trait Styles: Send + Sync {
    /// `n` pictures of a domain that the stream chooses, and a number that tells this domain from others. Either all pictures of
    /// all domains have a latent or none.
    ///
    /// # Errors
    ///
    /// A file that has changed since it was looked at.
    fn draw(&self, n: usize, stream: &mut Stream) -> Result<(u64, Vec<Style>)>;

    /// The domains that are measured: those that are trained, then those that never are. Each by a name.
    fn measured(&self) -> [Vec<String>; 2];

    /// A picture of a measured domain, counted through both lists.
    ///
    /// # Errors
    ///
    /// As [`draw`](Self::draw).
    fn show(&self, domain: usize, stream: &mut Stream) -> Result<Style>;

    /// What this is, in words.
    fn describe(&self) -> String;
}

/// Sets of pictures, each picture a domain by itself.
pub struct PictureStyles {
    trained: Box<dyn PictureSource>,
    unseen: Option<Box<dyn PictureSource>>,
}

impl PictureStyles {
    /// Pictures that are measured of either set, at even distances.
    const MEASURED: u64 = 12;

    /// Of pictures to train on and, if there are any, others to measure.
    ///
    /// # Errors
    ///
    /// Fewer than two pictures to train on.
    pub fn new(
        trained: Box<dyn PictureSource>,
        unseen: Option<Box<dyn PictureSource>>,
    ) -> Result<Self> {
        if trained.len() < 2 {
            let expected = "at least 2: one picture alone is what `domex expand` learns";
            return Err(Error::config("number of styles", trained.len(), expected));
        }
        Ok(Self { trained, unseen })
    }

    /// Indices of the pictures of a set that are measured.
    fn places(source: &dyn PictureSource) -> Vec<u64> {
        let n = source.len().min(Self::MEASURED);
        (0..n).map(|i| i * (source.len() / n)).collect()
    }
}

impl Styles for PictureStyles {
    fn draw(&self, n: usize, stream: &mut Stream) -> Result<(u64, Vec<Style>)> {
        let count = usize::try_from(self.trained.len()).unwrap_or(usize::MAX);
        let index = stream.index(count)? as u64;
        let style = Style {
            picture: self.trained.get(index)?.0,
            latent: None,
        };
        Ok((index, vec![style; n]))
    }

    fn measured(&self) -> [Vec<String>; 2] {
        let names = |word: &str, source: &dyn PictureSource| {
            let places = Self::places(source).into_iter();
            places.map(|index| format!("{word} {index}")).collect()
        };
        let unseen = self.unseen.as_deref();
        [
            names("style", &*self.trained),
            unseen.map_or_else(Vec::new, |unseen| names("unseen", unseen)),
        ]
    }

    fn show(&self, domain: usize, _: &mut Stream) -> Result<Style> {
        let mut sets = [Some(&*self.trained), self.unseen.as_deref()]
            .into_iter()
            .flatten()
            .flat_map(|source| Self::places(source).into_iter().map(move |at| (source, at)));
        let Some((source, index)) = sets.nth(domain) else {
            return Err(Error::config("number of a measured domain", domain, "less"));
        };
        Ok(Style {
            picture: source.get(index)?.0,
            latent: None,
        })
    }

    fn describe(&self) -> String {
        self.trained.describe()
    }
}

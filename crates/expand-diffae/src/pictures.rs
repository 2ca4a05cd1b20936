//! Pictures of the source domain, for training on it and for codes.

use candle_core::{DType, Device, Tensor};
use domex_data::picture;
use domex_data::source::{self, PictureSource};
use domex_expand::Result;
use domex_ops::upload;
use domex_random::Stream;

use crate::trainee::{own, setting};

/// Pictures of one size, at least one.
pub(crate) struct Pictures(Box<dyn PictureSource>);

impl Pictures {
    /// Pictures for a generator of `side`².
    ///
    /// # Errors
    ///
    /// None at all, or pictures of another size.
    pub fn new(pictures: Box<dyn PictureSource>, side: usize) -> Result<Self> {
        if pictures.is_empty() {
            let what = "pictures of the source domain";
            return Err(setting(what, 0, "at least one"));
        }
        let found = pictures.resolution() as usize;
        if found != side {
            let expected = format!("{side} × {side}, as the generator's");
            let found = format!("{found} × {found}");
            return Err(setting("size of the pictures", found, &expected));
        }
        Ok(Self(pictures))
    }

    /// How many.
    pub fn len(&self) -> u64 {
        self.0.len()
    }

    /// Those with these indices, `[n, 3, h, w]` in `[-1, 1]`.
    ///
    /// # Errors
    ///
    /// An index that is too large; a file that has changed.
    pub fn get(&self, indices: &[u64], device: &Device) -> Result<Tensor> {
        let (pictures, _) = source::batch(&*self.0, indices)?;
        let pictures = picture::from_rgb(&pictures, DType::F32, &Device::Cpu)?;
        Ok(upload(&pictures, device)?)
    }

    /// `n` of them, drawn at random.
    ///
    /// # Errors
    ///
    /// A file that has changed.
    pub fn draw(&self, n: usize, stream: &mut Stream, device: &Device) -> Result<Tensor> {
        let len = usize::try_from(self.0.len()).unwrap_or(usize::MAX);
        let drawn = (0..n).map(|_| stream.index(len).map(|index| index as u64));
        let drawn: std::result::Result<Vec<_>, _> = drawn.collect();
        let drawn = drawn.map_err(|error| own(domex_error::AnyError::internal(error)))?;
        self.get(&drawn, device)
    }
}

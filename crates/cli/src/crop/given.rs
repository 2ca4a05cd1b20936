//! The pictures that a verb is given, however many: all of them were looked at, and few of them are held.

use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use domex_data::{file, picture};
use domex_face::Outside;
use image::RgbImage;

use super::{Cut, name};

/// Bytes of pixels that stay in memory; pictures beyond them are read again whenever they are wanted.
const ROOM: usize = 128 << 20;

/// Pictures that were looked at.
pub struct Given {
    all: Vec<Picture>,
    /// Bytes that are left.
    room: usize,
}

impl Default for Given {
    fn default() -> Self {
        Self::with_room(ROOM)
    }
}

impl Given {
    fn with_room(room: usize) -> Self {
        let all = Vec::new();
        Self { all, room }
    }

    /// With this one, to be cut and resized to `side`.
    pub(super) fn add(
        &mut self,
        file: &Path,
        cut: Cut,
        picture: RgbImage,
        side: u32,
    ) -> domex_error::Result<()> {
        // Cut even if it is not kept: what can fail fails now.
        let picture = cut.of(picture, side, Outside::Mirrored)?;
        let left = self.room.checked_sub(picture.len());
        self.room = left.unwrap_or(self.room);
        self.all.push(Picture {
            name: name(file),
            side,
            file: file.to_owned(),
            cut,
            held: left.map(|_| picture),
        });
        Ok(())
    }

    /// With this one as it is: a square.
    pub fn add_square(&mut self, file: &Path, picture: RgbImage) -> domex_error::Result<()> {
        let side = picture.width();
        self.add(file, Cut::Middle, picture, side)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// All of them.
    pub fn all(&self) -> &[Picture] {
        &self.all
    }
}

/// Pixels of pictures of one size, `[n, 3, side, side]`.
pub fn tensor<'a>(
    pictures: impl IntoIterator<Item = &'a Picture>,
    dtype: DType,
    device: &Device,
) -> domex_error::Result<Tensor> {
    let pictures = pictures.into_iter().map(Picture::pixels);
    let pictures = pictures.collect::<domex_error::Result<Vec<_>>>()?;
    Ok(picture::from_rgb(&pictures, dtype, device)?)
}

/// A picture, and where it is cut.
pub struct Picture {
    /// What its results are called.
    pub name: String,
    /// Its size, once it is cut.
    pub side: u32,
    file: PathBuf,
    cut: Cut,
    held: Option<RgbImage>,
}

impl Picture {
    /// What is wanted of it, at its size.
    pub fn pixels(&self) -> domex_error::Result<RgbImage> {
        match &self.held {
            Some(picture) => Ok(picture.clone()),
            None => self
                .cut
                .of(again(&self.file)?, self.side, Outside::Mirrored),
        }
    }

    /// A mask of the whole picture's size, cut as that is.
    pub fn mask(&self, mask: &Path) -> domex_error::Result<RgbImage> {
        self.cut.of(again(mask)?, self.side, Outside::Black)
    }
}

/// A picture that was read before; what was said of it then is not said again.
fn again(path: &Path) -> domex_error::Result<RgbImage> {
    let bytes = file::read(path, file::LARGEST_PICTURE)?;
    Ok(picture::decode(&bytes, path)?)
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    #[test]
    fn a_picture_that_has_no_room_is_read_again_and_is_the_same() {
        let root = tempfile::tempdir().unwrap();
        let files: Vec<PathBuf> = (0..3)
            .map(|index| {
                let file = root.path().join(format!("{index}.png"));
                let pixel = |x: u32, y: u32| Rgb([x as u8, y as u8, index]);
                RgbImage::from_fn(40, 30, pixel).save(&file).unwrap();
                file
            })
            .collect();
        let given = |room: usize| {
            let mut given = Given::with_room(room);
            for file in &files {
                let picture = picture::read(file).unwrap();
                given.add(file, Cut::Middle, picture, 16).unwrap();
            }
            given
        };
        let (all, one) = (given(usize::MAX), given(16 * 16 * 3 + 1));
        let held = |given: &Given| {
            let held = given.all().iter().filter(|one| one.held.is_some());
            held.count()
        };
        assert_eq!((held(&all), held(&one)), (3, 1));
        for (a, b) in all.all().iter().zip(one.all()) {
            assert_eq!(a.pixels().unwrap(), b.pixels().unwrap());
            assert_eq!(a.pixels().unwrap().dimensions(), (16, 16));
        }
        std::fs::remove_file(&files[2]).unwrap();
        let error = one.all()[2].pixels().unwrap_err().to_string();
        assert!(error.contains("2.png"), "{error}");
    }
}

//! What of a photograph a generator is shown: `--crop`.

use std::path::Path;

use candle_core::Device;
use clap::ValueEnum;
use domex_data::picture;
use domex_data::pil_resize::{centre_crop, resize_shorter_side};
use domex_error::user_error;
use domex_face::{Detector, Outside, SIDES, Square};
use image::RgbImage;

use crate::models;

/// What of a picture is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Crop {
    /// The square in its middle.
    #[default]
    Center,
    /// The square around its largest face, turned upright, as the pictures of FFHQ are; needs `domex fetch yunet`.
    Face,
    /// All of it: only squares are taken.
    None,
}

/// A picture, and what it is called.
pub struct Given {
    /// What its results are called.
    pub name: String,
    /// At the generator's size.
    pub picture: RgbImage,
}

/// What the results of a picture are called.
pub fn name(file: &Path) -> String {
    let name = file.file_stem().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// Reads pictures, and crops them.
pub struct Cropper {
    crop: Crop,
    /// Of [`Crop::Face`].
    faces: Option<Faces>,
}

impl Cropper {
    /// With the face detector, if it is needed.
    pub fn new(crop: Crop) -> domex_error::Result<Self> {
        let faces = (crop == Crop::Face).then(Faces::open).transpose()?;
        Ok(Self { crop, faces })
    }

    /// A picture, cropped and resized to `side`. What people could not foresee is logged as a warning.
    pub fn read(&self, file: &Path, side: u32) -> domex_error::Result<Given> {
        let picture = picture::read(file)?;
        let cut = self.cut(file, &picture)?;
        Ok(Given {
            name: name(file),
            picture: cut.of(picture, side, Outside::Mirrored)?,
        })
    }

    /// As [`read`](Self::read), with a mask of the picture's size, which is cut as the picture is.
    pub fn read_with_mask(
        &self,
        file: &Path,
        mask: &Path,
        side: u32,
    ) -> domex_error::Result<(Given, RgbImage)> {
        let (picture, pixels) = (picture::read(file)?, picture::read(mask)?);
        let (found, expected) = (pixels.dimensions(), picture.dimensions());
        if found != expected {
            return Err(user_error(format!(
                "--mask {}: is {} × {}, and {} is {} × {}; give a mask of the picture's size",
                mask.display(),
                found.0,
                found.1,
                file.display(),
                expected.0,
                expected.1
            )));
        }
        let cut = self.cut(file, &picture)?;
        let given = Given {
            name: name(file),
            picture: cut.of(picture, side, Outside::Mirrored)?,
        };
        Ok((given, cut.of(pixels, side, Outside::Black)?))
    }

    /// Where a picture is to be cut.
    fn cut(&self, file: &Path, picture: &RgbImage) -> domex_error::Result<Cut> {
        let (width, height) = picture.dimensions();
        let file = file.display();
        if let Some(faces) = &self.faces {
            let found = faces.largest(picture)?.ok_or_else(|| {
                user_error(format!(
                    "{file}: {}; --crop center takes the square in its middle, --crop none a square as it is",
                    no_face()
                ))
            })?;
            if found.faces > 1 {
                let [x, y] = found.square.centre;
                tracing::warn!(
                    "{file}: shows {} faces; the largest is taken, at {x:.0}, {y:.0}",
                    found.faces
                );
            }
            if found.leaves {
                tracing::warn!(
                    "{file}: ends within the square around the face; its mirror image shows there"
                );
            }
            return Ok(Cut::Square(found.square));
        }
        if self.crop == Crop::None && width != height {
            return Err(user_error(format!(
                "{file}: is {width} × {height}; --crop none takes squares, --crop center the middle of any picture, --crop face the face"
            )));
        }
        if width != height {
            tracing::warn!("{file}: is {width} × {height}; the square in its middle is taken");
        }
        Ok(Cut::Middle)
    }
}

/// Where a picture is cut.
enum Cut {
    /// The square in its middle; all of a square.
    Middle,
    /// Around a face.
    Square(Square),
}

impl Cut {
    fn of(&self, picture: RgbImage, side: u32, outside: Outside) -> domex_error::Result<RgbImage> {
        match self {
            Self::Square(square) => Ok(square.cut(&picture, side, outside)?),
            Self::Middle if picture.dimensions() == (side, side) => Ok(picture),
            Self::Middle => Ok(centre_crop(&resize_shorter_side(&picture, side)?, side)?),
        }
    }
}

/// What is said of a picture without a face.
pub fn no_face() -> String {
    let [first, second, third] = SIDES;
    format!("no face was found at {first}, {second} or {third} pixels on the longer side")
}

/// Finds the face of a picture.
pub struct Faces(Detector);

/// The largest face of a picture.
pub struct Found {
    /// What is shown of it.
    pub square: Square,
    /// How many faces there are.
    pub faces: usize,
    /// Whether the picture ends within the square.
    pub leaves: bool,
}

impl Faces {
    /// With the network that `domex fetch` brings. It is small, and works on the CPU.
    pub fn open() -> domex_error::Result<Self> {
        let path = models::face_detector()?;
        Ok(Self(Detector::load(path, &Device::Cpu)?))
    }

    /// The largest face, if there is one.
    pub fn largest(&self, picture: &RgbImage) -> domex_error::Result<Option<Found>> {
        let faces = self.0.faces(picture)?;
        let Some(face) = faces.first() else {
            return Ok(None);
        };
        let square = Square::around(face)?;
        Ok(Some(Found {
            square,
            faces: faces.len(),
            leaves: square.leaves(picture),
        }))
    }
}

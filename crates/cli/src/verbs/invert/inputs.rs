//! The pictures that `domex invert` is given.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use domex_data::picture;
use domex_data::pil_resize::{centre_crop, resize_shorter_side};
use domex_error::user_error;
use image::RgbImage;

/// A picture to look for.
pub struct Given {
    /// What its results are called.
    pub name: String,
    /// At the generator's size.
    pub picture: RgbImage,
}

/// The pictures' files, those of folders sorted by name; no two of one name.
pub fn files(given: &[PathBuf]) -> domex_error::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in given {
        if path.is_dir() {
            let found = domex_data::source::pictures_in(path)?;
            if found.is_empty() {
                return Err(user_error(format!(
                    "--image {}: holds no picture",
                    path.display()
                )));
            }
            files.extend(found);
        } else {
            files.push(path.clone());
        }
    }
    for (index, file) in files.iter().enumerate() {
        if files[..index].iter().any(|other| name(other) == name(file)) {
            return Err(user_error(format!(
                "--image {}: another picture is called {} too, and results are written under that name",
                file.display(),
                name(file)
            )));
        }
    }
    Ok(files)
}

fn name(file: &Path) -> String {
    file.file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// What of a picture is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Crop {
    /// The square in its middle.
    #[default]
    Center,
    /// The square around a face.
    Face,
    /// All of it: only squares are taken.
    None,
}

/// A picture, cropped and resized to the generator's size.
pub fn read(file: &Path, side: u32, crop: Crop) -> domex_error::Result<Given> {
    let mut picture = picture::read(file)?;
    let (width, height) = picture.dimensions();
    match crop {
        Crop::Face => {
            return Err(user_error(
                "--crop face: domex finds no faces; crop the pictures to squares as those that the model was trained on (eyes and mouth in the same places) with another program, and give --crop none",
            ));
        }
        Crop::None if width != height => {
            return Err(user_error(format!(
                "--image {}: is {width} × {height}; --crop none takes squares, --crop center the middle of any picture",
                file.display()
            )));
        }
        Crop::Center | Crop::None => {}
    }
    if width != height {
        tracing::warn!(
            "{}: is {width} × {height}; the square in its middle is taken",
            file.display()
        );
    }
    if (width, height) != (side, side) {
        picture = centre_crop(&resize_shorter_side(&picture, side)?, side)?;
    }
    Ok(Given {
        name: name(file),
        picture,
    })
}

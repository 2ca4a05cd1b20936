//! What a verb that makes pictures writes: each of them and their grid into a folder, or with a picture's name for
//! `--out` the grid alone, or the picture where there is only one.

use std::path::{Path, PathBuf};

use domex_data::counted;
use domex_data::folder::{OutputFolder, write_atomic};
use domex_data::picture::{encode_png, write_png};
use domex_error::user_error;
use image::RgbImage;

use crate::args::OutArgs;
use crate::domains::slugs;
use crate::paths::{text, texts};

/// The picture that shows all others.
const GRID: &str = "grid.png";

/// Where the pictures go.
enum Place {
    Folder(OutputFolder),
    File {
        path: PathBuf,
        /// May have been made for it.
        _folder: OutputFolder,
    },
}

/// Pictures, and what was written of them.
pub struct Gallery {
    /// In the folder; those that stay empty go away before it.
    folders: Vec<OutputFolder>,
    place: Place,
    files: Vec<PathBuf>,
    grid: Option<PathBuf>,
}

impl Gallery {
    /// Checks that `--out` can be written.
    pub fn new(args: &OutArgs) -> domex_error::Result<Self> {
        let place = match args.picture()? {
            Some((path, _folder)) => Place::File { path, _folder },
            None => Place::Folder(args.folder()?),
        };
        Ok(Self {
            folders: Vec::new(),
            place,
            files: Vec::new(),
            grid: None,
        })
    }

    /// Makes a folder for the pictures of each domain in the folder, if they are written; how these are called.
    pub fn folders(&mut self, domains: &[String]) -> domex_error::Result<Vec<String>> {
        let names = slugs(domains);
        if let Place::Folder(folder) = &self.place {
            for name in &names {
                let made = OutputFolder::create(folder.file(name), true)?;
                self.folders.push(made);
            }
        }
        Ok(names)
    }

    /// One of the pictures, under its name in the folder; its file, if it was written.
    pub fn add(
        &mut self,
        name: impl AsRef<Path>,
        picture: &RgbImage,
    ) -> domex_error::Result<Option<String>> {
        let Place::Folder(folder) = &self.place else {
            return Ok(None);
        };
        let path = folder.file(name);
        write_atomic(&path, &encode_png(picture)?)?;
        let shown = text(&path);
        self.files.push(path);
        Ok(Some(shown))
    }

    /// All of them as one picture, which `draw` draws. `only` is the single one where there are no more.
    pub fn show(
        &mut self,
        only: Option<&RgbImage>,
        draw: impl FnOnce() -> domex_error::Result<RgbImage>,
    ) -> domex_error::Result<()> {
        match (&self.place, only) {
            (Place::Folder(folder), _) => {
                let path = folder.file(GRID);
                write_png(&path, &draw()?)?;
                self.grid = Some(path);
            }
            (Place::File { path, .. }, Some(picture)) => {
                write_png(path, picture)?;
                self.files.push(path.clone());
            }
            (Place::File { path, .. }, None) => {
                write_png(path, &draw()?)?;
                self.grid = Some(path.clone());
            }
        }
        Ok(())
    }

    /// Refuses `--no-grid` where the grid is all that would be written.
    pub fn needs_grid(&self, flag: &str) -> domex_error::Result<()> {
        match &self.place {
            Place::Folder(_) => Ok(()),
            Place::File { path, .. } => Err(user_error(format!(
                "{flag}: --out {} is one picture, the grid; give a folder, or leave {flag} out",
                path.display()
            ))),
        }
    }

    /// What was written and where, for people.
    pub fn told(&self) -> String {
        let grid = self.grid.as_ref().map(|path| path.display().to_string());
        match (&self.place, grid) {
            (Place::Folder(folder), grid) => format!(
                "{}{} in {}",
                counted(self.files.len(), "picture"),
                if grid.is_some() { " and grid.png" } else { "" },
                folder.path().display()
            ),
            (Place::File { path, .. }, _) => path.display().to_string(),
        }
    }

    /// The single pictures' files, as results list them.
    pub fn files(&self) -> Vec<String> {
        texts(&self.files)
    }

    /// The grid's file, as results name it.
    pub fn grid(&self) -> Option<String> {
        self.grid.as_ref().map(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gallery(out: PathBuf) -> Gallery {
        Gallery::new(&OutArgs {
            out: Some(out),
            force: false,
        })
        .unwrap()
    }

    fn picture(red: u8) -> RgbImage {
        RgbImage::from_pixel(2, 2, image::Rgb([red, 0, 0]))
    }

    fn red(path: &Path) -> u8 {
        image::open(path).unwrap().into_rgb8().get_pixel(0, 0).0[0]
    }

    #[test]
    fn a_folder_gets_all_pictures_and_the_grid() {
        let root = tempfile::tempdir().unwrap();
        let mut all = gallery(root.path().join("new"));
        all.add("a.png", &picture(1)).unwrap();
        all.show(Some(&picture(1)), || Ok(picture(9))).unwrap();
        assert_eq!(red(&root.path().join("new/a.png")), 1);
        assert_eq!(red(&root.path().join("new/grid.png")), 9);
        assert!(all.told().starts_with("1 picture and grid.png in"));
    }

    #[test]
    fn a_pictures_name_gets_the_only_one_or_the_grid() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("x.png");
        let mut one = gallery(file.clone());
        one.add("a.png", &picture(1)).unwrap();
        one.show(Some(&picture(1)), || Ok(picture(9))).unwrap();
        assert_eq!(red(&file), 1);
        let file = root.path().join("y.png");
        let mut two = gallery(file.clone());
        two.show(None, || Ok(picture(9))).unwrap();
        assert_eq!(red(&file), 9);
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 2);
    }
}

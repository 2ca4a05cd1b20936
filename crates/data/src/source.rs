//! Sets of pictures to train on, by index.
//!
//! A [`PictureSource`] is a folder, a zip in the layout of stylegan2-ada (pictures in sub-folders, labels in
//! `dataset.json`), or the portrait renderer. [`open`] looks at every picture before training starts. The most common
//! size decides, and whether most pictures have colours: one that does not decode, is no square of that size, or has
//! colours where most have none is named and refused, or with [`Options::skip_bad`] left out and counted. What happens
//! to pictures on the way (transparency, turning, grey ones among coloured ones) is told in [`Opened::notices`].

mod cache;
mod files;
mod folder;
mod labels;
mod listing;
mod look;
mod others;
mod portraits;
#[cfg(test)]
mod tests;
mod zip;

use std::path::Path;
use std::sync::Arc;

use image::RgbImage;
use rayon::prelude::*;

pub use listing::{Listing, pictures_below, pictures_in};
pub use portraits::Portraits;

use crate::error::{Error, Result};
use crate::picture::Background;

/// Pictures by index, all square and of one size. Any number of threads may ask.
pub trait PictureSource: Send + Sync {
    /// Number of pictures. A source that makes them up says how many different ones there are.
    fn len(&self) -> u64;

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Width and height in pixels.
    fn resolution(&self) -> u32;

    /// 3, or 1 where all pictures are grey: their three channels are the same then.
    fn channels(&self) -> usize {
        3
    }

    /// Size of a label, 0 for a set without labels.
    fn label_dim(&self) -> usize {
        0
    }

    /// Picture number `index` and its label, of [`label_dim`](Self::label_dim) values.
    ///
    /// # Errors
    ///
    /// An index that is too large; a file that has changed since it was looked at.
    fn get(&self, index: u64) -> Result<(RgbImage, Vec<f32>)>;

    /// The label of picture `index` alone.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    fn label(&self, index: u64) -> Result<Vec<f32>> {
        Ok(self.get(index)?.1)
    }

    /// What this is, for a log: where the pictures come from and how many there are.
    fn describe(&self) -> String;
}

/// Several pictures and their labels, decoded or rendered in parallel, in the order of `indices`.
///
/// # Errors
///
/// The first error of [`PictureSource::get`].
pub fn batch(
    source: &dyn PictureSource,
    indices: &[u64],
) -> Result<(Vec<RgbImage>, Vec<Vec<f32>>)> {
    let pairs: Result<Vec<_>> = indices.par_iter().map(|index| source.get(*index)).collect();
    Ok(pairs?.into_iter().unzip())
}

/// How a data set is opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Leave out pictures that cannot be used, instead of refusing the set.
    pub skip_bad: bool,
    /// Where labels come from; by default the set has none.
    pub labels: LabelsFrom,
    /// Add the mirror image of every picture.
    pub mirror: bool,
    /// What shows where a picture is transparent.
    pub background: Background,
    /// Take the square in the middle of every picture, and resize it to so many pixels on a side.
    pub resize: Option<u32>,
}

/// Cuts a square out of each picture, in place of the one in its middle. Any number of threads may ask.
pub trait Cutter: Send + Sync {
    /// Called once for each picture, before any is cut; `name` has `/` between folders.
    ///
    /// # Errors
    ///
    /// Why the picture cannot be used, in words; or what else went wrong, in words.
    fn look(&self, name: &str, picture: &RgbImage) -> std::result::Result<(), String>;

    /// What is taken of a picture that was looked at, with `side` pixels on a side.
    ///
    /// # Errors
    ///
    /// Why it cannot be cut, in words.
    fn cut(
        &self,
        name: &str,
        picture: &RgbImage,
        side: u32,
    ) -> std::result::Result<RgbImage, String>;
}

/// Where the labels of a data set come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LabelsFrom {
    /// It has none.
    #[default]
    Nowhere,
    /// From `dataset.json`.
    Json,
    /// From the names of the outermost folders: a class for each, in their order.
    Folders,
}

/// A data set that was looked at.
pub struct Opened {
    /// The pictures.
    pub source: Box<dyn PictureSource>,
    /// Pictures that were left out, each with its reason.
    pub skipped: Vec<String>,
    /// What a person should know of the set, in sentences.
    pub notices: Vec<String>,
    /// Names of the classes, where they come from folders.
    pub classes: Vec<String>,
}

impl Opened {
    /// A source that draws its pictures itself: there was nothing to look at.
    #[must_use]
    pub fn rendered(source: Box<dyn PictureSource>) -> Self {
        Self {
            source,
            skipped: Vec::new(),
            notices: Vec::new(),
            classes: Vec::new(),
        }
    }
}

/// Who watches the look at a set, and where its result is kept. The default is nobody and nowhere.
#[derive(Clone, Copy, Default)]
pub struct Watch<'a> {
    /// Called from several threads.
    pub progress: Option<&'a (dyn Fn(Progress) + Sync)>,
    /// A folder for what was found, by path, size and time of each file: a set that did not change is not decoded again.
    pub cache: Option<&'a Path>,
}

/// How far the look has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// So many pictures are to be looked at.
    Begun(usize),
    /// One more was.
    Picture,
}

/// Opens a folder (with its sub-folders, in the order of their names) or a zip file.
///
/// # Errors
///
/// A path that cannot be read or holds no picture; a zip with a path that climbs out of it; pictures that cannot be
/// used, unless they are to be skipped; labels that do not fit the pictures.
pub fn open(path: &Path, options: Options) -> Result<Opened> {
    open_watched(path, options, Watch::default())
}

/// [`open`] with someone who watches.
///
/// # Errors
///
/// Those of [`open`].
pub fn open_watched(path: &Path, options: Options, watch: Watch<'_>) -> Result<Opened> {
    open_with(path, options, watch, None)
}

/// [`open_watched`] with squares of [`Options::resize`] pixels, which must be said, that a [`Cutter`] cuts. Every picture is
/// looked at anew.
///
/// # Errors
///
/// Those of [`open`]; pictures that the cutter refuses, unless they are to be skipped.
pub fn open_cut(
    path: &Path,
    options: Options,
    watch: Watch<'_>,
    cutter: Arc<dyn Cutter>,
) -> Result<Opened> {
    if options.resize.is_none() {
        return Err(Error::DataSet {
            path: path.to_path_buf(),
            problem: "cannot be cut to squares of no size".to_owned(),
        });
    }
    let watch = Watch {
        cache: None,
        ..watch
    };
    open_with(path, options, watch, Some(cutter))
}

fn open_with(
    path: &Path,
    options: Options,
    watch: Watch<'_>,
    cutter: Option<Arc<dyn Cutter>>,
) -> Result<Opened> {
    let found = files::FileSet::open(path, listed(path)?, options, watch, cutter)?;
    let classes = found.set.classes().to_vec();
    let source: Box<dyn PictureSource> = if options.mirror {
        Box::new(Mirrored(found.set))
    } else {
        Box::new(found.set)
    };
    Ok(Opened {
        source,
        skipped: found.skipped,
        notices: found.notices,
        classes,
    })
}

/// How many pictures a folder, with its sub-folders, or a zip file has, by their names alone.
///
/// # Errors
///
/// A path that cannot be read; a zip with a path that climbs out of it.
pub fn count(path: &Path) -> Result<usize> {
    Ok(listed(path)?.names().len())
}

fn listed(path: &Path) -> Result<Box<dyn files::Files>> {
    let metadata = std::fs::metadata(path).map_err(Error::read(path))?;
    if metadata.is_dir() {
        Ok(Box::new(folder::Folder::open(path)?))
    } else if metadata.is_file() {
        Ok(Box::new(zip::Zip::open(path)?))
    } else {
        Err(Error::NotRegular {
            path: path.to_path_buf(),
            found: "a device or a pipe",
        })
    }
}

/// A source, followed by the mirror image of every picture in it.
pub struct Mirrored<S>(pub S);

impl<S: PictureSource> PictureSource for Mirrored<S> {
    fn len(&self) -> u64 {
        self.0.len().saturating_mul(2)
    }

    fn resolution(&self) -> u32 {
        self.0.resolution()
    }

    fn channels(&self) -> usize {
        self.0.channels()
    }

    fn label_dim(&self) -> usize {
        self.0.label_dim()
    }

    fn label(&self, index: u64) -> Result<Vec<f32>> {
        let plain = self.0.len();
        self.0
            .label(if index < plain { index } else { index - plain })
    }

    fn get(&self, index: u64) -> Result<(RgbImage, Vec<f32>)> {
        let plain = self.0.len();
        if index < plain {
            return self.0.get(index);
        }
        let (mut picture, label) = self.0.get(index - plain)?;
        image::imageops::flip_horizontal_in_place(&mut picture);
        Ok((picture, label))
    }

    fn describe(&self) -> String {
        format!("{}, and their mirror images", self.0.describe())
    }
}

/// An index that a source of `len` pictures does not have.
fn out_of_range(index: u64, len: u64) -> Error {
    Error::Shape {
        what: "index of a picture",
        found: index.to_string(),
        expected: format!("below {len}"),
    }
}

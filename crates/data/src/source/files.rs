//! Pictures that are files, wherever they lie: looked at once, then read by index.

use std::path::{Path, PathBuf};

use image::{DynamicImage, RgbImage};
use rayon::prelude::*;

use super::{Options, PictureSource, labels, out_of_range};
use crate::error::{Error, Result};
use crate::picture;

/// Largest file that is read as a picture.
pub(super) const LARGEST: u64 = 1 << 28;

/// Extensions of pictures, in lower case.
const EXTENSIONS: [&str; 5] = ["png", "jpg", "jpeg", "gif", "webp"];

/// Whether a name is that of a picture. Hidden files are none.
pub(super) fn is_picture(name: &str) -> bool {
    let path = Path::new(name);
    let hidden = path
        .file_name()
        .is_none_or(|name| name.to_string_lossy().starts_with('.'));
    let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase());
    !hidden && extension.is_some_and(|extension| EXTENSIONS.contains(&extension.as_str()))
}

/// Names and bytes, from a folder or an archive.
pub(super) trait Files: Send + Sync {
    /// Names of the pictures with `/` between folders, sorted.
    fn names(&self) -> &[String];

    /// A file's bytes.
    fn read(&self, name: &str) -> Result<Vec<u8>>;

    /// Whether there is a file of this name.
    fn has(&self, name: &str) -> bool;
}

/// The pictures of a folder or archive that passed the look.
pub(super) struct FileSet {
    path: PathBuf,
    files: Box<dyn Files>,
    names: Vec<String>,
    labels: labels::Labels,
    resolution: u32,
}

/// What is compared between pictures.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Form {
    width: u32,
    height: u32,
    grey: bool,
}

impl FileSet {
    /// Looks at every picture, and returns those that may be used with a line on each that may not.
    pub fn new(
        path: &Path,
        files: Box<dyn Files>,
        options: Options,
    ) -> Result<(Self, Vec<String>)> {
        let refuse = |problem: String| Error::DataSet {
            path: path.to_path_buf(),
            problem,
        };
        let all = files.names().to_vec();
        if all.is_empty() {
            return Err(refuse(format!(
                "holds no picture; expected files that end in .{}",
                EXTENSIONS.join(", .")
            )));
        }
        let forms: Vec<Result<Form>> = all.par_iter().map(|name| form(&*files, name)).collect();
        // The first good picture says what all should be like.
        let first = forms
            .iter()
            .flatten()
            .find(|form| form.width == form.height)
            .copied();
        let mut names = Vec::with_capacity(all.len());
        let mut bad = Vec::new();
        for (name, form) in all.iter().zip(forms) {
            match problem(form, first) {
                None => names.push(name.clone()),
                Some(reason) => bad.push(format!("{name} ({reason})")),
            }
        }
        if !bad.is_empty() && (!options.skip_bad || names.is_empty()) {
            return Err(Error::BadPictures {
                path: path.to_path_buf(),
                count: bad.len(),
                total: all.len(),
                first: first_few(&bad),
            });
        }
        let labels = if options.labels {
            labels::Labels::read(&*files, path, &names)?
        } else {
            labels::Labels::none()
        };
        let set = Self {
            path: path.to_path_buf(),
            files,
            names,
            labels,
            resolution: first.map_or(0, |form| form.width),
        };
        Ok((set, bad))
    }
}

impl PictureSource for FileSet {
    fn len(&self) -> u64 {
        self.names.len() as u64
    }

    fn resolution(&self) -> u32 {
        self.resolution
    }

    fn label_dim(&self) -> usize {
        self.labels.dim()
    }

    fn get(&self, index: u64) -> Result<(RgbImage, Vec<f32>)> {
        let at = usize::try_from(index).unwrap_or(usize::MAX);
        let name = self
            .names
            .get(at)
            .ok_or_else(|| out_of_range(index, self.len()))?;
        let path = self.path.join(name);
        let picture = picture::decode(&self.files.read(name)?, &path)?;
        if picture.dimensions() != (self.resolution, self.resolution) {
            let (w, h) = picture.dimensions();
            return Err(Error::DataSet {
                path,
                problem: format!("has changed: it is {w} × {h} now"),
            });
        }
        Ok((picture, self.labels.get(at)))
    }

    fn label(&self, index: u64) -> Result<Vec<f32>> {
        if index >= self.len() {
            return Err(out_of_range(index, self.len()));
        }
        Ok(self.labels.get(index as usize))
    }

    fn describe(&self) -> String {
        let size = self.resolution;
        let labels = match self.labels.dim() {
            0 => String::new(),
            dim => format!(", labels of {dim}"),
        };
        format!(
            "{}: {} pictures of {size} × {size}{labels}",
            self.path.display(),
            self.names.len()
        )
    }
}

fn form(files: &dyn Files, name: &str) -> Result<Form> {
    let bytes = files.read(name)?;
    let decoded = picture::decode_any(&bytes, Path::new(name))?;
    let grey = matches!(
        decoded,
        DynamicImage::ImageLuma8(_)
            | DynamicImage::ImageLuma16(_)
            | DynamicImage::ImageLumaA8(_)
            | DynamicImage::ImageLumaA16(_)
    );
    Ok(Form {
        width: decoded.width(),
        height: decoded.height(),
        grey,
    })
}

/// Why a picture cannot be used, if it cannot.
fn problem(form: Result<Form>, first: Option<Form>) -> Option<String> {
    let form = match form {
        Ok(form) => form,
        // The name stands before the reason already.
        Err(Error::Decode { reason, .. }) => return Some(reason),
        Err(error) => return Some(error.to_string()),
    };
    let Form {
        width,
        height,
        grey,
    } = form;
    let Some(first) = first else {
        return Some(format!("{width} × {height}, not square"));
    };
    if (width, height) != (first.width, first.height) {
        let (w, h) = (first.width, first.height);
        return Some(format!("{width} × {height}, expected {w} × {h}"));
    }
    let colour = |grey: bool| if grey { "grey" } else { "colour" };
    (grey != first.grey).then(|| format!("{}, expected {}", colour(grey), colour(first.grey)))
}

fn first_few(bad: &[String]) -> String {
    const FEW: usize = 3;
    let mut text = bad.iter().take(FEW).cloned().collect::<Vec<_>>().join(", ");
    if bad.len() > FEW {
        text.push_str(&format!(" and {} more", bad.len() - FEW));
    }
    text
}

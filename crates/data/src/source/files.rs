//! Pictures that are files, wherever they lie: looked at once, then read by index.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use image::RgbImage;
use rayon::prelude::*;

use super::cache::{Known, Stamp};
use super::labels::Labels;
use super::look::{Form, Look, notices, problem};
use super::others::Others;
use super::{Cutter, LabelsFrom, Options, PictureSource, Progress, Watch, out_of_range};
use crate::error::{Error, Result};
use crate::picture::{Decoded, ENDINGS, decode_on};
use crate::pil_resize::{Filter, resize};
use crate::words::counted;

/// Names and bytes, from a folder or an archive.
pub(super) trait Files: Send + Sync {
    /// Names of the pictures with `/` between folders, sorted.
    fn names(&self) -> &[String];

    /// Pictures that cannot be asked for, each with its reason.
    fn unusable(&self) -> &[String];

    /// What is no picture.
    fn others(&self) -> &Others;

    /// A file's bytes.
    fn read(&self, name: &str) -> Result<Vec<u8>>;

    /// By what a file is known again; `None` where it may still change.
    fn stamp(&self, name: &str) -> Option<Stamp>;

    /// Whether there is a file of this name.
    fn has(&self, name: &str) -> bool;
}

/// The pictures of a folder or archive that passed the look.
pub(super) struct FileSet {
    path: PathBuf,
    files: Box<dyn Files>,
    names: Vec<String>,
    labels: Labels,
    form: Form,
    options: Options,
    cutter: Option<Arc<dyn Cutter>>,
}

/// A set, and what is to be told of it.
pub(super) struct Found {
    pub set: FileSet,
    /// A line on each picture that is not used.
    pub skipped: Vec<String>,
    pub notices: Vec<String>,
}

impl FileSet {
    /// Looks at every picture.
    pub fn open(
        path: &Path,
        files: Box<dyn Files>,
        options: Options,
        watch: Watch<'_>,
        cutter: Option<Arc<dyn Cutter>>,
    ) -> Result<Found> {
        let refuse = |problem: String| Error::DataSet {
            path: path.to_path_buf(),
            problem,
        };
        if options.resize == Some(0) {
            return Err(refuse("cannot be resized to 0 pixels".to_owned()));
        }
        let total = files.names().len() + files.unusable().len();
        let passed_over = files.others().notice();
        if total == 0 {
            let more = passed_over.map_or(String::new(), |text| format!("; {text}"));
            return Err(refuse(format!(
                "holds no picture; expected files that end in .{}{more}",
                ENDINGS.join(", .")
            )));
        }
        let looks = look_at_all(path, &*files, options, watch, cutter.as_deref());
        let form = Form::most_common(&looks);
        let mut names = Vec::with_capacity(looks.len());
        let mut used = Vec::with_capacity(looks.len());
        let mut bad = files.unusable().to_vec();
        for (name, look) in files.names().iter().zip(&looks) {
            match (problem(look, form), look) {
                (None, Ok(look)) => {
                    names.push(name.clone());
                    used.push(*look);
                }
                (reason, _) => bad.push(format!("{name} ({})", reason.unwrap_or_default())),
            }
        }
        let form = match form {
            Some(form) if bad.is_empty() || options.skip_bad => form,
            _ => {
                return Err(Error::BadPictures {
                    path: path.to_path_buf(),
                    count: bad.len(),
                    total,
                    first: first_few(&bad),
                    hint: match form {
                        Some(_) => {
                            "mend or remove them, pass --skip-bad, or make them one size by --resize or `domex data prepare`"
                        }
                        None if options.resize.is_some() => "give pictures that can be read",
                        None => {
                            "make them squares of one size by `domex data prepare --size PIXELS`"
                        }
                    },
                });
            }
        };
        let labels = match options.labels {
            LabelsFrom::Nowhere => Labels::none(),
            LabelsFrom::Json => Labels::read(&*files, path, &names)?,
            LabelsFrom::Folders => Labels::of_folders(path, &names)?,
        };
        let mut notices = notices(&used, form, options);
        notices.extend(passed_over);
        let set = Self {
            path: path.to_path_buf(),
            files,
            names,
            labels,
            form,
            options,
            cutter,
        };
        Ok(Found {
            set,
            skipped: bad,
            notices,
        })
    }

    /// Names of the classes, where they come from folders.
    pub fn classes(&self) -> &[String] {
        self.labels.classes()
    }
}

/// A look at each picture, or at what was kept of an earlier one.
fn look_at_all(
    path: &Path,
    files: &dyn Files,
    options: Options,
    watch: Watch<'_>,
    cutter: Option<&dyn Cutter>,
) -> Vec<Result<Look>> {
    let see = |name: &str| {
        let decoded = decode_on(&files.read(name)?, Path::new(name), options.background)?;
        let refused = cutter.and_then(|cutter| cutter.look(name, &decoded.picture).err());
        match refused {
            None => Ok(Look::of(&decoded)),
            Some(reason) => Err(nothing_to_cut(Path::new(name), reason)),
        }
    };
    let tell = |progress| {
        if let Some(watcher) = watch.progress {
            watcher(progress);
        }
    };
    let known = Known::open(watch.cache, path, options.background);
    tell(Progress::Begun(files.names().len()));
    let looks: Vec<(Option<Stamp>, Result<Look>)> = files
        .names()
        .par_iter()
        .map(|name| {
            // Before it is read: a file that changes meanwhile is looked at again next time.
            let stamp = files.stamp(name);
            let look = match known.look(name, stamp) {
                Some(look) => Ok(look),
                None => see(name),
            };
            tell(Progress::Picture);
            (stamp, look)
        })
        .collect();
    let whole = files.names().iter().zip(&looks);
    known.keep(
        whole.filter_map(|(name, (stamp, look))| {
            Some((name.clone(), (*stamp)?, *look.as_ref().ok()?))
        }),
    );
    let resized = |look: Look| look.resized(options.resize);
    looks
        .into_iter()
        .map(|(_, look)| look.map(resized))
        .collect()
}

impl PictureSource for FileSet {
    fn len(&self) -> u64 {
        self.names.len() as u64
    }

    fn resolution(&self) -> u32 {
        self.form.side
    }

    fn channels(&self) -> usize {
        if self.form.grey { 1 } else { 3 }
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
        let Decoded { picture, grey, .. } =
            decode_on(&self.files.read(name)?, &path, self.options.background)?;
        let picture = match (self.options.resize, &self.cutter) {
            (Some(side), Some(cutter)) => cutter
                .cut(name, &picture, side)
                .map_err(|reason| nothing_to_cut(&path, reason))?,
            (Some(side), None) => square(&picture, side)?,
            (None, _) => picture,
        };
        let (w, h) = picture.dimensions();
        let problem = match (w, h) != (self.form.side, self.form.side) {
            true => format!("it is {w} × {h} now"),
            false if self.form.grey && !grey => "it is in colour now".to_owned(),
            false => return Ok((picture, self.labels.get(at))),
        };
        Err(Error::DataSet {
            path,
            problem: format!("has changed: {problem}"),
        })
    }

    fn label(&self, index: u64) -> Result<Vec<f32>> {
        if index >= self.len() {
            return Err(out_of_range(index, self.len()));
        }
        Ok(self.labels.get(index as usize))
    }

    fn describe(&self) -> String {
        let side = self.form.side;
        let grey = if self.form.grey { ", grey" } else { "" };
        let labels = match self.labels.dim() {
            0 => String::new(),
            dim => format!(", labels of {dim}"),
        };
        format!(
            "{}: {} of {side} × {side}{grey}{labels}",
            self.path.display(),
            counted(self.names.len(), "picture")
        )
    }
}

fn nothing_to_cut(path: &Path, reason: String) -> Error {
    Error::NothingToCut {
        path: path.to_path_buf(),
        reason,
    }
}

/// The square in the middle, resized: `center-crop` of stylegan2-ada's `dataset_tool.py`.
fn square(picture: &RgbImage, side: u32) -> Result<RgbImage> {
    let (w, h) = picture.dimensions();
    let crop = w.min(h);
    let (x, y) = ((w - crop) / 2, (h - crop) / 2);
    let middle = image::imageops::crop_imm(picture, x, y, crop, crop).to_image();
    resize(&middle, side, side, Filter::Lanczos)
}

fn first_few(bad: &[String]) -> String {
    const FEW: usize = 3;
    let mut text = bad.iter().take(FEW).cloned().collect::<Vec<_>>().join(", ");
    if bad.len() > FEW {
        text.push_str(&format!(" and {} more", bad.len() - FEW));
    }
    text
}

//! Writes a data set that [`source`](crate::source) and stylegan2-ada read: pictures in
//! sub-folders of a thousand, labels in `dataset.json`, as a folder or as an uncompressed zip.

use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use image::RgbImage;
use serde_json::{Value as Json, json};
use tempfile::NamedTempFile;
use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use crate::error::{Error, Result};
use crate::folder::{OutputFolder, prepare_file, temporary_beside, write_atomic};
use crate::picture;

/// A data set being written. Nothing of a zip is seen before [`finish`](Self::finish).
#[derive(Debug)]
pub struct Writer {
    target: Target,
    /// Names of the pictures, and the label of each.
    labels: Vec<(String, Json)>,
}

#[derive(Debug)]
enum Target {
    Folder(OutputFolder),
    Zip {
        zip: Box<ZipWriter<Part>>,
        path: PathBuf,
        /// May have been made for it.
        _folder: OutputFolder,
    },
}

/// The zip under its temporary name. Once a write has failed, more are taken and dropped: the writer of zips tries to
/// finish its file when it goes, and would complain on stderr a second time in its own words.
#[derive(Debug)]
struct Part {
    file: NamedTempFile,
    failed: bool,
}

impl Write for Part {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.failed {
            return Ok(bytes.len());
        }
        let written = self.file.write(bytes);
        self.failed = written.is_err();
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.failed {
            true => Ok(()),
            false => self.file.flush(),
        }
    }
}

impl Seek for Part {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

/// The system's reason, where a zip could not be written for one.
fn reason(error: ZipError) -> io::Error {
    match error {
        ZipError::Io(error) => error,
        other => io::Error::other(other),
    }
}

/// Whether a set goes into a zip file.
fn is_zip(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("zip"))
}

impl Writer {
    /// Refuses what [`create`](Self::create) would, and leaves nothing behind: for before the pictures are looked at.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create).
    pub fn check(path: &Path, force: bool) -> Result<()> {
        match is_zip(path) {
            true => prepare_file(path, force).map(drop),
            false => OutputFolder::create(path, force).map(drop),
        }
    }

    /// A zip when `path` ends in `.zip`, else a folder. `force` overwrites what is there, and removes the pictures and
    /// the labels of the set before, which may have been larger; other files stay.
    ///
    /// # Errors
    ///
    /// What exists already, or cannot be made.
    pub fn create(path: &Path, force: bool) -> Result<Self> {
        let target = if is_zip(path) {
            let folder = prepare_file(path, force)?;
            let zip = ZipWriter::new(Part {
                file: temporary_beside(path)?,
                failed: false,
            });
            Target::Zip {
                zip: Box::new(zip),
                path: path.to_path_buf(),
                _folder: folder,
            }
        } else {
            let folder = OutputFolder::create(path, force)?;
            remove_old(folder.path())?;
            Target::Folder(folder)
        };
        Ok(Self {
            target,
            labels: Vec::new(),
        })
    }

    /// Adds the next picture with its class; the name it got, as in `00000/img00000000.png`.
    ///
    /// # Errors
    ///
    /// When it cannot be encoded or written.
    pub fn add(&mut self, picture: &RgbImage, class: usize) -> Result<String> {
        self.add_encoded(&picture::encode_png(picture)?, json!(class))
    }

    /// Adds the next picture as a source has it: in one channel where `grey`, with a label of numbers, or an empty one for none.
    /// Where all labels are one-hot, and the last class occurs, they are written as the numbers of their classes.
    ///
    /// # Errors
    ///
    /// As [`add`](Self::add).
    pub fn add_labelled(
        &mut self,
        picture: &RgbImage,
        grey: bool,
        label: &[f32],
    ) -> Result<String> {
        let bytes = match grey {
            true => picture::encode_grey_png(picture)?,
            false => picture::encode_png(picture)?,
        };
        let label = match label.is_empty() {
            true => Json::Null,
            false => json!(label),
        };
        self.add_encoded(&bytes, label)
    }

    fn add_encoded(&mut self, bytes: &[u8], label: Json) -> Result<String> {
        let index = self.labels.len();
        let name = format!("{:05}/img{index:08}.png", index / 1000);
        self.add_file(&name, bytes)?;
        self.labels.push((name.clone(), label));
        Ok(name)
    }

    /// Adds any other file.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn add_file(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        match &mut self.target {
            Target::Folder(folder) => {
                let path = folder.file(name);
                if let Some(parent) = path.parent() {
                    std::fs::create_dir_all(parent).map_err(Error::write(parent))?;
                }
                write_atomic(&path, bytes)
            }
            Target::Zip { zip, path, .. } => {
                // Pictures are compressed already, and the same set is the same file.
                let options = SimpleFileOptions::default()
                    .compression_method(CompressionMethod::Stored)
                    .last_modified_time(DateTime::default());
                let started = zip.start_file(name, options).map_err(reason);
                started
                    .and_then(|()| zip.write_all(bytes))
                    .map_err(Error::write(&*path))
            }
        }
    }

    /// Writes the labels, and puts a zip in its place.
    ///
    /// # Errors
    ///
    /// When something cannot be written; an older zip is then untouched.
    pub fn finish(mut self) -> Result<()> {
        as_classes(&mut self.labels);
        // As the published tool writes a set without labels.
        let labels = match self.labels.iter().all(|(_, label)| label.is_null()) {
            true => json!({ "labels": null }),
            false => json!({ "labels": self.labels }),
        };
        self.add_file(LABELS, labels.to_string().as_bytes())?;
        match self.target {
            Target::Folder(_) => Ok(()),
            Target::Zip { zip, path, .. } => {
                let part = zip.finish().map_err(reason);
                let part = part.map_err(Error::write(&path))?;
                crate::folder::persist(part.file, &path)
            }
        }
    }
}

/// Makes lists of numbers those of classes, if these say the same: readers take one more class than the highest, and no class among
/// lists.
fn as_classes(labels: &mut [(String, Json)]) {
    let class = |(_, label): &(String, Json)| {
        let values = label.as_array()?;
        let mut others = values
            .iter()
            .enumerate()
            .filter(|(_, value)| value.as_f64() != Some(0.0));
        let (class, value) = others.next()?;
        let is_hot = value.as_f64() == Some(1.0) && others.next().is_none();
        is_hot.then_some((class, values.len()))
    };
    let Some(classes) = labels.iter().map(class).collect::<Option<Vec<_>>>() else {
        return;
    };
    if classes.iter().any(|&(class, dim)| class + 1 == dim) {
        for ((_, label), (class, _)) in labels.iter_mut().zip(classes) {
            *label = json!(class);
        }
    }
}

/// The file of labels.
const LABELS: &str = "dataset.json";

/// Removes what a [`Writer`] made here before: labels, and numbered pictures in numbered folders.
fn remove_old(folder: &Path) -> Result<()> {
    let labels = folder.join(LABELS);
    if labels.exists() {
        std::fs::remove_file(&labels).map_err(Error::write(&labels))?;
    }
    for sub in entries(folder, |name| is_number(name, 5))? {
        for picture in entries(&sub, is_picture)? {
            std::fs::remove_file(&picture).map_err(Error::write(&picture))?;
        }
        // One that holds other files stays.
        drop(std::fs::remove_dir(&sub));
    }
    Ok(())
}

/// What is in a folder under such a name; no folder, nothing.
fn entries(folder: &Path, which: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(Error::read(folder))?;
        if entry.file_name().to_str().is_some_and(&which) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// `img00000000.png`.
fn is_picture(name: &str) -> bool {
    let number = name
        .strip_prefix("img")
        .and_then(|name| name.strip_suffix(".png"));
    number.is_some_and(|number| is_number(number, 8))
}

/// At least so many digits and nothing else.
fn is_number(text: &str, digits: usize) -> bool {
    text.len() >= digits && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_refused_is_refused_before_and_nothing_is_left() {
        let root = tempfile::tempdir().unwrap();
        let (zip, folder) = (root.path().join("set.zip"), root.path().join("a/set"));
        for path in [&zip, &folder] {
            Writer::check(path, false).unwrap();
            assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
        }
        for path in [&zip, &folder] {
            let mut writer = Writer::create(path, false).unwrap();
            writer.add(&RgbImage::new(4, 4), 1).unwrap();
            writer.finish().unwrap();
            let (told, before) = (Writer::check(path, false), Writer::create(path, false));
            let (told, before) = (told.unwrap_err(), before.err().unwrap());
            assert_eq!(told.to_string(), before.to_string());
            Writer::check(path, true).unwrap();
        }
    }

    #[test]
    fn a_smaller_set_leaves_nothing_of_a_larger_one() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("set");
        let write = |count: usize, force: bool| {
            let mut writer = Writer::create(&path, force).unwrap();
            for _ in 0..count {
                writer.add(&RgbImage::new(4, 4), 1).unwrap();
            }
            writer
        };
        write(1003, false).finish().unwrap();
        std::fs::write(path.join("00000/mine.png"), "mine").unwrap();
        std::fs::create_dir(path.join("other")).unwrap();
        std::fs::write(path.join("other/img00000007.png"), "mine").unwrap();
        // A set that is not finished has no labels, least of all another's.
        drop(write(2, true));
        assert!(!path.join(LABELS).exists());
        write(2, true).finish().unwrap();
        assert_eq!(
            names(&path),
            [
                "00000/img00000000.png",
                "00000/img00000001.png",
                "00000/mine.png",
                "dataset.json",
                "other/img00000007.png"
            ]
        );
    }

    #[test]
    fn labels_and_grey_pictures_come_back_as_they_were() {
        use crate::source::{LabelsFrom, Options, open};
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("set.zip");
        let write = |labels: &[&[f32]]| {
            let mut writer = Writer::create(&path, true).unwrap();
            for label in labels {
                writer
                    .add_labelled(&RgbImage::new(4, 4), true, label)
                    .unwrap();
            }
            writer.finish().unwrap();
        };
        let options = Options {
            labels: LabelsFrom::Json,
            ..Options::default()
        };
        for labels in [
            [[0.0, 1.0], [1.0, 0.0]],
            [[0.5, 1.0], [2.0, 0.0]],
            // Attributes, one of which looks like a class, and a class that does not occur.
            [[1.0, 1.0], [1.0, 0.0]],
            [[1.0, 0.0], [1.0, 0.0]],
        ] {
            write(&[&labels[0], &labels[1]]);
            let source = open(&path, options).unwrap().source;
            assert_eq!(source.channels(), 1);
            for (at, label) in labels.iter().enumerate() {
                assert_eq!(source.label(at as u64).unwrap(), label);
            }
        }
        write(&[&[]]);
        assert_eq!(open(&path, Options::default()).unwrap().source.len(), 1);
        assert!(open(&path, options).is_err(), "it has no labels");
    }

    /// Names of all files, below one level of folders.
    fn names(root: &Path) -> Vec<String> {
        let inside = |folder: &Path| entries(folder, |_| true).unwrap();
        let mut names = Vec::new();
        for path in inside(root) {
            let files = match path.is_dir() {
                true => inside(&path),
                false => vec![path],
            };
            for file in files {
                let name = file.strip_prefix(root).unwrap();
                names.push(name.to_str().unwrap().to_owned());
            }
        }
        names.sort();
        names
    }
}

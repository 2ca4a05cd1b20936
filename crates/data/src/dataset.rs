//! Writes a data set that [`source`](crate::source) and stylegan2-ada read: pictures in
//! sub-folders of a thousand, labels in `dataset.json`, as a folder or as an uncompressed zip.

use std::io::Write;
use std::path::{Path, PathBuf};

use image::RgbImage;
use serde_json::json;
use tempfile::NamedTempFile;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use crate::error::{Error, Result};
use crate::folder::{OutputFolder, prepare_file, temporary_beside, write_atomic};
use crate::picture;

/// A data set being written. Nothing of a zip is seen before [`finish`](Self::finish).
#[derive(Debug)]
pub struct Writer {
    target: Target,
    labels: Vec<(String, usize)>,
}

#[derive(Debug)]
enum Target {
    Folder(OutputFolder),
    Zip(Box<ZipWriter<NamedTempFile>>, PathBuf),
}

impl Writer {
    /// A zip when `path` ends in `.zip`, else a folder. `force` overwrites what is there.
    ///
    /// # Errors
    ///
    /// What exists already, or cannot be made.
    pub fn create(path: &Path, force: bool) -> Result<Self> {
        let is_zip = path
            .extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case("zip"));
        let target = if is_zip {
            prepare_file(path, force)?;
            let zip = ZipWriter::new(temporary_beside(path)?);
            Target::Zip(Box::new(zip), path.to_path_buf())
        } else {
            Target::Folder(OutputFolder::create(path, force)?)
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
        let index = self.labels.len();
        let name = format!("{:05}/img{index:08}.png", index / 1000);
        self.add_file(&name, &picture::encode_png(picture)?)?;
        self.labels.push((name.clone(), class));
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
            Target::Zip(zip, path) => {
                // Pictures are compressed already, and the same set is the same file.
                let options = SimpleFileOptions::default()
                    .compression_method(CompressionMethod::Stored)
                    .last_modified_time(DateTime::default());
                let started = zip.start_file(name, options).map_err(std::io::Error::from);
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
        let labels = json!({ "labels": self.labels });
        self.add_file("dataset.json", labels.to_string().as_bytes())?;
        match self.target {
            Target::Folder(_) => Ok(()),
            Target::Zip(zip, path) => {
                let file = zip.finish().map_err(std::io::Error::from);
                let file = file.map_err(Error::write(&path))?;
                crate::folder::persist(file, &path)
            }
        }
    }
}

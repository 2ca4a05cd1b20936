//! The files of a diffusion model that teaches.

use std::path::PathBuf;

use domex_distil::Folder;
use domex_expand::methods::diffusion::DiffusionConfig;
use serde::{Deserialize, Serialize};

use super::settings::ClipModel;
use crate::assets;

/// A diffusion model and its CLIP model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TeacherFiles {
    /// A file of the project's own, or a folder of Stable Diffusion.
    pub path: PathBuf,
    /// Whose texts a model of the project learnt, or who chooses among translations; of Stable Diffusion none where those of the run
    /// choose, or nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip: Option<PathBuf>,
}

impl TeacherFiles {
    /// What is in the folder, where it is one.
    pub fn folder(&self) -> domex_error::Result<Option<Folder>> {
        let folder = self.path.is_dir().then(|| Folder::open(&self.path));
        Ok(folder.transpose()?)
    }

    /// The CLIP models that choose among translations: its own, else those of the run.
    pub fn chosen_by(&self, run: &[ClipModel]) -> Vec<PathBuf> {
        let run = || run.iter().map(|model| model.path.clone()).collect();
        self.clip.clone().map_or_else(run, |own| vec![own])
    }

    pub fn files(&self) -> domex_error::Result<Vec<PathBuf>> {
        let mut files = match self.folder()? {
            Some(folder) => folder.files()?,
            None => vec![self.path.clone()],
        };
        files.extend(self.clip.clone());
        Ok(files)
    }

    /// A line about it.
    pub fn line(&self, config: &DiffusionConfig) -> domex_error::Result<String> {
        let (shown, targets) = (assets::shown(&self.path), config.targets);
        let mut line = format!(
            "{shown}; {targets} pictures of each domain are translated first, unless they were before"
        );
        if let Some(folder) = self.folder()? {
            let passes = config.translation.passes(folder.process.train_steps)?;
            let operations = passes as u64 * folder.unet.flops(folder.text.context_length)?;
            line += &format!(
                ", {:.1} TFLOP each; {:.1} GB of weights in memory",
                operations as f64 / 1e12,
                folder.bytes()? as f64 / 1e9
            );
        }
        Ok(line)
    }
}

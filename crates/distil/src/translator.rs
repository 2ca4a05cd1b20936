//! A teacher with the text encoder that it learnt with.

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use domex_checkpoint::sha256_file;
use domex_clip::{Bundle, Preprocess};
use domex_teacher::{PROBE, Teacher, Translation};

use crate::Result;

/// Pictures that are translated at once: a bound for memory.
const BATCH: usize = 16;

/// A teacher that reads texts.
#[derive(Debug, Clone)]
pub struct Translator {
    teacher: Teacher,
    clip: Bundle,
    /// The hashes of both files, where they are files.
    key: Option<String>,
}

impl Translator {
    /// A teacher and the CLIP model whose text encoder it learnt with.
    ///
    /// # Errors
    ///
    /// Another text encoder.
    pub fn new(teacher: Teacher, clip: Bundle) -> Result<Self> {
        teacher.check_text(&clip.encode_text(&[PROBE])?.to_dtype(DType::F32)?)?;
        Ok(Self {
            teacher,
            clip,
            key: None,
        })
    }

    /// Both from their files.
    ///
    /// # Errors
    ///
    /// A file of another kind, or another text encoder.
    pub fn load(teacher: &Path, clip: &Path, device: &Device) -> Result<Self> {
        let (network, bundle) = (
            Teacher::load(teacher, device)?,
            Bundle::load(clip, DType::F32, device)?,
        );
        let key = format!("{}{}", sha256_file(teacher)?, sha256_file(clip)?);
        Ok(Self {
            key: Some(key),
            ..Self::new(network, bundle)?
        })
    }

    /// Width and height of its pictures.
    pub fn size(&self) -> usize {
        self.teacher.config().size()
    }

    /// What identifies both networks, if they come from files.
    pub(crate) fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// `pictures: [n, 3, size, size]` in `[-1, 1]` that show `source`, as `target` has them; see [`Teacher::translate`].
    ///
    /// # Errors
    ///
    /// Shapes that do not fit, a text that is too long, or settings out of range.
    pub fn translate(
        &self,
        pictures: &Tensor,
        source: &str,
        target: &str,
        how: &Translation,
    ) -> Result<Tensor> {
        let (source, target) = (self.features(source)?, self.features(target)?);
        let n = pictures.dim(0)?;
        let mut translated = Vec::new();
        for start in (0..n).step_by(BATCH) {
            let part = BATCH.min(n - start);
            let x = pictures.narrow(0, start, part)?;
            let [source, target] = [&source, &target].map(|text| text.repeat((part, 1)));
            translated.push(self.teacher.translate(&x, &source?, &target?, how)?);
        }
        Ok(Tensor::cat(&translated, 0)?)
    }

    /// `pictures` as the teacher draws them anew from what `noise` leaves of them at the `time` of each, by guidance from
    /// `source` to `target`; see [`Teacher::redraw`].
    ///
    /// # Errors
    ///
    /// Shapes that do not fit, or a time out of range.
    pub fn redraw(
        &self,
        pictures: &Tensor,
        noise: &Tensor,
        times: &[f64],
        [source, target]: [&Tensor; 2],
        guidance: f64,
    ) -> Result<Tensor> {
        let texts = [target, source];
        Ok(self
            .teacher
            .redraw(pictures, noise, times, texts, guidance)?)
    }

    /// What the teacher reads of a text `[1, d]`.
    ///
    /// # Errors
    ///
    /// A text that is too long.
    pub fn features(&self, text: &str) -> Result<Tensor> {
        Ok(self.clip.encode_text(&[text])?.to_dtype(DType::F32)?)
    }

    /// How much nearer each of `pictures` is to `target` than to `source`, as a difference of cosines `[n]`.
    pub(crate) fn nearer(&self, pictures: &Tensor, source: &str, target: &str) -> Result<Vec<f32>> {
        let clip = &self.clip.clip;
        let pixels = Preprocess::new(clip.image_size()).apply(pictures)?;
        let seen = clip.encode_image(&pixels)?;
        let words = self.clip.encode_text(&[source, target])?;
        let cosines = seen.matmul(&words.t()?)?.to_dtype(DType::F32)?;
        let rows = cosines.to_vec2::<f32>()?.into_iter();
        Ok(rows.map(|row| row[1] - row[0]).collect())
    }
}

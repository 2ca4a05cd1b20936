//! A teacher that reads texts, and the CLIP models that say how well a translation went.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use domex_checkpoint::sha256_file;
use domex_clip::{Bundle, Preprocess};
use domex_random::Streams;
use domex_stable_diffusion::StableDiffusion;
use domex_teacher::{PROBE, Teacher, Translation};

use crate::{Error, Result};

/// The diffusion model. An enum and no trait: both are known here, nobody brings a third, and what they differ in (features of a text,
/// shape of the noise, size of the pictures) is a line each.
#[derive(Debug, Clone)]
enum Network {
    /// A model of this project, which learnt the texts of the first of the CLIP models.
    Own(Box<Teacher>),
    /// Stable Diffusion, which has a text encoder of its own.
    StableDiffusion(Box<StableDiffusion>),
}

/// How long a translation of many pictures takes, by the first of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// Pictures that are still to be translated.
    pub left: usize,
    /// Seconds that each of the first ones took.
    pub seconds: f64,
}

type Watch = Arc<dyn Fn(Pace) + Send + Sync>;

/// Any error, as whoever ends the work has it.
pub type Stopped = Box<dyn std::error::Error + Send + Sync>;

type Check = Arc<dyn Fn() -> Result<(), Stopped> + Send + Sync>;

/// A teacher that reads texts.
#[derive(Clone)]
pub struct Translator {
    network: Network,
    clip: Vec<Bundle>,
    /// The hashes of all files, where they are files.
    key: Option<String>,
    watch: Option<Watch>,
    check: Option<Check>,
}

impl fmt::Debug for Translator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Translator")
            .field("network", &self.network)
            .field("clip", &self.clip)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

impl Translator {
    /// A model of this project and the CLIP model whose text encoder it learnt with.
    ///
    /// # Errors
    ///
    /// Another text encoder.
    pub fn new(teacher: Teacher, clip: Bundle) -> Result<Self> {
        teacher.check_text(&clip.encode_text(&[PROBE])?.to_dtype(DType::F32)?)?;
        Ok(Self {
            network: Network::Own(Box::new(teacher)),
            clip: vec![clip],
            key: None,
            watch: None,
            check: None,
        })
    }

    /// Stable Diffusion, and the CLIP models that choose among its translations, if any.
    pub fn stable_diffusion(model: StableDiffusion, clip: Vec<Bundle>) -> Self {
        Self {
            network: Network::StableDiffusion(Box::new(model)),
            clip,
            key: None,
            watch: None,
            check: None,
        }
    }

    /// A teacher's file with the CLIP model whose texts it learnt, or a folder of Stable Diffusion with the CLIP models that choose among
    /// its translations, if any.
    ///
    /// # Errors
    ///
    /// A file of another kind, another text encoder, or a folder that cannot be used.
    pub fn load(teacher: &Path, clip: &[PathBuf], device: &Device) -> Result<Self> {
        let bundles = clip
            .iter()
            .map(|file| Bundle::load(file, DType::F32, device));
        let mut bundles = bundles.collect::<domex_clip::Result<Vec<_>>>()?;
        let (found, files) = if teacher.is_dir() {
            let model = StableDiffusion::load(teacher, device)?;
            let files = model.folder().files()?;
            (Self::stable_diffusion(model, bundles), files)
        } else {
            let Some(bundle) = bundles.pop().filter(|_| bundles.is_empty()) else {
                let expected = "1, that whose texts the teacher learnt";
                return Err(Error::config("CLIP models", clip.len(), expected));
            };
            let network = Teacher::load(teacher, device)?;
            (Self::new(network, bundle)?, vec![teacher.to_owned()])
        };
        let mut key = String::new();
        for file in files.iter().chain(clip) {
            key += &sha256_file(file)?;
        }
        Ok(Self {
            key: Some(key),
            ..found
        })
    }

    /// The same, which tells after the first batch of a translation how long the rest will take, if there is any.
    #[must_use]
    pub fn watched(self, watch: impl Fn(Pace) + Send + Sync + 'static) -> Self {
        Self {
            watch: Some(Arc::new(watch)),
            ..self
        }
    }

    /// The same, which asks before each batch of a translation whether to go on; an error ends it, as [`Error::Stopped`].
    #[must_use]
    pub fn checked(self, check: impl Fn() -> Result<(), Stopped> + Send + Sync + 'static) -> Self {
        Self {
            check: Some(Arc::new(check)),
            ..self
        }
    }

    /// Width and height of its pictures; `None`: any.
    pub fn size(&self) -> Option<usize> {
        match &self.network {
            Network::Own(teacher) => Some(teacher.config().size()),
            Network::StableDiffusion(_) => None,
        }
    }

    /// Whether a CLIP model is there to say which translations are most in a domain.
    pub fn chooses(&self) -> bool {
        !self.clip.is_empty()
    }

    /// What identifies the networks, if they come from files.
    pub(crate) fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// Pictures that are translated at once: a bound for memory.
    fn batch(&self) -> usize {
        match &self.network {
            Network::Own(_) => 16,
            Network::StableDiffusion(_) => 4,
        }
    }

    /// `pictures: [n, 3, size, size]` in `[-1, 1]` that show `source`, as `target` has them; see [`Teacher::translate`] and
    /// [`StableDiffusion::translate`]. The noise is that of one seed: the same pictures are translated alike.
    ///
    /// # Errors
    ///
    /// Shapes that do not fit, a text that is too long, settings out of range, or [`Error::Stopped`].
    pub fn translate(
        &self,
        pictures: &Tensor,
        source: &str,
        target: &str,
        how: &Translation,
    ) -> Result<Tensor> {
        let texts = [self.features(source)?, self.features(target)?];
        let (n, began) = (pictures.dim(0)?, Instant::now());
        let mut stream = Streams::new(0).stream("translation");
        let mut translated = Vec::new();
        for start in (0..n).step_by(self.batch()) {
            if let Some(check) = &self.check {
                check().map_err(Error::Stopped)?;
            }
            let part = self.batch().min(n - start);
            let x = pictures.narrow(0, start, part)?;
            let [source, target] = texts.each_ref().map(|text| repeated(text, part));
            let (source, target) = (source?, target?);
            translated.push(match &self.network {
                Network::Own(teacher) => {
                    teacher.translate(&x, &source, &target, how, &mut stream)?
                }
                Network::StableDiffusion(model) => {
                    model.translate(&x, &source, &target, how, &mut stream)?
                }
            });
            if let Some(watch) = self.watch.as_ref().filter(|_| start == 0 && part < n) {
                let (left, seconds) = (n - part, began.elapsed().as_secs_f64() / part as f64);
                watch(Pace { left, seconds });
            }
        }
        Ok(Tensor::cat(&translated, 0)?)
    }

    /// The shape of the noise that [`redraw`](Self::redraw) takes for `pictures`.
    ///
    /// # Errors
    ///
    /// Pictures without dimensions.
    pub fn noise_shape(&self, pictures: &Tensor) -> Result<Vec<usize>> {
        Ok(match &self.network {
            Network::Own(_) => pictures.dims().to_vec(),
            Network::StableDiffusion(model) => model.latents(pictures.dim(0)?).to_vec(),
        })
    }

    /// `pictures` as the teacher draws them anew from what `noise` leaves of them at the `time` of each, by guidance from
    /// `source` to `target`; see [`Teacher::redraw`] and [`StableDiffusion::redraw`].
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
        Ok(match &self.network {
            Network::Own(teacher) => teacher.redraw(pictures, noise, times, texts, guidance)?,
            Network::StableDiffusion(model) => {
                model.redraw(pictures, noise, times, texts, guidance)?
            }
        })
    }

    /// What the teacher reads of a text: features `[1, d]`, or states of tokens `[1, t, w]`.
    ///
    /// # Errors
    ///
    /// A text that is too long.
    pub fn features(&self, text: &str) -> Result<Tensor> {
        match (&self.network, self.clip.first()) {
            (Network::StableDiffusion(model), _) => Ok(model.text(text)?),
            (Network::Own(_), Some(clip)) => Ok(clip.encode_text(&[text])?.to_dtype(DType::F32)?),
            (Network::Own(_), None) => Err(Error::config("CLIP models", 0, "1")),
        }
    }

    /// How much nearer each of `pictures` is to `target` than to `source`, as a difference of cosines `[n]`, summed over the CLIP models.
    pub(crate) fn nearer(&self, pictures: &Tensor, source: &str, target: &str) -> Result<Vec<f32>> {
        let mut nearer = vec![0.0; pictures.dim(0)?];
        for bundle in &self.clip {
            let pixels = Preprocess::new(bundle.clip.image_size()).apply(pictures)?;
            let seen = bundle.clip.encode_image(&pixels)?;
            let words = bundle.encode_text(&[source, target])?;
            let cosines = seen.matmul(&words.t()?)?.to_dtype(DType::F32)?;
            for (sum, row) in nearer.iter_mut().zip(cosines.to_vec2::<f32>()?) {
                *sum += row[1] - row[0];
            }
        }
        Ok(nearer)
    }
}

/// A text's features `[1, ..]` for each of `n` pictures.
fn repeated(text: &Tensor, n: usize) -> Result<Tensor> {
    Ok(Tensor::cat(&vec![text; n], 0)?)
}

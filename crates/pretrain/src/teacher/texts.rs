//! What is said of each domain, as the text encoder has it.

use candle_core::{DType, Device, Tensor};
use domex_clip::Bundle;
use domex_random::Stream;
use domex_teacher::PROBE;

use crate::scenes::Scenes;
use crate::{Error, Result};

/// Texts in a batch of the encoder.
const BATCH: usize = 128;

/// Features of sentences for each of some domains.
pub struct Texts {
    domains: Vec<(usize, Vec<Vec<f32>>)>,
    probe: Tensor, // [1, d]
    dim: usize,
}

impl Texts {
    /// All words for the domains of these names in all sentences of the world.
    ///
    /// # Errors
    ///
    /// A name that the world does not have, or a text that is too long.
    pub fn new(scenes: &dyn Scenes, names: &[String], clip: &Bundle) -> Result<Self> {
        let domains = names.iter().map(|name| {
            let domain = place(scenes, name)?;
            let sentences: Vec<String> = scenes
                .templates()
                .iter()
                .flat_map(|template| {
                    let words = scenes.phrases(domain);
                    words
                        .into_iter()
                        .map(|words| template.replace("{}", &words))
                })
                .collect();
            let mut features = Vec::new();
            for part in sentences.chunks(BATCH) {
                features.extend(rows(clip, part)?);
            }
            match features.is_empty() {
                true => Err(Error::config(format!("texts of {name}"), 0, "at least 1")),
                false => Ok((domain, features)),
            }
        });
        Ok(Self {
            domains: domains.collect::<Result<_>>()?,
            probe: clip.encode_text(&[PROBE])?.to_dtype(DType::F32)?,
            dim: clip.clip.config().embed_dim,
        })
    }

    /// Numbers in a text's features.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The features of [`PROBE`], `[1, d]`.
    pub fn probe(&self) -> &Tensor {
        &self.probe
    }

    /// Number of domains.
    pub fn domains(&self) -> usize {
        self.domains.len()
    }

    /// The world's number of the domain at `place`.
    pub fn domain(&self, place: usize) -> usize {
        self.domains[place].0
    }

    /// Features of one of the texts of the domain at `place`.
    ///
    /// # Errors
    ///
    /// None that a domain with texts could have.
    pub(super) fn draw(&self, place: usize, stream: &mut Stream) -> Result<&[f32]> {
        let texts = &self.domains[place].1;
        Ok(&texts[stream.index(texts.len())?])
    }

    /// Features of the plainest text of each domain, each `times` over: `[domains · times, d]`.
    pub(super) fn plainest(&self, times: usize, device: &Device) -> Result<Tensor> {
        let texts = self.domains.iter();
        let rows: Vec<f32> = texts
            .flat_map(|(_, texts)| texts[0].repeat(times))
            .collect();
        Ok(Tensor::from_vec(
            rows,
            (self.domains.len() * times, self.dim),
            device,
        )?)
    }
}

fn rows(clip: &Bundle, texts: &[String]) -> Result<Vec<Vec<f32>>> {
    Ok(clip.encode_text(texts)?.to_dtype(DType::F32)?.to_vec2()?)
}

/// The number of the domain of this name.
fn place(scenes: &dyn Scenes, name: &str) -> Result<usize> {
    let names = scenes
        .factors()
        .first()
        .map_or(&[][..], |domain| &domain.classes);
    names.iter().position(|known| known == name).ok_or_else(|| {
        let known = format!("one of {}", names.join(", "));
        Error::config("a domain of the teacher", name, known)
    })
}

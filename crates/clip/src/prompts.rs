//! A text as the text encoder sees it: in each of a list of templates.
//!
//! For the raw features `f_k` of the text in template `k` of `t`, [`mean_of_units`] is
//! `m = 1/t Σ f_k / ‖f_k‖`, and the direction from a source to a target text is
//! `(m_target − m_source) / ‖m_target − m_source‖` ([`direction`]), as StyleGAN-NADA (Gal et al. 2021,
//! arXiv 2108.00946) and Domain Expansion take it. The same two formulas, with pictures for templates,
//! give the direction between two sets of pictures.

use candle_core::{Device, Tensor};

use crate::templates::{IMAGENET, PLACE};
use crate::{Clip, Error, Overflow, Result, Tokenizer, unit_length};

/// Prompts that go through the encoder at once: a bound for memory.
const CHUNK: usize = 32;

/// Two texts (or sets of pictures) whose means are nearer than this are the same to the network: in `f32`
/// what is left between them is rounding.
const NEAREST: f64 = 1e-5;

/// A list of templates. See the [module docs](self).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompts {
    templates: Vec<String>,
}

impl Default for Prompts {
    fn default() -> Self {
        Self::imagenet()
    }
}

impl Prompts {
    /// The published 79.
    pub fn imagenet() -> Self {
        Self {
            templates: IMAGENET.iter().map(ToString::to_string).collect(),
        }
    }

    /// The text as it is.
    pub fn plain() -> Self {
        Self {
            templates: vec![PLACE.to_owned()],
        }
    }

    /// Templates of one's own.
    ///
    /// # Errors
    ///
    /// No template, or one that does not hold `{}` exactly once.
    pub fn new<T: AsRef<str>>(templates: &[T]) -> Result<Self> {
        if templates.is_empty() {
            return Err(Error::config("number of templates", 0, "at least 1"));
        }
        let check = |template: &str| match template.matches(PLACE).count() {
            1 => Ok(template.to_owned()),
            _ => Err(Error::config(
                "a template",
                format!("{template:?}"),
                "a sentence with {} once, where the text goes",
            )),
        };
        Ok(Self {
            templates: templates
                .iter()
                .map(|template| check(template.as_ref()))
                .collect::<Result<_>>()?,
        })
    }

    /// The templates.
    pub fn templates(&self) -> &[String] {
        &self.templates
    }

    /// The text in each template.
    ///
    /// ```
    /// let prompts = domex_clip::Prompts::new(&["a photo of a {}.", "the {}"])?;
    /// assert_eq!(prompts.fill("cat")?, ["a photo of a cat.", "the cat"]);
    /// assert!(prompts.fill("  ").is_err());
    /// # Ok::<(), domex_clip::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// A text of blanks only.
    pub fn fill(&self, text: &str) -> Result<Vec<String>> {
        if text.trim().is_empty() {
            return Err(Error::config(
                "a text",
                format!("{text:?}"),
                "words that describe a picture",
            ));
        }
        let fill = |template: &String| template.replacen(PLACE, text, 1);
        Ok(self.templates.iter().map(fill).collect())
    }
}

impl Clip {
    /// The ids `[n, context]` of texts.
    pub(crate) fn ids_of<T: AsRef<str>>(
        &self,
        tokenizer: &Tokenizer,
        texts: &[T],
    ) -> Result<Tensor> {
        let context = self.config().text.context_length;
        tokenizer.tokenize(texts, context, Overflow::Refuse, &Device::Cpu)
    }

    /// Some texts after the other, those of one length together: the encoder runs on the longest of those it gets at once.
    pub(crate) fn features_of_ids(&self, ids: &Tensor) -> Result<Tensor> {
        let lengths = self.text()?.lengths(ids)?;
        let mut order: Vec<usize> = (0..lengths.len()).collect();
        order.sort_by_key(|&row| lengths[row]);
        let mut back = vec![0_u32; order.len()];
        for (place, &row) in order.iter().enumerate() {
            back[row] = place as u32;
        }
        let chunks = order.chunks(CHUNK).map(|rows| {
            let rows: Vec<u32> = rows.iter().map(|&row| row as u32).collect();
            let chunk = ids.index_select(&Tensor::new(rows, ids.device())?, 0)?;
            Ok(self.text_features(&chunk)?.detach())
        });
        let features = Tensor::cat(&chunks.collect::<Result<Vec<_>>>()?, 0)?;
        let back = Tensor::new(back, features.device())?;
        Ok(features.index_select(&back, 0)?)
    }
}

/// The mean `[d]` of rows of `features: [t, d]` at length 1; not itself of length 1.
///
/// # Errors
///
/// A tensor of another rank or without rows.
pub fn mean_of_units(features: &Tensor) -> Result<Tensor> {
    match *features.dims() {
        [t, _] if t > 0 => Ok(unit_length(features)?.mean(0)?),
        _ => Err(Error::shape("features", features.dims(), "[1 or more, d]")),
    }
}

/// The unit direction `[d]` from a source's to a target's [`mean_of_units`].
///
/// # Errors
///
/// Means of different lengths, or so near to each other that there is no direction between them.
pub fn direction(source: &Tensor, target: &Tensor) -> Result<Tensor> {
    match (source.dims(), target.dims()) {
        ([a], [b]) if a == b => {}
        _ => {
            return Err(Error::shape(
                "target's mean",
                target.dims(),
                format!("the source's, {:?}", source.dims()),
            ));
        }
    }
    let step = (target - source)?;
    let length = step.sqr()?.sum_all()?.sqrt()?;
    let distance: f64 = length.to_dtype(candle_core::DType::F64)?.to_scalar()?;
    // Written so that NaN is refused too.
    if distance > NEAREST {
        return Ok(step.broadcast_div(&length)?);
    }
    Err(Error::NoDirection { distance })
}

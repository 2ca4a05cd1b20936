//! The text encoder: token ids to features.
//!
//! Each token sees itself and those before it; the features are read off at the end token
//! (Radford et al. 2021, arXiv 2103.00020). What follows the end token cannot reach it, so the encoder
//! runs on the longest text of a batch only and not on the padding up to the context length.
//! Keys: `text_model.…` and `text_projection.weight` of huggingface/transformers
//! `models/clip/modeling_clip.py`.

use candle_core::{DType, Tensor};
use candle_nn::VarBuilder;
use domex_ops::{Mask, Weight};

use crate::config::TextConfig;
use crate::transformer::{LayerNorm, Transformer};
use crate::weights::Weights;
use crate::{Error, Result};

/// The text encoder.
#[derive(Debug, Clone)]
pub struct TextTransformer {
    tokens: Tensor,    // [vocabulary, w]
    positions: Tensor, // [context, w]
    blocks: Transformer,
    norm: LayerNorm,
    projection: Option<Weight>, // [d, w]
    config: TextConfig,
}

impl TextTransformer {
    /// The encoder alone, without what makes features of it: for the [states](Self::states) of all tokens, as diffusion models read
    /// them. Frozen.
    ///
    /// # Errors
    ///
    /// A number of `cfg` out of range, a missing tensor or a wrong shape.
    pub fn without_projection(vb: &VarBuilder<'_>, cfg: &TextConfig) -> Result<Self> {
        cfg.validate()?;
        Self::build(&Weights::frozen(vb), cfg, None)
    }

    pub(crate) fn new(vb: &Weights<'_>, cfg: &TextConfig, embed_dim: usize) -> Result<Self> {
        let width = cfg.transformer.width;
        let projection = Weight::new(vb.get((embed_dim, width), "text_projection.weight")?);
        Self::build(vb, cfg, Some(projection))
    }

    fn build(vb: &Weights<'_>, cfg: &TextConfig, projection: Option<Weight>) -> Result<Self> {
        let (model, width) = (vb.pp("text_model"), cfg.transformer.width);
        let embeddings = model.pp("embeddings");
        Ok(Self {
            tokens: embeddings.get((cfg.vocab_size, width), "token_embedding.weight")?,
            positions: embeddings.get((cfg.context_length, width), "position_embedding.weight")?,
            blocks: Transformer::new(&model, &cfg.transformer)?,
            norm: LayerNorm::new(&model.pp("final_layer_norm"), width, cfg.transformer.eps)?,
            projection,
            config: cfg.clone(),
        })
    }

    /// All weights, in a fixed order.
    pub(crate) fn weights(&self) -> impl Iterator<Item = &Tensor> {
        [&self.tokens, &self.positions]
            .into_iter()
            .chain(self.projection.as_ref().map(Weight::tensor))
            .chain(self.norm.weights())
            .chain(self.blocks.weights())
    }

    /// States `[n, t, w]` of all tokens `ids: [n, t]`, normalised as the last: also of those behind a text's end.
    ///
    /// # Errors
    ///
    /// A wrong shape, or an id outside the vocabulary.
    pub fn states(&self, ids: &Tensor) -> Result<Tensor> {
        let ids: Vec<Vec<u32>> = self.rows(ids)?;
        let (n, length) = (ids.len(), ids[0].len());
        let x = self.embed(ids.concat(), n, length)?;
        self.norm.forward(&self.blocks.forward(&x, Mask::Causal)?)
    }

    /// `[n, length, w]` of `n` texts of this length, one after the other.
    fn embed(&self, ids: Vec<u32>, n: usize, length: usize) -> Result<Tensor> {
        let ids = Tensor::from_vec(ids, n * length, self.tokens.device())?;
        let x = self.tokens.index_select(&ids, 0)?;
        Ok(x.reshape((n, length, ()))?
            .broadcast_add(&self.positions.narrow(0, 0, length)?)?)
    }

    /// Features `[n, d]` of `ids: [n, t]`.
    pub(crate) fn forward(&self, ids: &Tensor) -> Result<Tensor> {
        let rows = self.rows(ids)?;
        let ends = rows
            .iter()
            .enumerate()
            .map(|(row, ids)| self.end(row, ids))
            .collect::<Result<Vec<_>>>()?;
        let length = ends.iter().max().map_or(0, |last| last + 1);
        let device = self.tokens.device();

        let kept: Vec<u32> = rows
            .iter()
            .flat_map(|ids| ids[..length].iter().copied())
            .collect();
        let x = self.embed(kept, rows.len(), length)?;
        let ends: Vec<u32> = ends
            .iter()
            .enumerate()
            .map(|(row, end)| (row * length + end) as u32)
            .collect();
        let ends = Tensor::from_vec(ends, rows.len(), device)?;
        let x = self.blocks.forward_some(&x, Mask::Causal, &ends)?; // [n, w]
        let x = self.norm.forward(&x)?;
        match &self.projection {
            Some(projection) => Ok(projection.linear(&x, None)?),
            None => Ok(x),
        }
    }

    /// How many tokens of each text are read, the end token among them.
    pub(crate) fn lengths(&self, ids: &Tensor) -> Result<Vec<usize>> {
        let rows = self.rows(ids)?;
        let length = |(row, ids): (usize, &Vec<u32>)| Ok(self.end(row, ids)? + 1);
        rows.iter().enumerate().map(length).collect()
    }

    /// The ids as numbers, all of them in the vocabulary.
    fn rows(&self, ids: &Tensor) -> Result<Vec<Vec<u32>>> {
        let context = self.config.context_length;
        match *ids.dims() {
            [n, t] if n > 0 && (1..=context).contains(&t) && !ids.dtype().is_float() => {}
            _ if ids.dtype().is_float() => {
                return Err(Error::shape("ids", ids.dims(), "whole numbers, not floats"));
            }
            _ => {
                return Err(Error::shape(
                    "ids",
                    ids.dims(),
                    format!("[n, 1 to {context}]"),
                ));
            }
        }
        let rows = ids.to_dtype(DType::I64)?.to_vec2::<i64>()?;
        let known = |row: usize, id: i64| {
            let id = u32::try_from(id)
                .ok()
                .filter(|&id| (id as usize) < self.config.vocab_size);
            id.ok_or_else(|| Error::Tokens {
                row,
                problem: format!(
                    "an id is not in the vocabulary of {}",
                    self.config.vocab_size
                ),
            })
        };
        rows.iter()
            .enumerate()
            .map(|(row, ids)| ids.iter().map(|&id| known(row, id)).collect())
            .collect()
    }

    /// Where text `row` is read off.
    fn end(&self, row: usize, ids: &[u32]) -> Result<usize> {
        let token = self.config.end_token.or_else(|| ids.iter().copied().max());
        let end = ids.iter().position(|id| Some(*id) == token);
        end.ok_or_else(|| Error::Tokens {
            row,
            problem: format!("no end token {}", token.unwrap_or_default()),
        })
    }
}

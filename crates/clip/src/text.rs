//! The text encoder: token ids to features.
//!
//! Each token sees itself and those before it; the features are read off at the end token
//! (Radford et al. 2021, arXiv 2103.00020). What follows the end token cannot reach it, so the encoder
//! runs on the longest text of a batch only and not on the padding up to the context length.
//! Keys: `text_model.…` and `text_projection.weight` of huggingface/transformers
//! `models/clip/modeling_clip.py`.

use candle_core::{DType, Tensor};
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
    projection: Weight, // [d, w]
    config: TextConfig,
}

impl TextTransformer {
    pub(crate) fn new(vb: &Weights<'_>, cfg: &TextConfig, embed_dim: usize) -> Result<Self> {
        let (model, width) = (vb.pp("text_model"), cfg.transformer.width);
        let embeddings = model.pp("embeddings");
        Ok(Self {
            tokens: embeddings.get((cfg.vocab_size, width), "token_embedding.weight")?,
            positions: embeddings.get((cfg.context_length, width), "position_embedding.weight")?,
            blocks: Transformer::new(&model, &cfg.transformer)?,
            norm: LayerNorm::new(&model.pp("final_layer_norm"), width, cfg.transformer.eps)?,
            projection: Weight::new(vb.get((embed_dim, width), "text_projection.weight")?),
            config: cfg.clone(),
        })
    }

    /// All weights, in a fixed order.
    pub(crate) fn weights(&self) -> impl Iterator<Item = &Tensor> {
        [&self.tokens, &self.positions, self.projection.tensor()]
            .into_iter()
            .chain(self.norm.weights())
            .chain(self.blocks.weights())
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
        let x = self
            .tokens
            .index_select(&Tensor::from_vec(kept, rows.len() * length, device)?, 0)?;
        let x = x
            .reshape((rows.len(), length, ()))?
            .broadcast_add(&self.positions.narrow(0, 0, length)?)?;
        let ends: Vec<u32> = ends
            .iter()
            .enumerate()
            .map(|(row, end)| (row * length + end) as u32)
            .collect();
        let ends = Tensor::from_vec(ends, rows.len(), device)?;
        let x = self.blocks.forward_some(&x, Mask::Causal, &ends)?; // [n, w]
        Ok(self.projection.linear(&self.norm.forward(&x)?, None)?)
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

//! Terms over pairs of pictures in a batch, on embeddings of length 1.
//!
//! They come from the works that teach one network many domains (HyperDomainNet, arXiv 2210.08884, and the
//! domain encoder of MACderRu/gan-domain-adaptation): pictures of one domain should differ from each other
//! as their sources do, and pictures of two domains as the domains' texts do. Each is a mean over a list of
//! pairs, and 0 for none.

use candle_core::{D, Device, Tensor};
use domex_ops::upload;

use crate::direction::{COSINE_EPS, Guard, along, cosine, same_shape};
use crate::{Error, Result};

/// Pairs `(i, j)` of rows, `i < j`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pairs {
    first: Vec<u32>,
    second: Vec<u32>,
}

impl Pairs {
    /// Those pairs of `n` rows that `wanted` takes.
    pub fn new(n: usize, wanted: impl Fn(usize, usize) -> bool) -> Self {
        let pairs = (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j)));
        let (first, second) = pairs
            .filter(|&(i, j)| wanted(i, j))
            .map(|(i, j)| (i as u32, j as u32))
            .unzip();
        Self { first, second }
    }

    /// All pairs of `n` rows.
    pub fn all(n: usize) -> Self {
        Self::new(n, |_, _| true)
    }

    /// Pairs inside of blocks of `size` rows that follow each other.
    pub fn in_blocks(n: usize, size: usize) -> Self {
        Self::new(n, |i, j| size > 0 && i / size == j / size)
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.first.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// The rows of `x: [n, d]` at both ends, `[pairs, d]` each.
    fn ends(&self, x: &Tensor) -> Result<[Tensor; 2]> {
        let select = |rows: &[u32]| -> Result<Tensor> {
            let rows = upload(&Tensor::new(rows, &Device::Cpu)?, x.device())?;
            Ok(x.index_select(&rows, 0)?)
        };
        Ok([select(&self.first)?, select(&self.second)?])
    }

    fn inner(&self, x: &Tensor) -> Result<Tensor> {
        let [a, b] = self.ends(x)?;
        Ok((a * b)?.sum(D::Minus1)?)
    }

    fn step(&self, x: &Tensor) -> Result<Tensor> {
        let [a, b] = self.ends(x)?;
        Ok((a - b)?)
    }

    /// The mean of what `term` gives for the pairs, `[pairs]`; 0 for no pair.
    fn mean(&self, like: &Tensor, term: impl FnOnce() -> Result<Tensor>) -> Result<Tensor> {
        match self.is_empty() {
            true => Ok(Tensor::zeros((), like.dtype(), like.device())?),
            false => Ok(term()?.mean_all()?),
        }
    }
}

/// In-domain angle consistency: the mean of `(e_i·e_j − b_i·b_j)²`, for `base, edited: [n, d]`.
///
/// # Errors
///
/// Shapes that do not fit.
pub fn in_domain_angle(base: &Tensor, edited: &Tensor, pairs: &Pairs) -> Result<Tensor> {
    same_shape(base, edited)?;
    pairs.mean(edited, || {
        Ok((pairs.inner(edited)? - pairs.inner(base)?)?.sqr()?)
    })
}

/// Target–target direction: the mean of `1 − cos(e_i − e_j, t_i − t_j)`, for pictures and the embeddings of
/// their domains, `[n, d]`.
///
/// # Errors
///
/// Shapes that do not fit.
pub fn target_direction(edited: &Tensor, domains: &Tensor, pairs: &Pairs) -> Result<Tensor> {
    same_shape(edited, domains)?;
    pairs.mean(edited, || {
        along(
            &pairs.step(edited)?,
            &pairs.step(domains)?,
            Guard::Floor(COSINE_EPS),
        )
    })
}

/// How alike the pictures of a domain are not: the mean of `1 − e_i·e_j`. A score, and with a negative
/// weight a term against collapse.
///
/// # Errors
///
/// A tensor that is not `[n, d]`.
pub fn diversity(edited: &Tensor, pairs: &Pairs) -> Result<Tensor> {
    pairs.mean(edited, || Ok((1.0 - pairs.inner(edited)?)?))
}

/// Consistency with a pair of style pictures `t` and `s`, `[1, d]`, that show one thing in the target and in
/// the source domain: `1 − cos(e − t, b − s)`, `[n]`. What sets a picture apart from the style picture
/// should do so in both domains (Mind the Gap, arXiv 2110.08398).
///
/// # Errors
///
/// Shapes that do not fit.
pub fn within(
    base: &Tensor,
    edited: &Tensor,
    style_source: &Tensor,
    style_target: &Tensor,
) -> Result<Tensor> {
    same_shape(base, edited)?;
    let d = edited.dim(1)?;
    for style in [style_source, style_target] {
        if style.dims() != [1, d] {
            return Err(Error::shape(
                "style embedding",
                style.dims(),
                format!("[1, {d}]"),
            ));
        }
    }
    let cosines = cosine(
        &edited.broadcast_sub(style_target)?,
        &base.broadcast_sub(style_source)?,
        Guard::Floor(COSINE_EPS),
    )?;
    Ok((1.0 - cosines)?)
}

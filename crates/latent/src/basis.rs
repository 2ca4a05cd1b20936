//! Bases of the latent space, ordered by how much the network uses each direction.
//!
//! Closed-form factorisation (SeFA: Shen and Zhou, CVPR 2021, arXiv 2007.06600) stacks the matrices
//! that act on the latent first, `W: [rows, D]`, and takes its singular value decomposition
//! `W = U diag(σ) Vᵀ`. The columns of `V: [D, K]`, `K = min(rows, D)`, are orthonormal directions of
//! the latent; `σ_j = ‖W v_j‖` says how strongly the network reacts to direction `j`. Values fall, so the
//! **last columns are the most dormant**. Two published programs stack differently, see [`BasisKind`].
//!
//! Each column's sign is arbitrary. Here it is fixed: **the entry of largest magnitude is positive**,
//! and of entries whose magnitudes agree to one part in a million the one of lowest index decides, so
//! that rounding noise does not flip a column. The direction of an edit depends on the sign, so
//! a basis that came with a checkpoint is kept bit for bit ([`Basis::given`]) and never re-signed.

mod factor;

use candle_core::{DType, Device, Tensor};

use crate::{ActingMatrix, Error, Generator, Result};

/// Which matrices are stacked, and how.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum BasisKind {
    /// As adobe-research/domain-expansion (and rosinality/stylegan2-pytorch): the network's matrices of
    /// this kind, in parameter order, raw.
    DomainExpansion,
    /// As genforce/sefa: the network's matrices of this kind, in parameter order; each row is divided by
    /// its L2 norm (a row of zeros stays). The published program returns the eigenvectors of `WᵀW`
    /// unsorted; here they are sorted. [`Basis::eigenvalues`] gives its eigenvalues.
    Genforce {
        /// Positions in that list to stack, `None` for all. Order and repetition do not matter.
        layers: Option<Vec<usize>>,
    },
    /// Read from a file, not computed.
    Given,
}

/// Which kinds of basis stack a matrix. The network decides: it knows what its layers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BasisKinds {
    /// [`BasisKind::DomainExpansion`].
    pub domain_expansion: bool,
    /// [`BasisKind::Genforce`].
    pub genforce: bool,
}

impl BasisKinds {
    /// Every kind that is computed from matrices.
    pub const ALL: Self = Self {
        domain_expansion: true,
        genforce: true,
    };

    /// Whether `kind` is one of them. No matrix makes a basis that was given.
    #[must_use]
    pub fn holds(self, kind: &BasisKind) -> bool {
        match kind {
            BasisKind::DomainExpansion => self.domain_expansion,
            BasisKind::Genforce { .. } => self.genforce,
            BasisKind::Given => false,
        }
    }
}

/// Orthonormal directions of the latent space, one per column. See the [module docs](self).
#[derive(Debug, Clone)]
pub struct Basis {
    vectors: Tensor,          // [D, K]
    values: Option<Vec<f64>>, // K, falling
    kind: BasisKind,
    sources: Vec<String>,
}

impl Basis {
    /// Computes a basis in double precision. The vectors are a float64 tensor on the CPU.
    ///
    /// # Errors
    ///
    /// When no matrix fits the kind, when shapes disagree, when a weight is not finite, when a layer
    /// is out of range, or when `kind` is [`BasisKind::Given`], which cannot be computed.
    pub fn from_matrices(kind: &BasisKind, matrices: &[ActingMatrix]) -> Result<Self> {
        let (chosen, unit_rows) = factor::choose(kind, matrices)?;
        let stacked = factor::stack(&chosen, unit_rows)?;
        let (vectors, values) = factor::right_singular_vectors(&stacked)?;
        Ok(Self {
            vectors,
            values: Some(values),
            kind: kind.clone(),
            sources: chosen.iter().map(|m| m.name.clone()).collect(),
        })
    }

    /// Computes the basis of a network, see [`from_matrices`](Self::from_matrices).
    ///
    /// # Errors
    ///
    /// As [`from_matrices`](Self::from_matrices), or when the network does not give its matrices.
    pub fn of(generator: &dyn Generator, kind: &BasisKind) -> Result<Self> {
        Self::from_matrices(kind, &generator.acting_matrices()?)
    }

    /// Takes a basis that came with a checkpoint: `vectors: [D, K]`, `K ≤ D`, one direction per
    /// column. It is kept bit for bit, in its own type and order.
    ///
    /// # Errors
    ///
    /// When it is not a matrix of that shape, has entries that are not finite, or has columns that are
    /// not orthonormal within 1e-4 (float32 and float64), 5e-3 (float16) or 4e-2 (bfloat16).
    pub fn given(vectors: Tensor) -> Result<Self> {
        factor::check_orthonormal(&vectors)?;
        Ok(Self {
            vectors,
            values: None,
            kind: BasisKind::Given,
            sources: Vec::new(),
        })
    }

    /// The directions `[D, K]`, one per column, in the type and on the device they have.
    #[must_use]
    pub fn vectors(&self) -> &Tensor {
        &self.vectors
    }

    /// The K singular values, falling. `None` for a basis that was given; see [`gains`](Self::gains).
    #[must_use]
    pub fn values(&self) -> Option<&[f64]> {
        self.values.as_deref()
    }

    /// The D eigenvalues of `WᵀW`, falling: squares of the singular values, then zeros.
    #[must_use]
    pub fn eigenvalues(&self) -> Option<Vec<f64>> {
        self.values.as_ref().map(|values| {
            let mut squares: Vec<f64> = values.iter().map(|v| v * v).collect();
            squares.resize(self.latent_dim(), 0.0);
            squares
        })
    }

    /// How the basis was made.
    #[must_use]
    pub fn kind(&self) -> &BasisKind {
        &self.kind
    }

    /// Names of the matrices that were stacked, in order. Empty for a basis that was given.
    #[must_use]
    pub fn sources(&self) -> &[String] {
        &self.sources
    }

    /// Size D of a latent.
    #[must_use]
    pub fn latent_dim(&self) -> usize {
        self.vectors.dims()[0]
    }

    /// Number K of directions.
    #[must_use]
    pub fn count(&self) -> usize {
        self.vectors.dims()[1]
    }

    /// How strongly `matrices` react to each direction: `‖W v_j‖`, K numbers. For the matrices that
    /// made the basis these are the singular values; for a given basis they are its spectrum.
    ///
    /// # Errors
    ///
    /// As [`from_matrices`](Self::from_matrices).
    pub fn gains(&self, kind: &BasisKind, matrices: &[ActingMatrix]) -> Result<Vec<f64>> {
        let (chosen, unit_rows) = factor::choose(kind, matrices)?;
        factor::gains(&factor::stack(&chosen, unit_rows)?, &self.vectors)
    }

    /// The directions `dims`, in that order, as **rows** `[dims.len(), D]`.
    ///
    /// # Errors
    ///
    /// [`Error::DimensionRange`], or [`Error::Setting`] when `dims` is empty.
    pub fn directions(&self, dims: &[usize], device: &Device, dtype: DType) -> Result<Tensor> {
        check_dims("dimensions", dims, self.count())?;
        if dims.is_empty() {
            return Err(Error::setting("dimensions", "none", "at least one"));
        }
        let ids: Vec<u32> = dims.iter().map(|&d| d as u32).collect();
        let ids = Tensor::new(ids, self.vectors.device())?;
        let rows = self
            .vectors
            .contiguous()?
            .index_select(&ids, 1)?
            .t()?
            .contiguous()?;
        Ok(rows.to_dtype(dtype)?.to_device(device)?)
    }
}

/// Refuses an index that is not below `count`. `what` names the list in the error.
pub(crate) fn check_dims(what: &str, dims: &[usize], count: usize) -> Result<()> {
    match dims.iter().find(|&&d| d >= count) {
        Some(&index) => Err(Error::DimensionRange {
            what: what.to_owned(),
            index,
            count,
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;

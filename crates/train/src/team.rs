//! The processes that share the passes of each step.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::backprop::GradStore;
use candle_core::{DType, Tensor, Var};
use domex_ranks::{Group, Part};

use crate::{Error, Result};

/// The processes that share the passes of each step, of which this is one: the *ranks* of a run. Without others it is alone, and nothing
/// is exchanged. Clones are the same team.
///
/// Every rank holds all weights and draws all random numbers, and so comes to the same weights; it computes the passes that are
/// its own. Rank 0 alone writes files.
#[derive(Debug, Clone, Default)]
pub struct Team(Option<Arc<Mutex<Group>>>);

impl Team {
    /// With the others of a group.
    #[must_use]
    pub fn of(group: Group) -> Self {
        Self(Some(Arc::new(Mutex::new(group))))
    }

    /// Whether there are no others.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        self.0.is_none()
    }

    /// The number of this process, from 0.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.group().map_or(0, |group| group.rank())
    }

    /// How many processes there are.
    #[must_use]
    pub fn size(&self) -> usize {
        self.group().map_or(1, |group| group.size())
    }

    /// Whether this is the rank that writes files.
    #[must_use]
    pub fn is_first(&self) -> bool {
        self.rank() == 0
    }

    /// Those of `count` passes that are this rank's: they follow one another, and ranks in their order have them all.
    #[must_use]
    pub fn passes(&self, count: usize) -> Range<usize> {
        let (rank, size) = (self.rank(), self.size());
        count * rank / size..count * (rank + 1) / size
    }

    fn group(&self) -> Option<MutexGuard<'_, Group>> {
        let group = self.0.as_deref()?;
        Some(group.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The bytes of each rank, on every rank.
    ///
    /// # Errors
    ///
    /// A rank that is lost.
    pub fn gather(&self, mine: &[u8]) -> Result<Vec<Vec<u8>>> {
        match self.group() {
            None => Ok(vec![mine.to_vec()]),
            Some(mut group) => Ok(group.gather(mine)?),
        }
    }

    /// For a rank that ends with an error, of which these are the exit code and a digest: whether rank 0 tells the same one.
    #[must_use]
    pub fn end(&self, code: u8, words: u64) -> bool {
        self.group().is_some_and(|mut group| group.end(code, words))
    }

    /// The gradients of these variables, summed over the parts of all ranks in their order. A variable that no part has a
    /// gradient for has none.
    pub(crate) fn sum(&self, variables: &[&Var], parts: Vec<GradStore>) -> Result<GradStore> {
        let has = |part: &GradStore| -> Vec<bool> {
            let has = variables.iter().map(|var| part.get(var).is_some());
            has.collect()
        };
        let has: Vec<Vec<bool>> = parts.iter().map(has).collect();
        let any = (0..variables.len()).map(|at| u8::from(has.iter().any(|has| has[at])));
        let all = self.gather(&any.collect::<Vec<u8>>())?;
        if all.iter().any(|rank| rank.len() != variables.len()) {
            return Err(internal("ranks train different variables"));
        }
        let some = |ranks: &[Vec<u8>], at: usize| ranks.iter().any(|rank| rank[at] != 0);
        let kept: Vec<usize> = (0..variables.len()).filter(|&at| some(&all, at)).collect();
        let of_kept =
            |of: &dyn Fn(usize) -> bool| kept.iter().map(|&at| of(at)).collect::<Vec<_>>();
        let begun = of_kept(&|at| some(&all[..self.rank()], at));
        let lengths: Vec<usize> = kept.iter().map(|&at| variables[at].elem_count()).collect();
        let flat = |(part, has): (GradStore, &Vec<bool>)| -> Result<Part> {
            let mut values = Vec::with_capacity(lengths.iter().sum());
            for (&at, length) in kept.iter().zip(&lengths) {
                match part.get(variables[at]) {
                    Some(gradient) => values.extend(numbers(gradient)?),
                    None => values.resize(values.len() + length, 0.0),
                }
            }
            let has = of_kept(&|at| has[at]);
            Ok(Part { values, has })
        };
        let parts = parts.into_iter().zip(&has).map(flat);
        let parts = parts.collect::<Result<Vec<_>>>()?;
        let Some(mut group) = self.group() else {
            return Err(internal("a sum of one rank"));
        };
        let total = group.sum(&lengths, &begun, &parts)?;
        let mut sums = GradStore::default();
        let mut start = 0;
        for (&at, length) in kept.iter().zip(lengths) {
            let var = variables[at];
            let values = &total[start..start + length];
            let gradient = Tensor::from_slice(values, var.dims(), var.device())?;
            sums.insert(var, gradient.to_dtype(var.dtype())?);
            start += length;
        }
        Ok(sums)
    }
}

/// A tensor's numbers.
fn numbers(tensor: &Tensor) -> Result<Vec<f32>> {
    let flat = tensor.detach().to_dtype(DType::F32)?.flatten_all()?;
    Ok(flat.to_vec1()?)
}

/// What no user can correct.
pub(crate) fn internal(message: impl std::fmt::Display) -> Error {
    Error::Job(domex_error::AnyError::internal(message))
}

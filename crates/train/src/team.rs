//! The processes that share the passes of each step.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor, Var};
use domex_ops::peers::{self, Peers};
use domex_ranks::{Group, Part};

use crate::{Error, Result};

/// The processes that share the passes of each step, of which this is one: the *ranks* of a run. Without others it is alone, and nothing
/// is exchanged. Clones are the same team.
///
/// Every rank holds all weights and draws all random numbers, and so comes to the same weights; it computes the passes that are
/// its own. Rank 0 alone writes files.
///
/// Gradients are added up in the order of ranks, so that any number of them comes to the same bits, but where each rank has a GPU of its own: there
/// NCCL adds them, and they agree to rounding.
#[derive(Debug, Clone, Default)]
pub struct Team(Option<Arc<Mutex<Linked>>>);

/// The links to the others.
#[derive(Debug)]
struct Linked {
    group: Group,
    /// By whom the GPUs add up: not known before the first sum, and none where the group does.
    peers: Option<Option<Peers>>,
}

impl Team {
    /// With the others of a group.
    #[must_use]
    pub fn of(group: Group) -> Self {
        Self(Some(Arc::new(Mutex::new(Linked { group, peers: None }))))
    }

    /// Whether there are no others.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        self.0.is_none()
    }

    /// The number of this process, from 0.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.linked().map_or(0, |linked| linked.group.rank())
    }

    /// How many processes there are.
    #[must_use]
    pub fn size(&self) -> usize {
        self.linked().map_or(1, |linked| linked.group.size())
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

    fn linked(&self) -> Option<MutexGuard<'_, Linked>> {
        let linked = self.0.as_deref()?;
        Some(linked.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The bytes of each rank, on every rank.
    ///
    /// # Errors
    ///
    /// A rank that is lost.
    pub fn gather(&self, mine: &[u8]) -> Result<Vec<Vec<u8>>> {
        match self.linked() {
            None => Ok(vec![mine.to_vec()]),
            Some(mut linked) => Ok(linked.group.gather(mine)?),
        }
    }

    /// For a rank that ends with an error, of which these are the exit code and a digest: whether rank 0 tells the same one.
    #[must_use]
    pub fn end(&self, code: u8, words: u64) -> bool {
        self.linked()
            .is_some_and(|mut linked| linked.group.end(code, words))
    }

    /// Whether the GPUs of the ranks have added up, and not the ranks. Not known before the first sum.
    #[must_use]
    pub fn has_peers(&self) -> bool {
        self.linked()
            .is_some_and(|linked| matches!(linked.peers, Some(Some(_))))
    }

    /// The gradients of these variables, summed over the parts of all ranks in their order. A variable that no part has a
    /// gradient for has none.
    ///
    /// # Errors
    ///
    /// A rank that is lost, or trains other variables; a team of one.
    pub fn sum(&self, variables: &[&Var], parts: Vec<GradStore>) -> Result<GradStore> {
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
        let Some(mut linked) = self.linked() else {
            return Err(internal("a sum of one rank"));
        };
        let kept_variables: Vec<&Var> = kept.iter().map(|&at| variables[at]).collect();
        if let Some(first) = kept_variables.first()
            && let Some(peers) = linked.peers(first.device())?
        {
            let total = on_device(&kept_variables, &parts)?;
            peers.sum(&total)?;
            // By now all have asked for the sum, or one is lost, for which nobody should wait.
            linked.group.gather(&[])?;
            return gradients(&kept_variables, &total);
        }
        let parts = parts.into_iter().zip(&has).map(flat);
        let parts = parts.collect::<Result<Vec<_>>>()?;
        let total = linked.group.sum(&lengths, &begun, &parts)?;
        let device = kept_variables
            .first()
            .map_or(&Device::Cpu, |var| var.device());
        gradients(&kept_variables, &Tensor::new(total, device)?)
    }
}

impl Linked {
    /// Who adds up what lies on `device`; none where the group does.
    fn peers(&mut self, device: &Device) -> Result<Option<&Peers>> {
        let found = match self.peers.take() {
            Some(found) => found,
            None => self.find_peers(device)?,
        };
        Ok(self.peers.insert(found).as_ref())
    }

    /// Peers are the GPUs of all ranks, where each has one of its own.
    fn find_peers(&mut self, device: &Device) -> Result<Option<Peers>> {
        let card = peers::card(device).unwrap_or_else(|error| {
            tracing::warn!("gradients go through the memory of the host: {error}");
            None
        });
        let cards = self.group.gather(&card.unwrap_or_default())?;
        let of_one = |card: &Vec<u8>| cards.iter().filter(|other| *other == card).count() == 1;
        if !cards.iter().all(|card| !card.is_empty() && of_one(card)) {
            return Ok(None);
        }
        let ours = match self.group.rank() {
            0 => peers::invitation()?,
            _ => None,
        };
        let invitations = self.group.gather(&ours.unwrap_or_default())?;
        let invitation = invitations.first().map_or(&[][..], Vec::as_slice);
        let place = [self.group.rank(), self.group.size()];
        Ok(Some(Peers::join(invitation, place, device)?))
    }
}

/// The sums over `parts` of the gradients of `variables`, one after the other, where the variables are; zeros where there is none.
fn on_device(variables: &[&Var], parts: &[GradStore]) -> Result<Tensor> {
    let sum = |var: &&Var| -> Result<Tensor> {
        let mut sum: Option<Tensor> = None;
        for gradient in parts.iter().filter_map(|part| part.get(var)) {
            let gradient = gradient.detach().to_dtype(DType::F32)?;
            sum = Some(match sum {
                None => gradient,
                Some(sum) => (sum + gradient)?,
            });
        }
        let zeros = || Tensor::zeros(var.shape(), DType::F32, var.device());
        Ok(sum.map_or_else(zeros, Ok)?.flatten_all()?)
    };
    let sums = variables.iter().map(sum).collect::<Result<Vec<_>>>()?;
    // A copy, also of one: it is written in place.
    Ok(Tensor::cat(&sums, 0)?.copy()?)
}

/// `total` as gradients of these variables.
fn gradients(variables: &[&Var], total: &Tensor) -> Result<GradStore> {
    let mut sums = GradStore::default();
    let mut start = 0;
    for var in variables {
        let length = var.elem_count();
        let gradient = total.narrow(0, start, length)?.reshape(var.shape())?;
        sums.insert(var, gradient.to_dtype(var.dtype())?);
        start += length;
    }
    Ok(sums)
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

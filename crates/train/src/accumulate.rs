//! Gradient accumulation: a step in several passes, which needs the memory of one.
//!
//! The loss of each pass is weighted by its share of the batch, so that what is a mean over the batch is the same however it is
//! divided. What compares the samples of a pass with one another, such as the minibatch standard deviation, sees fewer of them.

use std::collections::HashSet;

use candle_core::backprop::GradStore;
use candle_core::{DType, Tensor, TensorId, Var};
use serde::{Deserialize, Serialize};

use crate::adam::Adam;
use crate::run::Losses;
use crate::{Result, Team};

/// The most samples of a pass that are at most half of `most`, divide the batch, and are a multiple of `group` or fewer: samples
/// that are compared with one another come in groups.
#[must_use]
pub fn smaller(batch: usize, most: usize, group: usize) -> usize {
    let fits = |samples: &usize| {
        batch.is_multiple_of(*samples) && samples.is_multiple_of(group.clamp(1, *samples))
    };
    (1..=most / 2).rev().find(fits).unwrap_or(1)
}

/// The samples of each pass that make up a batch: `micro_batch` of them, at least one, and what is left in the last.
#[must_use]
pub fn passes(batch: usize, micro_batch: usize) -> Vec<usize> {
    let micro_batch = micro_batch.max(1);
    let mut passes = vec![micro_batch; batch / micro_batch];
    passes.extend(Some(batch % micro_batch).filter(|rest| *rest > 0));
    passes
}

/// The losses and gradients of a step, added up over its passes.
///
/// In a [team](Team) each rank computes some of the passes; what they told and their gradients are added in the order of the
/// passes, so that a step has the same bits however many ranks share it.
#[derive(Debug, Default)]
pub struct Accumulator {
    team: Team,
    passes: usize,
    /// What gradients are kept of, where that is known; else all of them.
    moved: Option<HashSet<TensorId>>,
    /// Those of each pass of this rank; their sum where no rank has earlier passes.
    gradients: Vec<GradStore>,
    /// Of each pass of this rank; after [`exchange`](Self::exchange) of all passes.
    told: Vec<Told>,
    is_exchanged: bool,
}

/// What a pass tells.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Told {
    #[serde(with = "bits")]
    losses: Numbers,
    #[serde(with = "bits")]
    notes: Numbers,
    #[serde(with = "bits")]
    carried: Numbers,
    #[serde(with = "bits")]
    values: Numbers,
    not_finite: Vec<String>,
    /// Whether it stops the step.
    stops: bool,
}

type Numbers = Vec<(String, f64)>;

impl Accumulator {
    /// Of a step of so many passes, which the team shares.
    #[must_use]
    pub fn shared(team: &Team, passes: usize) -> Self {
        Self {
            team: team.clone(),
            passes,
            ..Self::default()
        }
    }

    /// Keeps the gradients of what this optimizer moves and no others: candle has some of constants too, which are of a pass
    /// and as large as its activations where gradients are differentiated again.
    #[must_use]
    pub fn of(mut self, adam: &Adam) -> Self {
        self.moved = Some(adam.variables().map(|var| var.id()).collect());
        self
    }

    /// Begins a pass; whether it is this rank's to compute.
    #[must_use]
    pub fn begin(&mut self, pass: usize) -> bool {
        let is_own = self.team.passes(self.passes).contains(&pass);
        if is_own {
            self.told.push(Told::default());
        }
        is_own
    }

    fn pass(&mut self) -> &mut Told {
        if self.told.is_empty() {
            self.told.push(Told::default());
        }
        let last = self.told.len() - 1;
        &mut self.told[last]
    }

    /// Adds a pass: `share` of its loss is told, and `share` times `gain` of its gradient descended.
    ///
    /// # Errors
    ///
    /// candle's own.
    pub fn add(&mut self, name: &str, loss: &Tensor, share: f64, gain: f64) -> Result<()> {
        let value = loss.detach().to_dtype(DType::F64)?.to_scalar::<f64>()?;
        self.tell(name, value * share);
        self.descend(loss, share * gain)
    }

    /// Adds a pass's gradient, `factor` times as strong, and tells nothing. A loss that is not finite stops the step.
    ///
    /// # Errors
    ///
    /// candle's own.
    pub fn descend(&mut self, loss: &Tensor, factor: f64) -> Result<()> {
        let value = loss.detach().to_dtype(DType::F64)?.to_scalar::<f64>()?;
        self.pass().stops |= !value.is_finite();
        if !self.is_finite() {
            return Ok(());
        }
        let gradients = match factor == 1.0 {
            true => loss.backward()?,
            false => (loss * factor)?.backward()?,
        };
        let gradients = self.kept(&gradients);
        match self.gradients.last_mut() {
            Some(sum) if self.team.is_first() => sum.extend(gradients)?,
            _ => self.gradients.push(gradients),
        }
        Ok(())
    }

    /// Those that are kept, by themselves: candle leaves at some what they were computed from, and with it the activations of a pass.
    fn kept(&self, gradients: &GradStore) -> GradStore {
        let is_kept = |id: &&TensorId| self.moved.as_ref().is_none_or(|moved| moved.contains(*id));
        let mut kept = GradStore::default();
        for id in gradients.get_ids().filter(is_kept) {
            if let Some(gradient) = gradients.get_id(*id) {
                kept.insert_id(*id, gradient.detach());
            }
        }
        kept
    }

    /// Adds to a loss that is told. One that is not finite stops the step.
    pub fn tell(&mut self, name: &str, value: f64) {
        let pass = self.pass();
        pass.stops |= !value.is_finite();
        put(&mut pass.losses, name, value);
    }

    /// Adds to a number that is told where it is finite, and stops nothing.
    pub fn note(&mut self, name: &str, value: f64, share: f64) {
        put(&mut self.pass().notes, name, value * share);
    }

    /// Adds to a number that is told to nobody; see [`carried`](Self::carried).
    pub fn carry(&mut self, name: &str, value: f64) {
        put(&mut self.pass().carried, name, value);
    }

    /// Tells what a pass put into losses of its own, as it is.
    pub fn report(&mut self, losses: Losses) {
        let pass = self.pass();
        pass.values.extend(losses.values);
        pass.not_finite.extend(losses.not_finite);
    }

    /// Lets every rank know what all passes told. [`apply`](Self::apply) does so if nobody has.
    ///
    /// # Errors
    ///
    /// A rank that is lost.
    pub fn exchange(&mut self) -> Result<()> {
        if self.is_exchanged || self.team.is_alone() {
            return Ok(());
        }
        let mine = serde_json::to_vec(&self.told).map_err(crate::team::internal)?;
        let all = self.team.gather(&mine)?;
        let told = all.iter().map(|told| serde_json::from_slice(told));
        let told: std::result::Result<Vec<Vec<Told>>, _> = told.collect();
        self.told = told.map_err(crate::team::internal)?.concat();
        self.is_exchanged = true;
        Ok(())
    }

    /// The sum of what passes [carried](Self::carry); of those of all ranks after an [exchange](Self::exchange).
    #[must_use]
    pub fn carried(&self, name: &str) -> f64 {
        let all = self.told.iter().flat_map(|told| &told.carried);
        let own = all.filter(|(known, _)| known == name);
        own.fold(0.0, |sum, (_, value)| sum + value)
    }

    /// Whether the step will be taken, unless a gradient is not finite.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        !self.told.iter().any(|told| told.stops)
    }

    /// Tells the losses, and moves the parameters but for those in `except`, if every loss is finite.
    ///
    /// # Errors
    ///
    /// candle's own, or a rank that is lost.
    pub fn apply(mut self, adam: &mut Adam, except: &[Var], losses: &mut Losses) -> Result<()> {
        self.exchange()?;
        let is_finite = self.is_finite();
        let (mut sums, mut notes) = (Numbers::new(), Numbers::new());
        for told in std::mem::take(&mut self.told) {
            losses.values.extend(told.values);
            losses.not_finite.extend(told.not_finite);
            for (name, value) in told.losses {
                put(&mut sums, &name, value);
            }
            for (name, value) in told.notes {
                put(&mut notes, &name, value);
            }
        }
        let told = losses.not_finite.len();
        for (name, value) in &sums {
            losses.put(name, *value);
        }
        let notes = notes.into_iter();
        losses
            .values
            .extend(notes.filter(|(_, value)| value.is_finite()));
        if !is_finite {
            if losses.not_finite.len() == told {
                losses.not_finite.push("loss".to_owned());
            }
            return Ok(());
        }
        let is_kept = |var: &&Var| !except.iter().any(|other| other.id() == var.id());
        let moved: Vec<&Var> = adam.variables().filter(is_kept).collect();
        let gradients = match self.team.is_alone() {
            true => self.gradients.pop(),
            false => Some(self.team.sum(&moved, self.gradients)?),
        };
        if let Some(mut gradients) = gradients {
            for var in except {
                gradients.remove(var);
            }
            losses.applied(adam.step(&gradients)?);
        }
        Ok(())
    }
}

/// Numbers by their bits: JSON has no infinity and no NaN.
mod bits {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Numbers;

    pub fn serialize<S: Serializer>(numbers: &Numbers, to: S) -> Result<S::Ok, S::Error> {
        let bits = numbers.iter().map(|(name, x)| (name, x.to_bits()));
        bits.collect::<Vec<_>>().serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Numbers, D::Error> {
        let bits = Vec::<(String, u64)>::deserialize(from)?.into_iter();
        Ok(bits.map(|(name, x)| (name, f64::from_bits(x))).collect())
    }
}

fn put(list: &mut Vec<(String, f64)>, name: &str, value: f64) {
    match list.iter_mut().find(|(known, _)| known == name) {
        Some((_, sum)) => *sum += value,
        None => list.push((name.to_owned(), value)),
    }
}

#[cfg(test)]
mod tests;

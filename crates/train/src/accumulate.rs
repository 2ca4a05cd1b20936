//! Gradient accumulation: a step in several passes, which needs the memory of one.
//!
//! The loss of each pass is weighted by its share of the batch, so that what is a mean over the batch is the same however it is
//! divided. What compares the samples of a pass with one another, such as the minibatch standard deviation, sees fewer of them.

use candle_core::backprop::GradStore;
use candle_core::{DType, Tensor, TensorId, Var};

use crate::Result;
use crate::adam::Adam;
use crate::run::Losses;

/// The samples of each pass that make up a batch: `micro_batch` of them, at least one, and what is left in the last.
#[must_use]
pub fn passes(batch: usize, micro_batch: usize) -> Vec<usize> {
    let micro_batch = micro_batch.max(1);
    let mut passes = vec![micro_batch; batch / micro_batch];
    passes.extend(Some(batch % micro_batch).filter(|rest| *rest > 0));
    passes
}

/// The losses and gradients of a step, added up over its passes.
#[derive(Debug, Default)]
pub struct Accumulator {
    gradients: Option<GradStore>,
    losses: Vec<(String, f64)>,
    notes: Vec<(String, f64)>,
    is_not_finite: bool,
}

impl Accumulator {
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
        self.is_not_finite |= !value.is_finite();
        if self.is_not_finite {
            return Ok(());
        }
        let mut gradients = match factor == 1.0 {
            true => loss.backward()?,
            false => (loss * factor)?.backward()?,
        };
        detach(&mut gradients);
        match &mut self.gradients {
            None => self.gradients = Some(gradients),
            Some(sum) => sum.extend(gradients)?,
        }
        Ok(())
    }

    /// Adds to a loss that is told. One that is not finite stops the step.
    pub fn tell(&mut self, name: &str, value: f64) {
        self.is_not_finite |= !value.is_finite();
        put(&mut self.losses, name, value);
    }

    /// Adds to a number that is told where it is finite, and stops nothing.
    pub fn note(&mut self, name: &str, value: f64, share: f64) {
        put(&mut self.notes, name, value * share);
    }

    /// Whether the step will be taken, unless a gradient is not finite.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        !self.is_not_finite
    }

    /// Tells the losses, and moves the parameters but for those in `except`, if every loss is finite.
    ///
    /// # Errors
    ///
    /// candle's own.
    pub fn apply(self, adam: &mut Adam, except: &[Var], losses: &mut Losses) -> Result<()> {
        let told = losses.not_finite.len();
        for (name, value) in &self.losses {
            losses.put(name, *value);
        }
        let notes = self.notes.into_iter();
        losses
            .values
            .extend(notes.filter(|(_, value)| value.is_finite()));
        if self.is_not_finite {
            if losses.not_finite.len() == told {
                losses.not_finite.push("loss".to_owned());
            }
            return Ok(());
        }
        if let Some(mut gradients) = self.gradients {
            for var in except {
                gradients.remove(var);
            }
            losses.applied(adam.step(&gradients)?);
        }
        Ok(())
    }
}

/// candle leaves at some gradients what they were computed from, and with it the activations of a pass.
fn detach(gradients: &mut GradStore) {
    let ids: Vec<TensorId> = gradients.get_ids().copied().collect();
    for id in ids {
        if let Some(gradient) = gradients.get_id(id).map(Tensor::detach) {
            gradients.insert_id(id, gradient);
        }
    }
}

fn put(list: &mut Vec<(String, f64)>, name: &str, value: f64) {
    match list.iter_mut().find(|(known, _)| known == name) {
        Some((_, sum)) => *sum += value,
        None => list.push((name.to_owned(), value)),
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::Parameters;
    use crate::adam::AdamConfig;

    #[test]
    fn passes_add_up_to_the_batch() {
        assert_eq!(passes(16, 6), [6, 6, 4]);
        assert_eq!(passes(16, 16), [16]);
    }

    fn weight() -> (Var, Adam) {
        let x = Var::new(&[1f32, -2.0], &Device::Cpu).unwrap();
        let parameters = Parameters::new([("x".to_owned(), x.clone())].into());
        let adam = Adam::new(&parameters, AdamConfig::default()).unwrap();
        (x, adam)
    }

    #[test]
    fn several_passes_move_as_one_does() {
        let targets = Tensor::new(&[[3f32, 1.0], [0.5, 4.0], [2.0, 2.0]], &Device::Cpu).unwrap();
        let moved = |micro: usize| {
            let (x, mut adam) = weight();
            let (mut sum, mut losses) = (Accumulator::default(), Losses::default());
            let mut start = 0;
            for n in passes(3, micro) {
                let part = targets.narrow(0, start, n).unwrap();
                let apart = x.as_tensor().broadcast_sub(&part).unwrap();
                let loss = apart.sqr().unwrap().mean_all().unwrap();
                sum.add("loss", &loss, n as f64 / 3.0, 2.0).unwrap();
                start += n;
            }
            sum.apply(&mut adam, &[], &mut losses).unwrap();
            (x.to_vec1::<f32>().unwrap(), losses.values[0].1)
        };
        let (whole, loss) = moved(3);
        for micro in [1, 2] {
            let (parts, told) = moved(micro);
            assert!((told - loss).abs() < 1e-6, "{told} {loss}");
            for (a, b) in parts.iter().zip(&whole) {
                assert!((a - b).abs() < 1e-6, "{a} {b}");
            }
        }
    }

    #[test]
    fn gradients_are_kept_without_what_they_came_from() {
        let (x, _) = weight();
        let mut sum = Accumulator::default();
        // Of a square candle computes it from the operand, with a graph.
        let loss = x.as_tensor().sqr().unwrap().sum_all().unwrap();
        sum.descend(&loss, 1.0).unwrap();
        let gradient = sum.gradients.as_ref().and_then(|kept| kept.get(&x));
        assert!(!gradient.unwrap().track_op());
    }

    #[test]
    fn a_pass_that_is_not_finite_stops_the_whole_step() {
        let (x, mut adam) = weight();
        let (mut sum, mut losses) = (Accumulator::default(), Losses::default());
        let loss = x.as_tensor().sqr().unwrap().sum_all().unwrap();
        sum.descend(&loss, 0.5).unwrap();
        sum.descend(&(loss * f64::NAN).unwrap(), 0.5).unwrap();
        assert!(!sum.is_finite());
        sum.apply(&mut adam, &[], &mut losses).unwrap();
        assert_eq!(x.to_vec1::<f32>().unwrap(), [1.0, -2.0]);
        assert_eq!(losses.not_finite, ["loss"]);
    }
}

//! Adam over a set of parameters; one parameter's step is [`domex_ops::optimizer::adam`].
//!
//! Each parameter's own steps are counted: one without a gradient stands still, and so do its moments. A gradient that is
//! not finite stops the whole step before anything is written.

use std::collections::BTreeMap;

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor, Var};
use domex_ops::optimizer::{self, Moments};

use crate::params::{Parameters, is_finite};
use crate::run::Losses;
use crate::state::State;
use crate::{Error, Result};

/// Settings of the optimizer.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdamConfig {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the first moment. At 0 that is the last gradient and no step reads it, yet it is held and saved: kernels of all devices
    /// write it, and programs that read the snapshot expect it.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
}

impl Default for AdamConfig {
    /// lr 0.001, betas 0.9 and 0.999, eps 1e-8, no decay.
    fn default() -> Self {
        Self {
            lr: 1e-3,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.0,
        }
    }
}

impl AdamConfig {
    fn validate(&self) -> Result<()> {
        let not_negative = [
            ("lr", self.lr),
            ("eps", self.eps),
            ("weight decay", self.weight_decay),
        ];
        for (what, value) in not_negative {
            if !(value.is_finite() && value >= 0.0) {
                return Err(Error::setting(
                    format!("Adam's {what}"),
                    value,
                    "0 or a positive number",
                ));
            }
        }
        for (what, value) in [("beta1", self.beta1), ("beta2", self.beta2)] {
            if !(0.0..1.0).contains(&value) {
                return Err(Error::setting(
                    format!("Adam's {what}"),
                    value,
                    "0 to below 1",
                ));
            }
        }
        Ok(())
    }
}

/// What became of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Step {
    /// The parameters moved.
    Applied,
    /// Nothing was written: this loss, or the gradient of this parameter, is not finite.
    Skipped(String),
}

/// An optimizer over a set of parameters.
#[derive(Debug)]
pub struct Adam {
    config: AdamConfig,
    slots: BTreeMap<String, Slot>,
}

#[derive(Debug)]
struct Slot {
    var: Var,
    steps: u64,
    moments: Moments,
}

impl Adam {
    /// Moments of zero for every parameter.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] when a number is out of range.
    pub fn new(parameters: &Parameters, config: AdamConfig) -> Result<Self> {
        config.validate()?;
        let slot = |(name, var): (&str, &Var)| -> Result<(String, Slot)> {
            let slot = Slot {
                var: var.clone(),
                steps: 0,
                moments: Moments::new(var)?,
            };
            Ok((name.to_string(), slot))
        };
        Ok(Self {
            config,
            slots: parameters.iter().map(slot).collect::<Result<_>>()?,
        })
    }

    /// The settings.
    pub fn config(&self) -> &AdamConfig {
        &self.config
    }

    /// What it moves, in the order of names.
    pub fn variables(&self) -> impl Iterator<Item = &Var> {
        self.slots.values().map(|slot| &slot.var)
    }

    /// Changes the learning rate, for a schedule.
    pub fn set_lr(&mut self, lr: f64) {
        self.config.lr = lr;
    }

    /// One step along `gradients`. Parameters that have none stay as they are.
    ///
    /// # Errors
    ///
    /// candle's own.
    pub fn step(&mut self, gradients: &GradStore) -> Result<Step> {
        for (name, slot) in &self.slots {
            if let Some(gradient) = gradients.get(&slot.var)
                && !is_finite(gradient)?
            {
                return Ok(Step::Skipped(format!("gradient of {name}")));
            }
        }
        for slot in self.slots.values_mut() {
            if let Some(gradient) = gradients.get(&slot.var) {
                slot.step(&self.config, gradient)?;
            }
        }
        Ok(Step::Applied)
    }

    /// Moves the parameters, but for those in `except`, by the gradient of `gain` times a loss. A loss or gradient that is
    /// not finite moves nothing and is noted in `losses`.
    ///
    /// # Errors
    ///
    /// candle's own.
    pub fn descend(
        &mut self,
        loss: &Tensor,
        gain: f64,
        except: &[Var],
        losses: &mut Losses,
    ) -> Result<()> {
        let value = loss.detach().to_dtype(DType::F64)?.to_scalar::<f64>()?;
        if !value.is_finite() {
            losses.not_finite.push("loss".to_owned());
            return Ok(());
        }
        let mut gradients = (loss * gain)?.backward()?;
        for var in except {
            gradients.remove(var);
        }
        losses.applied(self.step(&gradients)?);
        Ok(())
    }

    /// Moments and counts by name: `{parameter}.m`, `{parameter}.v` and `{parameter}.t`.
    ///
    /// # Errors
    ///
    /// candle's own.
    pub fn state(&self) -> Result<Vec<(String, Tensor)>> {
        let mut out = Vec::with_capacity(3 * self.slots.len());
        for (name, slot) in &self.slots {
            let [m, v] = slot.moments.tensors()?;
            let steps = i64::try_from(slot.steps).unwrap_or(i64::MAX);
            out.push((format!("{name}.m"), m));
            out.push((format!("{name}.v"), v));
            out.push((format!("{name}.t"), Tensor::new(&[steps], &Device::Cpu)?));
        }
        Ok(out)
    }

    /// Puts moments and counts into a snapshot, below `prefix`.
    ///
    /// # Errors
    ///
    /// A name that is taken.
    pub fn save(&self, prefix: &str, state: &mut State) -> Result<()> {
        for (name, tensor) in self.state()? {
            state.put_tensor(&format!("{prefix}{name}"), &tensor)?;
        }
        Ok(())
    }

    /// Takes moments and counts from a snapshot, to the bit.
    ///
    /// # Errors
    ///
    /// A tensor that is missing or has another shape.
    pub fn restore(&mut self, prefix: &str, state: &State) -> Result<()> {
        for (name, slot) in &mut self.slots {
            let dims = slot.var.dims().to_vec();
            let tensor = |part: &str| state.tensor(&format!("{prefix}{name}.{part}"), &Device::Cpu);
            let shaped = |part: &str| -> Result<Tensor> {
                let tensor = tensor(part)?;
                if tensor.dims() == dims {
                    return Ok(tensor);
                }
                let what = format!("tensor {prefix}{name}.{part}");
                Err(state.wrong(
                    what,
                    format!("shape {:?}", tensor.dims()),
                    format!("{dims:?}"),
                ))
            };
            let (m, v) = (shaped("m")?, shaped("v")?);
            slot.steps = tensor("t")?
                .to_vec1::<i64>()?
                .first()
                .and_then(|t| u64::try_from(*t).ok())
                .ok_or_else(|| {
                    state.wrong(
                        format!("tensor {prefix}{name}.t"),
                        "no count",
                        "a number of steps",
                    )
                })?;
            slot.moments = Moments::of(&slot.var, &m, &v)?;
        }
        Ok(())
    }
}

impl Slot {
    fn step(&mut self, config: &AdamConfig, gradient: &Tensor) -> Result<()> {
        self.steps += 1;
        let how = optimizer::Adam {
            lr: config.lr,
            beta1: config.beta1,
            beta2: config.beta2,
            eps: config.eps,
            decay: config.weight_decay,
            step: self.steps,
        };
        Ok(optimizer::adam(
            &how,
            &self.var,
            &mut self.moments,
            gradient,
        )?)
    }
}

#[cfg(test)]
mod tests;

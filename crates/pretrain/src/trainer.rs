//! What the networks here have in common, but for the StyleGAN2: variables, an optimizer with its schedule, an average.

use std::collections::HashMap;

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use domex_stylegan2::Generator;
use domex_train::adam::{Adam, AdamConfig, Step};
use domex_train::ema::{Ema, EmaConfig};
use domex_train::memory::Held;
use domex_train::{Clock, Parameters, State};
use serde::{Deserialize, Serialize};

use crate::init::Tensors;
use crate::{Error, Result};

/// How a network learns.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Learning {
    /// Length of the run in images, which the schedule spans.
    pub images: u64,
    /// Images in a step.
    pub batch: usize,
    /// Largest learning rate: reached after a fiftieth of the run or 200 steps (but at most a fifth of the
    /// run), then a half cosine down to a fiftieth of it.
    pub lr: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// A gradient longer than this is shortened to it; the length is over all variables.
    pub longest_gradient: f64,
    /// Half-life of the average that is exported, in thousands of images; without one the weights are exported as they are.
    pub ema_kimg: Option<f64>,
}

impl Learning {
    /// The learning rate after `images`.
    pub fn lr_at(&self, images: u64) -> f64 {
        const LEAST: f64 = 0.02;
        // The first steps of a network decide whether it collapses, however long the run is.
        let rise = (200 * self.batch as u64)
            .max(self.images / 50)
            .min(self.images / 5)
            .max(1);
        if images < rise {
            return self.lr * (images as f64 / rise as f64).max(0.01);
        }
        let rest = self.images.saturating_sub(rise).max(1);
        let turn = std::f64::consts::PI * ((images - rise) as f64 / rest as f64).min(1.0);
        self.lr * (LEAST + (1.0 - LEAST) * 0.5 * (1.0 + turn.cos()))
    }
}

/// What a pass of so many samples through a frozen generator certainly holds.
pub(crate) fn held(generator: &Generator, samples: usize) -> Option<Held> {
    let synthesis = generator.synthesis();
    let sizes = [samples, synthesis.config().widest()];
    Held::of(synthesis.device(), synthesis.dtype(), sizes, "--batch")
}

/// See the [module docs](self).
#[derive(Debug)]
pub(crate) struct Trainer {
    learning: Learning,
    parameters: Parameters,
    fixed: Tensors,
    adam: Adam,
    ema: Option<Ema>,
    device: Device,
}

impl Trainer {
    /// Of these tensors, those that `fixed` names stay as they are.
    pub(crate) fn new(
        tensors: Tensors,
        fixed: impl Fn(&str) -> bool,
        learning: Learning,
        device: &Device,
    ) -> Result<Self> {
        if learning.batch == 0 || learning.images == 0 {
            return Err(Error::config("batch or length of the run", 0, "at least 1"));
        }
        let moved = tensors
            .into_iter()
            .map(|(name, tensor)| Ok((name, tensor.to_device(device)?)));
        let (fixed, learnt): (Tensors, Tensors) = moved
            .collect::<Result<Tensors>>()?
            .into_iter()
            .partition(|(name, _)| fixed(name));
        let parameters = Parameters::copy_of(&learnt)?;
        let adam = AdamConfig {
            lr: learning.lr,
            weight_decay: learning.weight_decay,
            beta2: 0.99,
            ..AdamConfig::default()
        };
        let ema = |kimg| {
            let config = EmaConfig {
                kimg,
                ramp_up: Some(0.1),
            };
            Ema::new(&parameters, config)
        };
        Ok(Self {
            adam: Adam::new(&parameters, adam)?,
            ema: learning.ema_kimg.map(ema).transpose()?,
            learning,
            parameters,
            fixed,
            device: device.clone(),
        })
    }

    pub(crate) fn device(&self) -> &Device {
        &self.device
    }

    /// The variables themselves, for a network that is built anew at each step.
    pub(crate) fn trainable(&self) -> VarBuilder<'static> {
        self.builder(self.trainable_tensors())
    }

    /// The variables by name.
    pub(crate) fn trainable_tensors(&self) -> Tensors {
        let variables = self.parameters.iter();
        variables
            .map(|(name, var)| (name.to_owned(), var.as_tensor().clone()))
            .collect()
    }

    /// The average, else the variables.
    fn average(&self) -> Tensors {
        match &self.ema {
            Some(ema) => ema.average().frozen(),
            None => self.trainable_tensors(),
        }
    }

    /// The average and what is fixed, for a network.
    pub(crate) fn averaged(&self) -> VarBuilder<'static> {
        self.builder(self.average())
    }

    /// The same by name.
    pub(crate) fn averaged_tensors(&self) -> Tensors {
        let mut tensors = self.average();
        tensors.extend(self.fixed.clone());
        tensors
    }

    fn builder(&self, tensors: Tensors) -> VarBuilder<'static> {
        let all: HashMap<String, Tensor> = tensors.into_iter().chain(self.fixed.clone()).collect();
        VarBuilder::from_tensors(all, DType::F32, &self.device)
    }

    /// One step down `loss`, a scalar, and the average's step.
    pub(crate) fn descend(&mut self, loss: &Tensor, at: &Clock) -> Result<Step> {
        if !loss.to_scalar::<f32>()?.is_finite() {
            return Ok(Step::Skipped("loss".into()));
        }
        let step = self.apply(loss.backward()?, at)?;
        self.move_average(at)?;
        Ok(step)
    }

    /// One of several steps down a loss for the same images, with the gradient of another variable out of the same pass; none if the
    /// loss is not finite. After the last of them the average [moves](Self::move_average).
    pub(crate) fn descend_beside(
        &mut self,
        loss: &Tensor,
        at: &Clock,
        other: &Tensor,
    ) -> Result<(Step, Option<Tensor>)> {
        if !loss.to_scalar::<f32>()?.is_finite() {
            return Ok((Step::Skipped("loss".into()), None));
        }
        let mut gradients = loss.backward()?;
        let gradient = gradients.remove(other);
        Ok((self.apply(gradients, at)?, gradient))
    }

    fn apply(&mut self, mut gradients: GradStore, at: &Clock) -> Result<Step> {
        self.shorten(&mut gradients)?;
        self.adam.set_lr(self.learning.lr_at(at.images));
        Ok(self.adam.step(&gradients)?)
    }

    /// The average's step, once for the images of a batch.
    pub(crate) fn move_average(&self, at: &Clock) -> Result<()> {
        let batch = self.learning.batch;
        match &self.ema {
            Some(ema) => Ok(ema.update(batch, at.images + batch as u64)?),
            None => Ok(()),
        }
    }

    fn shorten(&self, gradients: &mut GradStore) -> Result<()> {
        let mut square = 0.0;
        for (_, var) in self.parameters.iter() {
            if let Some(gradient) = gradients.get(var) {
                square += f64::from(gradient.sqr()?.sum_all()?.to_scalar::<f32>()?);
            }
        }
        let factor = self.learning.longest_gradient / square.sqrt().max(1e-12);
        // One that is not finite stays for the optimizer to find.
        if factor >= 1.0 || !factor.is_finite() || !square.is_finite() {
            return Ok(());
        }
        for (_, var) in self.parameters.iter() {
            if let Some(gradient) = gradients.remove(var) {
                gradients.insert(var, (gradient * factor)?);
            }
        }
        Ok(())
    }

    /// What no optimizer moves.
    pub(crate) fn fixed(&self) -> &Tensors {
        &self.fixed
    }

    /// Replaces what no optimizer moves, such as running statistics.
    pub(crate) fn set_fixed(&mut self, fixed: Tensors) {
        self.fixed.extend(fixed);
    }

    pub(crate) fn save(&self, state: &mut State) -> Result<()> {
        state.put_parameters("model.", &self.parameters)?;
        self.adam.save("adam.", state)?;
        match &self.ema {
            Some(ema) => Ok(ema.save("ema.", state)?),
            None => Ok(()),
        }
    }

    pub(crate) fn restore(&mut self, state: &State) -> Result<()> {
        state.load_parameters("model.", &self.parameters)?;
        self.adam.restore("adam.", state)?;
        match &self.ema {
            Some(ema) => Ok(ema.restore("ema.", state)?),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEARNING: Learning = Learning {
        images: 10_000,
        batch: 10,
        lr: 1.0,
        weight_decay: 0.0,
        longest_gradient: 1.0,
        ema_kimg: None,
    };

    /// Of one variable, `x`.
    fn trainer(ema_kimg: Option<f64>) -> Trainer {
        let x = Tensor::new(&[1f32], &Device::Cpu).unwrap();
        let tensors = Tensors::from([("x".to_owned(), x)]);
        let learning = Learning {
            ema_kimg,
            ..LEARNING
        };
        Trainer::new(tensors, |_| false, learning, &Device::Cpu).unwrap()
    }

    fn x(tensors: &Tensors) -> f32 {
        tensors["x"].to_vec1::<f32>().unwrap()[0]
    }

    #[test]
    fn the_average_moves_once_a_batch_however_many_steps_it_has() {
        // An average without inertia.
        let (mut trainer, at) = (trainer(Some(0.0)), Clock::default());
        let beside = candle_core::Var::new(&[0f32], &Device::Cpu).unwrap();
        for _ in 0..2 {
            let x = trainer.trainable().get(1, "x").unwrap();
            let loss = (x + beside.as_tensor()).unwrap().sqr().unwrap();
            let loss = loss.sum_all().unwrap();
            let (_, gradient) = trainer.descend_beside(&loss, &at, &beside).unwrap();
            assert!(gradient.is_some());
        }
        assert_eq!(x(&trainer.averaged_tensors()), 1.0);
        trainer.move_average(&at).unwrap();
        let now = x(&trainer.trainable_tensors());
        assert!(now < 1.0);
        assert_eq!(x(&trainer.averaged_tensors()), now);
    }

    #[test]
    fn without_an_average_a_snapshot_that_has_one_is_taken_up() {
        let mut with = trainer(Some(1.0));
        let loss = with.trainable().get(1, "x").unwrap().sum_all().unwrap();
        let step = with.descend(&loss, &Clock::default()).unwrap();
        assert!(!matches!(step, Step::Skipped(_)));
        let mut state = State::new();
        with.save(&mut state).unwrap();
        let mut without = trainer(None);
        without.restore(&state).unwrap();
        let now = x(&with.trainable_tensors());
        assert!(now < 1.0);
        assert_eq!(x(&without.averaged_tensors()), now);
    }

    #[test]
    fn a_gradient_that_is_too_long_is_shortened_as_a_whole() {
        let tensor = |values: &[f32]| Tensor::new(values, &Device::Cpu).unwrap();
        let tensors = [("x", tensor(&[1.0])), ("y", tensor(&[1.0, 1.0]))];
        let tensors = tensors.map(|(name, tensor)| (name.to_owned(), tensor));
        let trainer = Trainer::new(tensors.into(), |_| false, LEARNING, &Device::Cpu).unwrap();
        let gradients = |loss: f64| {
            let (x, y) = (trainer.trainable(), trainer.trainable());
            let (x, y) = (x.get(1, "x").unwrap(), y.get(2, "y").unwrap());
            // Its gradient is 4, (2, 4), of length 6, times `loss`.
            let y = (y * tensor(&[2.0, 4.0])).unwrap().sum_all().unwrap();
            let sum = ((x * 4.0).unwrap().sum_all().unwrap() + y).unwrap();
            let mut gradients = (sum * loss).unwrap().backward().unwrap();
            trainer.shorten(&mut gradients).unwrap();
            let found = trainer.parameters.iter().flat_map(|(_, var)| {
                let gradient = gradients.get(var).unwrap();
                gradient.to_vec1::<f32>().unwrap()
            });
            found.collect::<Vec<_>>()
        };
        let near = |found: Vec<f32>, expected: [f32; 3]| {
            let mut pairs = found.iter().zip(expected);
            assert!(found.len() == 3 && pairs.all(|(a, b)| (a - b).abs() < 1e-6));
        };
        near(gradients(1.0), [4.0 / 6.0, 2.0 / 6.0, 4.0 / 6.0]);
        near(gradients(0.1), [0.4, 0.2, 0.4]);
        assert!(gradients(f64::INFINITY)[0].is_infinite());
    }

    #[test]
    fn the_rate_rises_and_falls() {
        let learning = LEARNING;
        assert!(learning.lr_at(0) < 0.02);
        assert!((learning.lr_at(1000) - 0.5).abs() < 1e-9);
        assert!((learning.lr_at(2000) - 1.0).abs() < 1e-9);
        assert!((learning.lr_at(6000) - 0.51).abs() < 1e-6);
        assert!((learning.lr_at(10_000) - 0.02).abs() < 1e-9);
    }
}

//! First weights, drawn by name.
//!
//! A network is built from a builder that draws each tensor that it is asked for, from a stream of
//! its own that is named by the tensor: a layer more or less changes no other weight.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Device, Shape, Tensor};
use candle_nn::{Init, VarBuilder, var_builder::SimpleBackend};
use domex_random::Streams;

use crate::Result;

/// Tensors by name.
pub type Tensors = BTreeMap<String, Tensor>;

/// How one tensor begins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Begin {
    /// Normal with this standard deviation.
    Normal(f64),
    /// The same number everywhere.
    Constant(f64),
}

impl Begin {
    /// Normal with `gain / √fan_in`, for a weight `[out, in, …]`.
    pub fn scaled(gain: f64, shape: &[usize]) -> Self {
        let fan_in: usize = shape.iter().skip(1).product();
        Self::Normal(gain / (fan_in.max(1) as f64).sqrt())
    }
}

/// The tensors that `build` asks for, each as `rule` says for its name and shape. f32, on the CPU.
///
/// # Errors
///
/// Those of `build`.
pub fn draw<T, E: Into<crate::Error>>(
    seed: u64,
    rule: impl Fn(&str, &[usize]) -> Begin + Send + Sync + 'static,
    build: impl FnOnce(&VarBuilder<'_>) -> std::result::Result<T, E>,
) -> Result<Tensors> {
    let drawn = Arc::new(Mutex::new(Tensors::new()));
    let backend = Draw {
        streams: Streams::new(seed),
        rule: Box::new(rule),
        drawn: Arc::clone(&drawn),
    };
    let vb = VarBuilder::from_backend(Box::new(backend), DType::F32, Device::Cpu);
    build(&vb).map_err(Into::into)?;
    let tensors = std::mem::take(&mut *drawn.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(tensors)
}

type Rule = Box<dyn Fn(&str, &[usize]) -> Begin + Send + Sync>;

struct Draw {
    streams: Streams,
    rule: Rule,
    drawn: Arc<Mutex<Tensors>>,
}

impl Draw {
    fn tensor(&self, shape: &Shape, name: &str) -> candle_core::Result<Tensor> {
        let mut values = vec![0f32; shape.elem_count()];
        match (self.rule)(name, shape.dims()) {
            Begin::Constant(value) => values.fill(value as f32),
            Begin::Normal(std) => {
                self.streams
                    .stream(&format!("init {name}"))
                    .fill_normal(&mut values);
                values.iter_mut().for_each(|value| *value *= std as f32);
            }
        }
        Tensor::from_vec(values, shape, &Device::Cpu)
    }
}

impl SimpleBackend for Draw {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        _: Init,
        _: DType,
        _: &Device,
    ) -> candle_core::Result<Tensor> {
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tensor) = drawn.get(name) {
            return Ok(tensor.clone());
        }
        let tensor = self.tensor(&shape, name)?;
        drawn.insert(name.to_owned(), tensor.clone());
        Ok(tensor)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> candle_core::Result<Tensor> {
        candle_core::bail!("tensor {name} was asked for without its shape")
    }

    fn contains_tensor(&self, _: &str) -> bool {
        true
    }
}

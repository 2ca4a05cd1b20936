//! Where a network's tensors come from, and whether gradients may reach them.

use std::fmt::Display;

use candle_core::{DType, Shape, Tensor};
use candle_nn::VarBuilder;

use crate::Result;

/// Tensors by name below one node.
#[derive(Clone)]
pub(crate) struct Weights<'a> {
    builder: VarBuilder<'a>,
    trainable: bool,
}

impl<'a> Weights<'a> {
    /// Weights that pass no gradient on, whatever the builder holds.
    pub(crate) fn frozen(builder: &VarBuilder<'a>) -> Self {
        Self {
            builder: builder.clone(),
            trainable: false,
        }
    }

    /// The builder's tensors as they are: variables stay variables.
    pub(crate) fn trainable(builder: &VarBuilder<'a>) -> Self {
        Self {
            builder: builder.clone(),
            trainable: true,
        }
    }

    /// The node below this one.
    pub(crate) fn pp(&self, name: impl ToString + Display) -> Self {
        Self {
            builder: self.builder.pp(name),
            trainable: self.trainable,
        }
    }

    /// One tensor.
    pub(crate) fn get<S: Into<Shape>>(&self, shape: S, name: &str) -> Result<Tensor> {
        let tensor = self.builder.get(shape, name)?;
        Ok(match self.trainable {
            true => tensor,
            false => tensor.detach(),
        })
    }

    /// The type in which what is derived from weights is computed: twice the bits where it is done
    /// once, the weights' own where each step does it again.
    pub(crate) fn derived(&self) -> DType {
        match self.trainable {
            true => self.builder.dtype(),
            false => DType::F64,
        }
    }
}

//! What a runner computed, by the full names of the tensors it answers.

use std::collections::BTreeMap;

use candle_core::{Tensor, Var, backprop::GradStore};

use crate::Result;

/// Answers to a case.
#[derive(Default)]
pub(crate) struct Computed {
    tensors: BTreeMap<String, Tensor>,
    contents: Option<BTreeMap<String, Tensor>>,
}

impl Computed {
    /// The answer to `out.{name}`.
    pub fn out(&mut self, name: impl std::fmt::Display, tensor: Tensor) {
        self.tensors.insert(format!("out.{name}"), tensor);
    }

    /// The answer to `out64.{name}`.
    pub fn out64(&mut self, name: impl std::fmt::Display, tensor: Tensor) {
        self.tensors.insert(format!("out64.{name}"), tensor);
    }

    /// The answer to `grad.{name}`: the gradient for `var`. The loss does not depend on a variable
    /// that the backward pass does not reach (a bias that a second derivative removes): zeros,
    /// which is also what the reference stores. A gradient that was lost on the way does not pass
    /// as such, for the expected one is not zero.
    pub fn grad(
        &mut self,
        name: impl std::fmt::Display,
        grads: &GradStore,
        var: &Var,
    ) -> Result<()> {
        let grad = match grads.get(var) {
            Some(grad) => grad.clone(),
            None => var.zeros_like()?,
        };
        self.grad_tensor(name, grad);
        Ok(())
    }

    /// The answer to `grad.{name}` by another way.
    pub fn grad_tensor(&mut self, name: impl std::fmt::Display, grad: Tensor) {
        self.tensors.insert(format!("grad.{name}"), grad);
    }

    /// The answer to a full name.
    pub fn answer(&mut self, name: String, tensor: Tensor) {
        self.tensors.insert(name, tensor);
    }

    /// The answer to all of `param.`: what a checkpoint contains, by the names without prefix.
    pub fn set_contents(&mut self, contents: BTreeMap<String, Tensor>) {
        self.contents = Some(contents);
    }

    /// The answer to a full name.
    pub fn tensor(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(name)
    }

    /// What a checkpoint contains, where the case is one.
    pub fn contents(&self) -> Option<&BTreeMap<String, Tensor>> {
        self.contents.as_ref()
    }
}

/// A variable that starts as `tensor`, so that its gradient can be asked for.
pub(crate) fn var(tensor: &Tensor) -> Result<Var> {
    Ok(Var::from_tensor(tensor)?)
}

/// The scalar loss of most cases: `Σ y r`.
pub(crate) fn dot(y: &Tensor, r: &Tensor) -> Result<Tensor> {
    Ok((y * r)?.sum_all()?)
}

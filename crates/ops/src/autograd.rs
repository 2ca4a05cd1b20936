//! Gradients of gradients: what the R1 penalty and path length regularisation need.
//!
//! candle's `backward` detaches each gradient on its way, so that a gradient cannot be differentiated again.
//! [`backward_with_graph`] and [`grad_with_graph`] make the same walk, to the same bits, and keep the graph of the
//! gradients (what PyTorch calls `create_graph`).
//!
//! With a discriminator's `logits: [n, 1]` for `images: [n, c, h, w]`, R1 (Mescheder et al. 2018)
//! is exact and differentiable with respect to the discriminator's parameters:
//!
//! ```
//! # use candle_core::{Device, Tensor, Var};
//! # use domex_ops::autograd::grad_with_graph;
//! # let images = Var::new(&[[1f64, -2.0]], &Device::Cpu)?;
//! # let weight = Var::new(&[[0.5f64, 2.0]], &Device::Cpu)?;
//! # let discriminator = |x: &Tensor| domex_ops::linear(&x.sqr()?, &weight, None);
//! let logits = discriminator(&images)?;
//! let penalty = grad_with_graph(&logits.sum_all()?, &images)?.sqr()?.sum_all()?;
//! // The gradient of a squared gradient.
//! let grads = penalty.backward()?;
//! # // penalty = Σ (2 w x)², so its gradient is 8 w x².
//! # let g = grads.get(&weight).unwrap().to_vec2::<f64>()?;
//! # assert_eq!(g, [[8.0 * 0.5, 8.0 * 2.0 * 4.0]]);
//! # Ok::<(), domex_ops::Error>(())
//! ```

use std::{
    cell::Cell,
    sync::{Arc, Mutex, PoisonError},
};

use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor, backprop::GradStore};

use crate::{Error, Result, cpu};

mod graph_thread;

thread_local! {
    /// See [`without_weight_grads`].
    static NO_WEIGHT_GRADS: Cell<bool> = const { Cell::new(false) };
}

/// `y.backward()`, whose gradients can be differentiated again.
///
/// Any thread may call it at any time; other threads' backward passes are not touched. The pass after it, from what was made
/// of these gradients, is an ordinary one and costs no more than usual.
///
/// The walk itself runs on a thread of its own, one at a time, and the caller waits for it (`autograd/graph_thread.rs` says why).
///
/// # Errors
///
/// What a step of the pass refuses; [`Error::NoGraph`] when there is no such thread.
///
/// # Panics
///
/// When an operator's backward pass panics, with the same payload.
pub fn backward_with_graph(y: &Tensor) -> Result<GradStore> {
    graph_thread::backward(y)
}

/// Whether the backward pass that runs on this thread keeps the graph of the gradients.
pub(crate) fn keeps_graph() -> bool {
    graph_thread::keeps_graph()
}

/// An operand as a backward pass should use it: attached only where the graph is kept. Otherwise
/// a finished gradient would hold on to the activations of the whole network.
pub(crate) fn in_backward(operand: &Tensor) -> Tensor {
    if keeps_graph() {
        operand.clone()
    } else {
        operand.detach()
    }
}

/// The gradient of the scalar `y` with respect to the variable `wrt`, of `wrt`'s shape.
///
/// For several variables call `y.backward()` once; for a tensor in the middle of a graph see [`watch`].
///
/// # Errors
///
/// [`Error::Shape`] when `y` has more than one element, [`Error::Parameter`] when `wrt` is no
/// variable or `y` does not depend on it.
pub fn grad(y: &Tensor, wrt: &Tensor) -> Result<Tensor> {
    grad_by(y, wrt, |y| Ok(y.backward()?))
}

/// As [`grad`], and the result can be differentiated again.
///
/// # Errors
///
/// As [`grad`] and [`backward_with_graph`].
pub fn grad_with_graph(y: &Tensor, wrt: &Tensor) -> Result<Tensor> {
    grad_by(y, wrt, backward_with_graph)
}

fn grad_by(
    y: &Tensor,
    wrt: &Tensor,
    backward: impl FnOnce(&Tensor) -> Result<GradStore>,
) -> Result<Tensor> {
    const OP: &str = "grad";
    if y.elem_count() != 1 {
        return Err(Error::shape(OP, "y", y.dims(), "one element"));
    }
    if !wrt.is_variable() {
        return Err(Error::parameter(
            OP,
            "wrt",
            "not a variable",
            "a variable, or a tensor passed through `watch`",
        ));
    }
    backward(y)?.remove(wrt).ok_or_else(|| {
        Error::parameter(
            OP,
            "wrt",
            "a variable that y does not depend on",
            "one that y depends on",
        )
    })
}

/// Runs `f`; inside, backward passes through [`linear`](crate::linear()), convolutions and what is
/// made of them compute no gradient for their `weight`.
///
/// For the first of two backward passes, where only the gradient with respect to the input is
/// wanted (R1, path length): its graph still leads to the weights, so the second pass is exact.
/// It saves about a third of the first one. Path length needs care: a weight that is itself
/// computed from the latent would be cut.
pub fn without_weight_grads<T>(f: impl FnOnce() -> T) -> T {
    /// Puts the old value back, also after a panic.
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            NO_WEIGHT_GRADS.set(self.0);
        }
    }
    let _restore = Restore(NO_WEIGHT_GRADS.replace(true));
    f()
}

/// Whether this runs inside [`without_weight_grads`].
pub(crate) fn leaves_out_weight_grads() -> bool {
    NO_WEIGHT_GRADS.get()
}

/// The gradient of an operator's operand `weight`: what `compute` gives, or nothing where nobody wants it.
///
/// Inside [`without_weight_grads`] a weight that is made of others, such as a scaled one, gets zeros that take no memory:
/// candle insists on a gradient for every node within a graph.
pub(crate) fn weight_grad(
    weight: &Tensor,
    compute: impl FnOnce() -> Result<Tensor>,
) -> Result<Option<Tensor>> {
    if !weight.track_op() || (NO_WEIGHT_GRADS.get() && weight.is_variable()) {
        return Ok(None);
    }
    if NO_WEIGHT_GRADS.get() {
        let zero = Tensor::zeros((), weight.dtype(), weight.device())?;
        return Ok(Some(zero.broadcast_as(weight.shape())?));
    }
    compute().map(Some)
}

/// Where [`watch`] leaves a gradient.
#[derive(Debug, Clone, Default)]
pub struct Watched(Arc<Mutex<Option<Tensor>>>);

impl Watched {
    /// Takes the gradient that the last backward pass brought, if one came by since.
    pub fn take(&self) -> Option<Tensor> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// `x` unchanged, and a place where a backward pass leaves the gradient with respect to it.
///
/// candle's store of gradients keeps those of variables only. This serves for a tensor in the
/// middle of a graph, such as the latents `w = mapping(z)` in path length regularisation. After
/// [`backward_with_graph`] the gradient can be differentiated again.
///
/// # Errors
///
/// [`Error::Parameter`] when `x` does not track: no gradient would ever come.
pub fn watch(x: &Tensor) -> Result<(Tensor, Watched)> {
    if !x.track_op() {
        return Err(Error::parameter(
            "watch",
            "x",
            "a constant",
            "a tensor that tracks gradients",
        ));
    }
    let watched = Watched::default();
    let y = x.contiguous()?.apply_op1(Tap(watched.clone()))?;
    Ok((y, watched))
}

/// The identity, which notes the gradient that passes.
struct Tap(Watched);

impl CustomOp1 for Tap {
    fn name(&self) -> &'static str {
        "watch"
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        Ok((cpu::copy(s, l)?, l.shape().clone()))
    }

    fn cuda_fwd(
        &self,
        s: &candle_core::CudaStorage,
        l: &Layout,
    ) -> candle_core::Result<(candle_core::CudaStorage, Shape)> {
        use candle_core::backend::BackendStorage;
        Ok((s.affine(l, 1.0, 0.0)?, l.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, g: &Tensor) -> candle_core::Result<Option<Tensor>> {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(g.clone());
        Ok(Some(g.clone()))
    }
}

#[cfg(test)]
mod tests;

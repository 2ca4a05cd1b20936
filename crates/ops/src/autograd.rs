//! Gradients of gradients: what the R1 penalty and path length regularisation need.
//!
//! candle detaches each gradient during a backward pass, so that a gradient cannot be
//! differentiated again. It leaves the graph in place where the environment variable
//! `CANDLE_GRAD_DO_NOT_DETACH` is set, which every thread reads once, at its first backward pass
//! (`candle-core/src/backprop.rs`). [`keep_graph`] hides that: it runs a closure on a thread of
//! its own that has read the variable while it was set.
//!
//! With a discriminator's `logits: [n, 1]` for `images: [n, c, h, w]`, R1 (Mescheder et al. 2018)
//! is exact and differentiable with respect to the discriminator's parameters:
//!
//! ```
//! # use candle_core::{Device, Tensor, Var};
//! # use domex_ops::autograd::{grad, keep_graph};
//! # let images = Var::new(&[[1f64, -2.0]], &Device::Cpu)?;
//! # let weight = Var::new(&[[0.5f64, 2.0]], &Device::Cpu)?;
//! # let discriminator = |x: &Tensor| domex_ops::linear(&x.sqr()?, &weight, None);
//! let penalty = keep_graph(|| -> domex_ops::Result<Tensor> {
//!     let logits = discriminator(&images)?;
//!     Ok(grad(&logits.sum_all()?, &images)?.sqr()?.sum_all()?)
//! })?;
//! // On this thread as usual: the gradient of a squared gradient.
//! let grads = penalty.backward()?;
//! # // penalty = Σ (2 w x)², so its gradient is 8 w x².
//! # let g = grads.get(&weight).unwrap().to_vec2::<f64>()?;
//! # assert_eq!(g, [[8.0 * 0.5, 8.0 * 2.0 * 4.0]]);
//! # Ok::<(), domex_ops::Error>(())
//! ```

use std::{
    cell::{Cell, OnceCell},
    panic::resume_unwind,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use candle_core::{CpuStorage, CustomOp1, Device, Layout, Shape, Tensor, Var};

use crate::{Error, Result, cpu};

const SWITCH: &str = "CANDLE_GRAD_DO_NOT_DETACH";

/// candle walks a graph by recursion, and second-order graphs are deep. Only the pages that are
/// touched take memory.
const STACK_BYTES: usize = 256 << 20;

/// Held by whoever sets the switch, or reads it for a thread that does not want it.
static SWITCH_LOCK: Mutex<()> = Mutex::new(());

thread_local! {
    /// Whether backward passes on this thread keep the graph. Found out by doing one.
    static KEEPS_GRAPH: OnceCell<bool> = const { OnceCell::new() };
    /// See [`without_weight_grads`].
    static NO_WEIGHT_GRADS: Cell<bool> = const { Cell::new(false) };
}

/// Runs `f`; inside, `backward()` keeps the graph of the gradients, so that they can be
/// differentiated again.
///
/// `f` runs on another thread, and the caller waits for it. Tensors go in and out freely. The
/// second backward pass, from what `f` returns, belongs outside, where it costs no more than
/// usual. Calls may be nested and may come from several threads at once.
///
/// The environment of the process has `CANDLE_GRAD_DO_NOT_DETACH` set for a moment at the start
/// of each outermost call. A thread whose very first backward pass falls into that moment would
/// keep its graphs from then on: its numbers stay right, its memory use grows. Threads that want
/// to exclude even that call [`settle`] when they start.
///
/// # Panics
///
/// When `f` panics, with the same payload, or when no thread can be started.
pub fn keep_graph<T: Send>(f: impl FnOnce() -> T + Send) -> T {
    // Also fixes this thread's own answer before the variable is set.
    if keeps_graph() {
        return f();
    }
    let skip = NO_WEIGHT_GRADS.get();
    thread::scope(|scope| {
        let running = {
            let _guard = SWITCH_LOCK.lock().unwrap_or_else(PoisonError::into_inner);
            let (ready, is_ready) = std::sync::mpsc::channel();
            set_switch(true);
            let spawned = thread::Builder::new()
                .name("keep-graph".into())
                .stack_size(STACK_BYTES)
                .spawn_scoped(scope, move || {
                    // The caller holds the lock meanwhile.
                    let kept = KEEPS_GRAPH.with(|kept| *kept.get_or_init(probe));
                    // The receiver waits for exactly this message.
                    let _ = ready.send(());
                    assert!(kept, "candle no longer reads {SWITCH}");
                    NO_WEIGHT_GRADS.set(skip);
                    f()
                });
            let _ = is_ready.recv();
            set_switch(false);
            spawned.expect("the system can start a thread")
        };
        running
            .join()
            .unwrap_or_else(|payload| resume_unwind(payload))
    })
}

/// Fixes, for the calling thread, that its backward passes do not keep the graph (or do, if the
/// user has set `CANDLE_GRAD_DO_NOT_DETACH`). Returns which.
pub fn settle() -> bool {
    keeps_graph()
}

/// Whether a backward pass on this thread keeps the graph of the gradients.
pub(crate) fn keeps_graph() -> bool {
    let locked_probe = || {
        let _guard = SWITCH_LOCK.lock().unwrap_or_else(PoisonError::into_inner);
        probe()
    };
    KEEPS_GRAPH.with(|kept| *kept.get_or_init(locked_probe))
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

/// One backward pass through `y = (2v)²`. Its last step multiplies the gradient of `2v` by a
/// number, so what arrives at `v` tracks only if that gradient was not detached.
fn probe() -> bool {
    let tracks = || -> candle_core::Result<bool> {
        let v = Var::new(1f64, &Device::Cpu)?;
        let grads = v.affine(2.0, 0.0)?.sqr()?.backward()?;
        Ok(grads.get(&v).is_some_and(Tensor::track_op))
    };
    tracks().unwrap_or(false)
}

/// Sets or clears candle's switch in the environment of the process.
fn set_switch(on: bool) {
    // SAFETY: the environment must not be read or written by another thread meanwhile. All of
    // Rust's `std::env` goes through one lock, and the callers of this function hold a mutex.
    // What remains is C code that calls `getenv` from another thread: none is linked on the CPU,
    // and CUDA's libraries read their variables when the device is opened, before any tensor
    // that could be differentiated exists.
    unsafe {
        if on {
            std::env::set_var(SWITCH, "1");
        } else {
            std::env::remove_var(SWITCH);
        }
    }
}

/// The gradient of the scalar `y` with respect to the variable `wrt`, of `wrt`'s shape.
///
/// Inside [`keep_graph`] the result can be differentiated again. For several variables call
/// `y.backward()` once; for a tensor in the middle of a graph see [`watch`].
///
/// # Errors
///
/// [`Error::Shape`] when `y` has more than one element, [`Error::Parameter`] when `wrt` is no
/// variable or `y` does not depend on it.
pub fn grad(y: &Tensor, wrt: &Tensor) -> Result<Tensor> {
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
    let mut grads = y.backward()?;
    grads.remove(wrt).ok_or_else(|| {
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
/// middle of a graph, such as the latents `w = mapping(z)` in path length regularisation. Inside
/// [`keep_graph`] the gradient can be differentiated again.
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
mod tests {
    use candle_core::DType;

    use super::*;

    fn cube_gradient_tracks(v: &Var) -> bool {
        let y = (v.sqr().unwrap() * v.as_tensor()).unwrap();
        let g = grad(&y.affine(3.0, 0.0).unwrap(), v).unwrap();
        // Through `affine` alone the incoming gradient is a constant; the square makes the path.
        g.track_op()
    }

    #[test]
    fn third_derivative_of_a_fourth_power() {
        let x = Var::new(1.5f64, &Device::Cpu).unwrap();
        let third = keep_graph(|| {
            let y = x.sqr()?.sqr()?;
            let first = grad(&y, &x)?;
            let second = grad(&first, &x)?;
            grad(&second, &x)
        })
        .unwrap();
        assert!((third.to_scalar::<f64>().unwrap() - 24.0 * 1.5).abs() < 1e-12);
    }

    #[test]
    fn the_caller_stays_off_and_nesting_works() {
        assert!(!settle());
        let inner = keep_graph(|| (settle(), keep_graph(settle)));
        assert_eq!(inner, (true, true));
        assert!(!settle());
        assert!(std::env::var_os(SWITCH).is_none());
        let v = Var::new(2f64, &Device::Cpu).unwrap();
        assert!(keep_graph(|| cube_gradient_tracks(&v)));
    }

    #[test]
    fn many_threads_at_once() {
        thread::scope(|s| {
            let spawn = |_| s.spawn(|| (settle(), keep_graph(settle), settle()));
            for t in (0..16).map(spawn).collect::<Vec<_>>() {
                let (before, inside, after) = t.join().unwrap();
                assert!(inside);
                assert_eq!(before, after);
            }
        });
    }

    #[test]
    fn a_panic_comes_through_and_leaves_no_switch() {
        let caught = std::panic::catch_unwind(|| keep_graph(|| panic!("inside")));
        assert_eq!(caught.unwrap_err().downcast_ref::<&str>(), Some(&"inside"));
        assert!(keep_graph(settle));
    }

    #[test]
    fn a_tensor_in_the_middle_is_watched() {
        let x = Var::new(&[1f64, 2.0, -3.0], &Device::Cpu).unwrap();
        let second = keep_graph(|| -> Result<Tensor> {
            let (w, at_w) = watch(&(x.as_tensor() * 2.0)?)?;
            // d/dw of w³ + w, w used twice.
            ((w.sqr()? * &w)? + &w)?.sum_all()?.backward()?;
            let g = at_w.take().expect("the gradient came by");
            assert!(at_w.take().is_none());
            Ok(g.sum_all()?)
        })
        .unwrap();
        // Σ 3w² + 1 with w = 2x: derivative with respect to x is 24x.
        assert_eq!(second.to_scalar::<f64>().unwrap(), 3.0 * 4.0 * 14.0 + 3.0);
        let g = grad(&second, &x).unwrap().to_vec1::<f64>().unwrap();
        assert_eq!(g, [24.0, 48.0, -72.0]);
    }

    #[test]
    fn r1_needs_no_weight_gradients_in_its_first_pass() {
        use crate::testing::{max_difference, randn};
        let variable = |dims: &[usize], seed| Var::from_tensor(&randn(dims, seed)).unwrap();
        let (x, w) = (variable(&[2, 2, 5, 5], 1), variable(&[3, 2, 3, 3], 2));
        let head = variable(&[1, 27], 3);
        let penalty = || -> Result<Tensor> {
            // A weight that is made of another, as in networks with an equalised learning rate.
            let scaled = (w.as_tensor() * 0.7)?;
            let h = crate::conv2d(&x, &scaled, None, 2, 1)?.tanh()?;
            let logits = crate::linear(&h.flatten_from(1)?, &head, None)?;
            Ok(grad(&logits.sum_all()?, &x)?.sqr()?.sum_all()?)
        };
        let full = keep_graph(penalty).unwrap().backward().unwrap();
        let lean = keep_graph(|| without_weight_grads(penalty))
            .unwrap()
            .backward()
            .unwrap();
        for v in [&w, &head] {
            let (full, lean) = (full.get(v).unwrap(), lean.get(v).unwrap());
            assert!(max_difference(full, &full.zeros_like().unwrap()) > 0.1);
            assert!(max_difference(full, lean) < 1e-13);
        }
    }

    #[test]
    fn refusals_name_the_reason() {
        let x = Var::new(&[1f64, 2.0], &Device::Cpu).unwrap();
        let other = Var::new(1f64, &Device::Cpu).unwrap();
        let text = |r: Result<Tensor>| r.unwrap_err().to_string();
        assert!(text(grad(&x, &x)).contains("y has shape [2]"));
        let y = x.sum_all().unwrap();
        assert!(text(grad(&y, &other)).contains("does not depend on"));
        assert!(text(grad(&y, &y)).contains("not a variable"));
        let constant = Tensor::zeros(2, DType::F32, &Device::Cpu).unwrap();
        assert!(watch(&constant).is_err());
    }
}

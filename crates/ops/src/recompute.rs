//! Activations that are computed again on the way back instead of being kept (Chen et al. 2016, "Training deep nets with
//! sublinear memory cost", arXiv 1604.06174).
//!
//! A backward pass needs the activations of everything that it passes, so a chain of T sampling steps of a diffusion network
//! would hold T times the activations of one. [`recompute`] runs a part of a network and forgets its graph at once; its
//! backward runs the part a second time and differentiates that. Kept are only what goes in and comes out. The price is one
//! more forward pass of the part.
//!
//! Gradients reach everything they would reach otherwise: the inputs, and the variables that the part uses, which are found
//! in the graph that is thrown away. How they get there: candle's backward pass knows only operands, and there can be
//! hundreds. So each receiver gets a *hook*, an operator whose result is a zero that the part depends on. The part's
//! backward leaves the gradients in a shared place; the hooks, whose turn comes after it, pick them up.
//!
//! A pass that keeps the graph of the gradients ([`backward_with_graph`]) makes the part's gradients a part of their own,
//! whose backward runs both again; so gradients of gradients are exact, and as cheap to hold.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::backend::{BackendDevice, BackendStorage};
use candle_core::backprop::GradStore;
use candle_core::{
    CpuStorage, CudaStorage, CustomOp1, DType, Layout, Shape, Storage, Tensor, Var, bail,
};

use crate::autograd::{backward_with_graph, keeps_graph};

/// `f(inputs)`, whose graph is not kept but built again when a backward pass comes by. See the [module docs](self).
///
/// `f` must give the same for the same inputs, for it runs twice: anything random has to be drawn outside.
///
/// # Errors
///
/// Those of `f`. An error in the second run comes out of the backward pass.
pub fn recompute<E>(
    inputs: &[Tensor],
    f: impl Fn(&[Tensor]) -> Result<Tensor, E> + Send + Sync + 'static,
) -> Result<Tensor, E>
where
    E: std::error::Error + From<crate::Error> + Send + Sync + 'static,
{
    // Inside a pass that keeps the graph, it is kept to the end.
    if keeps_graph() {
        return f(inputs);
    }
    let constants: Vec<Tensor> = inputs.iter().map(Tensor::detach).collect();
    let y = f(&constants)?;
    let run = Arc::new(move |inputs: &[Tensor]| f(inputs).map_err(candle_core::Error::wrap));
    Ok(part(inputs, &y, run).map_err(crate::Error::from)?)
}

type Run = Arc<dyn Fn(&[Tensor]) -> candle_core::Result<Tensor> + Send + Sync>;

/// The operator with its hooks. `y` is what `run` gives for the inputs as constants.
fn part(inputs: &[Tensor], y: &Tensor, run: Run) -> candle_core::Result<Tensor> {
    let found = y.sorted_nodes().into_iter().filter(|t| t.is_variable());
    let variables: Vec<Tensor> = found.cloned().collect();
    // From here on nothing holds the graph.
    let y = y.detach();
    let tracked: Vec<bool> = inputs.iter().map(Tensor::track_op).collect();
    let receivers = inputs.iter().zip(&tracked).filter(|(_, tracked)| **tracked);
    let receivers: Vec<&Tensor> = receivers.map(|(t, _)| t).chain(&variables).collect();
    if receivers.is_empty() {
        return Ok(y);
    }
    let gradients: Gradients = Arc::new(Mutex::new(vec![None; receivers.len()]));
    let hooks = receivers.iter().enumerate().map(|(place, receiver)| {
        receiver.apply_op1(Hook {
            place,
            gradients: Arc::clone(&gradients),
        })
    });
    let hooks = hooks.collect::<candle_core::Result<Vec<_>>>()?;
    Tensor::stack(&hooks, 0)?.apply_op1(Part {
        gradient: Gradient {
            run,
            tracked,
            variables,
        },
        inputs: inputs.to_vec(),
        result: Mutex::new(Some(y.contiguous()?)),
        gradients,
    })
}

/// One for each receiver, in the order of the hooks.
type Gradients = Arc<Mutex<Vec<Option<Tensor>>>>;

/// A receiver to a zero; its backward gives the receiver what the part left for it.
struct Hook {
    place: usize,
    gradients: Gradients,
}

impl CustomOp1 for Hook {
    fn name(&self) -> &'static str {
        "recompute-hook"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        Ok((CpuStorage::F32(vec![0.0]), Shape::from(())))
    }

    fn cuda_fwd(&self, s: &CudaStorage, _: &Layout) -> candle_core::Result<(CudaStorage, Shape)> {
        let shape = Shape::from(());
        Ok((s.device().zeros_impl(&shape, DType::F32)?, shape))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, _: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let mut gradients = self
            .gradients
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match gradients[self.place].take() {
            Some(gradient) => Ok(Some(gradient)),
            // candle insists on a gradient for every node within a graph.
            None if x.is_variable() => Ok(None),
            None => x.zeros_like().map(Some),
        }
    }
}

/// The hooks' zeros to the result.
struct Part {
    gradient: Gradient,
    inputs: Vec<Tensor>,
    /// The result, until the forward pass takes it.
    result: Mutex<Option<Tensor>>,
    gradients: Gradients,
}

/// What computes the gradients of a part.
#[derive(Clone)]
struct Gradient {
    run: Run,
    /// Which inputs have a hook.
    tracked: Vec<bool>,
    variables: Vec<Tensor>,
}

impl Gradient {
    /// The gradients of `Σ y g` by `backward`, one for each receiver. Inputs that are variables are differentiated
    /// themselves, others as constants.
    fn compute(
        &self,
        inputs: &[Tensor],
        g: &Tensor,
        backward: impl Fn(&Tensor) -> candle_core::Result<GradStore>,
    ) -> candle_core::Result<Vec<Option<Tensor>>> {
        let mut live = Vec::with_capacity(inputs.len());
        for (input, &tracked) in inputs.iter().zip(&self.tracked) {
            live.push(match tracked {
                true => Var::from_tensor(input)?.into_inner(),
                false => input.clone(),
            });
        }
        let y = (self.run)(&live)?;
        let mut grads = backward(&(y * g)?.sum_all()?)?;
        let found = self.receivers(&live).map(|t| grads.remove(t));
        Ok(found.collect())
    }

    /// The same as a part: they can be differentiated again.
    fn with_graph(
        &self,
        inputs: &[Tensor],
        g: &Tensor,
    ) -> candle_core::Result<Vec<Option<Tensor>>> {
        let gradient = self.clone();
        let run = Arc::new(move |operands: &[Tensor]| {
            let [inputs @ .., g] = operands else {
                bail!("recompute: no gradient arrived");
            };
            let found = gradient.compute(inputs, g, |y| match keeps_graph() {
                true => y.backward(),
                false => backward_with_graph(y).map_err(candle_core::Error::wrap),
            })?;
            // One result: all gradients, one behind the other.
            let mut flat = Vec::with_capacity(found.len());
            for (gradient, receiver) in found.into_iter().zip(gradient.receivers(inputs)) {
                let gradient = gradient.map_or_else(|| receiver.zeros_like(), Ok)?;
                flat.push(gradient.flatten_all()?);
            }
            Tensor::cat(&flat, 0)
        });
        let operands: Vec<Tensor> = inputs.iter().chain([g]).cloned().collect();
        let constants: Vec<Tensor> = operands.iter().map(Tensor::detach).collect();
        let flat = part(&operands, &run(&constants)?, run)?;
        let mut start = 0;
        let pieces = self.receivers(inputs).map(|receiver| {
            let piece = flat.narrow(0, start, receiver.elem_count())?;
            start += receiver.elem_count();
            piece.reshape(receiver.shape()).map(Some)
        });
        pieces.collect()
    }

    fn receivers<'a>(&'a self, inputs: &'a [Tensor]) -> impl Iterator<Item = &'a Tensor> {
        let tracked = inputs
            .iter()
            .zip(&self.tracked)
            .filter(|(_, tracked)| **tracked);
        tracked.map(|(t, _)| t).chain(&self.variables)
    }
}

impl Part {
    fn take(&self) -> candle_core::Result<Tensor> {
        let mut result = self.result.lock().unwrap_or_else(PoisonError::into_inner);
        match result.take() {
            Some(result) => Ok(result),
            None => bail!("recompute: the forward pass runs once"),
        }
    }
}

impl CustomOp1 for Part {
    fn name(&self) -> &'static str {
        "recompute"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let y = self.take()?;
        let (storage, layout) = y.storage_and_layout();
        match &*storage {
            Storage::Cpu(s) => Ok((crate::cpu::copy(s, layout)?, y.shape().clone())),
            _ => bail!("recompute: the inputs are on the CPU, the result is not"),
        }
    }

    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout) -> candle_core::Result<(CudaStorage, Shape)> {
        let y = self.take()?;
        let (storage, layout) = y.storage_and_layout();
        match &*storage {
            Storage::Cuda(s) => Ok((s.affine(layout, 1.0, 0.0)?, y.shape().clone())),
            _ => bail!("recompute: the inputs are on a GPU, the result is not"),
        }
    }

    fn bwd(&self, zeros: &Tensor, _: &Tensor, g: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let found = if keeps_graph() {
            self.gradient.with_graph(&self.inputs, g)?
        } else {
            let constants: Vec<Tensor> = self.inputs.iter().map(Tensor::detach).collect();
            self.gradient.compute(&constants, g, Tensor::backward)?
        };
        *self
            .gradients
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = found;
        zeros.zeros_like().map(Some)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use candle_core::Device;

    use super::*;
    use crate::testing::{max_difference, randn};
    use crate::{Result, linear};

    fn variable(dims: &[usize], seed: u64) -> Var {
        Var::from_tensor(&randn(dims, seed)).unwrap()
    }

    /// Four layers `x ← tanh(x (0.7 W)ᵀ) + c`, with or without keeping what is in them.
    fn chain(x: &Tensor, c: &Tensor, w: &Var, forget: bool) -> Result<Tensor> {
        let mut x = x.clone();
        for _ in 0..4 {
            let w = w.as_tensor().clone();
            let layer = move |t: &[Tensor]| -> Result<Tensor> {
                // A weight that is made of a variable inside the part.
                let y = linear(&t[0], &(&w * 0.7)?, None)?.tanh()?;
                Ok((y + &t[1])?)
            };
            let inputs = [x, c.clone()];
            x = if forget {
                recompute(&inputs, layer)?
            } else {
                layer(&inputs)?
            };
        }
        Ok(x)
    }

    fn agree(vars: &[&Var], a: &GradStore, b: &GradStore) {
        for var in vars {
            let (a, b) = (a.get(var).unwrap(), b.get(var).unwrap());
            let size = max_difference(b, &b.zeros_like().unwrap());
            assert!(size > 1e-3);
            let off = max_difference(a, b) / size;
            assert!(off < 1e-14, "{off} of {size}");
        }
    }

    #[test]
    fn inputs_and_variables_get_the_gradients_that_they_get_without() {
        let (x, c, w) = (
            variable(&[3, 5], 1),
            variable(&[3, 5], 2),
            variable(&[5, 5], 3),
        );
        let grads = |forget| {
            let y = chain(&x.sqr().unwrap(), &c, &w, forget).unwrap();
            y.sqr().unwrap().sum_all().unwrap().backward().unwrap()
        };
        agree(&[&x, &c, &w], &grads(true), &grads(false));
    }

    #[test]
    fn a_part_within_a_part_and_a_result_used_twice() {
        let (x, c, w) = (
            variable(&[2, 4], 1),
            variable(&[2, 4], 2),
            variable(&[4, 4], 3),
        );
        let grads = |forget: bool| {
            let (c, w) = (c.clone(), w.clone());
            let two = move |t: &[Tensor]| chain(&chain(&t[0], &c, &w, forget)?, &c, &w, forget);
            let inputs = [x.as_tensor().clone()];
            let y = if forget {
                recompute(&inputs, two)
            } else {
                two(&inputs)
            }
            .unwrap();
            let sum = (y.sqr().unwrap() + y.sin().unwrap()).unwrap();
            sum.sum_all().unwrap().backward().unwrap()
        };
        agree(&[&x, &c, &w], &grads(true), &grads(false));
    }

    #[test]
    fn the_part_runs_once_forwards_and_once_more_backwards() {
        let runs = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&runs);
        let part = move |t: &[Tensor]| -> Result<Tensor> {
            count.fetch_add(1, Ordering::Relaxed);
            Ok(t[0].sqr()?)
        };
        let x = variable(&[3], 1);
        let y = recompute(&[x.as_tensor().clone()], part).unwrap();
        assert_eq!(runs.load(Ordering::Relaxed), 1);
        y.sum_all().unwrap().backward().unwrap();
        assert_eq!(runs.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn what_does_not_track_gets_nothing_and_costs_nothing() {
        let (x, c, w) = (
            variable(&[2, 4], 1),
            randn(&[2, 4], 2),
            variable(&[4, 4], 3),
        );
        let y = chain(&x.detach(), &c, &w, true).unwrap();
        let grads = y.sum_all().unwrap().backward().unwrap();
        assert!(grads.get(&w).is_some());
        assert!(grads.get(&c).is_none() && grads.get(&x).is_none());
        let constant = recompute(&[c], |t: &[Tensor]| -> Result<Tensor> { Ok(t[0].sqr()?) });
        assert!(!constant.unwrap().track_op());
    }

    #[test]
    fn gradients_of_gradients_stay_exact() {
        let (x, c, w) = (
            variable(&[3, 5], 1),
            variable(&[3, 5], 2),
            variable(&[5, 5], 3),
        );
        let grads = |forget| {
            let y = chain(&x.sqr().unwrap(), &c, &w, forget).unwrap();
            let first = backward_with_graph(&y.sqr().unwrap().sum_all().unwrap()).unwrap();
            let norms = [&x, &c, &w].map(|v| first.get(v).unwrap().sqr().unwrap().sum_all());
            let norms = norms.map(|norm| norm.unwrap());
            Tensor::stack(&norms, 0)
                .unwrap()
                .sum_all()
                .unwrap()
                .backward()
                .unwrap()
        };
        agree(&[&x, &c, &w], &grads(true), &grads(false));
    }

    #[test]
    fn an_error_inside_comes_out() {
        let x = Tensor::zeros((2, 3), DType::F64, &Device::Cpu).unwrap();
        let failing = |t: &[Tensor]| linear(&t[0], &t[0].t()?, None);
        assert!(recompute(&[x], failing).is_err());
    }
}

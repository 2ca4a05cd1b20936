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
//! whose backward runs both again; so gradients of gradients are exact, and as cheap to hold. Inside
//! [`without_weight_grads`] both runs leave out what the first one leaves out.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::backend::{BackendDevice, BackendStorage};
use candle_core::backprop::GradStore;
use candle_core::{
    CpuStorage, CudaStorage, CustomOp1, DType, Layout, Shape, Storage, Tensor, Var, bail,
};

use crate::autograd::{
    backward_with_graph, keeps_graph, leaves_out_weight_grads, without_weight_grads,
};

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
    let found = y.sorted_nodes().into_iter().filter(|t| t.is_variable());
    let gradient = Gradient {
        tracked: inputs.iter().map(Tensor::track_op).collect(),
        variables: found.cloned().collect(),
        run: Arc::new(move |inputs| Ok(vec![f(inputs).map_err(candle_core::Error::wrap)?])),
    };
    Ok(part(inputs, gradient, vec![y]).map_err(crate::Error::from)?)
}

type Run = Arc<dyn Fn(&[Tensor]) -> candle_core::Result<Vec<Tensor>> + Send + Sync>;

/// The operator with its hooks. `results` are what it gives for the inputs as constants: one, or several, which then come one
/// behind the other.
fn part(
    inputs: &[Tensor],
    gradient: Gradient,
    results: Vec<Tensor>,
) -> candle_core::Result<Tensor> {
    // From here on nothing holds the graph.
    let results = results.into_iter().map(|y| y.detach().contiguous());
    let results: Vec<Tensor> = results.collect::<candle_core::Result<_>>()?;
    let gradients: Gradients = Arc::default();
    let receivers = gradient.receivers(inputs).enumerate();
    let hooks = receivers.map(|(place, receiver)| {
        receiver.apply_op1(Hook {
            place,
            gradients: Arc::clone(&gradients),
        })
    });
    let hooks = hooks.collect::<candle_core::Result<Vec<_>>>()?;
    if hooks.is_empty() {
        return joined(&results);
    }
    Tensor::stack(&hooks, 0)?.apply_op1(Part {
        gradient,
        inputs: inputs.to_vec(),
        results: Mutex::new(results),
        gradients,
    })
}

/// One tensor as it is, several flat and one behind the other.
fn joined(results: &[Tensor]) -> candle_core::Result<Tensor> {
    match results {
        [one] => Ok(one.clone()),
        several => {
            let flat = several.iter().map(Tensor::flatten_all);
            Tensor::cat(&flat.collect::<candle_core::Result<Vec<_>>>()?, 0)
        }
    }
}

/// One for each receiver, in the order of the hooks.
type Gradients = Arc<Mutex<Vec<Option<Tensor>>>>;

/// A zero that depends on an operand, without reading it.
fn zero_on_cpu() -> candle_core::Result<(CpuStorage, Shape)> {
    Ok((CpuStorage::F32(vec![0.0]), Shape::from(())))
}

/// The same on a device.
fn zero_on_cuda(s: &CudaStorage) -> candle_core::Result<(CudaStorage, Shape)> {
    let shape = Shape::from(());
    Ok((s.device().zeros_impl(&shape, DType::F32)?, shape))
}

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
        zero_on_cpu()
    }

    fn cuda_fwd(&self, s: &CudaStorage, _: &Layout) -> candle_core::Result<(CudaStorage, Shape)> {
        zero_on_cuda(s)
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, _: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let mut gradients = self
            .gradients
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match gradients.get_mut(self.place).and_then(Option::take) {
            Some(gradient) => Ok(Some(gradient)),
            // candle insists on a gradient for every node within a graph.
            None if x.is_variable() => Ok(None),
            None => x.zeros_like().map(Some),
        }
    }
}

/// A result y to a zero whose gradient with respect to it is `g`: that of `Σ y g`, without the product and its own gradients.
struct Inject {
    g: Tensor,
}

impl CustomOp1 for Inject {
    fn name(&self) -> &'static str {
        "recompute-inject"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        zero_on_cpu()
    }

    fn cuda_fwd(&self, s: &CudaStorage, _: &Layout) -> candle_core::Result<(CudaStorage, Shape)> {
        zero_on_cuda(s)
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, _: &Tensor) -> candle_core::Result<Option<Tensor>> {
        Ok(Some(self.g.clone()))
    }
}

/// The hooks' zeros to the results.
struct Part {
    gradient: Gradient,
    inputs: Vec<Tensor>,
    /// The results, until the forward pass takes them.
    results: Mutex<Vec<Tensor>>,
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
        let mut sum: Option<Tensor> = None;
        let mut start = 0;
        let results = (self.run)(&live)?;
        for y in &results {
            let g = match results.len() {
                1 => g.clone(),
                _ => g.narrow(0, start, y.elem_count())?.reshape(y.shape())?,
            };
            start += y.elem_count();
            let zero = y.apply_op1(Inject { g })?;
            sum = Some(match sum {
                None => zero,
                Some(sum) => (sum + zero)?,
            });
        }
        drop(results);
        let Some(sum) = sum else {
            bail!("recompute: a part without a result");
        };
        let mut grads = backward(&sum)?;
        let found = self.receivers(&live).map(|t| grads.remove(t));
        Ok(found.collect())
    }

    /// The same as a part: they can be differentiated again.
    fn with_graph(
        &self,
        inputs: &[Tensor],
        g: &Tensor,
    ) -> candle_core::Result<Vec<Option<Tensor>>> {
        let operands: Vec<Tensor> = inputs.iter().chain([g]).cloned().collect();
        let constants: Vec<Tensor> = operands.iter().map(Tensor::detach).collect();
        let own = Self {
            // Nobody asks for the gradients of weights.
            variables: match leaves_out_weight_grads() {
                true => Vec::new(),
                false => self.variables.clone(),
            },
            ..self.clone()
        };
        let no_weights = leaves_out_weight_grads();
        let compute = move |operands: &[Tensor]| {
            let [inputs @ .., g] = operands else {
                bail!("recompute: no gradient arrived");
            };
            let found = || {
                own.compute(inputs, g, |y| match keeps_graph() {
                    true => y.backward(),
                    false => backward_with_graph(y).map_err(candle_core::Error::wrap),
                })
            };
            match no_weights {
                true => without_weight_grads(found),
                false => found(),
            }
        };
        let found = compute(&constants)?;
        let mut start = 0;
        let kinds: Vec<_> = found
            .iter()
            .map(|found| found.as_ref().map(|t| (t.shape().clone(), t.dtype())))
            .collect();
        let results = found.into_iter().flatten().collect::<Vec<_>>();
        let Some(widest) = results
            .iter()
            .map(Tensor::dtype)
            .max_by_key(DType::size_in_bytes)
        else {
            return Ok(vec![None; kinds.len()]);
        };
        // One result has one type.
        let alike = move |found: Vec<Tensor>| {
            let alike = found.iter().map(|t| t.to_dtype(widest));
            alike.collect::<candle_core::Result<Vec<_>>>()
        };
        let gradient = Self {
            tracked: operands.iter().map(Tensor::track_op).collect(),
            variables: self.variables.clone(),
            run: Arc::new(move |operands| {
                alike(compute(operands)?.into_iter().flatten().collect())
            }),
        };
        let flat = part(&operands, gradient, alike(results)?)?.flatten_all()?;
        let mut pieces: Vec<Option<Tensor>> = Vec::with_capacity(kinds.len());
        for kind in kinds {
            pieces.push(match kind {
                None => None,
                Some((shape, dtype)) => {
                    let piece = flat.narrow(0, start, shape.elem_count())?;
                    start += shape.elem_count();
                    Some(piece.to_dtype(dtype)?.reshape(shape)?)
                }
            });
        }
        // The variables, where they are left out.
        pieces.resize(self.receivers(inputs).count(), None);
        Ok(pieces)
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
    /// The results one behind the other, and the shape of that.
    fn take(&self) -> candle_core::Result<(Tensor, Shape)> {
        let mut results = self.results.lock().unwrap_or_else(PoisonError::into_inner);
        if results.is_empty() {
            bail!("recompute: the forward pass runs once");
        }
        let y = joined(&std::mem::take(&mut *results))?;
        let shape = y.shape().clone();
        Ok((y, shape))
    }
}

impl CustomOp1 for Part {
    fn name(&self) -> &'static str {
        "recompute"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (y, shape) = self.take()?;
        let (storage, layout) = y.storage_and_layout();
        match &*storage {
            Storage::Cpu(s) => Ok((crate::cpu::copy(s, layout)?, shape)),
            _ => bail!("recompute: the inputs are on the CPU, the result is not"),
        }
    }

    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout) -> candle_core::Result<(CudaStorage, Shape)> {
        let (y, shape) = self.take()?;
        let (storage, layout) = y.storage_and_layout();
        match &*storage {
            Storage::Cuda(s) => Ok((s.affine(layout, 1.0, 0.0)?, shape)),
            _ => bail!("recompute: the inputs are on a GPU, the result is not"),
        }
    }

    fn bwd(&self, zeros: &Tensor, _: &Tensor, g: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let found = if keeps_graph() {
            self.gradient.with_graph(&self.inputs, g)?
        } else {
            let constants: Vec<Tensor> = self.inputs.iter().map(Tensor::detach).collect();
            let found = self.gradient.compute(&constants, g, Tensor::backward)?;
            // candle leaves at some gradients what they were computed from, and with it all of the part.
            let found = found.into_iter().map(|t| t.map(|t| t.detach()));
            found.collect()
        };
        *self
            .gradients
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = found;
        zeros.zeros_like().map(Some)
    }
}

#[cfg(test)]
mod tests;

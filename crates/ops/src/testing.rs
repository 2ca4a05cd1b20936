//! Gradient checks against finite differences, for the tests of this crate and of those above it.
//!
//! First order: for a fixed random `r`, the gradient of `L(x) = Σ f(x)·r` is compared with
//! `(L(x + h e) − L(x − h e)) / 2h` along single coordinates `e`. Second order: for fixed random
//! `v`, the same is done with `H(x, r) = Σᵢ ⟨∂L/∂xᵢ, vᵢ⟩`, whose gradient needs the graph of the
//! first backward pass ([`backward_with_graph`]). `r` counts as an input
//! there, so the path through the incoming gradient is checked as well. All in float64.
//!
//! Like `assert_eq!`, the checks panic when they fail.

use candle_core::{DType, Device, Tensor, Var, backprop::GradStore};

use crate::{Result, autograd::backward_with_graph};

/// Half the distance between the two points of a difference quotient.
const STEP: f64 = 1e-5;
/// Allowed difference, relative to the largest gradient of the operand (or to 1).
const TOLERANCE: f64 = 2e-7;
/// At most this many coordinates of an operand are differenced, evenly spread.
const COORDINATES: usize = 48;

/// Standard normal numbers of the given shape, float64 on the CPU; the same ones for a seed.
///
/// # Panics
///
/// Never for shapes that fit into memory.
pub fn randn(shape: &[usize], seed: u64) -> Tensor {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    // SplitMix64 (Steele, Lea & Flood 2014), two draws per Box-Muller number.
    let mut uniform = || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    };
    let data: Vec<f64> = (0..shape.iter().product())
        .map(|_| {
            let radius = (-2.0 * (1.0 - uniform()).ln()).sqrt();
            radius * (std::f64::consts::TAU * uniform()).cos()
        })
        .collect();
    Tensor::from_vec(data, shape, &Device::Cpu).expect("as many numbers as the shape holds")
}

/// The largest absolute difference of two tensors of one shape, as float64.
///
/// # Panics
///
/// When the shapes differ.
pub fn max_difference(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.dims(), b.dims(), "shapes differ");
    // A NaN anywhere must not be lost in the maximum.
    values(a)
        .iter()
        .zip(values(b))
        .fold(0.0, |worst: f64, (x, y)| {
            let d = (x - y).abs();
            if d.is_nan() || d > worst { d } else { worst }
        })
}

/// Checks the first-order gradients of `f` for each of its operands.
///
/// # Panics
///
/// When a gradient is missing or differs from the difference quotient, or `f` fails.
pub fn assert_gradients<F>(name: &str, f: F, inputs: &[Tensor])
where
    F: Fn(&[Tensor]) -> Result<Tensor>,
{
    let inputs = as_f64(inputs);
    let y = f(&inputs).unwrap_or_else(|e| panic!("{name}: {e}"));
    let r = randn(y.dims(), 7001);
    let loss = |xs: &[Tensor]| -> Result<Tensor> { Ok((f(xs)? * &r)?.sum_all()?) };

    let (vars, leaves) = variables(&inputs);
    let grads = loss(&leaves)
        .and_then(|l| Ok(l.backward()?))
        .unwrap_or_else(|e| panic!("{name}: {e}"));
    for (i, var) in vars.iter().enumerate() {
        let grad = grads
            .get(var)
            .unwrap_or_else(|| panic!("{name}: no gradient for operand {i}"));
        compare(name, &loss, &inputs, i, grad);
    }
}

/// A backward pass of one kind or the other.
type Backward = fn(&Tensor) -> Result<GradStore>;

/// Checks that each operand's first-order gradient can itself be differentiated, with respect to
/// every operand and to the incoming gradient.
///
/// # Panics
///
/// When a first gradient is missing, a second one differs from the difference quotient, or `f`
/// fails.
pub fn assert_second_order<F>(name: &str, f: F, inputs: &[Tensor])
where
    F: Fn(&[Tensor]) -> Result<Tensor>,
{
    let mut inputs = as_f64(inputs);
    let operands = inputs.len();
    let y = f(&inputs).unwrap_or_else(|e| panic!("{name}: {e}"));
    inputs.push(randn(y.dims(), 7002));
    let v: Vec<Tensor> = (0..operands)
        .map(|i| randn(inputs[i].dims(), 7100 + i as u64))
        .collect();
    // H: takes the operands and r, which must all track.
    let contracted = |xs: &[Tensor], backward: Backward| -> Result<Tensor> {
        let grads = backward(&(f(&xs[..operands])? * &xs[operands])?.sum_all()?)?;
        let mut sum = Tensor::zeros((), DType::F64, &Device::Cpu)?;
        for i in 0..operands {
            let grad = grads
                .get(&xs[i])
                .unwrap_or_else(|| panic!("{name}: no first gradient for operand {i}"));
            sum = (sum + (grad * &v[i])?.sum_all()?)?;
        }
        Ok(sum)
    };

    let (vars, leaves) = variables(&inputs);
    let grads = contracted(&leaves, backward_with_graph)
        .and_then(|h| Ok(h.backward()?))
        .unwrap_or_else(|e| panic!("{name}: {e}"));
    let tracked = |xs: &[Tensor]| contracted(&variables(xs).1, |y| Ok(y.backward()?));
    for (i, var) in vars.iter().enumerate() {
        // An operator that is linear in an operand does not pass a second gradient to it.
        let grad = match grads.get(var) {
            Some(grad) => grad.clone(),
            None => inputs[i].zeros_like().expect("zeros of a known shape"),
        };
        compare(
            &format!("{name}, second order"),
            &tracked,
            &inputs,
            i,
            &grad,
        );
    }
}

/// Checks that an operand that does not track gets no gradient, while the gradient of the others
/// does not change. Each operand in turn is the only one that tracks.
///
/// # Panics
///
/// When a frozen operand has a gradient or a tracked one has another gradient than before.
pub fn assert_frozen_is_free<F>(name: &str, f: F, inputs: &[Tensor])
where
    F: Fn(&[Tensor]) -> Result<Tensor>,
{
    let inputs = as_f64(inputs);
    let (vars, leaves) = variables(&inputs);
    let gradients = |xs: &[Tensor]| {
        f(xs)
            .and_then(|y| Ok(y.backward()?))
            .unwrap_or_else(|e| panic!("{name}: {e}"))
    };
    let together = gradients(&leaves);
    for (i, var) in vars.iter().enumerate() {
        let mut xs = inputs.clone();
        xs[i] = leaves[i].clone();
        let alone = gradients(&xs);
        for (j, x) in xs.iter().enumerate().filter(|&(j, _)| j != i) {
            assert!(
                alone.get(x).is_none(),
                "{name}: frozen operand {j} has a gradient"
            );
        }
        let (a, b) = (alone.get(var), together.get(var));
        let (a, b) = a
            .zip(b)
            .unwrap_or_else(|| panic!("{name}: operand {i} has no gradient"));
        let worst = max_difference(a, b);
        assert!(
            worst < 1e-12,
            "{name}: operand {i} alone differs by {worst:e}"
        );
    }
}

/// Like [`assert_frozen_is_free`], and stricter: no intermediate result may leave a gradient
/// behind either, which is how work for nothing shows.
///
/// # Panics
///
/// When the gradient store holds anything but the one tracked operand.
pub fn assert_no_stray_gradients<F>(name: &str, f: F, inputs: &[Tensor])
where
    F: Fn(&[Tensor]) -> Result<Tensor>,
{
    let inputs = as_f64(inputs);
    let (_vars, leaves) = variables(&inputs);
    for i in 0..inputs.len() {
        let mut xs = inputs.clone();
        xs[i] = leaves[i].clone();
        let grads = f(&xs)
            .and_then(|y| Ok(y.backward()?))
            .unwrap_or_else(|e| panic!("{name}: {e}"));
        let count = grads.get_ids().count();
        assert_eq!(
            count, 1,
            "{name}: gradients stored when only operand {i} tracks"
        );
    }
}

/// Compares `grad` with difference quotients of `loss` along coordinates of operand `i`.
fn compare(
    name: &str,
    loss: &dyn Fn(&[Tensor]) -> Result<Tensor>,
    inputs: &[Tensor],
    i: usize,
    grad: &Tensor,
) {
    assert_eq!(
        grad.dims(),
        inputs[i].dims(),
        "{name}: shape of gradient {i}"
    );
    let analytic = values(grad);
    let scale = analytic.iter().fold(1.0, |m: f64, g| m.max(g.abs()));
    let stride = analytic.len().div_ceil(COORDINATES).max(1);
    for j in (0..analytic.len()).step_by(stride) {
        let shifted = |h: f64| {
            let mut xs = inputs.to_vec();
            let mut data = values(&inputs[i]);
            data[j] += h;
            xs[i] = Tensor::from_vec(data, inputs[i].dims(), &Device::Cpu).expect("same shape");
            let l = loss(&xs).unwrap_or_else(|e| panic!("{name}: {e}"));
            l.to_scalar::<f64>().expect("a float64 scalar")
        };
        let numeric = (shifted(STEP) - shifted(-STEP)) / (2.0 * STEP);
        let error = (numeric - analytic[j]).abs();
        assert!(
            error <= TOLERANCE * scale,
            "{name}: operand {i}, element {j}: gradient {}, difference quotient {numeric}",
            analytic[j],
        );
    }
}

fn as_f64(inputs: &[Tensor]) -> Vec<Tensor> {
    let convert = |t: &Tensor| {
        t.to_dtype(DType::F64)
            .expect("a CPU tensor of numbers")
            .detach()
    };
    inputs.iter().map(convert).collect()
}

/// Fresh variables with the values of `inputs`, and their tensors.
fn variables(inputs: &[Tensor]) -> (Vec<Var>, Vec<Tensor>) {
    let copy = |t: &Tensor| Var::from_tensor(&t.copy().expect("a copy")).expect("a variable");
    let vars: Vec<Var> = inputs.iter().map(copy).collect();
    let leaves = vars.iter().map(|v| v.as_tensor().clone()).collect();
    (vars, leaves)
}

fn values(t: &Tensor) -> Vec<f64> {
    t.to_dtype(DType::F64)
        .and_then(|t| t.flatten_all()?.to_vec1())
        .expect("a CPU tensor of numbers")
}

use std::{collections::HashMap, thread};

use candle_core::{DType, Device, Var};

use super::*;
use crate::testing::{max_difference, randn};

fn variable(dims: &[usize], seed: u64) -> Var {
    Var::from_tensor(&randn(dims, seed)).unwrap()
}

#[test]
fn third_derivative_of_a_fourth_power() {
    let x = Var::new(1.5f64, &Device::Cpu).unwrap();
    let y = x.sqr().unwrap().sqr().unwrap();
    let first = grad_with_graph(&y, &x).unwrap();
    let second = grad_with_graph(&first, &x).unwrap();
    let third = grad(&second, &x).unwrap().to_scalar::<f64>().unwrap();
    assert!((third - 24.0 * 1.5).abs() < 1e-12);
}

/// R1 of a small network, and all that a training step would take from it.
fn penalty_and_gradients(seed: u64) -> Vec<Vec<f64>> {
    let x = variable(&[2, 2, 5, 5], seed);
    let (w, head) = (
        variable(&[3, 2, 3, 3], seed + 1),
        variable(&[1, 27], seed + 2),
    );
    let h = crate::conv2d(&x, &w, None, 2, 1).unwrap().tanh().unwrap();
    let logits = crate::linear(&h.flatten_from(1).unwrap(), &head, None).unwrap();
    let sum = logits.sum_all().unwrap();
    let first = sum.backward().unwrap();
    let kept = grad_with_graph(&sum, &x).unwrap();
    let penalty = kept.sqr().unwrap().sum_all().unwrap();
    let second = penalty.backward().unwrap();
    let firsts = [&x, &w, &head].map(|v| first.get(v).unwrap());
    let seconds = [&x, &w, &head].map(|v| second.get(v).unwrap());
    let all = firsts.into_iter().chain([&kept]).chain(seconds);
    all.map(|t| t.flatten_all().unwrap().to_vec1().unwrap())
        .collect()
}

#[test]
fn two_threads_at_once_get_the_bits_of_one() {
    let alone: Vec<_> = (0..2).map(|i| penalty_and_gradients(10 * i)).collect();
    thread::scope(|s| {
        for (i, want) in alone.iter().enumerate() {
            s.spawn(move || {
                for _ in 0..50 {
                    assert_eq!(&penalty_and_gradients(10 * i as u64), want);
                }
            });
        }
    });
}

/// Threads whose first pass falls into the time of passes that keep the graph.
#[test]
fn ordinary_passes_of_other_threads_keep_no_graph() {
    let x = Var::new(1.5f64, &Device::Cpu).unwrap();
    let y = x.affine(2.0, 0.0).unwrap().sqr().unwrap();
    thread::scope(|s| {
        let keeping = s.spawn(|| {
            for _ in 0..200 {
                assert!(grad_with_graph(&y, &x).unwrap().track_op());
            }
        });
        while !keeping.is_finished() {
            let ordinary = s.spawn(|| graph_thread::probe().unwrap());
            assert!(!ordinary.join().unwrap());
        }
    });
}

#[test]
fn the_environment_is_as_it_was() {
    let x = Var::new(1.5f64, &Device::Cpu).unwrap();
    let y = x.sqr().unwrap();
    let switch = || std::env::var_os("CANDLE_GRAD_DO_NOT_DETACH");
    assert_eq!(switch(), None);
    grad_with_graph(&y, &x).unwrap();
    assert_eq!(switch(), None);
}

#[test]
fn keeping_the_graph_changes_no_bit() {
    let x = variable(&[2, 3, 6, 5], 1);
    let w = variable(&[4, 3, 3, 3], 2);
    let b = variable(&[4], 3);
    let y = crate::conv2d(&x, &w, Some(&b), 1, 1).unwrap();
    let y = y.sqr().unwrap().sum_all().unwrap();
    let bits = |grads: &GradStore| -> HashMap<_, Vec<f64>> {
        let values = |id| {
            let grad = grads.get_id(id).unwrap();
            grad.flatten_all().unwrap().to_vec1().unwrap()
        };
        grads.get_ids().map(|&id| (id, values(id))).collect()
    };
    let (plain, kept) = (y.backward().unwrap(), backward_with_graph(&y).unwrap());
    assert_eq!(bits(&plain), bits(&kept));
}

#[test]
fn an_error_of_a_pass_comes_through() {
    let x = variable(&[1, 1, 4, 4], 1);
    let y = x.upsample_bilinear2d(8, 8, false).unwrap();
    let message = backward_with_graph(&y).unwrap_err().to_string();
    assert!(message.contains("upsample_bilinear2d"), "{message}");
}

/// The identity, whose backward pass panics.
struct Panics;

impl CustomOp1 for Panics {
    fn name(&self) -> &'static str {
        "panics"
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        Ok((cpu::copy(s, l)?, l.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, _: &Tensor) -> candle_core::Result<Option<Tensor>> {
        panic!("inside")
    }
}

#[test]
fn a_panic_comes_through_and_ends_nothing() {
    let x = Var::new(1.5f64, &Device::Cpu).unwrap();
    let y = x.apply_op1(Panics).unwrap();
    let caught = thread::scope(|s| s.spawn(|| backward_with_graph(&y)).join());
    assert_eq!(caught.unwrap_err().downcast_ref::<&str>(), Some(&"inside"));
    assert!(grad_with_graph(&x.sqr().unwrap(), &x).is_ok());
}

#[test]
fn a_tensor_in_the_middle_is_watched() {
    let x = Var::new(&[1f64, 2.0, -3.0], &Device::Cpu).unwrap();
    let (w, at_w) = watch(&(x.as_tensor() * 2.0).unwrap()).unwrap();
    // d/dw of w³ + w, w used twice.
    let y = ((w.sqr().unwrap() * &w).unwrap() + &w).unwrap();
    backward_with_graph(&y.sum_all().unwrap()).unwrap();
    let g = at_w.take().expect("the gradient came by");
    assert!(at_w.take().is_none());
    let second = g.sum_all().unwrap();
    // Σ 3w² + 1 with w = 2x: derivative with respect to x is 24x.
    assert_eq!(second.to_scalar::<f64>().unwrap(), 3.0 * 4.0 * 14.0 + 3.0);
    let g = grad(&second, &x).unwrap().to_vec1::<f64>().unwrap();
    assert_eq!(g, [24.0, 48.0, -72.0]);
}

#[test]
fn r1_needs_no_weight_gradients_in_its_first_pass() {
    let (x, w) = (variable(&[2, 2, 5, 5], 1), variable(&[3, 2, 3, 3], 2));
    let head = variable(&[1, 27], 3);
    let penalty = || -> Result<Tensor> {
        // A weight that is made of another, as in networks with an equalised learning rate.
        let scaled = (w.as_tensor() * 0.7)?;
        let h = crate::conv2d(&x, &scaled, None, 2, 1)?.tanh()?;
        let logits = crate::linear(&h.flatten_from(1)?, &head, None)?;
        Ok(grad_with_graph(&logits.sum_all()?, &x)?.sqr()?.sum_all()?)
    };
    let full = penalty().unwrap().backward().unwrap();
    let lean = without_weight_grads(penalty).unwrap().backward().unwrap();
    for v in [&w, &head] {
        let (full, lean) = (full.get(v).unwrap(), lean.get(v).unwrap());
        assert!(max_difference(full, &full.zeros_like().unwrap()) > 0.1);
        assert!(max_difference(full, lean) < 1e-13);
    }
}

/// A pass that leaves the weights out leaves those of the next one in.
#[test]
fn weight_gradients_come_back() {
    let (x, w) = (variable(&[2, 3], 1), variable(&[1, 3], 2));
    let y = crate::linear(&x, &w, None).unwrap().sum_all().unwrap();
    let lean = without_weight_grads(|| backward_with_graph(&y)).unwrap();
    assert!(lean.get(&w).is_none());
    assert!(backward_with_graph(&y).unwrap().get(&w).is_some());
}

#[test]
fn refusals_name_the_reason() {
    let x = Var::new(&[1f64, 2.0], &Device::Cpu).unwrap();
    let other = Var::new(1f64, &Device::Cpu).unwrap();
    let text = |r: Result<Tensor>| r.unwrap_err().to_string();
    assert!(text(grad(&x, &x)).contains("y has shape [2]"));
    let y = x.sum_all().unwrap();
    assert!(text(grad(&y, &other)).contains("does not depend on"));
    assert!(text(grad_with_graph(&y, &y)).contains("not a variable"));
    let constant = Tensor::zeros(2, DType::F32, &Device::Cpu).unwrap();
    assert!(watch(&constant).is_err());
}

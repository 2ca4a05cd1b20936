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

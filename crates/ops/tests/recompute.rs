//! Parts that are computed again, as R1 meets them: the gradient of a squared gradient, the first without weights'.

#![allow(clippy::unwrap_used)]

use candle_core::{Tensor, Var};
use domex_ops::autograd::{grad_with_graph, without_weight_grads};
use domex_ops::testing::{max_difference, randn};
use domex_ops::{Activation, BiasAct, Result, bias_act, conv2d, recompute};

/// Three layers `x ← lrelu(conv(x, 0.5 W) + b)`, each a part of its own or not.
fn network(x: &Tensor, vars: &[Var; 2], recomputed: bool) -> Tensor {
    let mut x = x.clone();
    for _ in 0..3 {
        let [weight, bias] = [0, 1].map(|at| vars[at].as_tensor().clone());
        let layer = move |inputs: &[Tensor]| -> Result<Tensor> {
            let y = conv2d(&inputs[0], &(&weight * 0.5)?, None, 1, 1)?;
            bias_act(&y, Some(&bias), &BiasAct::new(Activation::Lrelu))
        };
        x = match recomputed {
            true => recompute(&[x], layer).unwrap(),
            false => layer(&[x]).unwrap(),
        };
    }
    x
}

fn vars() -> [Var; 2] {
    [randn(&[2, 2, 3, 3], 1), randn(&[2], 2)].map(|t| Var::from_tensor(&t).unwrap())
}

/// The penalty, and its gradients with respect to weight and bias.
fn penalty(recomputed: bool) -> [Tensor; 3] {
    let vars = vars();
    let x = Var::from_tensor(&randn(&[1, 2, 6, 6], 3)).unwrap();
    let y = network(&x, &vars, recomputed).sqr().unwrap();
    let y = y.sum_all().unwrap();
    let slope = without_weight_grads(|| grad_with_graph(&y, &x)).unwrap();
    let penalty = slope.sqr().unwrap().sum_all().unwrap();
    let grads = penalty.backward().unwrap();
    let [weight, bias] = vars.map(|var| grads.get(&var).unwrap().clone());
    [penalty.detach(), weight, bias]
}

#[test]
fn a_penalty_on_gradients_is_the_same_with_recomputed_layers() {
    for (a, b) in penalty(true).iter().zip(&penalty(false)) {
        let size = max_difference(b, &b.zeros_like().unwrap());
        assert!(size > 1e-3);
        let off = max_difference(a, b) / size;
        assert!(off < 1e-13, "{off}");
    }
}

#[test]
fn gradients_of_recomputed_layers_hold_no_graph() {
    let vars = vars();
    let x = Var::from_tensor(&randn(&[1, 2, 6, 6], 3)).unwrap();
    let y = network(&x, &vars, true).sum_all().unwrap();
    let grads = y.backward().unwrap();
    for var in vars.iter().chain([&x]) {
        assert!(!grads.get(var).unwrap().track_op());
    }
}

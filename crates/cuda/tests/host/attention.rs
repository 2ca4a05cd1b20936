//! Attention, forward and backward.

use domex_cuda::{Element, plan};
use domex_kernels::attention::{self, AttentionGrads, AttentionShape};

use crate::{
    data::{assert_close, noise, tolerance, wide},
    runner::{alike, rounded},
};

#[test]
fn attention_agrees_with_the_cpu_both_ways() {
    let shape = |n, queries, keys, heads, depth, causal| AttentionShape {
        n,
        queries,
        keys,
        heads,
        depth,
        causal,
    };
    // More keys than a tile, depths that are no multiple of a warp, a causal mask across tiles, more queries than keys.
    let shapes = [
        shape(2, 5, 7, 3, 8, false),
        shape(1, 37, 37, 2, 33, true),
        shape(1, 6, 70, 1, 64, false),
        shape(1, 41, 3, 1, 100, false),
        shape(1, 1, 1, 2, 1, true),
    ];
    // What an element is does not show in how tiles are walked.
    let halves = [Element::F16, Element::Bf16].map(|element| (shapes[1], element));
    for (s, element) in shapes.map(|s| (s, Element::F32)).into_iter().chain(halves) {
        agrees(&s, element);
    }
}

fn agrees(s: &AttentionShape, element: Element) {
    let scaled = |len, seed| -> Vec<f32> { noise(len, seed).iter().map(|v| 3.0 * v).collect() };
    let [q, k, v, gy] = [
        scaled(s.q_len(), 1),
        scaled(s.k_len(), 2),
        scaled(s.k_len(), 3),
        noise(s.q_len(), 4),
    ]
    .map(|t| rounded(&t, element));
    let [q64, k64, v64, gy64] = [&q, &k, &v, &gy].map(|t| wide(t));
    let what = format!("{s:?} {element:?}");
    let mut y = vec![0.0; s.q_len()];
    attention::forward(s, &q64, &k64, &v64, &mut y).unwrap();
    let plan = plan::attention(s, element).unwrap();
    let Some(got) = alike(&plan, &[&q, &k, &v], &[(3, y.len())], element) else {
        return;
    };
    assert_close(&got[0], &y, tolerance(element, 1e-5), &what);
    let [mut gq, mut gk, mut gv] = [s.q_len(), s.k_len(), s.k_len()].map(|len| vec![0.0; len]);
    let grads = AttentionGrads {
        q: &mut gq,
        k: &mut gk,
        v: &mut gv,
    };
    attention::backward(s, [&q64, &k64, &v64], &gy64, grads).unwrap();
    let outputs = [(4, gq.len()), (5, gk.len()), (6, gv.len())];
    let plan = plan::attention_backward(s, element).unwrap();
    let Some(got) = alike(&plan, &[&q, &k, &v, &gy], &outputs, element) else {
        return;
    };
    for (got, want) in got.iter().zip([&gq, &gk, &gv]) {
        // A single key has gradients of zero, up to rounding of scores of this size.
        if want.iter().any(|w| w.abs() >= 1e-12) {
            // y, which is computed anew, is rounded, too.
            assert_close(got, want, 2.0 * tolerance(element, 1.5e-5), &what);
        }
    }
}

#[test]
fn heads_that_are_too_deep_are_refused() {
    let s = AttentionShape {
        n: 1,
        queries: 1,
        keys: 1,
        heads: 1,
        depth: 129,
        causal: false,
    };
    assert!(
        plan::attention(&s, Element::F32)
            .unwrap_err()
            .to_string()
            .contains("depth of a head is 129")
    );
}

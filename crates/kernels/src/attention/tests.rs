use super::*;
use crate::testing::{assert_close, noise};

/// n, queries, keys, heads, depth, causal: single tokens, primes, depths and keys that are no multiple of the vector, more
/// than one block of queries, more keys than one stretch of a sum.
const SHAPES: [(usize, usize, usize, usize, usize, bool); 11] = [
    (1, 1, 1, 1, 1, false),
    (1, 1, 1, 1, 3, true),
    (2, 3, 5, 2, 7, false),
    (1, 1, 50, 3, 16, false),
    (2, 50, 50, 2, 64, false),
    (1, 77, 77, 2, 64, true),
    (2, 17, 17, 3, 20, true),
    (1, 113, 31, 1, 33, false),
    (1, 57, 257, 2, 64, false),
    (1, 130, 130, 1, 130, true),
    (1, 16, 16, 1, 16, true),
];

fn shapes() -> impl Iterator<Item = AttentionShape> {
    SHAPES
        .into_iter()
        .map(|(n, queries, keys, heads, depth, causal)| AttentionShape {
            n,
            queries,
            keys,
            heads,
            depth,
            causal,
        })
}

fn operands<T: Float>(s: &AttentionShape) -> [Vec<T>; 4] {
    // Scores beyond ±10, so that a softmax without its maximum would show.
    let scaled = |len, seed| noise::<T>(len, seed).into_iter().map(|x| x * T::of(4.0));
    [
        scaled(s.q_len(), 1).collect(),
        scaled(s.k_len(), 2).collect(),
        noise(s.k_len(), 3),
        noise(s.q_len(), 4),
    ]
}

#[test]
fn every_instruction_set_agrees_with_plain() {
    for s in shapes() {
        let [q, k, v, gy] = &operands::<f32>(&s);
        let mut want = vec![0.0; s.q_len()];
        plain::attention(&s, q, k, v, &mut want);
        let mut wants = [s.q_len(), s.k_len(), s.k_len()].map(|len| vec![0.0; len]);
        let [gq, gk, gv] = &mut wants;
        plain::attention_backward(&s, [q, k, v], gy, [gq, gk, gv]);
        for isa in Isa::available() {
            let mut got = vec![f32::NAN; s.q_len()];
            forward::forward(isa, &s, [q, k, v], &mut got);
            assert_close(&got, &want, 1e-5);
            let mut gots = [s.q_len(), s.k_len(), s.k_len()].map(|len| vec![f32::NAN; len]);
            let [gq, gk, gv] = &mut gots;
            backward::backward(isa, &s, [q, k, v, gy], [gq, gk, gv]);
            for (got, want) in gots.iter().zip(&wants) {
                assert_close(got, want, 2e-5);
            }
        }
    }
}

#[test]
fn the_plain_backward_is_the_derivative() {
    for s in shapes().filter(|s| s.q_len() < 400) {
        let [q, k, v, gy] = operands::<f64>(&s);
        let mut grads = [s.q_len(), s.k_len(), s.k_len()].map(|len| vec![0.0; len]);
        let [gq, gk, gv] = &mut grads;
        let grads_to = AttentionGrads {
            q: gq,
            k: gk,
            v: gv,
        };
        backward(&s, [&q, &k, &v], &gy, grads_to).unwrap();
        let operands = [q, k, v];
        let loss = |o: &[Vec<f64>; 3]| -> f64 {
            let mut y = vec![0.0; s.q_len()];
            forward(&s, &o[0], &o[1], &o[2], &mut y).unwrap();
            y.iter().zip(&gy).map(|(y, g)| y * g).sum()
        };
        for which in 0..3 {
            for at in (0..operands[which].len()).step_by(5) {
                let moved = |by: f64| {
                    let mut operands = operands.clone();
                    operands[which][at] += by;
                    loss(&operands)
                };
                let want = (moved(1e-6) - moved(-1e-6)) / 2e-6;
                let got = grads[which][at];
                assert!((got - want).abs() < 1e-6, "{s:?}: {got} and {want}");
            }
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let s = AttentionShape {
        n: 1,
        queries: 2,
        keys: 2,
        heads: 2,
        depth: 1,
        causal: true,
    };
    let (x, mut y) = ([0f32; 4], [0f32; 4]);
    assert!(forward(&s, &x, &x, &x, &mut y).is_ok());
    assert!(forward(&s, &x[..3], &x, &x, &mut y).is_err());
    assert!(forward(&s, &x, &x, &x[..2], &mut y).is_err());
    assert!(forward(&s, &x, &x, &x, &mut y[..2]).is_err());
    assert!(AttentionShape { keys: 3, ..s }.check().is_err());
    assert!(AttentionShape { heads: 0, ..s }.check().is_err());
    let huge = AttentionShape {
        keys: usize::MAX / 2,
        causal: false,
        ..s
    };
    assert!(huge.check().is_err());
}

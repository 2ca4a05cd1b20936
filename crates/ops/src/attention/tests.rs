use candle_core::{DType, Device};

use super::*;
use crate::testing::{
    assert_frozen_is_free, assert_gradients, assert_second_order, max_difference, randn,
};

/// n, queries, keys, heads, depth, mask.
const CASES: [(usize, usize, usize, usize, usize, Mask); 6] = [
    (1, 1, 1, 1, 1, Mask::None),
    (2, 3, 5, 2, 7, Mask::None),
    (1, 7, 7, 2, 4, Mask::Causal),
    (2, 1, 9, 3, 2, Mask::None),
    (1, 50, 50, 2, 16, Mask::None),
    (1, 61, 61, 1, 8, Mask::Causal),
];

fn operands(case: (usize, usize, usize, usize, usize, Mask)) -> [Tensor; 3] {
    let (n, s, t, heads, depth, _) = case;
    let part = |rows, seed| randn(&[n, rows, heads * depth], seed);
    [part(s, 1), part(t, 2), part(t, 3)]
}

#[test]
fn equals_the_reference_in_both_types() {
    for case in CASES {
        let (.., heads, _, mask) = case;
        let [q, k, v] = operands(case);
        let want = reference(&q, &k, &v, heads, mask).unwrap();
        let got = attention(&q, &k, &v, heads, mask).unwrap();
        assert!(max_difference(&got, &want) < 1e-12, "{case:?}");
        let [q, k, v] = [q, k, v].map(|t| t.to_dtype(DType::F32).unwrap());
        let got = attention(&q, &k, &v, heads, mask).unwrap();
        assert_eq!(got.dtype(), DType::F32);
        assert!(max_difference(&got, &want) < 1e-5, "{case:?}");
    }
}

#[test]
fn single_precision_gradients_equal_the_reference() {
    for case in CASES {
        let (.., heads, _, mask) = case;
        let vars = operands(case)
            .map(|t| candle_core::Var::from_tensor(&t.to_dtype(DType::F32).unwrap()).unwrap());
        let [q, k, v] = &vars;
        let fused = attention(q, k, v, heads, mask).unwrap().backward().unwrap();
        let plain = reference(q, k, v, heads, mask).unwrap().backward().unwrap();
        for var in &vars {
            let difference = max_difference(fused.get(var).unwrap(), plain.get(var).unwrap());
            assert!(difference < 1e-5, "{case:?}: {difference}");
        }
    }
}

#[test]
fn gradients_of_first_and_second_order() {
    for case in CASES {
        let (.., heads, _, mask) = case;
        let f = |t: &[Tensor]| attention(&t[0], &t[1], &t[2], heads, mask);
        let name = format!("attention {case:?}");
        assert_gradients(&name, f, &operands(case));
        if case.1 < 20 {
            assert_second_order(&name, f, &operands(case));
            assert_frozen_is_free(&name, f, &operands(case));
        }
    }
}

#[test]
fn a_causal_query_does_not_see_what_follows() {
    let [q, k, v] = operands(CASES[2]);
    let y = attention(&q, &k, &v, 2, Mask::Causal).unwrap();
    let rows = |t: &Tensor| t.narrow(1, 0, 3).unwrap().contiguous().unwrap();
    let first = attention(&rows(&q), &rows(&k), &rows(&v), 2, Mask::Causal).unwrap();
    assert!(max_difference(&rows(&y), &first) < 1e-14);
}

#[test]
fn views_are_read_right() {
    // As a network has them that computes all three at once.
    let all = randn(&[2, 5, 24], 1);
    let f = |t: &[Tensor]| {
        let part = |i: usize| t[0].narrow(2, i * 8, 8);
        attention(&part(0)?, &part(1)?, &part(2)?, 2, Mask::None)
    };
    assert_gradients("attention of parts", f, &[all]);
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let zeros = |dims: &[usize]| Tensor::zeros(dims, DType::F32, &Device::Cpu).unwrap();
    let (q, k) = (zeros(&[1, 3, 4]), zeros(&[1, 5, 4]));
    let refused = |r: Result<Tensor>, parts: &[&str]| {
        let message = r.unwrap_err().to_string();
        for part in parts {
            assert!(message.contains(part), "{part:?} in {message:?}");
        }
    };
    refused(attention(&q, &k, &k, 3, Mask::None), &["heads", "3", "4"]);
    refused(attention(&q, &k, &k, 0, Mask::None), &["heads", "0"]);
    refused(
        attention(&zeros(&[3, 4]), &k, &k, 2, Mask::None),
        &["q", "[3, 4]"],
    );
    refused(
        attention(&q, &zeros(&[1, 5, 6]), &k, 2, Mask::None),
        &["k", "[1, 5, 6]"],
    );
    refused(attention(&q, &k, &q, 2, Mask::None), &["v", "[1, 3, 4]"]);
    refused(attention(&q, &k, &k, 2, Mask::Causal), &["k", "causal"]);
    refused(
        attention(&q, &zeros(&[1, 0, 4]), &k, 2, Mask::None),
        &["k", "size 0"],
    );
    let double = k.to_dtype(DType::F64).unwrap();
    refused(attention(&q, &double, &k, 2, Mask::None), &["k", "F64"]);
}

use candle_core::{DType, Device, Tensor};

use super::*;
use crate::testing::{
    assert_gradients, assert_no_stray_gradients, assert_second_order, max_difference, randn,
};

const CASES: [(&[usize], [usize; 3]); 4] = [
    (&[], [1, 1, 1]),
    (&[], [7, 3, 5]),
    (&[3], [2, 1, 7]),
    (&[2, 3], [3, 7, 1]),
];

fn operands(batch: &[usize], [m, k, n]: [usize; 3]) -> [Tensor; 2] {
    [
        randn(&[batch, &[m, k]].concat(), 1),
        randn(&[batch, &[k, n]].concat(), 2),
    ]
}

#[test]
fn equals_the_reference_in_both_types() {
    for (batch, sizes) in CASES {
        let [a, b] = operands(batch, sizes);
        let want = reference(&a, &b).unwrap();
        assert!(max_difference(&matmul(&a, &b).unwrap(), &want) < 1e-13);
        let [a, b] = [a, b].map(|t| t.to_dtype(DType::F32).unwrap());
        let got = matmul(&a, &b).unwrap();
        assert_eq!(got.dtype(), DType::F32);
        assert!(max_difference(&got, &want) < 1e-5);
    }
}

#[test]
fn gradients_of_first_and_second_order() {
    for (batch, sizes) in CASES {
        let inputs = operands(batch, sizes);
        let f = |t: &[Tensor]| matmul(&t[0], &t[1]);
        assert_gradients("matmul", f, &inputs);
        assert_second_order("matmul", f, &inputs);
        assert_no_stray_gradients("matmul", f, &inputs);
        let f = |t: &[Tensor]| matmul(&matmul(&t[0], &t[1])?.tanh()?, &t[1].t()?);
        assert_second_order("matmul, tanh, matmul", f, &inputs);
    }
}

#[test]
fn views_are_read_where_they_are() {
    let a = randn(&[5, 2, 3, 7], 1);
    let views = [
        a.clone(),
        a.permute((1, 0, 2, 3)).unwrap(),
        a.t().unwrap(),
        a.narrow(0, 1, 3).unwrap(),
        a.narrow(3, 2, 4).unwrap(),
        a.permute((3, 2, 1, 0)).unwrap(),
        a.narrow(0, 0, 1)
            .unwrap()
            .broadcast_as((4, 2, 3, 7))
            .unwrap(),
    ];
    for view in views {
        let dims = view.dims();
        let b = randn(&[dims[0], dims[1], 2, dims[3]], 2).t().unwrap();
        let want = reference(&view, &b).unwrap();
        assert!(
            max_difference(&matmul(&view, &b).unwrap(), &want) < 1e-13,
            "{dims:?}"
        );
    }
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let zeros = |dims: &[usize]| Tensor::zeros(dims, DType::F32, &Device::Cpu).unwrap();
    let a = zeros(&[2, 3, 4]);
    for (a, b, parts) in [
        (&a, zeros(&[2, 5, 6]), ["matmul: b", "[2, 5, 6]", "[4, n]"]),
        (
            &a,
            zeros(&[3, 4, 6]),
            ["matmul: b", "[3, 4, 6]", "[2] followed"],
        ),
        (&a, zeros(&[4, 6]), ["matmul: b", "[4, 6]", "a [2, 3, 4]"]),
        (&a, zeros(&[2, 4, 0]), ["matmul: b", "[2, 4, 0]", "size 0"]),
        (
            &zeros(&[4]),
            zeros(&[4]),
            ["matmul: a", "[4]", "[.., m, k]"],
        ),
    ] {
        let message = matmul(a, &b).unwrap_err().to_string();
        assert!(parts.iter().all(|p| message.contains(p)), "{message}");
    }
    // A broadcast view may be larger than memory, the product as well.
    let wide = zeros(&[1, 1]).broadcast_as((1 << 40, 1)).unwrap();
    let message = matmul(&wide, &wide.t().unwrap()).unwrap_err().to_string();
    assert!(message.contains("fits into memory"), "{message}");
}

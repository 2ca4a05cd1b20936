use candle_core::DType;

use super::*;
use crate::testing::{max_difference, randn};

const DIMS: [usize; 2] = [3, 5];

fn how(step: u64) -> Adam {
    Adam {
        lr: 0.1,
        beta1: 0.5,
        beta2: 0.9,
        eps: 1e-8,
        decay: 0.01,
        step,
    }
}

fn parameter(dtype: DType) -> Var {
    Var::from_tensor(&randn(&DIMS, 1).to_dtype(dtype).unwrap()).unwrap()
}

/// The parameter and its moments after so many steps.
fn after(steps: u64, dtype: DType) -> (Var, Moments) {
    let parameter = parameter(dtype);
    let mut moments = Moments::new(&parameter).unwrap();
    for step in 1..=steps {
        let gradient = randn(&DIMS, 1 + step).to_dtype(dtype).unwrap();
        adam(&how(step), &parameter, &mut moments, &gradient).unwrap();
    }
    (parameter, moments)
}

#[test]
fn the_kernel_agrees_with_the_composed_form() {
    let [(fast, fast_moments), (slow, slow_moments)] =
        [DType::F32, DType::F64].map(|t| after(3, t));
    assert!(matches!(fast_moments.kept, Kept::Cpu { .. }));
    assert!(matches!(slow_moments.kept, Kept::Composed { .. }));
    assert!(max_difference(&fast, &slow) < 1e-6);
    let pairs = fast_moments.tensors().unwrap();
    for (fast, slow) in pairs.iter().zip(slow_moments.tensors().unwrap()) {
        assert!(max_difference(fast, &slow) < 1e-6);
    }
}

#[test]
fn a_gradient_may_be_a_view() {
    let gradient = randn(&[5, 3], 2).to_dtype(DType::F32).unwrap();
    let [turned, straight] = [
        gradient.t().unwrap(),
        gradient.t().unwrap().contiguous().unwrap(),
    ]
    .map(|gradient| {
        let parameter = parameter(DType::F32);
        let mut moments = Moments::new(&parameter).unwrap();
        adam(&how(1), &parameter, &mut moments, &gradient).unwrap();
        parameter
    });
    assert_eq!(max_difference(&turned, &straight), 0.0);
}

#[test]
fn moments_go_out_and_come_back_to_the_bit() {
    for dtype in [DType::F32, DType::F64] {
        let (straight, _) = after(4, dtype);
        let (parameter, moments) = after(3, dtype);
        let [m, v] = moments.tensors().unwrap();
        let mut moments = Moments::of(&parameter, &m, &v).unwrap();
        let gradient = randn(&DIMS, 5).to_dtype(dtype).unwrap();
        adam(&how(4), &parameter, &mut moments, &gradient).unwrap();
        assert_eq!(max_difference(&parameter, &straight), 0.0, "{dtype:?}");
    }
}

#[test]
fn an_average_moves_by_its_share() {
    for (dtype, tolerance) in [(DType::F16, 2e-3), (DType::F32, 1e-6), (DType::F64, 1e-15)] {
        let [old, value] = [1, 2].map(|seed| randn(&DIMS, seed).to_dtype(dtype).unwrap());
        let moved = Var::from_tensor(&old).unwrap();
        average(&moved, &value, 0.75).unwrap();
        let wide = |t: &Tensor| t.to_dtype(DType::F64).unwrap();
        let want = ((wide(&old) * 0.75).unwrap() + (wide(&value) * 0.25).unwrap()).unwrap();
        assert!(
            max_difference(&wide(&moved), &want) < tolerance,
            "{dtype:?}"
        );
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let (parameter, mut moments) = after(1, DType::F32);
    let other = randn(&[5, 3], 2).to_dtype(DType::F32).unwrap();
    let text = |result: Result<()>| result.unwrap_err().to_string();
    let refused = text(adam(&how(2), &parameter, &mut moments, &other));
    assert!(
        refused.contains("gradient has shape [5, 3], expected [3, 5]"),
        "{refused}"
    );
    let refused = text(Moments::of(&parameter, &other, &other).map(drop));
    assert!(
        refused.contains("first moment has shape [5, 3]"),
        "{refused}"
    );
    let second = Var::from_tensor(&other).unwrap();
    let refused = text(adam(&how(2), &second, &mut moments, &other));
    assert!(refused.contains("moments has shape [3, 5]"), "{refused}");
    let refused = text(average(&parameter, &other, 0.5));
    assert!(refused.contains("value has shape [5, 3]"), "{refused}");
    let wide = parameter.to_dtype(DType::F64).unwrap();
    assert!(adam(&how(2), &parameter, &mut moments, &wide).is_err());
    assert!(average(&parameter, &wide, 0.5).is_err());
}

use super::*;

fn parameters(dtype: DType) -> Parameters {
    let values = [0.5f32, -1.0, 2.0, 0.25, 3.0, -0.125];
    let tensor = Tensor::new(&values, &Device::Cpu).unwrap();
    let a = tensor.to_dtype(dtype).unwrap().reshape((2, 3)).unwrap();
    let b = Tensor::new(&[1f32], &Device::Cpu)
        .unwrap()
        .to_dtype(dtype)
        .unwrap();
    Parameters::new(BTreeMap::from([
        ("a".to_string(), Var::from_tensor(&a).unwrap()),
        ("b".to_string(), Var::from_tensor(&b).unwrap()),
    ]))
}

fn config() -> AdamConfig {
    AdamConfig {
        lr: 0.1,
        beta1: 0.5,
        beta2: 0.9,
        weight_decay: 0.01,
        ..AdamConfig::default()
    }
}

/// Σ a⁴ / 4, and b² only when asked for.
fn gradients(p: &Parameters, with_b: bool) -> GradStore {
    let a = p.get("a").unwrap().sqr().unwrap().sqr().unwrap();
    let mut loss = (a.sum_all().unwrap() / 4.0).unwrap();
    if with_b {
        loss = (loss + p.get("b").unwrap().sqr().unwrap().sum_all().unwrap()).unwrap();
    }
    loss.backward().unwrap()
}

fn values(p: &Parameters, name: &str) -> Vec<f64> {
    let tensor = p.get(name).unwrap().as_detached_tensor();
    let tensor = tensor.to_dtype(DType::F64).unwrap();
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn the_kernel_and_the_composed_form_agree() {
    let (fast, slow) = (parameters(DType::F32), parameters(DType::F64));
    let mut fast_adam = Adam::new(&fast, config()).unwrap();
    let mut slow_adam = Adam::new(&slow, config()).unwrap();
    for step in 0..5 {
        let with_b = step % 2 == 0;
        assert_eq!(
            fast_adam.step(&gradients(&fast, with_b)).unwrap(),
            Step::Applied
        );
        assert_eq!(
            slow_adam.step(&gradients(&slow, with_b)).unwrap(),
            Step::Applied
        );
    }
    for name in ["a", "b"] {
        for (x, y) in values(&fast, name).iter().zip(values(&slow, name)) {
            assert!((x - y).abs() < 1e-5, "{name}: {x} {y}");
        }
    }
    assert_eq!(fast_adam.slots["a"].steps, 5);
    assert_eq!(fast_adam.slots["b"].steps, 3, "b stood still twice");
}

#[test]
fn the_first_step_has_the_size_of_the_learning_rate() {
    let p = parameters(DType::F32);
    let before = values(&p, "a");
    let mut adam = Adam::new(
        &p,
        AdamConfig {
            weight_decay: 0.0,
            ..config()
        },
    )
    .unwrap();
    let _ = adam.step(&gradients(&p, true)).unwrap();
    for (x, y) in before.iter().zip(values(&p, "a")) {
        assert!((x - y - 0.1 * x.signum()).abs() < 1e-4);
    }
}

#[test]
fn a_gradient_that_is_not_finite_moves_nothing() {
    let p = parameters(DType::F32);
    let mut adam = Adam::new(&p, config()).unwrap();
    let _ = adam.step(&gradients(&p, true)).unwrap();
    let (before, state) = (values(&p, "a"), adam.state().unwrap());
    let b = p.get("b").unwrap();
    let zero = Tensor::new(&[0f32], &Device::Cpu).unwrap();
    let loss = b.broadcast_div(&zero).unwrap().sum_all().unwrap();
    let loss = (loss + p.get("a").unwrap().sum_all().unwrap()).unwrap();
    let step = adam.step(&loss.backward().unwrap()).unwrap();
    assert_eq!(step, Step::Skipped("gradient of b".into()));
    assert_eq!(values(&p, "a"), before);
    for ((_, x), (_, y)) in state.iter().zip(adam.state().unwrap()) {
        let bits = |t: &Tensor| t.to_dtype(DType::F64).unwrap().flatten_all().unwrap();
        assert_eq!(
            bits(x).to_vec1::<f64>().unwrap(),
            bits(&y).to_vec1::<f64>().unwrap()
        );
    }
}

#[test]
fn saved_and_restored_it_goes_on_with_the_same_bits() {
    let straight = parameters(DType::F32);
    let mut adam = Adam::new(&straight, config()).unwrap();
    for step in 0..6 {
        let _ = adam.step(&gradients(&straight, step % 2 == 0)).unwrap();
    }

    let first = parameters(DType::F32);
    let mut adam = Adam::new(&first, config()).unwrap();
    for step in 0..3 {
        let _ = adam.step(&gradients(&first, step % 2 == 0)).unwrap();
    }
    let mut state = State::new();
    adam.save("opt.", &mut state).unwrap();
    let second = parameters(DType::F32);
    second.load(&first.frozen()).unwrap();
    let mut adam = Adam::new(&second, config()).unwrap();
    adam.restore("opt.", &state).unwrap();
    for step in 3..6 {
        let _ = adam.step(&gradients(&second, step % 2 == 0)).unwrap();
    }
    for name in ["a", "b"] {
        assert_eq!(values(&straight, name), values(&second, name));
    }
}

#[test]
fn bad_settings_and_states_are_named() {
    let p = parameters(DType::F32);
    for bad in [
        AdamConfig {
            lr: f64::NAN,
            ..config()
        },
        AdamConfig {
            beta2: 1.0,
            ..config()
        },
    ] {
        assert!(Adam::new(&p, bad).is_err());
    }
    let mut adam = Adam::new(&p, config()).unwrap();
    let error = adam.restore("opt.", &State::new()).unwrap_err().to_string();
    assert!(error.contains("opt.a.m"), "{error}");
    let mut state = State::new();
    adam.save("opt.", &mut state).unwrap();
    let wrong = Tensor::zeros(5, DType::F32, &Device::Cpu).unwrap();
    let mut other = State::new();
    other.put_tensor("opt.a.m", &wrong).unwrap();
    other.put_tensor("opt.a.v", &wrong).unwrap();
    let error = adam.restore("opt.", &other).unwrap_err().to_string();
    assert!(error.contains("[5]") && error.contains("[2, 3]"), "{error}");
}

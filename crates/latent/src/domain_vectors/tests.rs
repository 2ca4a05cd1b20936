use domex_ops::testing::{assert_gradients, max_difference, randn};

use super::*;

fn smooth(alpha: &[f64]) -> Vec<f64> {
    let alpha = Tensor::new(alpha, &Device::Cpu).unwrap();
    Gate::Smooth.open(&alpha).unwrap().to_vec1().unwrap()
}

#[test]
fn a_smooth_gate_is_closed_around_the_base_and_one_in_the_domain() {
    assert_eq!(smooth(&[0.0, 0.05, -0.1, 0.1]), [0.0, 0.0, 0.0, 0.0]);
    assert!((smooth(&[1.0])[0] - 1.0).abs() < 1e-12);
}

#[test]
fn a_smooth_gate_rises_and_ends() {
    let steps: Vec<f64> = (0..40).map(|i| f64::from(i) / 20.0).collect();
    let opened = smooth(&steps);
    assert!(opened.windows(2).all(|pair| pair[0] <= pair[1]));
    assert_eq!(smooth(&[2.0, 100.0]), [Gate::LARGEST, Gate::LARGEST]);
}

#[test]
fn a_smooth_gate_has_no_kink_at_the_domain() {
    let at = smooth(&[0.999, 1.0, 1.001]);
    let (before, after) = (at[1] - at[0], at[2] - at[1]);
    assert!((before / after - 1.0).abs() < 1e-2, "{before} {after}");
}

#[test]
fn below_the_base_lies_the_opposite() {
    let (plus, minus) = (smooth(&[0.7]), smooth(&[-0.7]));
    assert_eq!(plus[0], -minus[0]);
}

#[test]
fn gradients_go_through_a_smooth_gate() {
    let alpha = Tensor::new(&[0.3, 0.8, 1.2, -0.6], &Device::Cpu).unwrap();
    let open = |x: &[Tensor]| Ok(Gate::Smooth.open(&x[0]).unwrap());
    assert_gradients("smooth gate", open, &[alpha]);
}

/// Three domains of a latent of four numbers; one layer of two channels.
fn vectors(gates: &[Gate]) -> DomainVectors {
    let basis = Basis::given(Tensor::eye(4, candle_core::DType::F64, &Device::Cpu).unwrap());
    let domains: Vec<Domain> = (0..gates.len())
        .map(|i| Domain {
            name: format!("domain {i}"),
            dimension: 3 - i,
            distance: 2.0,
            task: serde_json::Value::Null,
        })
        .collect();
    let layer = Layer {
        name: "b4.conv1".to_owned(),
        channels: 2,
        outputs: 3,
        kernel: 3,
        resolution: 4,
        row: 0,
    };
    let rows = |seed| Some(randn(&[gates.len(), 2], seed));
    let own = LayerVectors {
        offset: rows(1),
        factor: rows(2),
        ..LayerVectors::default()
    };
    let mean = Tensor::zeros(4, candle_core::DType::F64, &Device::Cpu).unwrap();
    DomainVectors::new(vec![(layer, own)], gates, &domains, &basis.unwrap(), &mean).unwrap()
}

/// The same where domain 1 changes the affine map too, and domain 2 the weight.
fn with_matrices() -> DomainVectors {
    let mut all = vectors(&[Gate::Smooth; 3]);
    let (_, own) = &mut all.layers[0];
    own.affine = vec![(1, AffineChange::Full(randn(&[2, 4], 3)))];
    own.weight = vec![(2, randn(&[3, 2], 4))];
    all
}

fn latent(w: [f64; 4]) -> Tensor {
    Tensor::new(&[[w]], &Device::Cpu).unwrap()
}

#[test]
fn closed_gates_leave_every_layer_as_it_is() {
    let vectors = vectors(&[Gate::Smooth; 3]);
    // The base's own spread along the directions.
    let found = vectors.modulate(&latent([5.0, 0.1, -0.1, 0.15])).unwrap();
    assert!(found.is_empty());
}

#[test]
fn a_domain_gets_its_own_vectors() {
    let vectors = vectors(&[Gate::Smooth; 3]);
    let found = vectors.modulate(&latent([0.0, 0.0, 2.0, 0.0])).unwrap();
    let found = &found["b4.conv1"];
    let own = |rows: &Option<Tensor>| rows.as_ref().unwrap().narrow(0, 1, 1).unwrap();
    let (_, expected) = &vectors.layers[0];
    let offset = found.style_offset.as_ref().unwrap();
    assert!(max_difference(offset, &own(&expected.offset)) < 1e-12);
    let factor = (found.channel_factor.as_ref().unwrap() - 1.0).unwrap();
    assert!(max_difference(&factor, &own(&expected.factor)) < 1e-12);
}

#[test]
fn a_change_of_the_affine_map_is_a_step_of_each_style() {
    let (with, without) = (with_matrices(), vectors(&[Gate::Smooth; 3]));
    let w = Tensor::new(
        &[[[1.0, -2.0, 2.0, 0.0]], [[0.5, 0.0, 1.0, 0.0]]],
        &Device::Cpu,
    );
    let w = w.unwrap();
    let offset = |vectors: &DomainVectors| {
        let found = vectors.modulate(&w).unwrap();
        found["b4.conv1"].style_offset.clone().unwrap()
    };
    let found = (offset(&with) - offset(&without)).unwrap();
    // √D is 2.
    let map = (randn(&[2, 4], 3) / 2.0).unwrap();
    let gates = Tensor::new(&[[1.0], [smooth(&[0.5])[0]]], &Device::Cpu).unwrap();
    let steps = w.squeeze(1).unwrap().matmul(&map.t().unwrap()).unwrap();
    let expected = steps.broadcast_mul(&gates).unwrap();
    assert!(max_difference(&found, &expected) < 1e-12);
}

#[test]
fn an_offset_of_the_weight_comes_through_for_its_own_samples_only() {
    let w = Tensor::new(
        &[[[0.0, 2.0, 0.0, 0.0]], [[0.0, 0.0, 2.0, 0.0]]],
        &Device::Cpu,
    );
    let found = with_matrices().modulate(&w.unwrap()).unwrap();
    let offset = found["b4.conv1"].weight_offset.as_ref().unwrap();
    assert_eq!(offset.dims(), [2, 3, 2, 1, 1]);
    let sample = |at: usize| offset.narrow(0, at, 1).unwrap().reshape((3, 2)).unwrap();
    assert!(max_difference(&sample(0), &randn(&[3, 2], 4)) < 1e-12);
    assert_eq!(
        max_difference(&sample(1), &sample(1).zeros_like().unwrap()),
        0.0
    );
}

#[test]
fn matrices_of_closed_gates_are_not_looked_at() {
    let found = with_matrices()
        .modulate(&latent([3.0, 0.0, 0.0, 2.0]))
        .unwrap();
    let found = &found["b4.conv1"];
    assert!(found.weight_offset.is_none());
    let (_, own) = &vectors(&[Gate::Smooth; 3]).layers[0];
    let first = own.offset.as_ref().unwrap().narrow(0, 0, 1).unwrap();
    assert!(max_difference(found.style_offset.as_ref().unwrap(), &first) < 1e-12);
}

#[test]
fn gates_of_both_kinds_stand_side_by_side() {
    let mixed = vectors(&[Gate::Linear, Gate::Smooth, Gate::Linear]);
    let w = latent([0.0, 0.1, 1.3, 0.1]);
    let alpha = mixed.strengths(&w).unwrap();
    let opened: Vec<f64> = mixed
        .gates
        .open(&alpha)
        .unwrap()
        .flatten_all()
        .unwrap()
        .to_vec1()
        .unwrap();
    assert_eq!((opened[0], opened[2]), (0.05, 0.05));
    assert_eq!(opened[1], smooth(&[0.65])[0]);
}

/// Parts of the domains' own, each of which the gate of its domain weighs.
#[test]
fn kernels_and_biases_come_through_for_their_own_samples_only() {
    let mut all = vectors(&[Gate::Smooth; 3]);
    let (_, own) = &mut all.layers[0];
    own.deviation = vec![(1, randn(&[3, 2], 5)), (2, randn(&[3, 2], 6))];
    own.bias = vec![(1, randn(&[3], 7))];
    let half = smooth(&[0.5])[0];
    let w = Tensor::new(
        &[[[0.0, 2.0, 0.0, 0.0]], [[0.0, 0.0, 1.0, 0.0]]],
        &Device::Cpu,
    );
    let found = all.modulate(&w.unwrap()).unwrap();
    let found = &found["b4.conv1"];
    let (deviation, bias) = (&found.kernel_deviation, &found.bias_offset);
    let deviation = deviation.as_ref().unwrap();
    assert_eq!(deviation.dims(), [2, 3, 2, 1, 1]);
    let sample = |at: usize| deviation.narrow(0, at, 1).unwrap().reshape((3, 2)).unwrap();
    assert!(max_difference(&sample(0), &randn(&[3, 2], 6)) < 1e-12);
    assert!(max_difference(&sample(1), &(randn(&[3, 2], 5) * half).unwrap()) < 1e-12);
    let bias = bias.as_ref().unwrap().to_vec2::<f64>().unwrap();
    assert_eq!(bias[0], [0.0; 3]);
    let want = (randn(&[3], 7) * half).unwrap().to_vec1::<f64>().unwrap();
    assert_eq!(bias[1], want[..]);
}

fn mapping() -> Mapping {
    Mapping {
        hidden: randn(&[4, 4], 1),
        hidden_bias: randn(&[4], 2),
        out: randn(&[4, 4], 3),
        out_bias: randn(&[4], 4),
    }
}

/// The domain's own affine map A + ΔA reads w + m(w) whole, the source's A the gate's part of it.
#[test]
fn a_mapping_moves_the_latent_that_affine_maps_read() {
    let all = with_matrices().with_mappings(vec![(1, mapping())]).unwrap();
    let half = smooth(&[0.5])[0];
    let w = Tensor::new(&[[[1.0, -2.0, 1.0, 0.0]]], &Device::Cpu).unwrap();
    let flat = w.squeeze(1).unwrap();
    let m = mapping().forward(&flat).unwrap();
    let found = all.modulate(&w).unwrap();
    let moved = found["b4.conv1"].latent_offset.clone().unwrap();
    assert!(max_difference(&moved, &(&m * half).unwrap()) < 1e-12);
    let offset = |vectors: &DomainVectors| {
        let found = vectors.modulate(&w).unwrap();
        found["b4.conv1"].style_offset.clone().unwrap()
    };
    let plain = offset(&vectors(&[Gate::Smooth; 3]));
    let change = AffineChange::Full(randn(&[2, 4], 3));
    let step = (change.forward(&(flat + m).unwrap()).unwrap() * half).unwrap();
    assert!(max_difference(&offset(&all), &(plain + step).unwrap()) < 1e-12);
    // Where it is closed beside an open one, nothing is mapped.
    let found = all.modulate(&latent([0.0, 2.0, 0.0, 0.0])).unwrap();
    assert!(found["b4.conv1"].latent_offset.is_none());
}

#[test]
fn what_does_not_fit_the_layers_is_refused_by_name() {
    let plain = || vectors(&[Gate::Smooth; 3]);
    let far = plain().with_mappings(vec![(3, mapping())]).unwrap_err();
    assert!(far.to_string().contains("below 3"), "{far}");
    let refused = |change: fn(&mut Layer, &mut LayerVectors), part: &str| {
        let (mut layer, mut own) = plain().layers[0].clone();
        change(&mut layer, &mut own);
        let error = own.check(&layer, 3, 4).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    refused(
        |_, own| own.bias = vec![(0, randn(&[2], 1))],
        "change of the bias of layer b4.conv1",
    );
    refused(
        |_, own| own.deviation = vec![(0, randn(&[2, 3], 1))],
        "change of the deviations",
    );
    let one = |layer: &mut Layer, own: &mut LayerVectors| {
        layer.kernel = 1;
        own.deviation = vec![(0, randn(&[3, 2], 1))];
    };
    refused(one, "whose kernels have a size");
}

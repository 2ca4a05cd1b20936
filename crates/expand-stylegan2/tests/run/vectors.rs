//! Domains as vectors beside the weights.

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use domex_expand::{Config, ParametrisationKind};
use domex_latent::Generator as _;
use domex_latent::domain_vectors::Gate;
use domex_random::Streams;
use domex_stylegan2::Model;
use domex_test_support::networks as tiny;
use domex_train::{Job as _, State};

use crate::{clock, config, job, steps, tasks, values};

/// Offsets to styles, trained, saved and made pictures with.
fn stylespace(world: &Path, kill_at: Option<u64>) -> Model {
    vectors(ParametrisationKind::Stylespace, world, kill_at)
}

/// Two domains as vectors beside the weights.
fn vectors(kind: ParametrisationKind, world: &Path, kill_at: Option<u64>) -> Model {
    let new = || {
        let config = Config {
            parametrisation: kind,
            ..config()
        };
        job(world, None, config, &tasks(&["sketch", "zombie"])).unwrap()
    };
    let mut run = new();
    for step in 0..4 {
        if kill_at == Some(step) {
            let mut state = State::new();
            run.save(&mut state).unwrap();
            run = new();
            run.restore(&state).unwrap();
        }
        steps(&mut run, step, step + 1);
    }
    let path = world.join("offsets.safetensors");
    run.export(&clock(4), &path).unwrap();
    Model::load(&path, &Device::Cpu).unwrap()
}

#[test]
fn offsets_leave_the_weights_as_they_were() {
    let root = tempfile::tempdir().unwrap();
    tiny::world(root.path());
    let source = Model::load(root.path().join("generator.safetensors"), &Device::Cpu).unwrap();
    let model = stylespace(root.path(), None);
    let now = model.g_ema.tensors();
    for (name, tensor) in source.g_ema.tensors() {
        if name.starts_with("synthesis.") {
            assert_eq!(values(&tensor), values(&now[&name]), "{name}");
        }
    }
}

#[test]
fn offsets_change_pictures_in_their_domain_and_nowhere_else() {
    let root = tempfile::tempdir().unwrap();
    tiny::world(root.path());
    let source = Model::load(root.path().join("generator.safetensors"), &Device::Cpu).unwrap();
    let model = stylespace(root.path(), None);
    let expansion = model.expansion().unwrap();
    let base = expansion.mean.unsqueeze(0).unwrap();
    let layout = &expansion.layout;
    let spaces = layout
        .subspaces(&expansion.basis, &Device::Cpu, DType::F32)
        .unwrap();
    let change = |strength: f64| {
        let strengths = layout.strengths(&[("zombie", strength)]).unwrap();
        let w = spaces.compose(&base, &strengths).unwrap();
        let (a, b) = (
            source.g_ema.synthesize(&w).unwrap(),
            model.g_ema.synthesize(&w).unwrap(),
        );
        let difference = (a - b).unwrap().abs().unwrap().max_all().unwrap();
        difference.to_scalar::<f32>().unwrap()
    };
    assert!(change(1.0) > 1e-4, "{}", change(1.0));
    assert!(change(0.0) < 1e-5, "{}", change(0.0));
}

#[test]
fn a_resumed_run_of_offsets_reaches_the_same_bits() {
    let root = tempfile::tempdir().unwrap();
    tiny::world(root.path());
    let whole = stylespace(root.path(), None);
    let parts = stylespace(root.path(), Some(2));
    let offsets = |model: &Model| model.expansion().unwrap().offsets.clone();
    let (whole, parts) = (offsets(&whole), offsets(&parts));
    assert!(!whole.is_empty());
    for (layer, rows) in &whole {
        assert_eq!(values(rows), values(&parts[layer]), "{layer}");
    }
}

#[test]
fn a_model_with_offsets_keeps_them_when_its_weights_are_trained() {
    let root = tempfile::tempdir().unwrap();
    tiny::world(root.path());
    let first = stylespace(root.path(), None);
    let mut second = job(root.path(), Some(&first), config(), &tasks(&["robot"])).unwrap();
    steps(&mut second, 0, 1);
    let path = root.path().join("second.safetensors");
    second.export(&clock(1), &path).unwrap();
    let second = Model::load(&path, &Device::Cpu).unwrap();
    let (before, after) = (first.expansion().unwrap(), second.expansion().unwrap());
    for (layer, rows) in &before.offsets {
        assert_eq!(after.offsets[layer].dims()[0], 3, "{layer}");
        let kept = after.offsets[layer].narrow(0, 0, 2).unwrap();
        assert_eq!(values(rows), values(&kept), "{layer}");
    }
}

#[test]
fn offsets_of_new_domains_stand_beside_those_of_earlier_ones() {
    let root = tempfile::tempdir().unwrap();
    tiny::world(root.path());
    let first = stylespace(root.path(), None);
    let config = Config {
        parametrisation: ParametrisationKind::Stylespace,
        ..config()
    };
    let mut second = job(root.path(), Some(&first), config, &tasks(&["robot"])).unwrap();
    steps(&mut second, 0, 2);
    let path = root.path().join("second.safetensors");
    second.export(&clock(2), &path).unwrap();
    let second = Model::load(&path, &Device::Cpu).unwrap();
    let (before, after) = (first.expansion().unwrap(), second.expansion().unwrap());
    for (layer, rows) in &before.offsets {
        let kept = after.offsets[layer].narrow(0, 0, 2).unwrap();
        assert_eq!(values(rows), values(&kept), "{layer}");
        let new = values(&after.offsets[layer].narrow(0, 2, 1).unwrap());
        assert!(new.iter().any(|x| *x != 0.0), "{layer}");
    }
}

/// Latents on the base of a model, and the same moved by so much of the zombie.
fn moved(model: &Model, strength: f64) -> Tensor {
    let expansion = model.expansion().unwrap();
    let layout = &expansion.layout;
    let spaces = layout
        .subspaces(&expansion.basis, &Device::Cpu, DType::F32)
        .unwrap();
    let mut w = vec![0f32; 3 * tiny::DIM];
    Streams::new(5).stream("latents").fill_normal(&mut w);
    let w = Tensor::from_vec(w, (3, tiny::DIM), &Device::Cpu).unwrap();
    let base = spaces.project(&w, Some(&expansion.mean)).unwrap();
    let strengths = layout.strengths(&[("zombie", strength)]).unwrap();
    spaces.compose(&base, &strengths).unwrap()
}

/// Pictures of the same latents by the source and by the expanded model.
fn pictures(world: &Path, model: &Model, strength: f64) -> (Vec<f32>, Vec<f32>) {
    let source = Model::load(world.join("generator.safetensors"), &Device::Cpu).unwrap();
    let w = moved(model, strength);
    (
        values(&source.g_ema.synthesize(&w).unwrap()),
        values(&model.g_ema.synthesize(&w).unwrap()),
    )
}

#[test]
fn behind_closed_gates_pictures_are_the_sources_to_the_bit() {
    let root = tempfile::tempdir().unwrap();
    tiny::world(root.path());
    let model = vectors(ParametrisationKind::Gated, root.path(), None);
    for strength in [0.0, 0.09, -0.05] {
        let (source, expanded) = pictures(root.path(), &model, strength);
        assert!(source == expanded, "at {strength}");
    }
}

#[test]
fn no_number_of_the_generator_moves_not_even_its_mean() {
    let root = tempfile::tempdir().unwrap();
    tiny::world(root.path());
    let source = Model::load(root.path().join("generator.safetensors"), &Device::Cpu).unwrap();
    let model = vectors(ParametrisationKind::Gated, root.path(), None);
    let now = model.g_ema.tensors();
    for (name, tensor) in source.g_ema.tensors() {
        assert_eq!(values(&tensor), values(&now[&name]), "{name}");
    }
}

#[test]
fn open_gates_change_pictures() {
    let root = tempfile::tempdir().unwrap();
    tiny::world(root.path());
    let model = vectors(ParametrisationKind::Gated, root.path(), None);
    let (source, expanded) = pictures(root.path(), &model, 1.0);
    let largest = source.iter().zip(&expanded);
    let largest = largest.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(largest > 1e-4, "{largest}");
}

/// Beside an edited picture in one batch, where other layers are changed.
#[test]
fn a_base_picture_keeps_its_bits_beside_others() {
    let root = tempfile::tempdir().unwrap();
    tiny::world(root.path());
    let model = vectors(ParametrisationKind::Gated, root.path(), None);
    let source = Model::load(root.path().join("generator.safetensors"), &Device::Cpu).unwrap();
    let both = Tensor::cat(&[moved(&model, 0.0), moved(&model, 1.0)], 0).unwrap();
    let found = model.g_ema.synthesize(&both).unwrap();
    let wanted = source.g_ema.synthesize(&both).unwrap();
    let first = |x: &Tensor| values(&x.narrow(0, 0, 3).unwrap());
    assert!(first(&found) == first(&wanted));
}

#[test]
fn a_resumed_run_behind_gates_reaches_the_same_bits() {
    let root = tempfile::tempdir().unwrap();
    tiny::world(root.path());
    let whole = vectors(ParametrisationKind::Gated, root.path(), None);
    let parts = vectors(ParametrisationKind::Gated, root.path(), Some(2));
    let (whole, parts) = (whole.expansion().unwrap(), parts.expansion().unwrap());
    assert!(!whole.factors.is_empty());
    for (layer, rows) in &whole.factors {
        assert_eq!(values(rows), values(&parts.factors[layer]), "{layer}");
    }
}

#[test]
fn a_gated_domain_beside_offsets_leaves_them_their_gate() {
    let root = tempfile::tempdir().unwrap();
    tiny::world(root.path());
    let first = stylespace(root.path(), None);
    let config = Config {
        parametrisation: ParametrisationKind::Gated,
        ..config()
    };
    let mut second = job(root.path(), Some(&first), config, &tasks(&["robot"])).unwrap();
    steps(&mut second, 0, 1);
    let path = root.path().join("second.safetensors");
    second.export(&clock(1), &path).unwrap();
    let second = Model::load(&path, &Device::Cpu).unwrap();
    let gates = &second.expansion().unwrap().gates;
    assert_eq!(*gates, [Gate::Linear, Gate::Linear, Gate::Smooth]);
}

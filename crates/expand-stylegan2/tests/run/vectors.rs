//! Domains as vectors beside the weights.

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use domex_expand::{Config, ParametrisationKind, StyleDomainConfig};
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

/// What has a smooth gate: vectors, changes of affine maps with offsets of a block's weights or after a mapping, and styles of kernels.
pub const GATED: [ParametrisationKind; 5] = [
    ParametrisationKind::Gated,
    ParametrisationKind::Affine,
    ParametrisationKind::AffineLight,
    ParametrisationKind::Dorm,
    ParametrisationKind::GanMemory,
];

/// Settings by which a parametrisation trains all that it can.
pub fn settings(kind: ParametrisationKind) -> Config {
    let affine = [
        ParametrisationKind::Affine,
        ParametrisationKind::AffineLight,
    ];
    Config {
        parametrisation: kind,
        styledomain: StyleDomainConfig {
            block: affine.contains(&kind).then_some(8),
            ..StyleDomainConfig::default()
        },
        ..config()
    }
}

/// Two domains as vectors beside the weights.
pub fn vectors(kind: ParametrisationKind, world: &Path, kill_at: Option<u64>) -> Model {
    trained(&settings(kind), world, kill_at)
}

fn trained(config: &Config, world: &Path, kill_at: Option<u64>) -> Model {
    let new = || {
        let config = config.clone();
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
pub fn moved(model: &Model, strength: f64) -> Tensor {
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
    for kind in GATED {
        let model = vectors(kind, root.path(), None);
        for strength in [0.0, 0.09, -0.05] {
            let (source, expanded) = pictures(root.path(), &model, strength);
            assert!(source == expanded, "{kind:?} at {strength}");
        }
    }
}

#[test]
fn no_number_of_the_generator_moves_not_even_its_mean() {
    let root = tempfile::tempdir().unwrap();
    tiny::world(root.path());
    let source = Model::load(root.path().join("generator.safetensors"), &Device::Cpu).unwrap();
    for kind in GATED {
        let model = vectors(kind, root.path(), None);
        let now = model.g_ema.tensors();
        for (name, tensor) in source.g_ema.tensors() {
            assert_eq!(values(&tensor), values(&now[&name]), "{kind:?}: {name}");
        }
    }
}

#[test]
fn open_gates_change_pictures() {
    let root = tempfile::tempdir().unwrap();
    tiny::world(root.path());
    for kind in GATED {
        let model = vectors(kind, root.path(), None);
        let (source, expanded) = pictures(root.path(), &model, 1.0);
        let largest = source.iter().zip(&expanded);
        let largest = largest.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(largest > 1e-4, "{kind:?}: {largest}");
    }
}

/// Beside an edited picture in one batch, where other layers are changed.
#[test]
fn a_base_picture_keeps_its_bits_beside_others() {
    let root = tempfile::tempdir().unwrap();
    tiny::world(root.path());
    let source = Model::load(root.path().join("generator.safetensors"), &Device::Cpu).unwrap();
    for kind in GATED {
        let model = vectors(kind, root.path(), None);
        let both = Tensor::cat(&[moved(&model, 0.0), moved(&model, 1.0)], 0).unwrap();
        let found = model.g_ema.synthesize(&both).unwrap();
        let wanted = source.g_ema.synthesize(&both).unwrap();
        let first = |x: &Tensor| values(&x.narrow(0, 0, 3).unwrap());
        assert!(first(&found) == first(&wanted), "{kind:?}");
    }
}

#[test]
fn a_resumed_run_behind_gates_reaches_the_same_bits() {
    let root = tempfile::tempdir().unwrap();
    tiny::world(root.path());
    for kind in GATED {
        let whole = vectors(kind, root.path(), None);
        let parts = vectors(kind, root.path(), Some(2));
        let tensors = |model: &Model| model.expansion().unwrap().tensors();
        assert!(tensors(&whole).len() > 10, "{kind:?}");
        for ((name, whole), (_, parts)) in tensors(&whole).iter().zip(tensors(&parts)) {
            let single = |tensor: &Tensor| values(&tensor.to_dtype(DType::F32).unwrap());
            assert_eq!(single(whole), single(&parts), "{kind:?}: {name}");
        }
    }
}

/// Both factors of a change of low rank, and every part of the others.
#[test]
fn everything_of_a_domain_is_trained() {
    let root = tempfile::tempdir().unwrap();
    tiny::world(root.path());
    for (kind, parts) in [(GATED[1], 2), (GATED[2], 3), (GATED[3], 2), (GATED[4], 3)] {
        let model = vectors(kind, root.path(), None);
        let mut before = job(
            root.path(),
            None,
            settings(kind),
            &tasks(&["sketch", "zombie"]),
        )
        .unwrap();
        steps(&mut before, 0, 0);
        let path = root.path().join("before.safetensors");
        before.export(&clock(0), &path).unwrap();
        let before = Model::load(&path, &Device::Cpu).unwrap();
        let own = |model: &Model| model.expansion().unwrap().matrices[0].tensors("");
        let (before, after) = (own(&before), own(&model));
        let kinds: std::collections::BTreeSet<&str> = after
            .iter()
            .filter_map(|(name, _)| name.split_once('.').map(|(part, _)| part))
            .collect();
        assert_eq!(kinds.len(), parts, "{kinds:?}");
        for ((name, before), (_, after)) in before.iter().zip(&after) {
            assert_ne!(values(before), values(after), "{kind:?}: {name}");
        }
    }
}

#[test]
fn of_sparse_offsets_the_file_has_the_largest() {
    let root = tempfile::tempdir().unwrap();
    tiny::world(root.path());
    let (dense, top) = (settings(ParametrisationKind::Stylespace), 0.2);
    let mut sparse = dense.clone();
    sparse.styledomain.top = top;
    let offsets = |config: &Config| {
        let model = trained(config, root.path(), None);
        let file = model
            .expansion()
            .unwrap()
            .take_out("zombie")
            .unwrap()
            .unwrap();
        let rows = file.offsets.values().flat_map(values).collect::<Vec<f32>>();
        (rows, file.numbers().unwrap())
    };
    let ((dense, all), (sparse, kept)) = (offsets(&dense), offsets(&sparse));
    assert_eq!(all, dense.len());
    assert_eq!(kept, (top * all as f64).ceil() as usize);
    let zeros = dense.iter().zip(&sparse).filter(|(_, kept)| **kept == 0.0);
    let largest = zeros.map(|(all, _)| all.abs()).fold(0.0, f32::max);
    let own = sparse.iter().filter(|kept| **kept != 0.0);
    assert!(
        own.clone()
            .all(|kept| kept.abs() >= largest && dense.contains(kept))
    );
}

#[test]
fn what_a_parametrisation_has_no_use_for_is_refused_by_name() {
    let root = tempfile::tempdir().unwrap();
    tiny::world(root.path());
    let refused = |config: Config, word: &str| {
        let error = job(root.path(), None, config, &tasks(&["sketch"]))
            .err()
            .unwrap();
        assert!(error.to_string().contains(word), "{error}");
    };
    let with = |kind, change: fn(&mut StyleDomainConfig)| {
        let mut config = settings(kind);
        config.styledomain.block = None;
        change(&mut config.styledomain);
        config
    };
    let [gated, affine, light, dorm, memory] = GATED;
    refused(with(light, |own| own.rank = 0), "styledomain.rank: 0");
    refused(with(affine, |own| own.rank = 3), "\"affine-light\"");
    refused(with(light, |own| own.rank = 99), "at most 12");
    refused(with(light, |own| own.block = Some(64)), "4, 8, 16");
    refused(with(gated, |own| own.block = Some(8)), "styledomain.block");
    refused(with(dorm, |own| own.block = Some(8)), "styledomain.block");
    refused(with(memory, |own| own.rank = 3), "styledomain.rank");
    refused(with(gated, |own| own.top = 0.5), "\"stylespace\"");
    for top in [0.0, 1.5, f64::NAN] {
        let mut config = settings(ParametrisationKind::Stylespace);
        config.styledomain.top = top;
        refused(config, "at most 1");
    }
}

#[test]
fn a_domain_with_matrices_beside_an_earlier_one_leaves_it_its_own() {
    let root = tempfile::tempdir().unwrap();
    tiny::world(root.path());
    let first = vectors(GATED[2], root.path(), None);
    let config = settings(GATED[1]);
    let mut second = job(root.path(), Some(&first), config, &tasks(&["robot"])).unwrap();
    steps(&mut second, 0, 1);
    let path = root.path().join("second.safetensors");
    second.export(&clock(1), &path).unwrap();
    let second = Model::load(&path, &Device::Cpu).unwrap();
    let own = |model: &Model, at: usize| {
        let matrices = &model.expansion().unwrap().matrices[at];
        let tensors = matrices.tensors("").into_iter();
        tensors
            .map(|(name, tensor)| (name, values(&tensor)))
            .collect::<Vec<_>>()
    };
    for at in 0..2 {
        assert_eq!(own(&first, at), own(&second, at));
    }
    assert!(!own(&second, 2).is_empty());
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

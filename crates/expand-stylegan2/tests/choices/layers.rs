//! Which layers a step trains.

use std::collections::BTreeSet;

use candle_core::{Device, Tensor};
use domex_expand::{Config, Expand, ParametrisationKind, Placement, TaskSpec};
use domex_stylegan2::Model;
use domex_train::{Clock, Job, Losses, State};
use serde_json::json;

use crate::world::{ONE, TWO, World, adaptive, config, moved, refused, step, tensors, zombie};

fn tasks() -> [TaskSpec; 2] {
    [zombie(), TaskSpec::texts("photo", "robot")]
}

fn job(world: &World) -> Expand {
    let guides = &[ONE, TWO];
    world.job(adaptive(1), &tasks(), guides, None).unwrap()
}

/// Rows of the latent whose layers were chosen, of all that are told of.
fn chosen(losses: &Losses) -> (Vec<usize>, usize) {
    let rows = losses.values.iter().filter_map(|(name, value)| {
        let row = name.strip_prefix("layers/")?.parse::<usize>().unwrap();
        Some((row, *value))
    });
    let rows: Vec<(usize, f64)> = rows.collect();
    let chosen = rows.iter().filter(|(_, value)| *value == 1.0);
    (chosen.map(|(row, _)| *row).collect(), rows.len())
}

#[test]
fn a_step_trains_the_layers_that_matter_to_its_tasks() {
    let world = World::new();
    let at = world.file("snapshot.safetensors");
    let mut job = job(&world);
    let before = tensors(&job, &at);
    let (rows, of) = chosen(&step(&mut job, 0));
    assert_eq!((rows.len(), of), (1, 6));
    let own = [
        "b4.conv1.",
        "b8.conv0.",
        "b8.conv1.",
        "b16.conv0.",
        "b16.conv1.",
    ][rows[0]];
    let after = tensors(&job, &at);
    let moved = after
        .iter()
        .filter(|(name, bytes)| before[*name] != **bytes);
    let moved: Vec<&str> = moved
        .filter_map(|(name, _)| name.strip_prefix("generator.synthesis."))
        .collect();
    assert!(!moved.is_empty());
    assert!(
        moved.iter().all(|name| name.starts_with(own)),
        "{moved:?} of {own}"
    );
}

#[test]
fn a_resumed_run_chooses_the_layers_that_it_would_have_chosen() {
    let world = World::new();
    let (mut whole, mut parts) = (job(&world), job(&world));
    for at in 0..2 {
        step(&mut whole, at);
        step(&mut parts, at);
    }
    let mut state = State::new();
    parts.save(&mut state).unwrap();
    let mut parts = job(&world);
    parts.restore(&state).unwrap();
    for at in 2..4 {
        assert_eq!(step(&mut whole, at), step(&mut parts, at));
    }
    let whole = tensors(&whole, &world.file("whole.safetensors"));
    assert!(whole == tensors(&parts, &world.file("parts.safetensors")));
}

#[test]
fn numbers_of_layers_out_of_range_are_refused() {
    let world = World::new();
    let job = |config| world.job(config, &tasks(), &[ONE], None);
    refused(job(adaptive(7)), &["adaptive_layers.layers", "7", "1 to 6"]);
    refused(job(adaptive(0)), &["adaptive_layers.layers", "1 or more"]);
    let mut still = adaptive(1);
    still.adaptive_layers.as_mut().unwrap().learning_rate = 0.0;
    refused(job(still), &["adaptive_layers.learning_rate", "above 0"]);
}

#[test]
fn a_domain_with_the_whole_generator_chooses_its_layers_too() {
    let world = World::new();
    let whole = |config: Config| Config {
        placement: Placement::Whole,
        ..config
    };
    let some = moved(&world, whole(adaptive(1)), &Clock::default());
    let all = moved(&world, whole(config()), &Clock::default());
    assert!(0 < some && some < all / 2, "{some} of {all}");
}

#[test]
fn adaptive_layers_never_train_torgb_or_the_constant() {
    let world = World::new();
    // As many as there are rows.
    let mut job = world.job(adaptive(6), &[zombie()], &[ONE], None).unwrap();
    let before = tensors(&job, &world.file("before"));
    step(&mut job, 0);
    let after = tensors(&job, &world.file("after"));
    let moved = |part: &str| {
        let names = before.keys().filter(|name| name.starts_with("generator."));
        let mut own = names.filter(|name| name.contains(part));
        own.any(|name| before[name] != after[name])
    };
    assert!(moved("b4.conv1") && moved("b8.conv0") && moved("b16.conv1"));
    assert!(!moved("torgb") && !moved("const"));
}

#[test]
fn adaptive_layers_train_the_mapping_before_them_in_each_step() {
    let world = World::new();
    let dorm = Config {
        parametrisation: ParametrisationKind::Dorm,
        ..adaptive(1)
    };
    let mut job = world.job(dorm, &[zombie()], &[ONE], None).unwrap();
    let before = tensors(&job, &world.file("before"));
    step(&mut job, 0);
    let after = tensors(&job, &world.file("after"));
    let moved = |part: &str| {
        let names = before.keys().filter(|name| name.starts_with(part));
        names.filter(|name| before[*name] != after[*name]).count()
    };
    assert!(moved("generator.mapping.") > 0);
    assert_eq!(moved("generator.affine."), 1, "of the one layer");
}

/// With the layers of one of StyleGAN-NADA's phases.
fn phased(phase: &str) -> Config {
    let mut config = config();
    config.source.insert("phase".to_owned(), json!(phase));
    config
}

#[test]
fn a_phase_trains_its_layers_only() {
    let world = World::new();
    let mut job = world
        .job(phased("shape"), &[zombie()], &[ONE], None)
        .unwrap();
    let path = world.file("model.safetensors");
    step(&mut job, 0);
    job.export(&Clock::default(), &path).unwrap();
    let layers = |model: &Model| model.g_ema.tensors();
    let (before, after) = (
        layers(&world.model),
        layers(&Model::load(&path, &Device::Cpu).unwrap()),
    );
    let values = |x: &Tensor| x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let moved = before
        .iter()
        .filter(|(name, x)| name.starts_with("synthesis.") && values(x) != values(&after[*name]));
    let moved: BTreeSet<&str> = moved
        .map(|(name, _)| name["synthesis.".len()..].rsplit_once('.').unwrap().0)
        .map(|layer| layer.strip_suffix(".affine").unwrap_or(layer))
        .collect();
    let expected = ["b4", "b4.conv1", "b8.conv0", "b8.conv1"];
    assert!(moved.iter().copied().eq(expected), "{moved:?}");
}

#[test]
fn a_phase_is_refused_beside_other_choices_of_layers() {
    let world = World::new();
    let job = |config| world.job(config, &[zombie()], &[ONE], None);
    let mut both = adaptive(1);
    both.source.insert("phase".to_owned(), json!("texture"));
    refused(job(both), &["phase", "\"texture\"", "adaptive_layers"]);
    let offsets = Config {
        parametrisation: ParametrisationKind::Stylespace,
        ..phased("texture")
    };
    refused(job(offsets), &["phase", "\"texture\"", "parametrisation"]);
    refused(job(phased("textures")), &["textures", "no_torgb"]);
}

//! A whole expansion of a generator that is no StyleGAN2, by a method that brings its own latents and pictures.

#![allow(clippy::unwrap_used)]

mod toy;

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use domex_checkpoint::container::Container;
use domex_expand::{
    Config, Expand, ObjectiveConfig, ParametrisationKind, TaskSpec, Trainee as _, Weights,
};
use domex_latent::Generator as _;
use domex_latent::toy::DIM;
use domex_replay::AlignmentConfig;
use domex_train::{Clock, Job, Resume, RunConfig};
use toy::{ToyTrainee, job, open, person};

fn config(parametrisation: ParametrisationKind) -> Config {
    // A root mean square has no gradient between equal pictures, which the base and its source are at first.
    let alignment = AlignmentConfig {
        l2: 10.0,
        lpips: 0.0,
    };
    Config {
        objective: ObjectiveConfig {
            alignment,
            ..ObjectiveConfig::default()
        },
        batch: 3,
        lr: 0.02,
        parametrisation,
        ..Config::default()
    }
}

fn run_to(job: &mut Expand, folder: &Path, steps: u64, resume: Resume) {
    let config = RunConfig {
        images: 3 * steps,
        tick_images: 6,
        signals: false,
        resume,
        ..RunConfig::new(folder)
    };
    domex_train::run(job, &config).unwrap();
}

/// Every tensor of a file, to the bit.
fn tensors(path: &Path) -> Vec<(String, Vec<u8>)> {
    let file = Container::open(path).unwrap();
    let tensors = file.tensors().iter();
    tensors
        .map(|(name, data)| (name.clone(), data.bytes().to_vec()))
        .collect()
}

/// How far the model's pictures of the person's anchors are from the pictures, moved into the domain or not.
fn error(model: &Path, task: &TaskSpec, strength: f64) -> f64 {
    let (toy, expansion) = open(model);
    let anchors = task.keys()["anchors"].as_str().unwrap();
    let anchors = candle_core::safetensors::load(anchors, &Device::Cpu).unwrap();
    let layout = &expansion.layout;
    let spaces = layout
        .subspaces(&expansion.basis, &Device::Cpu, DType::F32)
        .unwrap();
    let base = spaces
        .project(&anchors["w"], Some(&expansion.mean))
        .unwrap();
    let strengths = layout.strengths(&[("Ann", strength)]).unwrap();
    let made = toy
        .synthesize(&spaces.compose(&base, &strengths).unwrap())
        .unwrap();
    let pictures = task.keys()["pictures"].as_array().unwrap();
    let pictures = pictures.iter().map(|path| {
        let picture = domex_data::picture::read(path.as_str().unwrap().as_ref()).unwrap();
        domex_data::picture::from_rgb(&[picture], DType::F32, &Device::Cpu).unwrap()
    });
    let pictures = Tensor::cat(&pictures.collect::<Vec<_>>(), 0).unwrap();
    let square = (made - pictures)
        .unwrap()
        .sqr()
        .unwrap()
        .mean_all()
        .unwrap();
    f64::from(square.to_scalar::<f32>().unwrap())
}

fn learnt(parametrisation: ParametrisationKind) -> (f64, f64) {
    let root = tempfile::tempdir().unwrap();
    let task = person(&root.path().join("ann"), 3);
    let folder = root.path().join("run");
    let mut run = job(
        ToyTrainee::new(),
        config(parametrisation),
        std::slice::from_ref(&task),
    )
    .unwrap();
    untrained(&run, &folder.with_extension("before"));
    let before = error(&folder.with_extension("before"), &task, 1.0);
    run_to(&mut run, &folder, 60, Resume::No);
    (before, error(&folder.join("model.safetensors"), &task, 1.0))
}

/// The model before the first step, as a file.
fn untrained(run: &Expand, path: &Path) {
    run.export(&Clock::default(), path).unwrap();
}

#[test]
fn weights_learn_a_person_by_anchors_and_pictures() {
    let (before, after) = learnt(ParametrisationKind::Full);
    assert!(after < 0.5 * before, "{before} to {after}");
}

#[test]
fn offsets_in_stylespace_learn_a_person_too() {
    let (before, after) = learnt(ParametrisationKind::Stylespace);
    assert!(after < 0.9 * before, "{before} to {after}");
}

#[test]
fn changes_of_affine_maps_learn_a_person_too() {
    for kind in [
        ParametrisationKind::Affine,
        ParametrisationKind::AffineLight,
        ParametrisationKind::Dorm,
    ] {
        let (before, after) = learnt(kind);
        assert!(after < 0.9 * before, "{kind:?}: {before} to {after}");
    }
}

/// How much a model's pictures change along the most dormant free direction, walked as far as a domain lies.
fn woken(model: &Path) -> f32 {
    let (toy, expansion) = open(model);
    let free = expansion.basis.vectors().narrow(1, DIM - 2, 1).unwrap();
    let free = free.t().unwrap().to_dtype(DType::F32).unwrap();
    let distance = expansion.layout.domains()[0].distance;
    let along = (expansion.mean.unsqueeze(0).unwrap() + (free * distance).unwrap()).unwrap();
    let before = ToyTrainee::new();
    let before = before.generator(Weights::Source);
    let before = before.synthesize(&along).unwrap();
    let difference = (toy.synthesize(&along).unwrap() - before).unwrap();
    let square = difference.sqr().unwrap().mean_all().unwrap();
    square.to_scalar::<f32>().unwrap()
}

#[test]
fn a_reserved_direction_stays_nearer_to_what_it_was() {
    let root = tempfile::tempdir().unwrap();
    let task = [person(&root.path().join("ann"), 3)];
    let [free, held] = [0, 1].map(|reserve| {
        let config = Config {
            reserve,
            ..config(ParametrisationKind::Full)
        };
        let folder = root.path().join(reserve.to_string());
        let mut run = job(ToyTrainee::new(), config, &task).unwrap();
        run_to(&mut run, &folder, 60, Resume::No);
        woken(&folder.join("model.safetensors"))
    });
    assert!(held < 0.5 * free, "{free} to {held}");
}

#[test]
fn what_cannot_be_reserved_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let task = [person(&root.path().join("ann"), 3)];
    let refused = |config: Config, words: &str| {
        let error = job(ToyTrainee::new(), config, &task).err().unwrap();
        assert!(error.to_string().contains(words), "{error}");
    };
    let with = |parametrisation, reserve| Config {
        reserve,
        ..config(parametrisation)
    };
    refused(with(ParametrisationKind::Full, DIM), "expected at most");
    refused(
        with(ParametrisationKind::Stylespace, 1),
        "leaves free directions as they are",
    );
}

/// The first direction is what the generator uses most: without it nothing would be left for the base.
#[test]
fn the_first_direction_is_never_given_away_by_itself() {
    let root = tempfile::tempdir().unwrap();
    let ann = person(&root.path().join("ann"), 3);
    let named = |at: usize| {
        let mut task = ann.clone();
        task.name = Some(format!("Ann {at}"));
        task
    };
    let tasks: Vec<TaskSpec> = (0..DIM).map(named).collect();
    let build = |tasks| job(ToyTrainee::new(), config(ParametrisationKind::Full), tasks);
    let all_but_one = build(&tasks[1..]).unwrap();
    assert_eq!(all_but_one.layout().base(), [0]);
    let error = build(&tasks).err().unwrap().to_string();
    assert!(error.contains("at most 7 domains"), "{error}");
}

fn resumed(parametrisation: ParametrisationKind) {
    let root = tempfile::tempdir().unwrap();
    let task = [person(&root.path().join("ann"), 3)];
    let new = || job(ToyTrainee::new(), config(parametrisation), &task).unwrap();
    let (whole, parts) = (root.path().join("whole"), root.path().join("parts"));
    run_to(&mut new(), &whole, 8, Resume::No);
    run_to(&mut new(), &parts, 4, Resume::No);
    run_to(&mut new(), &parts, 8, Resume::From(parts.clone()));
    let model = |folder: &Path| tensors(&folder.join("model.safetensors"));
    assert!(model(&whole) == model(&parts));
}

#[test]
fn a_resumed_run_of_weights_reaches_the_same_bits() {
    resumed(ParametrisationKind::Full);
}

#[test]
fn a_resumed_run_of_offsets_reaches_the_same_bits() {
    resumed(ParametrisationKind::Stylespace);
}

#[test]
fn a_resumed_run_of_affine_changes_reaches_the_same_bits() {
    resumed(ParametrisationKind::AffineLight);
}

#[test]
fn a_resumed_run_of_mappings_reaches_the_same_bits() {
    resumed(ParametrisationKind::Dorm);
}

#[test]
fn a_generator_without_kernels_has_no_styles_of_them() {
    let root = tempfile::tempdir().unwrap();
    let task = [person(&root.path().join("ann"), 3)];
    let config = config(ParametrisationKind::GanMemory);
    let error = job(ToyTrainee::new(), config, &task).err().unwrap();
    assert!(error.to_string().contains("has kernels"), "{error}");
}

#[test]
fn offsets_leave_the_base_subspace_as_it_was() {
    let root = tempfile::tempdir().unwrap();
    let task = person(&root.path().join("ann"), 3);
    let folder = root.path().join("run");
    let stylespace = config(ParametrisationKind::Stylespace);
    let mut run = job(ToyTrainee::new(), stylespace, std::slice::from_ref(&task)).unwrap();
    untrained(&run, &root.path().join("before"));
    run_to(&mut run, &folder, 20, Resume::No);
    let before = error(&root.path().join("before"), &task, 0.0);
    let after = error(&folder.join("model.safetensors"), &task, 0.0);
    assert!((before - after).abs() < 1e-6, "{before} and {after}");
}

#[test]
fn the_file_holds_a_vector_of_offsets_for_each_layer_and_domain() {
    let root = tempfile::tempdir().unwrap();
    let task = person(&root.path().join("ann"), 3);
    let run = job(
        ToyTrainee::new(),
        config(ParametrisationKind::Stylespace),
        &[task],
    )
    .unwrap();
    let path = root.path().join("model");
    untrained(&run, &path);
    let (_, expansion) = open(&path);
    assert_eq!(expansion.offsets["later"].dims(), [1, DIM]);
}

#[test]
fn a_generator_without_styles_refuses_offsets_and_says_what_it_can() {
    let root = tempfile::tempdir().unwrap();
    let task = person(&root.path().join("ann"), 3);
    let config = config(ParametrisationKind::Stylespace);
    let error = job(ToyTrainee::without_layers(), config, &[task])
        .err()
        .unwrap();
    let message = error.to_string();
    assert!(
        message.contains("\"full\"") && message.contains("toy"),
        "{message}"
    );
}

#[test]
fn a_snapshot_of_another_parametrisation_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let task = [person(&root.path().join("ann"), 3)];
    let new = |kind| job(ToyTrainee::new(), config(kind), &task).unwrap();
    let folder = root.path().join("run");
    run_to(&mut new(ParametrisationKind::Full), &folder, 2, Resume::No);
    let config = RunConfig {
        images: 12,
        resume: Resume::From(folder.clone()),
        signals: false,
        ..RunConfig::new(&folder)
    };
    let error = domex_train::run(&mut new(ParametrisationKind::Stylespace), &config).unwrap_err();
    assert!(
        error.to_string().contains("config.parametrisation"),
        "{error}"
    );
}

#[test]
fn fewer_anchors_than_pictures_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let task = person(&root.path().join("ann"), 3);
    let other = person(&root.path().join("bob"), 2);
    let task = task.with("anchors", other.keys()["anchors"].clone());
    let error = job(ToyTrainee::new(), Config::default(), &[task])
        .err()
        .unwrap();
    assert!(error.to_string().contains("2 for 3 pictures"), "{error}");
}

#[test]
fn a_picture_of_another_size_is_named() {
    let root = tempfile::tempdir().unwrap();
    let task = person(&root.path().join("ann"), 1);
    let path = root.path().join("ann/0.png");
    let large = image::RgbImage::new(9, 8);
    domex_data::picture::write_png(&path, &large).unwrap();
    let error = job(ToyTrainee::new(), Config::default(), &[task])
        .err()
        .unwrap();
    let message = error.to_string();
    assert!(
        message.contains("0.png") && message.contains("9 × 8"),
        "{message}"
    );
}

#[test]
fn adaptive_layers_are_refused_where_the_method_cannot_choose() {
    let root = tempfile::tempdir().unwrap();
    let task = person(&root.path().join("ann"), 3);
    let config = Config {
        adaptive_layers: Some(domex_expand::AdaptiveLayers::default()),
        ..config(ParametrisationKind::Full)
    };
    let error = job(ToyTrainee::new(), config, &[task]).err().unwrap();
    assert!(error.to_string().contains("mystyle"), "{error}");
}

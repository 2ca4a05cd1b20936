//! Paired truth, of a random network whose own pictures stand for the truth.
#![allow(clippy::unwrap_used)]

use candle_core::{DType, Device, Tensor};
use candle_nn::{VarBuilder, VarMap};
use domex_data::picture;
use domex_data::portraits::Domain;
use domex_eval::{Domains, Known, Subject, Truth, truth};
use domex_judge::{Config, Factor, Judge, NONE};
use domex_latent::basis::{Basis, BasisKind};
use domex_latent::{Expansion, Generator as _, subspace::Layout};
use domex_random::Streams;
use domex_stylegan2::{GeneratorConfig, Model, Noise, mapping::broadcast};
use image::RgbImage;

const SIZE: usize = 16;

fn judge() -> Judge {
    let mut config = Config::new(&[Factor::new("domain", ["photo", "sketch", NONE])]);
    config.size = SIZE;
    config.widths = vec![8; 4];
    let map = VarMap::new();
    Judge::new(
        &VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu),
        &config,
    )
    .unwrap();
    let data = map.data().lock().unwrap();
    let weights = data.iter().map(|(name, var)| {
        let mut values = vec![0f32; var.elem_count()];
        Streams::new(2).stream(name).fill_normal(&mut values);
        values.iter_mut().for_each(|value| *value *= 0.3);
        (
            name.clone(),
            Tensor::from_vec(values, var.dims(), &Device::Cpu).unwrap(),
        )
    });
    let weights = weights.collect();
    Judge::new(
        &VarBuilder::from_tensors(weights, DType::F32, &Device::Cpu),
        &config,
    )
    .unwrap()
}

/// A random generator of which one direction is called a sketch.
fn model() -> Model {
    let config = GeneratorConfig::with_defaults(8, 12, SIZE, 128, 8).unwrap();
    let mut model = Model::random(&config, 3, &Device::Cpu).unwrap();
    let matrices = model.generator().acting_matrices().unwrap();
    let basis = Basis::from_matrices(&BasisKind::DomainExpansion, &matrices).unwrap();
    let mut layout = Layout::new(basis.count());
    layout
        .add("pencil sketch", serde_json::Value::Null, Some(0), 6.0)
        .unwrap();
    layout
        .add("my style", serde_json::Value::Null, Some(1), 6.0)
        .unwrap();
    // Of the source, to which there is no way.
    layout
        .add("an old photo", serde_json::Value::Null, Some(2), 6.0)
        .unwrap();
    let mean = model.generator().mean().unwrap();
    model.expansion = Some(Expansion::new(layout, basis, mean).unwrap());
    model
}

/// The model's own picture of a latent, moved into its sketch by a share of the way.
fn own(model: &Model, z: &[f32], strength: f64) -> RgbImage {
    let (generator, expansion) = (model.generator(), model.expansion().unwrap());
    let layout = &expansion.layout;
    let spaces = layout
        .subspaces(&expansion.basis, &Device::Cpu, DType::F32)
        .unwrap();
    let z = Tensor::new(z, &Device::Cpu).unwrap().unsqueeze(0).unwrap();
    let w = generator.mapping().forward(Some(&z), None).unwrap();
    let base = spaces.project(&w, Some(&expansion.mean)).unwrap();
    let strengths = layout.strengths(&[("pencil sketch", strength)]).unwrap();
    let w = spaces.compose(&base, &strengths).unwrap();
    let ws = broadcast(&w, generator.config().num_ws()).unwrap();
    let made = generator.synthesis().forward(&ws, Noise::Const).unwrap();
    picture::to_rgb(&made).unwrap().swap_remove(0)
}

fn found(true_strength: f64, photo_strength: f64) -> Truth {
    let model = model();
    let rendering = |z: &[f32], domain: Domain| match domain {
        Domain::Photo => own(&model, z, photo_strength),
        _ => own(&model, z, true_strength),
    };
    let known = Known {
        numbers: model.config().z_dim(),
        rendering: &rendering,
        latents: &|z| model.generator().map(z, None),
    };
    truth(&model, &judge(), known, 12, 5, |_| ()).unwrap()
}

#[test]
fn a_domain_that_is_its_rendering_is_as_true_as_can_be() {
    let found = found(1.0, 0.0);
    assert_eq!(found.domains.len(), 1);
    let sketch = &found.domains[0];
    assert_eq!((sketch.domain, sketch.held_out), (Domain::Sketch, false));
    assert!((sketch.paired - 1.0).abs() < 1e-3, "{sketch:?}");
    assert!(
        (sketch.edges[0] - sketch.edges[1]).abs() < 0.05,
        "{sketch:?}"
    );
    assert!(sketch.none.unwrap() + sketch.reached.unwrap() <= 1.0);
    assert_eq!(
        (found.mean(false), found.mean(true)),
        (Some(sketch.paired), None)
    );
}

#[test]
fn what_went_the_other_way_is_less_true_than_nothing() {
    let sketch = &found(-1.0, 0.0).domains[0];
    assert!(sketch.paired < 0.0, "{sketch:?}");
    assert!(sketch.kernel > 0.0, "{sketch:?}");
}

#[test]
fn the_base_is_compared_with_photographs() {
    let (near, far) = (found(1.0, 0.0), found(1.0, 0.5));
    assert!(near.base_kernel < far.base_kernel, "{near:?} {far:?}");
    // The scale is how near the base is to its own truth.
    assert!(far.domains[0].paired > near.domains[0].paired);
}

/// The plain picture of a latent by any generator.
fn plain(model: &Model, z: &[f32]) -> RgbImage {
    let z = Tensor::new(z, &Device::Cpu).unwrap().unsqueeze(0).unwrap();
    let generator = model.generator();
    let w = generator.map(&z, None).unwrap();
    let made = generator.synthesize(&w).unwrap();
    picture::to_rgb(&made).unwrap().swap_remove(0)
}

#[test]
fn a_generator_that_was_adapted_as_a_whole_is_beside_the_one_it_came_from() {
    let source = model();
    let config = source.config().clone();
    let other = Model::random(&config, 4, &Device::Cpu).unwrap();
    let judge = judge();
    let measured = |adapted: &Model, photo_by: &Model| {
        let rendering = |z: &[f32], domain: Domain| match domain {
            Domain::Photo => plain(photo_by, z),
            _ => plain(&other, z),
        };
        let known = Known {
            numbers: config.z_dim(),
            rendering: &rendering,
            latents: &|z| source.generator().map(z, None),
        };
        let subject = Subject {
            domains: Some(Domains::Adapted {
                generator: adapted.generator(),
                source: "photo",
                target: "sketch",
            }),
            ..Subject::from(&source)
        };
        let found = truth(subject, &judge, known, 8, 5, |_| ()).unwrap();
        found.domains[0].paired
    };
    assert_eq!(measured(&source, &source), 0.0, "nothing changed");
    // Latents are mapped by the source: the other network's pictures of them are not those of its own mapping.
    let changed = measured(&other, &source);
    assert!(changed.is_finite() && changed != 0.0, "{changed}");
}

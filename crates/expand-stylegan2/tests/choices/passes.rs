//! Steps in several passes.

use candle_core::{Device, Tensor};
use domex_data::portraits::Domain;
use domex_data::source::{PictureSource, Portraits};
use domex_expand::{Config, Expand, ParametrisationKind, Trainee as _};
use domex_expand_stylegan2::StyleGan2;
use domex_stylegan2::Discriminator;
use domex_test_support::networks::SIDE;
use domex_train::State;
use serde_json::json;

use crate::world::{ONE, World, config, refused, step, tensors, value, zombie};

fn job(world: &World, micro_batch: Option<usize>) -> Expand {
    let config = Config {
        batch: 3,
        micro_batch,
        ..config()
    };
    world.job(config, &[zombie()], &[ONE], None).unwrap()
}

/// Pixel noise is drawn pass by pass, so without it passes compare.
fn without_noise() -> World {
    let mut world = World::new();
    let mut tensors = world.model.g_ema.tensors();
    for (name, tensor) in &mut tensors {
        if name.ends_with("noise_strength") {
            *tensor = tensor.zeros_like().unwrap();
        }
    }
    world.model.g_ema = world.model.g_ema.with_tensors(&tensors).unwrap();
    world
}

fn numbers(bytes: &[u8]) -> Tensor {
    let values: Vec<f32> = bytes
        .chunks_exact(4)
        .map(|part| f32::from_le_bytes(part.try_into().unwrap()))
        .collect();
    Tensor::new(values, &Device::Cpu).unwrap()
}

#[test]
fn several_passes_have_the_loss_and_the_gradient_of_one() {
    let world = without_noise();
    let at = world.file("snapshot");
    let (mut whole, mut parts) = (job(&world, None), job(&world, Some(2)));
    let (one, two) = (step(&mut whole, 0), step(&mut parts, 0));
    for name in ["loss/expand", "loss/l2", "loss/lpips"] {
        let (a, b) = (value(&one, name), value(&two, name));
        assert!((a - b).abs() <= 1e-5 * a.abs(), "{name}: {a} {b}");
    }
    // The second moments are the squares of the gradients.
    let (one, two) = (tensors(&whole, &at), tensors(&parts, &at));
    let moments = one.keys().filter(|name| name.ends_with(".v"));
    // That of a strength is the noise itself.
    let moments = moments.filter(|name| !name.contains("noise_strength"));
    let mut largest = 0f32;
    for name in moments {
        let (a, b) = (numbers(&one[name]), numbers(&two[name]));
        let scale = a.max_all().unwrap().to_scalar::<f32>().unwrap();
        let apart = (a - b).unwrap().abs().unwrap().max_all().unwrap();
        let apart = apart.to_scalar::<f32>().unwrap();
        assert!(apart <= 1e-3 * scale, "{name}: {apart} of {scale}");
        largest = largest.max(scale);
    }
    assert!(largest > 0.0);
}

#[test]
fn a_discriminator_s_opinion_is_told_once_a_step_and_by_the_samples_of_each_pass() {
    let mut world = without_noise();
    let discriminator = world.model.discriminator.as_mut().unwrap();
    // Passes of one sample and of two: what compares samples would tell them apart.
    let mut config = discriminator.config().clone();
    config.mbstd_group_size = Some(1);
    let tensors = discriminator.tensors();
    *discriminator = Discriminator::from_tensors(&tensors, &config).unwrap();
    let told = |micro_batch| {
        let mut config = Config {
            batch: 3,
            micro_batch,
            ..self::config()
        };
        config.source.insert("realism".to_owned(), json!(0.5));
        let mut job = world.job(config, &[zombie()], &[ONE], None).unwrap();
        let values = step(&mut job, 0).values.into_iter();
        let told: Vec<f64> = values
            .filter_map(|(name, value)| (name == "loss/realism").then_some(value))
            .collect();
        assert_eq!(told.len(), 1);
        told[0]
    };
    let (whole, parts) = (told(None), told(Some(2)));
    assert!((whole - parts).abs() < 1e-5 * whole, "{whole} {parts}");
}

#[test]
fn one_pass_is_a_step_to_the_bit() {
    let world = World::new();
    let at = world.file("snapshot");
    let [one, two] = [None, Some(3)].map(|micro| {
        let mut job = job(&world, micro);
        step(&mut job, 0);
        tensors(&job, &at)
    });
    assert_eq!(one, two);
}

#[test]
fn passes_that_do_not_fit_are_refused() {
    let world = World::new();
    let wrong = Config {
        micro_batch: Some(3),
        ..config()
    };
    let built = world.job(wrong, &[zombie()], &[ONE], None);
    refused(built, &["micro_batch: 3", "1 to the batch, which is 2"]);
}

/// Settings of six samples, which are no groups of four.
fn uneven(source: &[(&str, f64)]) -> Config {
    let mut config = Config {
        batch: 6,
        ..config()
    };
    for (key, value) in source {
        config.source.insert((*key).to_owned(), json!(value));
    }
    config
}

fn photos() -> Option<Box<dyn PictureSource>> {
    let portraits = Portraits::new(1, Domain::Photo, SIDE as u32).unwrap();
    Some(Box::new(portraits))
}

#[test]
fn passes_in_which_the_discriminator_cannot_compare_are_refused_where_it_is_asked() {
    let world = World::new();
    let model = &world.model;
    let words = ["pictures in one pass: 6", "a multiple of 4"];
    let trains = StyleGan2::new(model, &uneven(&[("src", 1.0)]), photos(), 7);
    refused(trains, &words);
    let judges = StyleGan2::new(model, &uneven(&[("realism", 1.0)]), None, 7);
    refused(judges, &words);
    // Vectors leave the base as it is, so there is nothing for it to do.
    let vectors = Config {
        parametrisation: ParametrisationKind::Gated,
        ..uneven(&[("src", 1.0)])
    };
    let idle = StyleGan2::new(model, &vectors, photos(), 7).unwrap();
    assert!(!idle.trains_source());
    let mut state = State::new();
    idle.save(&mut state).unwrap();
    assert!(!state.has_tensor("adam.discriminator.b4.out.weight.v"));
}

#[test]
fn a_weight_of_what_compares_more_samples_than_a_pass_has_is_refused() {
    let world = World::new();
    let job = |change: &dyn Fn(&mut Config)| {
        let mut config = Config {
            low_memory: true,
            ..config()
        };
        change(&mut config);
        world.job(config, &[zombie()], &[ONE], None)
    };
    job(&|_| ()).unwrap();
    refused(
        job(&|config| config.objective.diversity = 0.1),
        &["objective.diversity: 0.1", "passes of 2 samples", "has 1"],
    );
    refused(
        job(&|config| config.nada.weights.in_domain = 0.2),
        &["nada.weights.in_domain: 0.2", "micro_batch"],
    );
    refused(
        job(&|config| config.nada.weights.target_direction = 0.2),
        &["nada.weights.target_direction", "passes of 2"],
    );
    refused(
        job(&|config| {
            config.low_memory = false;
            config.nada.weights.target_direction = 0.2;
        }),
        &["nada.weights.target_direction", "two domains"],
    );
    refused(
        job(&|config| config.nada.weights.contrastive = 0.2),
        &["nada.weights.contrastive: 0.2", "two domains"],
    );
}

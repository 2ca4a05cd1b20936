//! Steps in several passes.

use candle_core::{Device, Tensor};
use domex_data::portraits::Domain;
use domex_data::source::Portraits;
use domex_expand::{Config, Expand};
use domex_expand_stylegan2::StyleGan2;
use domex_test_support::networks::SIDE;
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

    // The discriminator compares the pictures of a pass in groups of four.
    let mut uneven = Config {
        batch: 6,
        ..config()
    };
    uneven.source.insert("src".to_owned(), json!(1.0));
    let pictures = Portraits::new(1, Domain::Photo, SIDE as u32).unwrap();
    let built = StyleGan2::new(&world.model, &uneven, Some(Box::new(pictures)), 7);
    refused(built, &["pictures in one pass: 6", "a multiple of 4"]);
}

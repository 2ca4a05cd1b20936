//! Inversion and tuning on a small random generator, whose own pictures are looked for.
#![allow(clippy::unwrap_used)] // In helpers of tests too.

mod tuning;

use candle_core::{D, DType, Device, Tensor};
use candle_nn::{VarBuilder, VarMap};
use domex_checkpoint::safetensors::Overwrite;
use domex_invert::{Code, Config, Inversion, Place, Projector, Space};
use domex_latent::basis::Basis;
use domex_latent::sample::draw_latents;
use domex_latent::subspace::Subspaces;
use domex_lpips::{Backbone, Config as LpipsConfig, Lpips};
use domex_mystyle::Anchors;
use domex_random::Streams;
use domex_stylegan2::{Generator, GeneratorConfig, Model, Noise};

const SIDE: usize = 16;
const DIM: usize = 12;

fn generator() -> Generator {
    let mut config = GeneratorConfig::with_defaults(8, DIM, SIDE, 128, 8).unwrap();
    config.mapping.num_layers = 2;
    Model::random(&config, 3, &Device::Cpu).unwrap().g_ema
}

fn perceptual() -> Lpips {
    let config = LpipsConfig::new(Backbone::Small);
    let map = VarMap::new();
    let vb = VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu);
    Lpips::new(&vb, &config).unwrap();
    for (name, var) in map.data().lock().unwrap().iter() {
        let fan_in: usize = var.dims().iter().skip(1).product();
        let values = normal(var.dims(), name);
        let values = match name.starts_with("lin") {
            true => values.abs().unwrap(),
            false => (values * (2.0 / fan_in.max(1) as f64).sqrt()).unwrap(),
        };
        var.set(&values).unwrap();
    }
    Lpips::new(&vb, &config).unwrap()
}

fn normal(shape: &[usize], name: &str) -> Tensor {
    let mut values = vec![0.0; shape.iter().product()];
    Streams::new(7).stream(name).fill_normal(&mut values);
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// Pictures of two random latents, and the latents `[2, num_ws, D]`.
fn pictures(generator: &Generator) -> (Tensor, Tensor) {
    let z = normal(&[2, 8], "z");
    let w = generator.mapping().forward(Some(&z), None).unwrap();
    let rows = generator.config().num_ws();
    let ws = w.unsqueeze(1).unwrap().repeat((1, rows, 1)).unwrap();
    (synthesize(generator, &ws), ws)
}

fn synthesize(generator: &Generator, ws: &Tensor) -> Tensor {
    let made = generator.synthesis().forward(ws, Noise::Const).unwrap();
    made.detach()
}

fn short() -> Config {
    Config {
        steps: 60,
        pixel_noise: None,
        latent_samples: 200,
        ..Config::default()
    }
}

fn invert(pictures: &Tensor, place: Option<&Place>, config: Config, seed: u64) -> Inversion {
    let (generator, perceptual) = (generator(), perceptual());
    let projector = Projector {
        generator: (&generator).into(),
        perceptual: &perceptual,
        place,
        config,
    };
    projector
        .invert(pictures, &Streams::new(seed), &mut |_, _| {})
        .unwrap()
}

fn apart(a: &Tensor, b: &Tensor) -> f32 {
    let away = (a - b).unwrap().abs().unwrap().flatten_all().unwrap();
    away.max(0).unwrap().to_scalar().unwrap()
}

fn sum(values: &[f64]) -> f64 {
    values.iter().sum()
}

/// How far each row of W+ is from the first.
fn rows_apart(latents: &Tensor) -> f32 {
    let first = latents.narrow(1, 0, 1).unwrap();
    apart(latents, &first.broadcast_as(latents.shape()).unwrap())
}

#[test]
fn the_generators_own_pictures_are_found_in_w_and_nearer_in_w_plus() {
    let (pictures, _) = pictures(&generator());
    let w = invert(&pictures, None, short(), 0);
    // At step 0 the learning rate is 0: the second loss is that of the mean latent, shaken.
    assert!(w.losses[59] < 0.2 * w.losses[1], "{:?}", w.losses);
    assert_eq!(rows_apart(&w.latents), 0.0);
    let config = Config {
        space: Space::WPlus,
        ..short()
    };
    let w_plus = invert(&pictures, None, config, 0);
    assert!(sum(&w_plus.likeness.distance) < 1.1 * sum(&w.likeness.distance));
    assert!(rows_apart(&w_plus.latents) > 1e-3);
    assert!(w.noise.is_empty());
    assert!(apart(&w.pictures, &synthesize(&generator(), &w.latents)) < 1e-5);
}

/// As the published projector has them: the mean of W, its deviation the root of the mean squared distance from it, and noise in
/// the unit of that.
#[test]
fn the_first_step_is_taken_from_the_mean_with_noise_in_the_deviation_of_w() {
    const SAMPLES: usize = 50;
    let (generator, perceptual) = (generator(), perceptual());
    let (pictures, _) = pictures(&generator);
    let config = Config {
        steps: 1,
        latent_samples: SAMPLES,
        ..short()
    };
    let found = invert(&pictures, None, config, 5);
    let streams = Streams::new(5);
    let w = draw_latents(&generator, SAMPLES, &mut streams.stream("invert.mean")).unwrap();
    let mean = w.mean(0).unwrap();
    let away = w.broadcast_sub(&mean).unwrap().sqr().unwrap();
    let away: f32 = away.sum_all().unwrap().to_scalar().unwrap();
    let deviation = f64::from(away / SAMPLES as f32).sqrt();
    let mut noise = vec![0.0f32; 2 * DIM];
    streams.stream("invert.latents").fill_normal(&mut noise);
    let noise = Tensor::from_vec(noise, (2, DIM), &Device::Cpu).unwrap();
    let shaken = mean.broadcast_add(&(noise * (0.05 * deviation)).unwrap());
    let rows = generator.config().num_ws();
    let ws = shaken.unwrap().unsqueeze(1).unwrap().repeat((1, rows, 1));
    let made = synthesize(&generator, &ws.unwrap());
    let features = |x: &Tensor| perceptual.features(x).unwrap();
    let loss = perceptual.between(&features(&pictures), &features(&made));
    let loss: f32 = loss.unwrap().sum_all().unwrap().to_scalar().unwrap();
    let apart = (found.losses[0] - f64::from(loss)).abs();
    assert!(apart < 1e-4 * found.losses[0], "{loss} {:?}", found.losses);
}

#[test]
fn a_search_without_steps_gives_the_latents_it_started_from_and_one_with_steps_comes_nearer() {
    let (generator, perceptual) = (generator(), perceptual());
    let (pictures, latents) = pictures(&generator);
    let start = (latents.narrow(1, 0, 1).unwrap().squeeze(1).unwrap() * 0.3).unwrap();
    let found = |steps: usize, start: &Tensor| {
        let projector = Projector {
            generator: (&generator).into(),
            perceptual: &perceptual,
            place: None,
            config: Config {
                steps,
                ..Config::near()
            },
        };
        projector.invert_from(&pictures, start, &Streams::new(0), &mut |_, _| {})
    };
    let at_once = found(0, &start).unwrap();
    assert_eq!(apart(&at_once.latents, &(latents * 0.3).unwrap()), 0.0);
    let after = found(30, &start).unwrap().likeness.distance;
    assert!(
        sum(&after) < 0.85 * sum(&at_once.likeness.distance),
        "{after:?}"
    );
    assert!(found(1, &start.narrow(0, 0, 1).unwrap()).is_err());
}

#[test]
fn a_batch_equals_its_pictures_one_by_one() {
    let (pictures, _) = pictures(&generator());
    let config = Config {
        steps: 20,
        latent_noise: 0.0,
        ..short()
    };
    let both = invert(&pictures, None, config, 0);
    let second = invert(&pictures.narrow(0, 1, 1).unwrap(), None, config, 0);
    assert!(apart(&both.latents.narrow(0, 1, 1).unwrap(), &second.latents) < 1e-3);
}

#[test]
fn a_seed_finds_the_same_again() {
    let (pictures, _) = pictures(&generator());
    let config = Config {
        steps: 5,
        pixel_noise: Some(1e5),
        ..short()
    };
    let run = |seed| invert(&pictures, None, config, seed);
    assert_eq!(apart(&run(1).latents, &run(1).latents), 0.0);
    assert!(apart(&run(1).latents, &run(2).latents) > 0.0);
}

#[test]
fn pixel_noise_is_searched_for_and_stays_noise() {
    let (pictures, _) = pictures(&generator());
    let config = Config {
        steps: 20,
        pixel_noise: Some(1e5),
        ..short()
    };
    let found = invert(&pictures, None, config, 0);
    let names: Vec<_> = found.noise.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        ["b4.conv1", "b8.conv0", "b8.conv1", "b16.conv0", "b16.conv1"]
    );
    let maps: Vec<Tensor> = found.noise.iter().map(|(_, map)| map.clone()).collect();
    for map in &maps {
        let square: Vec<f32> = map
            .sqr()
            .unwrap()
            .mean((1, 2, 3))
            .unwrap()
            .to_vec1()
            .unwrap();
        assert!(square.iter().all(|s| (s - 1.0).abs() < 1e-4), "{square:?}");
    }
    let again = generator();
    let again = again
        .synthesis()
        .forward(&found.latents, Noise::Maps(&maps))
        .unwrap();
    assert!(apart(&again, &found.pictures) < 1e-5);
}

#[test]
fn what_is_found_lies_on_the_subspace_that_was_asked_for() {
    let generator = generator();
    let basis = Basis::of(&generator, &domex_latent::basis::BasisKind::DomainExpansion).unwrap();
    let subspaces = Subspaces::new(&basis, &[11], None, &Device::Cpu, DType::F32).unwrap();
    let place = Place {
        subspaces: subspaces.clone(),
        mean: generator.mean_w().unwrap(),
        strengths: vec![2.5],
    };
    let (pictures, _) = pictures(&generator);
    let config = Config {
        space: Space::WPlus,
        steps: 20,
        ..short()
    };
    let found = invert(&pictures, Some(&place), config, 0);
    let direction = basis.directions(&[11], &Device::Cpu, DType::F32).unwrap();
    let along = found.latents.broadcast_sub(&place.mean).unwrap();
    let along = along
        .broadcast_mul(&direction.squeeze(0).unwrap())
        .unwrap()
        .sum(D::Minus1)
        .unwrap();
    let expected = (along.ones_like().unwrap() * 2.5).unwrap();
    assert!(apart(&along, &expected) < 1e-4, "{along}");
    assert!(found.losses[19] < found.losses[1]);
}

#[test]
fn what_is_written_can_be_read_as_anchors() {
    let (pictures, _) = pictures(&generator());
    let config = Config {
        steps: 4,
        pixel_noise: Some(1e5),
        ..short()
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("anna.safetensors");
    let found = invert(&pictures, None, config, 0);
    found.write(1, &path, Overwrite::Refuse).unwrap();
    let anchors = Anchors::read(dir.path(), DIM).unwrap();
    let w = found
        .latents
        .narrow(0, 1, 1)
        .unwrap()
        .narrow(1, 0, 1)
        .unwrap();
    assert_eq!(apart(anchors.latents(), &w.squeeze(1).unwrap()), 0.0);
    assert_eq!(anchors.names().unwrap(), ["anna"]);
    assert!(found.write(1, &path, Overwrite::Refuse).is_err());
    assert!(found.write(2, &path, Overwrite::Replace).is_err());

    let config = Config {
        space: Space::WPlus,
        ..config
    };
    invert(&pictures, None, config, 0)
        .write(0, &path, Overwrite::Replace)
        .unwrap();
    let message = Anchors::read(&path, DIM).unwrap_err().to_string();
    assert!(message.contains("invert the picture into W"), "{message}");
}

#[test]
fn what_is_written_gives_the_same_picture_again() {
    let (pictures, _) = pictures(&generator());
    let config = Config {
        steps: 4,
        space: Space::WPlus,
        pixel_noise: Some(1e5),
        ..short()
    };
    let found = invert(&pictures, None, config, 0);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("one.safetensors");
    found.write(1, &path, Overwrite::Refuse).unwrap();
    let code = Code::read(&path, &generator()).unwrap();
    let noise = Noise::Maps(&code.noise);
    let again = generator()
        .synthesis()
        .forward(&code.latent, noise)
        .unwrap();
    assert!(apart(&again, &found.pictures.narrow(0, 1, 1).unwrap()) < 1e-5);
}

#[test]
fn latents_of_other_generators_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("code.safetensors");
    let read = |tensors: &[(&str, &[usize])]| {
        let tensors = tensors
            .iter()
            .map(|(name, shape)| {
                let values = vec![0.5; shape.iter().product()];
                let tensor = domex_checkpoint::TensorData::from_f32(shape.to_vec(), &values);
                ((*name).to_owned(), tensor.unwrap())
            })
            .collect();
        let metadata = std::collections::BTreeMap::new();
        domex_checkpoint::safetensors::write(&path, &metadata, &tensors, Overwrite::Replace)
            .unwrap();
        Code::read(&path, &generator())
    };
    let w = read(&[("w", &[1, DIM])]).unwrap();
    assert_eq!(w.latent.dims(), [1, 6, DIM]);
    assert!(w.noise.is_empty());
    for (tensors, word) in [
        (&[("w", &[1, 9][..])][..], "another generator"),
        (&[("w", &[1, 5, DIM])], "another generator"),
        (&[("w", &[2, DIM])], "another generator"),
        (&[("code", &[1, DIM]), ("other", &[1])], "under the name w"),
        (
            &[("w", &[DIM]), ("noise.b4.conv1", &[1, 1, 8, 8])],
            "noise.b4.conv1",
        ),
        (
            &[("w", &[DIM]), ("noise.b4.conv1", &[1, 1, 4, 4])],
            "of all 5",
        ),
    ] {
        let message = read(tensors).unwrap_err().to_string();
        assert!(
            message.contains(word) && message.contains("code.safetensors"),
            "{message}"
        );
    }
}

#[test]
fn pictures_and_settings_that_do_not_fit_are_refused() {
    let (generator, perceptual) = (generator(), perceptual());
    let run = |pictures: &Tensor, config: Config| {
        let projector = Projector {
            generator: (&generator).into(),
            perceptual: &perceptual,
            place: None,
            config,
        };
        let found = projector.invert(pictures, &Streams::new(0), &mut |_, _| {});
        found.unwrap_err().to_string()
    };
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    assert!(run(&zeros(&[1, 3, 32, 32]), short()).contains("[n, 3, 16, 16]"));
    assert!(run(&zeros(&[1, 1, 16, 16]), short()).contains("[n, 3, 16, 16]"));
    assert!(run(&zeros(&[0, 3, 16, 16]), short()).contains("[n, 3, 16, 16]"));
    let nan = (zeros(&[1, 3, 16, 16]) / 0.0).unwrap();
    assert!(run(&nan, short()).contains("finite"));
    let picture = zeros(&[1, 3, 16, 16]);
    assert!(
        run(
            &picture,
            Config {
                lr: -1.0,
                ..short()
            }
        )
        .contains("learning rate")
    );
    let wild = Config {
        lr: 1e300,
        lr_ramp_up: 0.0,
        ..short()
    };
    assert!(run(&picture, wild).contains("not finite"));
}

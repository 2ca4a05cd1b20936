use std::path::Path;

use candle_core::Device;
use domex_data::source::Portraits;
use domex_data::{portraits::Domain, source::PictureSource};
use domex_train::snapshots::latest;
use domex_train::{Resume, RunConfig, State, run};
use image::RgbImage;

use super::*;
use domex_gan::augment::{AdaConfig, AugmentConfig};

/// Networks of a few thousand weights, with everything that a step can do switched on.
pub(super) fn tiny() -> Config {
    Config {
        z_dim: 8,
        w_dim: 8,
        channel_base: 64,
        channel_max: 8,
        batch: 4,
        micro_batch: 2,
        mbstd_group: 2,
        r1_interval: 2,
        path_length_interval: 2,
        augment: Augmentation::Ada {
            p: 0.3,
            ada: AdaConfig {
                interval: 2,
                ..AdaConfig::default()
            },
            pipe: Box::new(AugmentConfig::default()),
        },
        ..Config::preset(Preset::Portraits, 16, 0)
    }
}

fn job(config: Config) -> StyleGan2 {
    let source = Portraits::new(7, Domain::Photo, 16).unwrap();
    StyleGan2::new(config, Box::new(source), &Start::Random, 7, &Device::Cpu).unwrap()
}

fn settings(out: &Path, steps: u64, resume: Resume) -> RunConfig {
    RunConfig {
        images: 4 * steps,
        tick_images: 8,
        snap: 1,
        signals: false,
        resume,
        ..RunConfig::new(out)
    }
}

/// The tensors and the job's part of the document, without the clock's seconds.
fn contents(folder: &Path) -> (State, Vec<(String, Vec<u8>)>) {
    let (path, state) = latest(folder).unwrap();
    let file = domex_checkpoint::container::Container::open(path).unwrap();
    let tensors = file.tensors().iter();
    let bytes = tensors.map(|(name, data)| (name.clone(), data.bytes().to_vec()));
    let bytes = bytes.collect();
    (state, bytes)
}

#[test]
fn a_run_in_two_parts_has_the_bits_of_one() {
    let root = tempfile::tempdir().unwrap();
    let [whole, parts] = ["whole", "parts"].map(|name| root.path().join(name));
    run(&mut job(tiny()), &settings(&whole, 6, Resume::No)).unwrap();
    run(&mut job(tiny()), &settings(&parts, 3, Resume::No)).unwrap();
    let config = settings(&parts, 6, Resume::From(parts.clone()));
    let outcome = run(&mut job(tiny()), &config).unwrap();
    assert_eq!((outcome.clock.step, outcome.skipped), (6, 0));

    let ((a, bytes_a), (b, bytes_b)) = (contents(&whole), contents(&parts));
    assert!(bytes_a.len() > 100);
    assert_eq!(bytes_a.len(), bytes_b.len());
    for ((name, x), (_, y)) in bytes_a.iter().zip(&bytes_b) {
        assert!(x == y, "{name} differs");
    }
    for key in ["streams", "ada", "job"] {
        assert_eq!(a.document()[key], b.document()[key], "{key}");
    }
    for name in [
        "reals.png",
        "fakes_init.png",
        "fakes000000008.png",
        "fakes000000024.png",
        "model.safetensors",
    ] {
        assert!(parts.join(name).is_file(), "{name}");
    }
    let model = domex_stylegan2::Model::load(parts.join("model.safetensors"), &Device::Cpu);
    let model = model.unwrap();
    assert!(model.g.is_some() && model.discriminator.is_some());
    assert_eq!(model.provenance["training"]["step"], 6);

    // The average's mean latent is the generator's own, and has moved.
    let mean = model.g_ema.mean_w().unwrap().abs().unwrap();
    assert!(mean.sum_all().unwrap().to_scalar::<f32>().unwrap() > 0.0);
}

#[test]
fn a_run_is_not_resumed_with_other_settings() {
    let root = tempfile::tempdir().unwrap();
    let first = root.path().join("first");
    run(&mut job(tiny()), &settings(&first, 1, Resume::No)).unwrap();
    let mut other = job(Config {
        gamma: 0.5,
        ..tiny()
    });
    let second = settings(&root.path().join("second"), 2, Resume::From(first));
    let error = run(&mut other, &second).unwrap_err().to_string();
    assert!(error.contains("setting gamma: found 0.5"), "{error}");
}

#[test]
fn the_augmentation_hears_of_every_real_picture_that_is_discriminated() {
    let root = tempfile::tempdir().unwrap();
    let out = root.path().join("run");
    run(&mut job(tiny()), &settings(&out, 1, Resume::No)).unwrap();
    // The batch of four in the main phase, and again in R1, as in the published code.
    assert_eq!(contents(&out).0.document()["ada"]["count"], 8);

    // A weight of 0 is no R1, rather than one without effect: the optimizer's moments would fade.
    let without = Config {
        gamma: 0.0,
        ..tiny()
    };
    let out = root.path().join("without");
    run(&mut job(without), &settings(&out, 1, Resume::No)).unwrap();
    assert_eq!(contents(&out).0.document()["ada"]["count"], 4);
}

#[test]
fn every_part_learns_and_frozen_layers_stand_still() {
    let config = Config {
        freeze_d: 2,
        augment: Augmentation::NoAug,
        ..tiny()
    };
    let before = job(config.clone()).networks.d.tensors();
    let g_before = job(config.clone()).networks.g.tensors();
    let root = tempfile::tempdir().unwrap();
    let mut job = job(config);
    run(&mut job, &settings(&root.path().join("run"), 2, Resume::No)).unwrap();
    let moved = |name: &str, x: &candle_core::Tensor, y: &candle_core::Tensor| {
        let change = (x - y).unwrap().abs().unwrap().sum_all().unwrap();
        let change = change.to_scalar::<f32>().unwrap();
        assert!(change.is_finite(), "{name}");
        change > 0.0
    };
    for (name, x) in job.networks.d.tensors() {
        let still = name.starts_with("b16.fromrgb")
            || name.starts_with("b16.conv0")
            || name.ends_with("resample_filter");
        assert_eq!(moved(&name, &x, &before[&name]), !still, "{name}");
    }
    for (name, x) in job.networks.g.tensors() {
        let still = name.ends_with("resample_filter") || name.ends_with("noise_const");
        assert_eq!(moved(&name, &x, &g_before[&name]), !still, "{name}");
        let twin = &job.networks.g_frozen.tensors()[&name];
        if !name.ends_with("w_avg") {
            assert!(!moved(&name, &x, twin), "{name}: the frozen twin follows");
        }
    }
}

/// Pictures with labels.
struct Labelled;

impl PictureSource for Labelled {
    fn len(&self) -> u64 {
        6
    }
    fn resolution(&self) -> u32 {
        16
    }
    fn label_dim(&self) -> usize {
        2
    }
    fn get(&self, index: u64) -> domex_data::Result<(RgbImage, Vec<f32>)> {
        let bright = index % 2 == 1;
        let picture = RgbImage::from_pixel(16, 16, image::Rgb([u8::from(bright) * 255; 3]));
        Ok((picture, vec![f32::from(!bright), f32::from(bright)]))
    }
    fn describe(&self) -> String {
        "black and white".into()
    }
}

/// Pictures without colours.
struct Grey;

impl PictureSource for Grey {
    fn len(&self) -> u64 {
        6
    }
    fn resolution(&self) -> u32 {
        16
    }
    fn channels(&self) -> usize {
        1
    }
    fn get(&self, index: u64) -> domex_data::Result<(RgbImage, Vec<f32>)> {
        let shade = |x: u32, y: u32| image::Rgb([(x * y + index as u32) as u8; 3]);
        Ok((RgbImage::from_fn(16, 16, shade), Vec::new()))
    }
    fn describe(&self) -> String {
        "grey".into()
    }
}

#[test]
fn grey_pictures_train_networks_of_one_channel() {
    let config = Config {
        channels: 1,
        ..tiny()
    };
    let root = tempfile::tempdir().unwrap();
    let job = StyleGan2::new(config, Box::new(Grey), &Start::Random, 1, &Device::Cpu);
    let mut job = job.unwrap();
    let outcome = run(&mut job, &settings(&root.path().join("run"), 2, Resume::No)).unwrap();
    let model = domex_stylegan2::Model::load(outcome.model, &Device::Cpu).unwrap();
    assert_eq!(model.config().synthesis.img_channels, 1);

    // A model in colour takes the set as it is; the reverse is refused.
    let colour = Config {
        channels: 1,
        ..tiny()
    };
    let random = domex_stylegan2::Model::random(&tiny().generator().unwrap(), 1, &Device::Cpu);
    let config = colour.with_networks_of(&random.unwrap()).unwrap();
    assert_eq!(config.channels, 3);
    assert!(StyleGan2::new(config, Box::new(Grey), &Start::Random, 1, &Device::Cpu).is_ok());
    let error = tiny().with_networks_of(&model).unwrap_err().to_string();
    assert!(
        error.contains("channels of the model's pictures"),
        "{error}"
    );
}

#[test]
fn labels_reach_both_networks() {
    let config = Config {
        label_dim: 2,
        ..tiny()
    };
    let root = tempfile::tempdir().unwrap();
    let job = StyleGan2::new(config, Box::new(Labelled), &Start::Random, 1, &Device::Cpu);
    let mut job = job.unwrap();
    let before = job.networks.g.tensors()["mapping.embed.weight"]
        .copy()
        .unwrap();
    run(&mut job, &settings(&root.path().join("run"), 2, Resume::No)).unwrap();
    let after = &job.networks.g.tensors()["mapping.embed.weight"];
    let change = (after - before).unwrap().abs().unwrap().sum_all().unwrap();
    assert!(change.to_scalar::<f32>().unwrap() > 0.0);
}

#[test]
fn pictures_and_models_that_do_not_fit_are_refused() {
    let refusal = |config: Config, start: &Start| {
        let source = Portraits::new(7, Domain::Photo, 16).unwrap();
        match StyleGan2::new(config, Box::new(source), start, 7, &Device::Cpu) {
            Ok(_) => panic!("accepted"),
            Err(error) => error.to_string(),
        }
    };
    let wide = Config {
        resolution: 32,
        ..tiny()
    };
    assert!(refusal(wide, &Start::Random).contains("16 × 16"));
    let labelled = Config {
        label_dim: 3,
        ..tiny()
    };
    assert!(refusal(labelled, &Start::Random).contains("labels"));
    let model =
        domex_stylegan2::Model::random(&domex_stylegan2::GeneratorConfig::tiny(), 0, &Device::Cpu);
    let model = model.unwrap();
    let error = tiny().with_networks_of(&model).unwrap_err().to_string();
    assert!(error.contains("pictures is 64, expected 16"), "{error}");
    let start = Start::Model(Box::new(model));
    assert!(refusal(tiny(), &start).contains("64 × 64"));
}

#[test]
fn a_training_goes_on_from_a_model_of_any_width() {
    let wider = Config {
        channel_max: 12,
        w_dim: 10,
        ..tiny()
    };
    let mut model = job(wider).model(&domex_train::Clock::default()).unwrap();
    let start = |model: &domex_stylegan2::Model, config: Config| {
        let source = Portraits::new(7, Domain::Photo, 16).unwrap();
        let start = Start::Model(Box::new(model.clone()));
        StyleGan2::new(config, Box::new(source), &start, 9, &Device::Cpu)
    };
    let Err(error) = start(&model, tiny()) else {
        panic!("accepted")
    };
    assert!(error.to_string().contains("another network"), "{error}");

    let config = tiny().with_networks_of(&model).unwrap();
    let text = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<Config>(&text).unwrap(), config);
    let mut begun = start(&model, config).unwrap();
    for (name, tensor) in begun.networks.d.tensors() {
        let own = &model.discriminator.as_ref().unwrap().tensors()[&name];
        let gap = (tensor - own).unwrap().abs().unwrap().sum_all().unwrap();
        assert_eq!(gap.to_scalar::<f32>().unwrap(), 0.0, "{name}");
    }
    let root = tempfile::tempdir().unwrap();
    run(
        &mut begun,
        &settings(&root.path().join("run"), 2, Resume::No),
    )
    .unwrap();

    // Without a discriminator one of the generator's widths is begun.
    model.discriminator = None;
    let config = tiny().with_networks_of(&model).unwrap();
    assert_eq!(
        config.discriminator().unwrap().channels,
        model.config().synthesis.channels
    );
    start(&model, config).unwrap();
}

#[test]
fn a_snapshot_of_other_networks_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let first = root.path().join("first");
    run(&mut job(tiny()), &settings(&first, 1, Resume::No)).unwrap();
    let wider = Config {
        channel_max: 4,
        ..tiny()
    };
    let second = root.path().join("second");
    let config = settings(&second, 2, Resume::From(first));
    let error = run(&mut job(wider), &config).unwrap_err().to_string();
    assert!(error.contains("setting channel_max"), "{error}");
}

/// The first two coordinates are red and green.
struct Colours;

impl Teacher for Colours {
    fn picture(&self, z: &[f32]) -> RgbImage {
        let byte = |x: f32| (128.0 + 60.0 * x.clamp(-2.0, 2.0)) as u8;
        RgbImage::from_pixel(16, 16, image::Rgb([byte(z[0]), byte(z[1]), 128]))
    }
    fn describe(&self) -> String {
        "colours".into()
    }
}

/// First alone, then beside all other phases.
fn imitating(alone: u64) -> Config {
    let imitation = Imitation {
        weight: 100.0,
        alone,
        warm_up: 0,
        finest: 0,
        first_lr: Some(0.005),
        limits: vec![vec![]; 2],
    };
    Config {
        imitation: Some(imitation),
        ..tiny()
    }
}

/// The first coordinate has a limit.
fn limited(limit: f32) -> Config {
    let mut config = imitating(8);
    let limits = config.imitation.as_mut().map(|it| &mut it.limits);
    limits.unwrap()[0].push(limit);
    config
}

#[test]
fn a_generator_learns_what_it_is_shown() {
    let mut job = job(imitating(1000)).with_teacher(Box::new(Colours));
    let before = job.networks.d.tensors();
    let mut distance = |steps: std::ops::Range<u64>| {
        let mut sum = 0.0;
        for step in steps.clone() {
            let at = domex_train::Clock {
                step,
                images: 4 * step,
                ..Default::default()
            };
            use domex_train::Job;
            let losses = job.step(&at).unwrap();
            let names: Vec<_> = losses
                .values
                .iter()
                .map(|(name, _)| name.as_str())
                .collect();
            assert_eq!(names, ["loss/G", "loss/imitation"]);
            sum += losses.values[1].1;
        }
        sum / (steps.end - steps.start) as f64
    };
    let (first, last) = (distance(0..10), distance(150..200));
    assert!(last < 0.7 * first, "{first} became {last}");
    for (name, tensor) in job.networks.d.tensors() {
        let gap = (tensor - &before[&name]).unwrap().abs().unwrap();
        assert_eq!(
            gap.sum_all().unwrap().to_scalar::<f32>().unwrap(),
            0.0,
            "{name}"
        );
    }
}

#[test]
fn the_discriminator_learns_before_it_is_listened_to() {
    use domex_train::Job;
    let mut config = imitating(4);
    config.imitation.as_mut().unwrap().warm_up = 4;
    let mut job = job(config).with_teacher(Box::new(Colours));
    let mut seen = Vec::new();
    for step in 0..3 {
        let at = domex_train::Clock {
            step,
            images: 4 * step,
            ..Default::default()
        };
        let losses = job.step(&at).unwrap();
        let has = |name: &str| losses.values.iter().any(|(found, _)| found == name);
        // Its opinion of the pictures that the generator learns from, and its own loss.
        seen.push((has("score/fake"), has("loss/D_real")));
    }
    assert_eq!(seen, [(false, false), (false, true), (true, true)]);
}

#[test]
fn an_augmentation_that_is_out_of_range_is_refused_before_a_run() {
    for p in [2.0, f64::NAN] {
        let pipe = Box::default();
        let config = Config {
            augment: Augmentation::Fixed { p, pipe },
            ..tiny()
        };
        let error = config.validate().unwrap_err().to_string();
        assert!(error.contains("augmentation probability"), "{error}");
    }
}

#[test]
fn imitation_resumes_exactly_and_needs_a_teacher() {
    let root = tempfile::tempdir().unwrap();
    let [whole, parts] = ["whole", "parts"].map(|name| root.path().join(name));
    let with_teacher = || job(imitating(8)).with_teacher(Box::new(Colours));
    run(&mut with_teacher(), &settings(&whole, 4, Resume::No)).unwrap();
    run(&mut with_teacher(), &settings(&parts, 2, Resume::No)).unwrap();
    let config = settings(&parts, 4, Resume::From(parts.clone()));
    run(&mut with_teacher(), &config).unwrap();
    assert!(contents(&whole).1 == contents(&parts).1);

    let alone = root.path().join("alone");
    let error = run(&mut job(imitating(8)), &settings(&alone, 1, Resume::No));
    assert!(error.unwrap_err().to_string().contains("imitation"));
    for (change, part) in [
        (
            Config {
                label_dim: 2,
                ..imitating(8)
            },
            "labels",
        ),
        (
            Config {
                z_dim: 1,
                ..imitating(8)
            },
            "coordinates",
        ),
        (limited(0.5), "mapping layers"),
        (limited(f32::NAN), "limit of a coordinate"),
    ] {
        let error = change.validate().unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

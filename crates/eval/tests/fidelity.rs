//! The figures of a generator, against renderings of a square and by networks of made-up weights.
#![allow(clippy::unwrap_used)]

use candle_core::{DType, Device, Tensor};
use candle_nn::{VarBuilder, VarMap};
use domex_data::picture;
use domex_data::source::PictureSource;
use domex_eval::{
    Domains, Evaluators, Features, Fidelity, Networks, Subject, fidelity, likeness, outcomes,
    path_length,
};
use domex_judge::{Config, Factor, Judge};
use domex_lpips::{Backbone, Lpips};
use domex_random::Streams;
use domex_stylegan2::{GeneratorConfig, Model};
use image::{Rgb, RgbImage};

const SIZE: u32 = 16;

/// Weights of a size that keeps signals alive, the same in every run.
fn filled<T, E: std::fmt::Debug>(build: impl Fn(&VarBuilder<'_>) -> Result<T, E>) -> T {
    let map = VarMap::new();
    build(&VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu)).unwrap();
    let data = map.data().lock().unwrap();
    let weights = data.iter().map(|(name, var)| {
        let (n, fan_in) = (var.elem_count(), var.elem_count() / var.dims()[0]);
        let scale = (4.0 / fan_in as f32).sqrt();
        let value = |i: usize| match name.starts_with("lin") {
            true => 1.0 / (1 + i % 7) as f32,
            false => scale * (i as f32 * 2.399).sin(),
        };
        let values: Vec<f32> = (0..n).map(value).collect();
        let tensor = Tensor::from_vec(values, var.dims(), &Device::Cpu).unwrap();
        (name.clone(), tensor)
    });
    let weights = weights.collect();
    build(&VarBuilder::from_tensors(weights, DType::F32, &Device::Cpu)).unwrap()
}

fn judge() -> Judge {
    let mut config = Config::new(&[
        Factor::new("domain", ["day", "night", "dusk"]),
        Factor::new("place", ["left", "right"]),
    ]);
    config.size = SIZE as usize;
    config.widths = vec![8; 4];
    filled(|vb| Judge::new(vb, &config))
}

/// A grey square on the left or the right, with some grain.
fn rendering(seed: u64) -> RgbImage {
    RgbImage::from_fn(SIZE, SIZE, |x, y| {
        let right = seed % 2 == 1;
        let inside = (x > SIZE / 2) == right && (SIZE / 4..3 * SIZE / 4).contains(&y);
        let grain = ((u64::from(x * 31 + y * 17) ^ (seed >> 1)) % 13) as u8;
        let base: [u8; 3] = if inside { [128; 3] } else { [200, 220, 240] };
        Rgb(base.map(|v| v - 6 + grain))
    })
}

fn measured(pictures: usize, seed: u64) -> (domex_eval::Result<Fidelity>, usize) {
    let judge = judge();
    let perceptual = filled(|vb| Lpips::new(vb, &domex_lpips::Config::new(Backbone::Small)));
    let by = Evaluators {
        judge: &judge,
        perceptual: &perceptual,
    };
    let config = GeneratorConfig::with_defaults(8, 12, SIZE as usize, 128, 8).unwrap();
    let model = Model::random(&config, 3, &Device::Cpu).unwrap();
    let mut seen = 0;
    let figures = fidelity((&model).into(), by, &rendering, pictures, seed, |n| {
        seen += n;
    });
    (figures, seen)
}

#[test]
fn a_random_generator_is_farther_off_than_other_renderings() {
    let figures = measured(40, 5).0.unwrap();
    assert!(
        figures.frechet > 3.0 * figures.frechet_of_renderings,
        "{figures:?}"
    );
    assert!((0.0..=1.0).contains(&figures.source) && figures.diversity > 0.0);
}

#[test]
fn every_factor_but_the_domain_has_its_variation() {
    let figures = measured(8, 5).0.unwrap();
    let names: Vec<&str> = figures.marginals.keys().map(String::as_str).collect();
    assert_eq!(names, ["place"]);
    assert!((0.0..=1.0).contains(&figures.marginals["place"]));
}

#[test]
fn progress_counts_every_picture_of_three_sets() {
    let (figures, seen) = measured(40, 5);
    assert_eq!((figures.unwrap().pictures, seen), (40, 120));
}

#[test]
fn the_seed_decides_the_figures() {
    let figures = |seed| measured(8, seed).0.unwrap();
    assert_eq!(figures(5), figures(5));
    assert_ne!(figures(5), figures(6));
}

#[test]
fn grey_pictures_are_seen_as_three_equal_colours() {
    let judge = judge();
    let perceptual = filled(|vb| Lpips::new(vb, &domex_lpips::Config::new(Backbone::Small)));
    let by = Evaluators {
        judge: &judge,
        perceptual: &perceptual,
    };
    let mut config = GeneratorConfig::with_defaults(8, 12, SIZE as usize, 128, 8).unwrap();
    config.synthesis.img_channels = 1;
    let [source, adapted] = [3, 4].map(|seed| Model::random(&config, seed, &Device::Cpu).unwrap());
    let subject = Subject::from(&source);
    let figures = fidelity(subject, by, &rendering, 4, 5, |_| ()).unwrap();
    assert!(figures.diversity > 0.0);
    let length = path_length(subject, &perceptual, 4, 5, |_| ()).unwrap();
    assert!(length.mean > 0.0);
    let domains = Domains::Adapted {
        generator: adapted.generator(),
        source: "day",
        target: "night",
    };
    let subject = Subject {
        domains: Some(domains),
        ..subject
    };
    let found = outcomes(subject, None, by, 4, 5, |_| ()).unwrap();
    assert_eq!(found.domains[0].class.as_deref(), Some("night"));
}

/// Pictures in memory.
struct Given(Vec<RgbImage>);

impl PictureSource for Given {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn resolution(&self) -> u32 {
        SIZE
    }

    fn get(&self, index: u64) -> domex_data::Result<(RgbImage, Vec<f32>)> {
        Ok((self.0[index as usize].clone(), Vec::new()))
    }

    fn describe(&self) -> String {
        "pictures in memory".into()
    }
}

#[test]
fn samples_that_are_the_very_pictures_are_at_no_distance() {
    const N: usize = 12;
    let config = GeneratorConfig::with_defaults(8, 12, SIZE as usize, 128, 8).unwrap();
    let model = Model::random(&config, 3, &Device::Cpu).unwrap();
    let subject = Subject::from(&model);
    let streams = Streams::new(5);
    let mut z = vec![0f32; N * 8];
    streams.stream("latents").fill_normal(&mut z);
    let z = Tensor::from_vec(z, (N, 8), &Device::Cpu).unwrap();
    let w = subject.generator.map(&z, None).unwrap();
    let made = subject
        .generator
        .synthesize_anew(&w, &mut streams.stream("noise"));
    let pictures = Given(picture::to_rgb(&made.unwrap()).unwrap());
    let perceptual = filled(|vb| Lpips::new(vb, &domex_lpips::Config::new(Backbone::Small)));
    let networks = Networks {
        perceptual: &perceptual,
        features: &Features::Perceptual,
        cache: None,
    };
    let found = |seed| likeness(subject, networks, &pictures, N, seed, |_| ()).unwrap();
    let same = found(5);
    assert_eq!((same.comparison.samples, same.comparison.pictures), (N, N));
    assert_eq!(same.frechet_of_set, None);
    let size = found(6).comparison.frechet;
    assert!(
        same.comparison.frechet.abs() < 1e-3 * size,
        "{same:?} {size}"
    );
    let shares = (same.comparison.precision, same.comparison.recall);
    assert_eq!(shares, (Some(1.0), Some(1.0)));
    assert_eq!(same.comparison.coverage, Some(1.0));
    assert!((same.diversity - 1.0).abs() < 0.2, "{same:?}");
}

#[test]
fn a_single_picture_is_refused() {
    let error = measured(1, 5).0.unwrap_err().to_string();
    assert!(error.contains("at least 2"), "{error}");
}

//! The figures of a generator, on a small world and networks that have learnt little.
#![allow(clippy::unwrap_used)]

mod small_world;

use std::sync::Arc;

use candle_core::{DType, Device};
use candle_nn::VarBuilder;
use domex_lpips::Lpips;
use domex_pretrain::judge::{self, Judge};
use domex_pretrain::perceptual::{PerceptualConfig, PerceptualJob};
use domex_pretrain::portraits::{Eyes, fidelity};
use domex_pretrain::scenes::Scenes;
use domex_stylegan2::{GeneratorConfig, Model};
use domex_train::{RunConfig, run};
use small_world::SmallWorld;

fn perceptual(world: &Arc<SmallWorld>) -> Lpips {
    let mut config = PerceptualConfig::new(16);
    config.feed.size = 16;
    config.learning.batch = 8;
    config.triplets = 8;
    config.measured = 8;
    let scenes = Arc::clone(world) as Arc<dyn Scenes>;
    let mut job = PerceptualJob::new(config, scenes, &Device::Cpu).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let settings = RunConfig {
        images: 16,
        tick_images: 16,
        signals: false,
        ..RunConfig::new(folder.path().join("run"))
    };
    let outcome = run(&mut job, &settings).unwrap();
    Lpips::load(outcome.model, DType::F32, &Device::Cpu).unwrap()
}

fn judge(world: &SmallWorld) -> Judge {
    let mut config = judge::Config::new(world.factors());
    config.size = 16;
    config.widths = [8; 6];
    let tensors = Judge::init(&config, 1).unwrap();
    let tensors = tensors.into_iter().collect();
    let vb = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
    Judge::new(&vb, &config).unwrap()
}

#[test]
fn a_random_generator_is_farther_off_than_other_renderings() {
    let world = Arc::new(SmallWorld::new());
    let (judge, perceptual) = (judge(&world), perceptual(&world));
    let eyes = Eyes {
        judge: &judge,
        perceptual: &perceptual,
    };
    let config = GeneratorConfig::with_defaults(8, 12, 16, 128, 8).unwrap();
    let model = Model::random(&config, 3, &Device::Cpu).unwrap();
    let measure = |pictures: usize, seed: u64| {
        let mut seen = 0;
        let figures = fidelity(&model, eyes, &*world, pictures, seed, |n| {
            seen += n;
        });
        figures
            .map(|figures| (figures, seen))
            .map_err(|error| error.to_string())
    };
    let (figures, seen) = measure(40, 5).unwrap();
    assert_eq!((figures.pictures, seen), (40, 120));
    assert!(
        figures.frechet > 3.0 * figures.frechet_of_renderings,
        "{figures:?}"
    );
    assert!((0.0..=1.0).contains(&figures.source) && figures.diversity > 0.0);
    // Every factor but the domain.
    assert_eq!(figures.marginals.len(), world.factors().len() - 1);
    assert!(figures.marginals.values().all(|v| (0.0..=1.0).contains(v)));
    assert_eq!(measure(40, 5).unwrap().0, figures);
    assert_ne!(measure(40, 6).unwrap().0, figures);
    let error = measure(1, 5).unwrap_err();
    assert!(error.contains("at least 2"), "{error}");
}

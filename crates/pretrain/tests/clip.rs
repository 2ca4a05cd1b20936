//! A contrastive model learns a small world under attack, resumes exactly, and comes back from its file.
#![allow(clippy::unwrap_used)]

mod small_world;

use std::sync::Arc;

use candle_core::{DType, Device};
use domex_clip::{Bundle, Tokenizer};
use domex_nada::Augment;
use domex_pretrain::clip::{
    ClipConfig, ClipJob, HardNegativeConfig, Robust, init, texts::Sentences, vocabulary,
};
use domex_pretrain::feed::Feed;
use domex_pretrain::jitter::Jitter;
use domex_pretrain::{Learning, scenes::Scenes};
use domex_test_support::runs::assert_resume_is_exact;
use domex_train::{RunConfig, run};
use small_world::SmallWorld;

fn config(images: u64) -> ClipConfig {
    let world = SmallWorld::new();
    let sentences = Sentences::of(&world);
    let captions = (0..60).map(|i| world.caption(i % 3, i as u64, i as u64 / 7));
    let merges = vocabulary::train(captions.chain(sentences.all()), 60).unwrap();
    let ids = Tokenizer::with_merges(&merges).unwrap().len();
    let mut network = init::resnet(ids, 4, [1, 1, 1, 1]);
    network.embed_dim = 16;
    if let domex_clip::VisionConfig::ResNet(resnet) = &mut network.vision {
        resnet.image_size = 32;
    }
    network.text.transformer.width = 32;
    network.text.transformer.layers = 1;
    network.text.transformer.heads = 1;
    network.text.transformer.mlp_width = 64;
    ClipConfig {
        network,
        merges,
        learning: Learning {
            images,
            batch: 12,
            lr: 3e-3,
            weight_decay: 0.0,
            longest_gradient: 2.0,
            ema_kimg: Some(0.05),
        },
        feed: Feed {
            size: 32,
            source_share: 0.3,
            jitter: Jitter::MILD,
        },
        robust: Robust {
            radius: 1.0,
            growth: 0.5,
            steps: 2,
        },
        hard_negatives: HardNegativeConfig {
            pictures: 4,
            blends: 2,
            steps: 5,
            length: 2.0,
            weight: 1.0,
            after: 0.2,
        },
        views: Augment {
            shift: 0.1,
            noise: 0.1,
            ..Augment::default()
        },
        captions: 0.5,
        questions: 0.5,
        measured: 4,
        seed: 1,
    }
}

fn settings(out: &std::path::Path, images: u64) -> RunConfig {
    RunConfig {
        images,
        tick_images: images,
        signals: false,
        ..RunConfig::new(out)
    }
}

fn job(images: u64) -> ClipJob {
    ClipJob::new(config(images), Arc::new(SmallWorld::new()), &Device::Cpu).unwrap()
}

#[test]
fn it_learns_and_its_file_loads_with_its_vocabulary() {
    let folder = tempfile::tempdir().unwrap();
    let mut job = job(1800);
    let outcome = run(&mut job, &settings(&folder.path().join("run"), 1800)).unwrap();
    let values = outcome.last.unwrap().values;
    assert!(values["right/domain"] > 0.95, "{values:?}");

    let bundle = Bundle::load(outcome.model, DType::F32, &Device::Cpu).unwrap();
    let texts = bundle
        .encode_text(&["a square at day", "a square at night", "dusk"])
        .unwrap();
    let world = SmallWorld::new();
    let pictures: Vec<_> = (0..3)
        .map(|domain| world.scene(domain, 5, 48).picture)
        .collect();
    let pictures = domex_data::picture::from_rgb(&pictures, DType::F32, &Device::Cpu).unwrap();
    let pixels = domex_clip::Preprocess::new(bundle.clip.image_size())
        .apply(&pictures)
        .unwrap();
    let logits = bundle
        .clip
        .logits(&bundle.clip.encode_image(&pixels).unwrap(), &texts)
        .unwrap();
    assert_eq!(
        logits.argmax(1).unwrap().to_vec1::<u32>().unwrap(),
        [0, 1, 2]
    );
}

#[test]
fn a_resumed_run_comes_to_the_same_weights() {
    assert_resume_is_exact(|| job(120), settings, 120);
}

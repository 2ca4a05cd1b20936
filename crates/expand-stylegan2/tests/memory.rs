//! What a step with all phases holds at most, with `low_memory` and without. In a process of its own, whose allocator counts.

#![allow(clippy::unwrap_used)] // In helpers of tests too.

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, Ordering::Relaxed};

use candle_core::{DType, Device};
use domex_data::portraits::Domain;
use domex_data::source::Portraits;
use domex_expand::methods::adversarial::folder;
use domex_expand::{Config, Expand, Networks, Parts, Sets, TaskSpec};
use domex_expand_stylegan2::{SETTINGS, StyleGan2};
use domex_latent::ImageDistance;
use domex_nada::Guide;
use domex_replay::{Perceptual, Recomputed};
use domex_stylegan2::{Discriminator, DiscriminatorConfig, GeneratorConfig, Model, init};
use domex_test_support::networks;
use domex_train::{Clock, Job};

/// Counts what all threads hold together.
struct Counting;

static NOW: AtomicIsize = AtomicIsize::new(0);
static PEAK: AtomicIsize = AtomicIsize::new(0);

fn count(change: isize) {
    let now = NOW.fetch_add(change, Relaxed) + change;
    PEAK.fetch_max(now, Relaxed);
}

// SAFETY: every call is passed on to the system's allocator unchanged; counting does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller keeps the contract of `dealloc`, and `alloc` used the same allocator.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const SIDE: usize = 64;

/// As a published network of 1024² has it: each resolution has half as many activations as the one above, and weights are few
/// beside them.
fn model() -> Model {
    let config = GeneratorConfig::with_defaults(8, 12, SIDE, 1024, 32).unwrap();
    let mut model = Model::random(&config, 1, &Device::Cpu).unwrap();
    let config = DiscriminatorConfig::new(SIDE, 3, config.synthesis.channels.clone());
    let tensors = init::discriminator(&config, 4, DType::F32, &Device::Cpu).unwrap();
    model.discriminator = Some(Discriminator::from_tensors(&tensors, &config).unwrap());
    model
}

/// A domain by CLIP in a run with all phases, or one by a discriminator without them.
fn job(world: &Path, mut config: Config, by_discriminator: bool) -> Expand {
    config.complete(&SETTINGS).unwrap();
    let of = |domain| Portraits::new(1, domain, SIDE as u32).unwrap();
    let photos = (!by_discriminator).then(|| Box::new(of(Domain::Photo)) as _);
    let trainee = StyleGan2::new(&model(), &config, photos, 7).unwrap();
    let clip = Guide::load(&world.join("clip-one.safetensors"), 1.0, &Device::Cpu).unwrap();
    let network = Perceptual::load(&world.join("perceptual.safetensors"), &Device::Cpu).unwrap();
    let distance: Arc<dyn ImageDistance> = match config.low_memory {
        true => Arc::new(Recomputed(network)),
        false => Arc::new(network),
    };
    let sketches = Path::new("/sketches");
    let task = match by_discriminator {
        true => folder("sketch", sketches),
        false => TaskSpec::texts("photo", "zombie"),
    };
    let parts = Parts {
        trainee: Box::new(trainee),
        tasks: &[task],
        networks: Networks {
            clip: vec![clip],
            texture: None,
            teacher: None,
            distance: Some(distance),
        },
        sets: Sets::from([(sketches.to_owned(), Arc::new(of(Domain::Sketch)) as _)]),
        cache: None,
        seed: 7,
    };
    Expand::new(config, parts).unwrap()
}

/// Bytes that a first step holds at most, above what was held before.
fn peak(mut run: Expand) -> f64 {
    let before = NOW.load(Relaxed);
    PEAK.store(before, Relaxed);
    let losses = run.step(&Clock::default()).unwrap();
    assert!(losses.not_finite.is_empty(), "{losses:?}");
    (PEAK.load(Relaxed) - before) as f64
}

/// In one test, as its allocator counts for all threads.
#[test]
fn passes_and_low_memory_bound_what_a_step_holds() {
    let root = tempfile::tempdir().unwrap();
    networks::world(root.path());
    let step = |low_memory: bool| {
        let config = Config {
            batch: 2,
            low_memory,
            ..Config::default()
        };
        peak(job(root.path(), config, false))
    };
    // The first step also fills the kernels' own buffers.
    step(false);
    let (without, with) = (step(false), step(true));
    assert!(with <= 0.6 * without, "{with} of {without}");

    // All phases, and the discriminator of a domain.
    for by_discriminator in [false, true] {
        let step = |batch: usize| {
            let config = Config {
                batch,
                micro_batch: Some(1),
                ..Config::default()
            };
            peak(job(root.path(), config, by_discriminator))
        };
        let (few, many) = (step(2), step(6));
        assert!(many <= 1.1 * few, "{by_discriminator}: {many} of {few}");
    }
}

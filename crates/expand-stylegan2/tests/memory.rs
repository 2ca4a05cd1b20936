//! What a step with all phases holds at most, with `low_memory` and without. In a process of its own, whose allocator counts.

#![allow(clippy::unwrap_used)] // In helpers of tests too.

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, Ordering::Relaxed};

use candle_core::{DType, Device};
use domex_data::portraits::Domain;
use domex_data::source::Portraits;
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

/// Bytes that a first step holds at most, above what was held before.
fn peak(world: &Path, low_memory: bool) -> f64 {
    let mut config = Config {
        batch: 2,
        low_memory,
        ..Config::default()
    };
    config.complete(&SETTINGS).unwrap();
    let portraits = Portraits::new(1, Domain::Photo, SIDE as u32).unwrap();
    let trainee = StyleGan2::new(&model(), &config, Some(Box::new(portraits)), 7).unwrap();
    let clip = Guide::load(&world.join("clip-one.safetensors"), 1.0, &Device::Cpu).unwrap();
    let network = Perceptual::load(&world.join("perceptual.safetensors"), &Device::Cpu).unwrap();
    let distance: Arc<dyn ImageDistance> = match low_memory {
        true => Arc::new(Recomputed(network)),
        false => Arc::new(network),
    };
    let parts = Parts {
        trainee: Box::new(trainee),
        tasks: &[TaskSpec::texts("photo", "zombie")],
        networks: Networks {
            clip: vec![clip],
            texture: None,
            teacher: None,
            distance: Some(distance),
        },
        sets: Sets::new(),
        cache: None,
        seed: 7,
    };
    let mut run = Expand::new(config, parts).unwrap();
    let before = NOW.load(Relaxed);
    PEAK.store(before, Relaxed);
    let losses = run.step(&Clock::default()).unwrap();
    assert!(losses.not_finite.is_empty(), "{losses:?}");
    (PEAK.load(Relaxed) - before) as f64
}

#[test]
fn a_step_in_low_memory_holds_a_fraction_of_what_it_holds_otherwise() {
    let root = tempfile::tempdir().unwrap();
    networks::world(root.path());
    // The first step also fills the kernels' own buffers.
    peak(root.path(), false);
    let (without, with) = (peak(root.path(), false), peak(root.path(), true));
    assert!(with <= 0.6 * without, "{with} of {without}");
}

//! A judge that learns the portrait world for a few seconds, and what it knows before and after:
//! `cargo run --release -p domex-pretrain --example judge -- [STEPS]`.

use std::sync::Arc;

use candle_core::Device;
use domex_pretrain::judge::{JudgeConfig, JudgeJob, measure};
use domex_pretrain::portraits::World;
use domex_pretrain::scenes::Scenes;
use domex_random::Streams;
use domex_train::{Clock, Job as _};

/// Fresh renderings of each domain.
const MEASURED: usize = 4;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let steps: u64 = std::env::args()
        .nth(1)
        .map_or(Ok(60), |steps| steps.parse())?;
    let world: Arc<dyn Scenes> = Arc::new(World::new());
    let config = JudgeConfig::new(&*world, steps * 32);
    let mut job = JudgeJob::new(config, Arc::clone(&world), &Device::Cpu)?;
    for step in 0..=steps {
        if step % steps.div_ceil(3) == 0 || step == steps {
            let mut stream = Streams::new(1).stream("measured");
            let found = measure(&job.judge()?, &*world, MEASURED, &mut stream, &Device::Cpu)?;
            println!(
                "after {step:4} steps, right of fresh renderings: {:.2?}",
                found.all
            );
        }
        let clock = Clock {
            step,
            images: step * job.batch() as u64,
            ..Clock::default()
        };
        job.step(&clock)?;
    }
    Ok(())
}

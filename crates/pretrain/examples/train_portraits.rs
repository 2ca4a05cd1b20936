//! Trains the portrait world's generator, or profiles a few steps of it.
//!
//! `train_portraits OUT KIMG [channel_max] [batch] [channel_base] [gamma]`; an OUT that has snapshots is gone on with.

use candle_core::Device;
use domex_data::portraits::Domain;
use domex_data::source::Portraits;
use domex_pretrain::stylegan2::{Config, Preset, Start, StyleGan2};
use domex_train::progress::Show;
use domex_train::{Resume, RunConfig, run};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [out, kimg, rest @ ..] = args.as_slice() else {
        return Err(
            "usage: train_portraits OUT KIMG [channel_max] [batch] [channel_base] [gamma]".into(),
        );
    };
    let number = |at: usize, default: usize| -> Result<usize, std::num::ParseIntError> {
        rest.get(at).map_or(Ok(default), |text| text.parse())
    };
    let mut config = Config::preset(Preset::Portraits, 64, 0);
    config.channel_max = number(0, config.channel_max)?;
    config.batch = number(1, config.batch)?;
    config.micro_batch = config.batch;
    config.channel_base = number(2, config.channel_base)?;
    if let Some(gamma) = rest.get(3) {
        config.gamma = gamma.parse()?;
    }
    let source = Portraits::new(1, Domain::Photo, 64)?;
    let mut job = StyleGan2::new(config, Box::new(source), &Start::Random, 1, &Device::Cpu)?;
    let resumes = std::path::Path::new(out).join("snapshots").is_dir();
    let settings = RunConfig {
        images: (kimg.parse::<f64>()? * 1000.0) as u64,
        tick_images: 4000,
        snap: 2,
        resume: if resumes {
            Resume::From(out.into())
        } else {
            Resume::No
        },
        show: Show::Text,
        settings: serde_json::to_value(job.config())?,
        ..RunConfig::new(out)
    };
    let outcome = run(&mut job, &settings)?;
    println!("{}", outcome.model.display());
    std::process::exit(i32::from(outcome.exit_code()));
}

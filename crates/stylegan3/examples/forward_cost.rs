//! What a picture costs, and its gradients: `cargo run --release -p domex-stylegan3 --example forward_cost -- [t|r [RESOLUTION [CHANNEL_BASE]]]`, with
//! random weights.

use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use domex_stylegan2::Truncation;
use domex_stylegan3::{Generator, GeneratorConfig, Model};
use serde_json::json;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: usize| arguments.get(at).map_or(Ok(default), |n| n.parse());
    let (resolution, base) = (number(1, 256)?, number(2, 16384)?);
    let radial = arguments.first().is_some_and(|name| name == "r");
    // R has twice as many features as T, as published.
    let factor = if radial { 2 } else { 1 };
    let config = GeneratorConfig::from_kwargs(&json!({
        "z_dim": 512, "w_dim": 512, "img_resolution": resolution,
        "channel_base": base * factor, "channel_max": 512 * factor,
        "conv_kernel": if radial { 1 } else { 3 }, "use_radial_filters": radial,
    }))?;
    let model = Model::random(&config, 0, &Device::Cpu)?;
    let z = Tensor::ones((1, 512), DType::F32, &Device::Cpu)?;
    let generator = model.generator();
    let ws = generator.latents(&z, None, Truncation::NONE)?;
    println!(
        "configuration {}, {resolution}², {} layers",
        config.name(),
        config.num_ws()
    );
    for _ in 0..3 {
        let start = Instant::now();
        generator.synthesis().forward(&ws)?;
        println!("{:.2} s a picture", start.elapsed().as_secs_f64());
    }
    let (_, live) = Generator::spec(&config)?.trainable(&generator.tensors())?;
    let learner = Generator::from_tensors(&live, &config)?;
    for _ in 0..2 {
        let start = Instant::now();
        let picture = learner.synthesis().forward(&ws)?;
        picture.sqr()?.mean_all()?.backward()?;
        let seconds = start.elapsed().as_secs_f64();
        println!(
            "{seconds:.2} s a picture and the gradients of all weights{}",
            peak()
        );
    }
    Ok(())
}

/// The most memory that the process has held, where the system says so.
fn peak() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or(String::new(), |peak| format!(", {} at most", peak.trim()))
}

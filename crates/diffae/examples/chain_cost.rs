//! Time and memory of the U-Net at its published widths, and of a chain of sampling steps with and without recomputation.
//!
//! `cargo run --example chain_cost -p domex-diffae -- [size] [steps] [batch]`, with size 64 or 128. Each way runs in a
//! process of its own, so that neither sees what the other left behind.

use std::error::Error;
use std::process::Command;
use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use domex_diffae::{Autoencoder, Config, Error as DiffaeError, UNet, init};
use domex_diffusion::{Clip, Spacing, standard_normal};
use domex_random::Streams;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let get = |i: usize, default: &'static str| args.get(i).map_or(default, String::as_str);
    let (size, steps, batch) = (get(0, "64"), get(1, "6").parse()?, get(2, "2").parse()?);
    let mut config = match size {
        "64" => Config::ffhq64(),
        "128" => Config::ffhq128(),
        other => return Err(format!("size {other}: 64 or 128 are published").into()),
    };
    config.latent = None;
    match get(3, "all") {
        "all" => {
            for way in ["forward", "recomputed", "kept"] {
                let operands = [
                    size.to_owned(),
                    format!("{steps}"),
                    format!("{batch}"),
                    way.into(),
                ];
                let run = Command::new(std::env::current_exe()?)
                    .args(operands)
                    .status()?;
                if !run.success() {
                    return Err(format!("{way}: {run}").into());
                }
            }
            Ok(())
        }
        "forward" => forward(&config, batch),
        way => backward(&config, steps, batch, way),
    }
}

/// Noise for `batch` pictures, and their codes.
fn operands(config: &Config, batch: usize) -> Result<[Tensor; 2], DiffaeError> {
    let side = config.unet.image_size;
    let mut stream = Streams::new(1).stream("noise");
    let mut normal = |dims: &[usize]| standard_normal(&mut stream, dims, DType::F32, &Device::Cpu);
    let x = normal(&[batch, 3, side, side])?;
    Ok([x, normal(&[batch, config.unet.cond_channels])?])
}

fn forward(config: &Config, batch: usize) -> Result<(), Box<dyn Error>> {
    let tensors = init::nowhere_zero(config, 1, DType::F32, &Device::Cpu)?;
    let unet = Autoencoder::from_tensors(&tensors, config)?.unet;
    let [x, z] = operands(config, batch)?;
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let start = Instant::now();
        unet.forward(&x, &vec![500.0; batch], &z)?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    let side = config.unet.image_size;
    println!(
        "U-Net at {side}², {batch} pictures forward: {:.0} ms",
        best * 1e3
    );
    Ok(())
}

fn backward(config: &Config, steps: usize, batch: usize, way: &str) -> Result<(), Box<dyn Error>> {
    let tensors = init::nowhere_zero(config, 1, DType::F32, &Device::Cpu)?;
    let (_vars, live) = Autoencoder::spec(config)?.trainable(&tensors)?;
    drop(tensors);
    let unet = Autoencoder::from_tensors(&live, config)?.unet;
    let [x, z] = operands(config, batch)?;
    let before = reset_peak();
    let start = Instant::now();
    chain(&unet, config, &x, &z, steps, way == "recomputed")?;
    let seconds = start.elapsed().as_secs_f64();
    let peak = peak_mib()
        .zip(before)
        .map_or("unknown".into(), |(peak, before)| {
            format!("{:.0} MiB above the weights", peak - before)
        });
    println!(
        "gradient of {batch} pictures through {steps} steps, activations {way}: peak {peak}, {seconds:.1} s"
    );
    Ok(())
}

/// The gradient of a sum of squares through a chain, for all weights and the code.
fn chain(
    unet: &UNet,
    config: &Config,
    x: &Tensor,
    z: &Tensor,
    steps: usize,
    recompute: bool,
) -> Result<(), DiffaeError> {
    let process = config.diffusion.pictures()?.spaced(steps, Spacing::Ddpm)?;
    let denoise = |x: &Tensor, t: &[f64]| match recompute {
        true => unet.forward_recomputed(x, t, z),
        false => unet.forward(x, t, z),
    };
    let y = process.ddim_sample(x, Clip::Unit, denoise, |_| {})?;
    y.sqr()?.sum_all()?.backward()?;
    Ok(())
}

/// The most memory that this process has held, where the system says.
fn peak_mib() -> Option<f64> {
    status("VmHWM:")
}

/// Forgets the peak so far; returns what is held now.
fn reset_peak() -> Option<f64> {
    // Linux alone has it; elsewhere the peak is not told.
    std::fs::write("/proc/self/clear_refs", "5").ok()?;
    status("VmRSS:")
}

fn status(key: &str) -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with(key))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib / 1024.0)
}

//! The features that FD-DINOv2 is defined on: `cargo run --release -p domex-dinov2 --example features -- [WEIGHTS] [PICTURE ..]`.
//!
//! Without the published weights (`domex fetch dinov2-vits14`) zeros stand in for them.

use std::path::Path;
use std::time::Instant;

use candle_core::{DType, Device};
use domex_data::picture;
use domex_dinov2::{Config, Dinov2, prepare};
use image::RgbImage;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let Some((weights, pictures)) = given.split_first() else {
        let config = Config {
            width: 384,
            layers: 12,
            heads: 6,
            mlp_width: 1536,
            grid: 37,
        };
        let network = Dinov2::new(&config.zeros()?, &config, DType::F32, &Device::Cpu)?;
        return show("black", &network, RgbImage::new(64, 48));
    };
    let network = Dinov2::load(weights, DType::F32, &Device::Cpu)?;
    for path in pictures {
        show(path, &network, picture::read(Path::new(path))?)?;
    }
    Ok(())
}

fn show(name: &str, network: &Dinov2, picture: RgbImage) -> Result<(), Box<dyn std::error::Error>> {
    let start = Instant::now();
    let features = network.features(&prepare(&[picture])?)?;
    let length: f32 = features.sqr()?.sum_all()?.sqrt()?.to_scalar()?;
    println!(
        "{name}: {} features of length {length:.3} in {:.2?}",
        features.dim(1)?,
        start.elapsed()
    );
    Ok(())
}

//! The features that FID is defined on: `cargo run --release -p domex-inception --example features -- [WEIGHTS] [PICTURE ..]`.
//!
//! Without the published weights (`domex fetch inception-fid`) zeros stand in for them, in a network a sixteenth as wide.

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use domex_data::picture;
use domex_inception::{Config, Inception, Pipeline, prepare};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let Some((weights, pictures)) = given.split_first() else {
        let config = Config {
            narrow: 16,
            ..Config::published()
        };
        let vb = VarBuilder::zeros(DType::F32, &Device::Cpu);
        let grey = Tensor::full(128f32, (1, 3, 64, 48), &Device::Cpu)?;
        return show("grey", &Inception::new(&vb, &config)?, &grey);
    };
    let inception = Inception::load(Path::new(weights), DType::F32, &Device::Cpu)?;
    for path in pictures {
        let read = picture::read(Path::new(path))?;
        // From [-1, 1] to the 8-bit values that the pipeline begins with.
        let pixels = picture::from_rgb(&[read], DType::F32, &Device::Cpu)?;
        let pixels = pixels.affine(127.5, 127.5)?;
        show(path, &inception, &pixels)?;
    }
    Ok(())
}

fn show(
    name: &str,
    inception: &Inception,
    pictures: &Tensor,
) -> Result<(), Box<dyn std::error::Error>> {
    let features = inception.features(&prepare(pictures, Pipeline::PytorchFid)?)?;
    let mean = features.mean_all()?.to_scalar::<f32>()?;
    println!(
        "{name}: {:?} features, {mean:.4} in the mean",
        features.dims()
    );
    Ok(())
}

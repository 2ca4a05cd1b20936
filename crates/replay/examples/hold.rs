//! What holds the base while a generator is trained, for pictures further and further from the source's:
//! `cargo run -p domex-replay --example hold`.

use candle_core::{DType, Device, Tensor};
use domex_latent::PixelRms;
use domex_replay::{AlignmentConfig, alignment};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let device = Device::Cpu;
    let source = Tensor::arange(0f32, 2.0 * 3.0 * 16.0, &device)?.sin()?;
    let source = source.reshape((2, 3, 4, 4))?.to_dtype(DType::F64)?;
    let config = AlignmentConfig {
        l2: 10.0,
        lpips: 10.0,
    };
    for moved in [0.0, 0.01, 0.1, 1.0] {
        let pictures = (&source + moved)?;
        let held = alignment(&pictures, &source, Some(&PixelRms), &config)?;
        println!(
            "every pixel moved by {moved:4}: loss {:.4}",
            held.loss.to_scalar::<f64>()?
        );
    }
    Ok(())
}

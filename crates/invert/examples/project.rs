//! The latent of a picture: `cargo run --release -p domex-invert --example project -- [STEPS]`.

use candle_core::{DType, Device, Tensor};
use domex_invert::{Config, Projector};
use domex_latent::Generator as _;
use domex_lpips::Lpips;
use domex_random::{RandomState, Streams};
use domex_stylegan2::{Model, Noise, Truncation};

const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/portraits/");

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let steps = std::env::args().nth(1).map_or(Ok(20), |n| n.parse())?;
    let model = Model::load_generator(format!("{SHIPPED}generator.safetensors"), &Device::Cpu)?;
    let perceptual = Lpips::load(
        format!("{SHIPPED}perceptual.safetensors"),
        DType::F32,
        &Device::Cpu,
    )?;

    // A picture of the generator's own, so that there is a latent to find.
    let generator = model.generator();
    let z = RandomState::new(85).randn(generator.config().z_dim());
    let z = Tensor::new(z, &Device::Cpu)?
        .unsqueeze(0)?
        .to_dtype(generator.dtype())?;
    let ws = generator.latents(&z, None, Truncation::psi(0.7))?;
    let picture = generator.synthesis().forward(&ws, Noise::Const)?;

    let projector = Projector {
        generator: generator.into(),
        perceptual: &perceptual,
        place: None,
        config: Config {
            steps,
            ..Config::default()
        },
    };
    let found = projector.invert(&picture, &Streams::new(0), &mut |step, loss| {
        println!("step {step:>4}: loss {loss:.4}");
    })?;
    println!("latent {:?}", found.latents.dims());
    Ok(())
}

//! Pictures of seeds from a StyleGAN3 checkpoint, upright and turned: `cargo run -p domex-stylegan3 --example turn -- [FILE [FOLDER]]`.
//! Without a file a small network with random weights draws them.

use candle_core::{Device, Tensor};
use domex_data::picture;
use domex_latent::Generator as _;
use domex_random::RandomState;
use domex_stylegan2::Truncation;
use domex_stylegan3::{GeneratorConfig, Model, Transform};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let model = match arguments.next() {
        Some(file) => Model::load(file, &Device::Cpu)?,
        None => Model::random(&GeneratorConfig::tiny(), 0, &Device::Cpu)?,
    };
    let folder = arguments.next().map_or_else(std::env::temp_dir, Into::into);
    let mut generator = model.g_ema;
    for seed in 0..4 {
        // The latent that this seed means to the published programs.
        let z = RandomState::new(seed).randn(generator.config().z_dim());
        let z = Tensor::new(z, &Device::Cpu)?
            .unsqueeze(0)?
            .to_dtype(generator.dtype())?;
        let ws = generator.latents(&z, None, Truncation::psi(0.7))?;
        for rotate in [0.0, 30.0] {
            generator.set_transform(&Transform {
                rotate,
                ..Transform::default()
            })?;
            let pictures = generator.synthesis().forward(&ws)?;
            let path = folder.join(format!("seed{seed}-{rotate}.png"));
            picture::write_png(&path, &picture::to_rgb(&pictures)?[0])?;
            println!("{}", path.display());
        }
    }
    Ok(())
}

//! Pictures of seeds from any StyleGAN2 checkpoint: `cargo run -p domex-stylegan2 --example generate -- [FILE [FOLDER]]`.

use candle_core::{Device, Tensor};
use domex_data::picture;
use domex_latent::Generator as _;
use domex_random::RandomState;
use domex_stylegan2::{Model, Noise, Truncation};

/// Read where no file is named.
const SHIPPED: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../assets/portraits/generator.safetensors"
);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().unwrap_or_else(|| SHIPPED.to_owned());
    let folder = arguments.next().map_or_else(std::env::temp_dir, Into::into);
    let model = Model::load_generator(&file, &Device::Cpu)?;
    let generator = model.generator();
    for seed in 0..4 {
        // The latent that this seed means to the published programs.
        let z = RandomState::new(seed).randn(generator.config().z_dim());
        let z = Tensor::new(z, &Device::Cpu)?
            .unsqueeze(0)?
            .to_dtype(generator.dtype())?;
        let ws = generator.latents(&z, None, Truncation::psi(0.7))?;
        let pictures = generator.synthesis().forward(&ws, Noise::Const)?;
        let path = folder.join(format!("seed{seed}.png"));
        picture::write_png(&path, &picture::to_rgb(&pictures)?[0])?;
        println!("{}", path.display());
    }
    Ok(())
}

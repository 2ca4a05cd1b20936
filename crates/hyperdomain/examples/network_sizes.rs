//! How many numbers a domain has by every modulation, for StyleGAN2 of 1024²: `cargo run -p domex-hyperdomain --example network_sizes`.

use candle_core::Device;
use domex_hyperdomain::modulation::{ModulationKind, convolutions};
use domex_stylegan2::{GeneratorConfig, Model};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = GeneratorConfig::with_defaults(512, 512, 1024, 32768, 512)?;
    let model = Model::random(&config, 0, &Device::Cpu)?;
    let layers = convolutions(model.generator());
    println!("{} convolutions", layers.len());
    for kind in ModulationKind::ALL {
        println!("{:20} {:>10}", kind.name(), kind.numbers(&layers));
    }
    Ok(())
}

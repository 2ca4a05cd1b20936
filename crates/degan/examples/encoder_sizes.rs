//! How large DEGAN's encoder is for StyleGAN2 of every size: `cargo run -p domex-degan --example encoder_sizes`.

use domex_degan::{Config, stylespace};
use domex_stylegan2::{Generator, GeneratorConfig, Model};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("size   StyleSpace   parameters of the encoder, of its heads");
    for size in [64, 256, 1024] {
        let config = GeneratorConfig::with_defaults(512, 512, size, 32768, 512)?;
        let model = Model::random(&config, 0, &candle_core::Device::Cpu)?;
        let generator: &Generator = model.generator();
        let dims = stylespace::dims(generator.synthesis());
        let styles: usize = dims.iter().flatten().sum();
        let encoder = Config::vit_b16(dims);
        println!(
            "{size:4} {styles:12} {:12} {:15}",
            encoder.parameters(),
            encoder.head_parameters()
        );
    }
    Ok(())
}

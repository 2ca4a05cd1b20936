//! Which text fits a picture best: `cargo run -p domex-clip --example zero_shot -- [CLIP]`.

use candle_core::{DType, Device};
use domex_clip::{Bundle, Preprocess};
use domex_data::picture;
use domex_data::portraits::{Domain, Factors, render};
use domex_random::Streams;

/// Read where no file is named; it knows the words of the portrait world.
const SHIPPED: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../assets/portraits/clip-plain.safetensors"
);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = std::env::args()
        .nth(1)
        .unwrap_or_else(|| SHIPPED.to_owned());
    let model = Bundle::load(&file, DType::F32, &Device::Cpu)?;
    let names = ["photo", "zombie", "statue", "sketch"];
    let texts = model.encode_text(&names)?;
    let person = Factors::draw(&mut Streams::new(7).stream("person"));
    for name in names {
        let drawn = render(&person, name.parse::<Domain>()?, 7, 64);
        let pixels = picture::from_rgb(&[drawn], DType::F32, &Device::Cpu)?;
        let pixels = Preprocess::new(model.clip.image_size()).apply(&pixels)?;
        let cosines = model.clip.encode_image(&pixels)?.matmul(&texts.t()?)?;
        println!("a picture of the domain {name}:");
        for (text, cosine) in names.iter().zip(&cosines.to_vec2::<f32>()?[0]) {
            println!("    {text:<8} {cosine:6.3}");
        }
    }
    Ok(())
}

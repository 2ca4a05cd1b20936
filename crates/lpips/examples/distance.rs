//! How far pictures are apart to the eye: `cargo run -p domex-lpips --example distance -- [A.png B.png]`.

use std::path::Path;

use candle_core::{DType, Device};
use domex_data::picture;
use domex_data::portraits::{Domain, Factors, render};
use domex_lpips::Lpips;
use domex_random::Streams;

/// Trained on portraits of 64 pixels; `domex fetch lpips-vgg` brings the published one.
const SHIPPED: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../assets/portraits/perceptual.safetensors"
);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let lpips = Lpips::load(SHIPPED, DType::F32, &Device::Cpu)?;
    let tensor = |picture| picture::from_rgb(&[picture], DType::F32, &Device::Cpu);
    let files: Vec<String> = std::env::args().skip(1).collect();
    if let [a, b] = &files[..] {
        let (a, b) = (picture::read(Path::new(a))?, picture::read(Path::new(b))?);
        let distance = lpips.distance(&tensor(a)?, &tensor(b)?)?;
        println!("{:.4}", distance.to_vec1::<f32>()?[0]);
        return Ok(());
    }
    let person = |seed| Factors::draw(&mut Streams::new(seed).stream("person"));
    let photo = tensor(render(&person(1), Domain::Photo, 1, 64))?;
    for (what, other) in [
        ("itself", render(&person(1), Domain::Photo, 1, 64)),
        (
            "the same person as a sketch",
            render(&person(1), "sketch".parse()?, 1, 64),
        ),
        ("another person", render(&person(2), Domain::Photo, 2, 64)),
    ] {
        let distance = lpips.distance(&photo, &tensor(other)?)?;
        println!(
            "from a photo to {what}: {:.4}",
            distance.to_vec1::<f32>()?[0]
        );
    }
    Ok(())
}

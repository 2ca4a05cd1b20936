//! Whether an edit goes where a text says: `cargo run -p domex-nada --example direction`.

use std::path::Path;

use candle_core::{DType, Device};
use domex_data::picture;
use domex_data::portraits::{Domain, Factors, render};
use domex_nada::{Config, Guide, Nada, Task};
use domex_random::Streams;

/// It knows the words of the portrait world; `domex fetch ViT-B/32` brings one that reads free text.
const SHIPPED: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../assets/portraits/clip-robust.safetensors"
);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let guide = Guide::load(Path::new(SHIPPED), 1.0, &Device::Cpu)?;
    let nada = Nada::new(vec![guide], Config::default())?;
    let tasks = nada.prepare(&[Task::texts("photo", "zombie")], None)?;
    let streams = Streams::new(3);
    let person = Factors::draw(&mut streams.stream("person"));
    let tensor =
        |domain| picture::from_rgb(&[render(&person, domain, 3, 64)], DType::F32, &Device::Cpu);
    let photo = tensor(Domain::Photo)?;
    // The loss is 1 − cosine: 0 where the edit goes with the text, 2 where it goes against it.
    for name in ["zombie", "statue", "sketch"] {
        let edited = tensor(name.parse()?)?;
        let loss = nada.loss(&tasks, &photo, &edited, &[0], &mut streams.stream("views"))?;
        let loss = loss.per_sample.to_vec1::<f32>()?[0];
        println!("asked for a zombie, made a {name}: {loss:.3}");
    }
    Ok(())
}

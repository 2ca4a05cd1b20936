//! How near the shipped encoder's latents bring the shipped generator to photographs:
//! `cargo run --release -p domex-encoder --example predict`.

use candle_core::{DType, Device};
use domex_data::grid::Grid;
use domex_data::picture;
use domex_data::portraits::{Domain, Factors, render};
use domex_encoder::Encoder;
use domex_latent::Generator as _;
use domex_random::Streams;
use domex_stylegan2::Model;

const ASSETS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/portraits");

const PEOPLE: usize = 8;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let device = Device::Cpu;
    let encoder = Encoder::load(format!("{ASSETS}/encoder.safetensors"), &device)?;
    let model = Model::load_generator(format!("{ASSETS}/generator.safetensors"), &device)?;
    encoder.check(model.generator())?;
    let mut stream = Streams::new(9).stream("people");
    let people =
        (0..PEOPLE as u64).map(|i| render(&Factors::draw(&mut stream), Domain::Photo, i, 64));
    let mut rows: Vec<_> = people.collect();
    let given = picture::from_rgb(&rows, DType::F32, &device)?;
    let made = model.generator().synthesize(&encoder.encode(&given)?)?;
    // A whole range of 2, as pictures are in [-1, 1].
    let errors = (&made - &given)?.sqr()?.mean((1, 2, 3))?.to_vec1::<f32>()?;
    for (person, error) in errors.iter().enumerate() {
        println!("person {person}: {:.1} dB", 10.0 * (4.0 / error).log10());
    }
    rows.extend(picture::to_rgb(&made)?);
    let file = std::env::temp_dir().join("predicted.png");
    let grid = Grid::new(PEOPLE).row_labels(["given", "predicted"].map(str::to_owned));
    picture::write_png(&file, &grid.draw(&rows)?)?;
    println!("{}", file.display());
    Ok(())
}

//! What the shipped diffusion model draws for a text, without guidance and with more and more of it:
//! `cargo run --release -p domex-teacher --example draw -- [TEXT]`.

use candle_core::{DType, Device};
use domex_clip::Bundle;
use domex_data::grid::Grid;
use domex_data::picture;
use domex_diffusion::standard_normal;
use domex_random::Streams;
use domex_teacher::Teacher;

const ASSETS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/portraits");

const PICTURES: usize = 6;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let text = std::env::args().nth(1).unwrap_or("pencil sketch".into());
    let device = Device::Cpu;
    let teacher = Teacher::load(format!("{ASSETS}/teacher.safetensors"), &device)?;
    let clip = Bundle::load(
        format!("{ASSETS}/clip-plain.safetensors"),
        DType::F32,
        &device,
    )?;
    let features = clip.encode_text(&[text.as_str()])?;
    let side = teacher.config().size();
    let mut stream = Streams::new(0).stream("noise");
    let noise = standard_normal(&mut stream, &[PICTURES, 3, side, side], DType::F32, &device)?;

    let (mut rows, mut labels) = (Vec::new(), Vec::new());
    for guidance in [1.0, 2.0, 4.0] {
        let features = features.repeat((PICTURES, 1))?;
        let drawn = teacher.sample(&noise, &features, 20, guidance)?;
        rows.extend(picture::to_rgb(&drawn)?);
        labels.push(format!("guidance {guidance}"));
    }
    let file = std::env::temp_dir().join("drawn.png");
    picture::write_png(&file, &Grid::new(PICTURES).row_labels(labels).draw(&rows)?)?;
    println!("{}", file.display());
    Ok(())
}

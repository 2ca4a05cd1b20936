//! Photographs as a teacher translates them, a row for each time to which they are turned into noise:
//! `cargo run --release -p domex-distil --example translate -- TEACHER TEXT [TIME ..]`.

use std::path::{Path, PathBuf};

use candle_core::{DType, Device};
use domex_data::grid::Grid;
use domex_data::picture;
use domex_data::portraits::{Domain, Factors, render};
use domex_distil::{Translation, Translator};
use domex_random::Streams;

/// The CLIP model whose texts the teacher learnt.
const CLIP: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../assets/portraits/clip-plain.safetensors"
);

const PEOPLE: usize = 6;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(teacher), Some(text)) = (args.next(), args.next()) else {
        return Err("expected TEACHER TEXT [TIME ..]".into());
    };
    let mut times = args
        .map(|time| time.parse())
        .collect::<Result<Vec<f64>, _>>()?;
    if times.is_empty() {
        times = vec![0.6, 0.8, 0.9, 0.97, 1.0];
    }
    let teacher = Translator::load(Path::new(&teacher), &[CLIP.into()], &Device::Cpu)?;
    let mut stream = Streams::new(3).stream("people");
    let people: Vec<_> = (0..PEOPLE).map(|_| Factors::draw(&mut stream)).collect();
    let side = teacher.size().unwrap_or(64) as u32;
    let drawn = |domain| {
        people
            .iter()
            .map(move |person| render(person, domain, 5, side))
    };
    let photos: Vec<_> = drawn(Domain::Photo).collect();
    let pixels = picture::from_rgb(&photos, DType::F32, &Device::Cpu)?;

    let (mut rows, mut labels) = (photos, vec!["photo".to_owned()]);
    for time in times {
        let how = Translation {
            time,
            ..Translation::default()
        };
        let translated = teacher.translate(&pixels, "photo", &text, &how)?;
        rows.extend(picture::to_rgb(&translated)?);
        labels.push(format!("{text}, time {time}"));
    }
    if let Ok(domain) = text.parse::<Domain>() {
        rows.extend(drawn(domain));
        labels.push(format!("{text}, true"));
    }
    let file: PathBuf = std::env::temp_dir().join("translated.png");
    picture::write_png(&file, &Grid::new(PEOPLE).row_labels(labels).draw(&rows)?)?;
    println!("{}", file.display());
    Ok(())
}

//! Faces of photographs, cut out as FFHQ's: `cargo run --release -p domex-face --example align -- WEIGHTS SIDE PICTURE ..`.
//!
//! Writes `PICTURE.face.png` beside each. Without arguments a square is made of points that are written here.

use std::path::Path;
use std::time::Instant;

use candle_core::Device;
use domex_data::picture;
use domex_face::{Detector, Face, Outside, Square};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let [weights, side, pictures @ ..] = given.as_slice() else {
        let face = Face {
            score: 1.0,
            bounds: [0.0; 4],
            landmarks: [[40., 42.], [60., 38.], [50., 52.], [43., 62.], [60., 60.]],
        };
        println!("{:?}", Square::around(&face)?);
        return Ok(());
    };
    let detector = Detector::load(weights, &Device::Cpu)?;
    for path in pictures {
        let picture = picture::read(Path::new(path))?;
        let start = Instant::now();
        let faces = detector.faces(&picture)?;
        let found = start.elapsed();
        println!("{path}: {} faces in {found:.1?}", faces.len());
        if let Some(face) = faces.first() {
            let face = detector.refined(&picture, face)?;
            let square = Square::around(&face)?;
            let cut = square.cut(&picture, side.parse()?, Outside::Mirrored)?;
            println!(
                "  {face:.1?}\n  {square:.1?}, cut in {:.1?}",
                start.elapsed() - found
            );
            picture::write_png(Path::new(&format!("{path}.face.png")), &cut)?;
        }
    }
    Ok(())
}

//! A picture from one text to another by a folder of Stable Diffusion, and how long it took:
//! `cargo run --release -p domex-stable-diffusion --example reword -- FOLDER PICTURE SOURCE TARGET [TIME [GUIDANCE [STEPS]]]`.

use std::path::Path;
use std::time::Instant;

use candle_core::{DType, Device};
use domex_data::picture;
use domex_random::Streams;
use domex_stable_diffusion::{Folder, StableDiffusion, Translation};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [folder, file, source, target, settings @ ..] = &args[..] else {
        return Err("expected FOLDER PICTURE SOURCE TARGET [TIME [GUIDANCE [STEPS]]]".into());
    };
    let setting = |at: usize, default: f64| {
        let given = settings.get(at).map(|text| text.parse::<f64>());
        given.transpose().map(|value| value.unwrap_or(default))
    };
    let how = Translation {
        time: setting(0, 0.7)?,
        guidance: setting(1, 5.0)?,
        steps: setting(2, 10.0)? as usize,
        ..Translation::default()
    };
    let looked = Folder::open(folder)?;
    println!(
        "{0} × {0} pixels, {1:.1} GB of weights, {2:.2} TFLOP for a pass of the U-Net",
        looked.size(),
        looked.bytes()? as f64 / 1e9,
        looked.unet.flops(looked.text.context_length)? as f64 / 1e12,
    );
    let model = StableDiffusion::load(folder, &Device::Cpu)?;
    let x = picture::from_rgb(&[picture::read(Path::new(file))?], DType::F32, &Device::Cpu)?;
    let (source, target) = (model.text(source)?, model.text(target)?);
    let began = Instant::now();
    let made = model.translate(
        &x,
        &source,
        &target,
        &how,
        &mut Streams::new(0).stream("noise"),
    )?;
    println!("{:.1} s", began.elapsed().as_secs_f64());
    let out = std::env::temp_dir().join("reworded.png");
    picture::write_png(&out, &picture::to_rgb(&made)?[0])?;
    println!("{}", out.display());
    Ok(())
}

//! A picture as two codes, and back: `cargo run -p domex-diffae --example encode -- [CHECKPOINT PICTURE]`.

use std::path::Path;

use candle_core::{DType, Device};
use domex_data::portraits::{Domain, Factors, render};
use domex_data::{picture, pil_resize};
use domex_diffae::{Config, Model};
use domex_random::Streams;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let given: Vec<String> = std::env::args().skip(1).collect();
    // Without a checkpoint the weights are random: the noise alone still brings the picture back.
    let (model, drawn) = match &given[..] {
        [file, picture] => (
            Model::load(file, &Device::Cpu)?,
            picture::read(Path::new(picture))?,
        ),
        _ => {
            let person = Factors::draw(&mut Streams::new(5).stream("person"));
            (
                Model::random(&Config::tiny(), 0, &Device::Cpu)?,
                render(&person, Domain::Photo, 5, 64),
            )
        }
    };
    let side = model.config().unet.image_size as u32;
    let drawn = pil_resize::centre_crop(&pil_resize::resize_shorter_side(&drawn, side)?, side)?;
    let x = picture::from_rgb(&[drawn], DType::F32, &Device::Cpu)?;
    let z = model.encode(&x)?;
    println!("semantic code {:?}", z.dims());
    for steps in [5, 20, 80] {
        let x_t = model.encode_noise(&x, &z, steps)?;
        let again = model.decode(&z, &x_t, steps)?;
        let error = (again - &x)?.abs()?.mean_all()?.to_scalar::<f32>()?;
        println!("{steps:>3} steps there and back: mean error {error:.4}");
    }
    Ok(())
}

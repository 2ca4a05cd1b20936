//! A made-up person: pictures, and the latents of those that are taught.

use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use domex_checkpoint::container::Overwrite;
use domex_data::{
    picture::{self, write_png},
    portraits::{Domain, render},
    source::Portraits,
};
use domex_encoder::Encoder;
use domex_error::Result;
use domex_invert::{Config, Projector};
use domex_lpips::Lpips;
use domex_mystyle::Anchors;
use domex_random::Streams;
use domex_stylegan2::Generator;
use image::RgbImage;

/// Pictures that are taught, and as many that are held out.
const PICTURES: usize = 10;

/// Of the occasions; no training of a network that ships used it.
const SEED: u64 = 7;

/// See the top of this module.
pub struct Person {
    pub name: String,
    pub taught: Vec<RgbImage>,
    pub held_out: Vec<RgbImage>,
    /// The taught pictures, and where their latents are.
    pub files: Vec<PathBuf>,
    pub anchors_file: PathBuf,
}

impl Person {
    /// Number `number`, on twenty occasions.
    pub fn draw(number: u64, side: u32) -> Result<Self> {
        let people = Portraits::new(SEED, Domain::Photo, side)?;
        let (person, _) = people.factors(number);
        let on = |occasion: u64| {
            let (other, seed) = people.factors(occasion);
            render(&person.on_occasion_of(&other), Domain::Photo, seed, side)
        };
        // Far from the persons' own numbers.
        let occasions = |from: u64| (from..from + PICTURES as u64).map(on).collect();
        Ok(Self {
            name: format!("person {number}"),
            taught: occasions(1000),
            held_out: occasions(2000),
            files: Vec::new(),
            anchors_file: PathBuf::new(),
        })
    }

    /// The same with its pictures and their latents in the folder.
    pub fn inverted(
        mut self,
        generator: &Generator,
        encoder: &Encoder,
        perceptual: &Lpips,
        folder: &Path,
    ) -> Result<Self> {
        let own = folder.join(self.name.replace(' ', "-"));
        self.anchors_file = own.join("latents");
        std::fs::create_dir_all(&self.anchors_file)?;
        let wanted = picture::from_rgb(&self.taught, DType::F32, &Device::Cpu)?;
        let projector = Projector {
            generator: generator.into(),
            perceptual,
            place: None,
            config: Config::near(),
        };
        let near = encoder.encode(&wanted)?;
        let found = projector.invert_from(&wanted, &near, &Streams::new(SEED), &mut |_, _| {})?;
        for (i, picture) in self.taught.iter().enumerate() {
            let file = own.join(format!("picture{i}.png"));
            write_png(&file, picture)?;
            let latent = self.anchors_file.join(format!("picture{i}.safetensors"));
            found.write(i, &latent, Overwrite::Replace)?;
            self.files.push(file);
        }
        Ok(self)
    }

    /// The taught pictures' latents `[10, D]`.
    pub fn anchors(&self, dim: usize) -> Result<Tensor> {
        Ok(Anchors::read(&self.anchors_file, dim)?.latents().clone())
    }
}

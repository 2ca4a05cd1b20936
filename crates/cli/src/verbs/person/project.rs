//! Pictures brought into a person's space: as they are, with a hole, or of few pixels.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;

use candle_core::{DType, Device, Tensor};
use clap::Args;
use domex_checkpoint::TensorData;
use domex_checkpoint::safetensors;
use domex_data::folder::{OutputFolder, write_atomic};
use domex_data::picture::{self, write_png};
use domex_error::user_error;
use domex_latent::{Generator as _, ImageDistance};
use domex_mystyle::Degradation;
use domex_mystyle::alpha::{AlphaSpace, Regularization};
use domex_mystyle::blend::blend;
use domex_mystyle::project::{ProjectionConfig, Projector};
use domex_ops::{Resize, resize};
use domex_replay::Perceptual;
use image::RgbImage;
use image::imageops::FilterType;
use serde_json::json;

use super::{BETA, Space, SpaceArgs, beta};
use crate::args::overwrite;
use crate::context::Context;
use crate::crop::given::{Given, Picture, tensor};
use crate::crop::{self, CropArgs, Cropper};
use crate::interrupt::{Interrupt, Interrupted};
use crate::sheet::Sheet;
use crate::verbs::invert::files;
use crate::{assets, models};

/// Rows of W+ of the published regularisation's generator, of which it holds back two thirds.
const HELD: (usize, usize) = (12, 18);

/// Flags of `domex person project`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  domex person project --model run/model.safetensors --anchors anna-latents/latents --name anna \\\n      --image new.png\n  domex person project --model run/model.safetensors --anchors anna-latents/latents --name anna \\\n      --image torn.png --mask hole.png\n\nWrites latents/NAME.safetensors (w), pictures/NAME.png, beside.png and person.json; with --mask also filled/NAME.png, the given picture with its hole filled without a seam."
)]
pub struct Project {
    /// Whose space.
    #[command(flatten)]
    pub space: SpaceArgs,
    /// Pictures of the person, or a folder of them, without its sub-folders; may be given several times
    #[arg(long, value_name = "FILE|DIR", required = true)]
    pub image: Vec<PathBuf>,
    /// What is known of each picture: a picture of the same size, white where it is known, black in the hole
    #[arg(long, value_name = "FILE", conflicts_with = "enlarge")]
    pub mask: Option<PathBuf>,
    /// The pictures are smaller than the generator's, and are to be shown at its size
    #[arg(long, conflicts_with_all = ["crop", "face"])]
    pub enlarge: bool,
    /// What of a picture is looked for.
    #[command(flatten)]
    pub crop: CropArgs,
    /// Steps of the search
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub steps: u32,
    /// How far coordinates may fall below 0: more shows what no anchor shows, less stays the person
    #[arg(long, value_name = "BETA", default_value_t = BETA, value_parser = beta, allow_negative_numbers = true)]
    pub beta: f64,
    /// The perceptual network: a file, or a fetched one's name [default: the shipped one]
    #[arg(long, value_name = "FILE|NAME")]
    pub perceptual: Option<PathBuf>,
}

/// A picture that was found.
struct Found {
    loss: f64,
    /// As given, as found, and with its hole filled.
    pictures: Vec<RgbImage>,
}

pub(super) fn run(context: &Context, args: &Project) -> domex_error::Result<()> {
    let cropper = Cropper::new(args.crop)?;
    let perceptual = match &args.perceptual {
        Some(path) => models::perceptual(path)?,
        None => assets::expect(assets::PERCEPTUAL)
            .map_err(|error| user_error(format!("no --perceptual, and {error}")))?,
    };
    let model = models::stylegan2(context, &args.space.model)?;
    let space = Space::of(&model, &args.space)?;
    let side = model.config().synthesis.img_resolution as u32;
    let files = files(&args.image)?;
    let given = match args.enlarge {
        true => small(&files, side)?,
        false => cropper.look(&files, args.mask.as_deref(), side)?,
    };
    let perceptual = Perceptual::load(&perceptual, &context.device)?;
    let folder = args.space.out.folder()?;

    let force = args.space.out.force;
    let part = |name: &str| -> domex_error::Result<OutputFolder> {
        crop::refuse_overwriting(&files, &folder.file(name))?;
        Ok(OutputFolder::create(folder.file(name), force)?)
    };
    let places = Places {
        latents: part("latents")?,
        pictures: part("pictures")?,
        filled: args.mask.as_ref().map(|_| part("filled")).transpose()?,
    };

    let interrupt = Interrupt::watch()?;
    let progress = context.progress("steps", args.steps as usize * given.len());
    let filled = args.mask.as_ref().map(|_| "filled");
    let mut sheet = Sheet::new(["given", "found"].into_iter().chain(filled));
    let (mut pictures, mut lines) = (Vec::new(), Vec::new());
    for given in given.all() {
        let mut on_step = || {
            progress.advance(1);
            interrupt.check()
        };
        let found = one(args, &space, &perceptual, given, &places, &mut on_step)?;
        pictures.push(json!({ "name": given.name, "loss": found.loss }));
        lines.push(format!("{}: loss {:.4}", given.name, found.loss));
        sheet.add(&given.name, found.pictures);
    }
    drop(progress);
    let mut json = json!({ "pictures": pictures, "beta": args.beta, "steps": args.steps });
    write_atomic(
        &folder.file("person.json"),
        format!("{json:#}\n").as_bytes(),
    )?;
    write_png(&folder.file("beside.png"), &sheet.draw()?)?;
    for line in lines.iter().chain(&sheet.notice()) {
        context.say(line);
    }
    context.say(&format!(
        "latents and beside.png in {}",
        folder.path().display()
    ));
    json["folder"] = json!(crate::paths::text(folder.path()));
    context.result(&json);
    Ok(())
}

/// Where results of all pictures go.
struct Places {
    latents: OutputFolder,
    pictures: OutputFolder,
    filled: Option<OutputFolder>,
}

/// Pictures that are smaller than the generator's are compared at its size, which perceptual networks know.
struct AtFullSize<'a> {
    distance: &'a Perceptual,
    side: usize,
}

impl ImageDistance for AtFullSize<'_> {
    fn name(&self) -> &str {
        self.distance.name()
    }

    fn distance(&self, a: &Tensor, b: &Tensor) -> domex_latent::Result<Tensor> {
        if a.dim(3)? >= self.side {
            return self.distance.distance(a, b);
        }
        let enlarged = |x| resize(x, self.side, self.side, Resize::Bilinear);
        self.distance.distance(&enlarged(a)?, &enlarged(b)?)
    }
}

/// Pictures of fewer pixels than the generator's `side`.
fn small(files: &[PathBuf], side: u32) -> domex_error::Result<Given> {
    let mut given = Given::default();
    for file in files {
        let picture = picture::read(file)?;
        let (width, height) = picture.dimensions();
        if width != height || width >= side {
            return Err(user_error(format!(
                "--image {}: is {width} × {height}; --enlarge takes squares smaller than the generator's {side} × {side}",
                file.display()
            )));
        }
        given.add_square(file, picture)?;
    }
    Ok(given)
}

/// The mask `[1, 1, side, side]` of its picture: 1 where that is known.
fn known(mask: &RgbImage, device: &Device) -> domex_error::Result<Tensor> {
    let values = mask
        .pixels()
        .map(|pixel| if pixel.0[1] >= 128 { 1.0_f32 } else { 0.0 });
    let side = mask.width() as usize;
    let mask = Tensor::from_vec(values.collect(), (1, 1, side, side), &Device::Cpu)?;
    Ok(mask.to_device(device)?)
}

/// What the given picture has lost.
fn degradation(
    args: &Project,
    given: &Picture,
    full_side: usize,
    device: &Device,
) -> domex_error::Result<Degradation> {
    if args.enlarge {
        // Half a pixel more, as the size is rounded down.
        let factor = (f64::from(given.side) + 0.5) / full_side as f64;
        return Ok(Degradation::Downscale(factor));
    }
    Ok(match &args.mask {
        Some(mask) => Degradation::Hole(known(&given.mask(mask)?, device)?),
        None => Degradation::None,
    })
}

/// Searches for one picture and writes what is found.
fn one(
    args: &Project,
    space: &Space<'_>,
    perceptual: &Perceptual,
    given: &Picture,
    places: &Places,
    on_step: &mut dyn FnMut() -> Result<(), Interrupted>,
) -> domex_error::Result<Found> {
    let device = space.generator.synthesis().device();
    let full_side = space.generator.config().synthesis.img_resolution;
    let wanted = tensor([given], DType::F32, device)?;
    let synthesize = |w: &Tensor| space.generator.synthesize(w);
    let degradation = degradation(args, given, full_side, device)?;
    let projector = Projector {
        space: &AlphaSpace::new(&space.anchors, space.rows(), Some(args.beta))?,
        synthesize: &synthesize,
        distance: &AtFullSize {
            distance: perceptual,
            side: full_side,
        },
        degradation: &degradation,
        config: ProjectionConfig {
            steps: args.steps as usize,
            regularization: Regularization {
                layers: space.rows() * HELD.0 / HELD.1,
                ..Regularization::default()
            },
            ..ProjectionConfig::default()
        },
    };
    let mut interrupted = Ok(());
    let projected = projector.project(&wanted, &mut |_, _| {
        interrupted = on_step();
        match interrupted {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    })?;
    interrupted?;
    let name = &given.name;
    let w = TensorData::from_tensor(&projected.latents.to_dtype(DType::F32)?)?;
    let tensors = BTreeMap::from([("w".to_owned(), w)]);
    let overwrite = overwrite(args.space.out.force);
    let path = places.latents.file(format!("{name}.safetensors"));
    safetensors::write(&path, &BTreeMap::new(), &tensors, overwrite)?;
    let made = space.pictures(&projected.latents)?.swap_remove(0);
    write_png(&places.pictures.file(format!("{name}.png")), &made)?;
    let (shown, side) = (given.pixels()?, made.width());
    let shown = match given.side == side {
        true => shown,
        false => image::imageops::resize(&shown, side, side, FilterType::Nearest),
    };
    let mut pictures = vec![shown, made];
    if let (Degradation::Hole(known), Some(folder)) = (&degradation, &places.filled) {
        let made = picture::from_rgb(&pictures[1..], DType::F32, device)?;
        let filled = picture::to_rgb(&blend(&wanted, &made, known)?)?.swap_remove(0);
        write_png(&folder.file(format!("{name}.png")), &filled)?;
        pictures.push(filled);
    }
    Ok(Found {
        loss: projected.losses.last().copied().unwrap_or(f64::NAN),
        pictures,
    })
}

//! How near an inversion comes to fresh renderings, by the encoder and without it, and what of a picture it keeps.

use std::{process::ExitCode, time::Instant};

use candle_core::{DType, Device, Tensor};
use domex_data::{folder::OutputFolder, grid::Grid, picture};
use domex_encoder::Encoder;
use domex_error::{Result, user_error};
use domex_eval::Evaluators;
use domex_invert::{Config, Projector, Space, TuneConfig, tune};
use domex_judge::Judge;
use domex_random::Streams;
use domex_stylegan2::{Generator, Noise};
use image::RgbImage;

use super::{
    Args, What,
    nearness::{Row, fresh},
    settings,
};
use crate::out::{say, write_json};

/// Pictures searched for at once; and tuned on together, by a generator of their own.
const BATCH: usize = 4;

/// Rows of the grid.
const SHOWN: usize = 8;

/// The ways, as `--targets` names them: what the encoder predicts; that, and a short search from it; the same, and a generator tuned
/// to each few pictures; the short search in W+; the published search from the mean, in W and in W+.
const WAYS: [&str; 6] = ["encoder", "refined", "tuned", "refined-w+", "w", "w+"];

/// What all ways work with.
struct Given<'a> {
    generator: &'a Generator,
    by: Evaluators<'a>,
    pictures: Tensor, // [n, 3, h, w]
    seed: u64,
}

/// Measures all ways and writes figures and a grid. `--set` changes the search that starts at the encoder's latents.
pub fn measure(args: &Args) -> Result<ExitCode> {
    let model = args.generator()?;
    let generator = model.generator();
    let perceptual = args.perceptual()?;
    let judge = Judge::load(args.network("judge"), &Device::Cpu)?;
    let encoder = Encoder::load(args.network("encoder"), &Device::Cpu)?;
    encoder.check(generator)?;
    let near = settings::changed(&Config::near(), &args.set)?;
    let folder = OutputFolder::create(args.folder(What::Inversion)?, args.force)?;

    let count = args.pictures.unwrap_or(32);
    let side = generator.config().synthesis.img_resolution as u32;
    let rendered = fresh(count, side, args.seed);
    let given = Given {
        pictures: picture::from_rgb(&rendered, DType::F32, &Device::Cpu)?,
        by: Evaluators {
            judge: &judge,
            perceptual: &perceptual,
        },
        seed: args.seed,
        generator,
    };
    let mut rows = serde_json::Map::new();
    let (mut labels, mut columns) = (vec!["given"], vec![rendered]);
    for name in wanted(args)? {
        let found = given.by(name, &encoder, near)?;
        let row = Row::between(&found.pictures, &given.pictures, given.by, found.seconds)?;
        say!("{name:10} {row}");
        rows.insert(name.to_owned(), serde_json::to_value(row)?);
        labels.push(name);
        columns.push(picture::to_rgb(&found.pictures)?);
    }
    rows.insert("pictures".to_owned(), count.into());
    write_json(&folder.file("scores.json"), &rows.into())?;
    let cells = (0..count.min(SHOWN)).flat_map(|i| columns.iter().map(move |column| &column[i]));
    let cells: Vec<RgbImage> = cells.cloned().collect();
    let grid = Grid::new(columns.len()).column_labels(labels);
    picture::write_png(&folder.file("grid.png"), &grid.draw(&cells)?)?;
    Ok(ExitCode::SUCCESS)
}

/// The ways that are asked for, all by default.
fn wanted(args: &Args) -> Result<Vec<&'static str>> {
    let known = |name: &String| WAYS.into_iter().find(|way| way == name);
    if let Some(name) = args.targets.iter().find(|name| known(name).is_none()) {
        return Err(user_error(format!(
            "--targets {name}: known are {}",
            WAYS.join(", ")
        )));
    }
    let asked = |way: &&str| args.targets.is_empty() || args.targets.iter().any(|name| name == way);
    Ok(WAYS.into_iter().filter(asked).collect())
}

/// Latents and pictures of all, and the seconds of one.
struct Found {
    latents: Tensor,
    pictures: Tensor,
    seconds: f64,
}

impl Given<'_> {
    fn count(&self) -> Result<usize> {
        Ok(self.pictures.dim(0)?)
    }

    fn batches(&self) -> Result<impl Iterator<Item = (usize, usize)>> {
        let count = self.count()?;
        Ok((0..count)
            .step_by(BATCH)
            .map(move |start| (start, BATCH.min(count - start))))
    }

    /// By the way of this name.
    fn by(&self, way: &str, encoder: &Encoder, near: Config) -> Result<Found> {
        let space = match way.ends_with("w+") {
            true => Space::WPlus,
            false => Space::W,
        };
        match way {
            "encoder" => self.search(&Config { steps: 0, ..near }, Some(encoder)),
            "w" | "w+" => self.search(
                &Config {
                    space,
                    ..Config::default()
                },
                None,
            ),
            "tuned" => self.tuned(&self.search(&near, Some(encoder))?),
            _ => self.search(&Config { space, ..near }, Some(encoder)),
        }
    }

    fn search(&self, config: &Config, encoder: Option<&Encoder>) -> Result<Found> {
        let projector = Projector {
            generator: self.generator.into(),
            perceptual: self.by.perceptual,
            place: None,
            config: *config,
        };
        let (mut latents, mut pictures) = (Vec::new(), Vec::new());
        let start = Instant::now();
        for (first, n) in self.batches()? {
            let wanted = self.pictures.narrow(0, first, n)?;
            let streams = Streams::new(self.seed.wrapping_add(first as u64));
            let found = match encoder {
                Some(encoder) => {
                    let near = encoder.encode(&wanted)?;
                    projector.invert_from(&wanted, &near, &streams, &mut |_, _| {})?
                }
                None => projector.invert(&wanted, &streams, &mut |_, _| {})?,
            };
            latents.push(found.latents);
            pictures.push(found.pictures);
        }
        Ok(Found {
            latents: Tensor::cat(&latents, 0)?,
            pictures: Tensor::cat(&pictures, 0)?,
            seconds: start.elapsed().as_secs_f64() / self.count()? as f64,
        })
    }

    /// With the seconds of the search before.
    fn tuned(&self, found: &Found) -> Result<Found> {
        let mut made = Vec::new();
        let start = Instant::now();
        for (first, n) in self.batches()? {
            let latents = found.latents.narrow(0, first, n)?;
            let mut stream = Streams::new(self.seed).stream("tuning");
            let tuned = tune::<domex_invert::Error>(
                self.generator,
                self.by.perceptual,
                &latents,
                &mut |_| Ok(self.pictures.narrow(0, first, n)?),
                &TuneConfig {
                    batch: n,
                    ..TuneConfig::default()
                },
                &mut stream,
                &mut |_, _| {},
            )?;
            made.push(tuned.synthesis().forward(&latents, Noise::Const)?.detach());
        }
        Ok(Found {
            latents: found.latents.clone(),
            pictures: Tensor::cat(&made, 0)?,
            seconds: found.seconds + start.elapsed().as_secs_f64() / self.count()? as f64,
        })
    }
}

//! `domex data`: data sets, of given pictures or such as the program draws.

mod prepare;

use std::path::{Path, PathBuf};

pub use prepare::PrepareArgs;

use clap::{Args, Subcommand};
use domex_data::counted;
use domex_data::dataset::Writer;
use domex_data::folder::prepare_file;
use domex_data::grid::Grid;
use domex_data::picture::write_png;
use domex_data::portraits::{Domain, Factors, SIZES, caption, render};
use domex_data::source::Portraits;
use domex_error::user_error;
use domex_random::Streams;
use image::RgbImage;
use rayon::prelude::*;
use serde_json::json;

use crate::args::ending;
use crate::context::Context;
use crate::interrupt::Interrupt;
use crate::paths::text;

/// What `domex data` makes.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  domex data portraits --out photos.zip --count 10000\n  domex data portraits --out world --domains all --count 27000 --size 128\n  domex data portraits --out pairs.zip --domains photo,sketch,robot --aligned --preview pairs.png\n  domex data prepare photos --out photos.zip --size 256\n  domex data prepare animals --out animals.zip --size 128 --labels folders\n  domex fetch yunet\n  domex data prepare party --crop face --size 256 --skip-bad --out faces.zip"
)]
pub struct Data {
    /// Which data set.
    #[command(subcommand)]
    pub set: Set,
}

/// The data sets.
#[derive(Debug, Subcommand)]
pub enum Set {
    /// Draw portraits with known factors, as photographs or in other domains
    ///
    /// Writes PNG pictures in the layout of stylegan2-ada (sub-folders, dataset.json with the domain
    /// as class), and portraits.jsonl with the factors, the seed and a caption of every picture.
    Portraits(Box<PortraitArgs>),
    /// Make a data set for training of a folder or a zip file of pictures
    ///
    /// Takes the square in the middle of every picture, resizes it as Pillow's Lanczos filter does, and writes PNG pictures in
    /// the layout of stylegan2-ada, as its dataset_tool.py does. Turns pictures upright as their EXIF says. With --crop face it
    /// cuts out faces as FFHQ was made.
    Prepare(Box<PrepareArgs>),
}

/// Flags of `domex data portraits`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  domex data portraits --out photos.zip --count 10000\n  domex data portraits --out comic --domains comic --count 500\n  domex data portraits --out pairs.zip --domains photo,sketch,robot --aligned --preview pairs.png\n  domex data portraits --out anna --person 1 --count 10"
)]
pub struct PortraitArgs {
    /// Folder to create, or a file that ends in .zip
    #[arg(short, long, visible_alias = "dest", value_name = "DIR|ZIP")]
    pub out: PathBuf,
    /// Number of pictures, over all domains
    #[arg(
        short = 'n',
        long,
        visible_alias = "max-images",
        value_name = "N",
        default_value_t = 1000
    )]
    pub count: u64,
    /// Resolution in pixels
    #[arg(
        long,
        visible_alias = "resolution",
        value_name = "PIXELS",
        default_value_t = 64
    )]
    pub size: u32,
    /// Domains, by name, or "all"; the pictures cycle through them
    #[arg(
        long,
        value_name = "NAMES",
        default_value = "photo",
        value_delimiter = ','
    )]
    pub domains: Vec<String>,
    /// Draw each person in every domain
    #[arg(long)]
    pub aligned: bool,
    /// Draw one person on every picture, the one of picture N: pose, expression, light, clothes and background change
    #[arg(long, value_name = "N")]
    pub person: Option<u64>,
    /// Also write the first pictures, a row for each domain, to this PNG file
    #[arg(long, value_name = "FILE")]
    pub preview: Option<PathBuf>,
    /// Overwrite files that are already there
    #[arg(long)]
    pub force: bool,
    /// Print what would be written, and write nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Pictures of a domain on the preview.
const PREVIEW: usize = 8;

/// Pictures drawn at once: enough for any number of cores, little enough to hold in memory.
const CHUNK: u64 = 256;

/// Runs the verb.
pub fn run(context: &Context, args: &Data) -> domex_error::Result<()> {
    match &args.set {
        Set::Portraits(args) => portraits(context, args),
        Set::Prepare(args) => prepare::run(context, args),
    }
}

fn portraits(context: &Context, args: &PortraitArgs) -> domex_error::Result<()> {
    check(args)?;
    let domains = domains(&args.domains)?;
    let names: Vec<_> = domains.iter().map(|domain| domain.name()).collect();
    let summary = json!({
        "out": text(&args.out), "preview": args.preview.as_ref().map(text), "pictures": args.count, "size": args.size, "domains": names, "seed": context.seed,
    });
    if args.dry_run {
        context.say(&format!(
            "would write {} pictures of {} to {}",
            args.count,
            counted(domains.len(), "domain"),
            args.out.display()
        ));
        context.result(&summary);
        return Ok(());
    }
    let preview = args.preview.as_ref();
    let preview = preview.map(|path| prepare_file(path, args.force));
    // It goes away again, where it was made and nothing is written.
    let _folder = preview.transpose()?;
    let preview = write_set(context, args, &domains)?;
    if let Some(path) = &args.preview {
        draw_preview(path, &domains, preview)?;
    }
    context.say(&format!(
        "{} portraits in {}",
        args.count,
        args.out.display()
    ));
    context.result(&summary);
    Ok(())
}

/// Refuses numbers that are out of range, and a preview that is no PNG file beside the set.
fn check(args: &PortraitArgs) -> domex_error::Result<()> {
    if !SIZES.contains(&args.size) {
        return Err(user_error(format!(
            "--size {}: expected {} to {}",
            args.size,
            SIZES.start(),
            SIZES.end()
        )));
    }
    if args.count == 0 {
        return Err(user_error("--count 0: expected at least 1 picture"));
    }
    let Some(preview) = &args.preview else {
        return Ok(());
    };
    let shown = preview.display();
    if std::path::absolute(preview).ok() == std::path::absolute(&args.out).ok() {
        return Err(user_error(format!(
            "--preview {shown}: is where the set goes; give another name"
        )));
    }
    match ending(preview).as_deref() {
        Some("png") => Ok(()),
        _ => Err(user_error(format!(
            "--preview {shown}: it is written as PNG; give a name that ends in .png"
        ))),
    }
}

/// One picture of the set, and what is known of it.
struct Portrait {
    picture: RgbImage,
    domain: Domain,
    factors: Factors,
    seed: u64,
    caption: String,
}

/// Draws the pictures and writes the set; the first pictures of each domain.
fn write_set(
    context: &Context,
    args: &PortraitArgs,
    domains: &[Domain],
) -> domex_error::Result<Vec<Vec<RgbImage>>> {
    let interrupt = Interrupt::watch()?;
    let mut writer = Writer::create(&args.out, args.force)?;
    let people = Portraits::new(context.seed, Domain::Photo, args.size)?;
    let one = args.person.map(|person| people.factors(person).0);
    let streams = Streams::new(context.seed);
    let draw = |i: u64| {
        let count = domains.len() as u64;
        let domain = domains[(i % count) as usize];
        let person = if args.aligned { i / count } else { i };
        let (mut factors, seed) = people.factors(person);
        if let Some(one) = &one {
            factors = one.on_occasion_of(&factors);
        }
        let mut words = streams.stream(&format!("caption {i}"));
        Portrait {
            caption: caption(&factors, domain, &mut words),
            picture: render(&factors, domain, seed, args.size),
            domain,
            factors,
            seed,
        }
    };
    let progress = context.progress("pictures", args.count as usize);
    let mut lines = String::new();
    let mut preview = vec![Vec::new(); domains.len()];
    for start in (0..args.count).step_by(CHUNK as usize) {
        let end = args.count.min(start + CHUNK);
        let drawn: Vec<Portrait> = (start..end).into_par_iter().map(draw).collect();
        for one in drawn {
            let file = writer.add(&one.picture, one.domain.index())?;
            let line = json!({
                "file": file, "domain": one.domain, "caption": one.caption, "factors": one.factors, "seed": one.seed,
            });
            lines.push_str(&line.to_string());
            lines.push('\n');
            let row = domains.iter().position(|&other| other == one.domain);
            if let Some(row) = row.map(|row| &mut preview[row])
                && row.len() < PREVIEW
            {
                row.push(one.picture);
            }
            interrupt.check()?;
        }
        progress.set(end as usize);
    }
    writer.add_file("portraits.jsonl", lines.as_bytes())?;
    writer.finish()?;
    Ok(preview)
}

/// A row for each domain, all as long as the shortest.
fn draw_preview(
    path: &Path,
    domains: &[Domain],
    rows: Vec<Vec<RgbImage>>,
) -> domex_error::Result<()> {
    let columns = rows.iter().map(Vec::len).min().unwrap_or(0).max(1);
    let pictures: Vec<_> = rows
        .into_iter()
        .flat_map(|row| row.into_iter().take(columns))
        .collect();
    let names = domains.iter().map(|domain| domain.name());
    let sheet = Grid::new(columns).row_labels(names).draw(&pictures)?;
    Ok(write_png(path, &sheet)?)
}

fn domains(names: &[String]) -> domex_error::Result<Vec<Domain>> {
    if names.iter().any(|name| name == "all") {
        return Ok(Domain::ALL.to_vec());
    }
    let domains = names.iter().map(|name| name.trim().parse());
    let domains = domains
        .collect::<Result<Vec<Domain>, domex_data::Error>>()
        .map_err(|error| user_error(format!("--domains: {error}, or all")))?;
    for (at, domain) in domains.iter().enumerate() {
        if domains[..at].contains(domain) {
            return Err(user_error(format!(
                "--domains: {} is there twice",
                domain.name()
            )));
        }
    }
    Ok(domains)
}

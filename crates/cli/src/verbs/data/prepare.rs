//! `domex data prepare`: a data set of one form from pictures of any.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use clap::{Args, ValueEnum};
use domex_data::dataset::Writer;
use domex_data::folder::holds;
use domex_data::picture::Background;
use domex_data::source::{Cutter, LabelsFrom, Opened, Options, batch};
use domex_error::{Context as _, user_error};
use domex_face::Outside;
use image::RgbImage;
use serde_json::json;

use crate::context::Context;
use crate::crop::{self, Faces, Found};
use crate::datasets;
use crate::interrupt::Interrupt;
use crate::paths::text;

/// Flags of `domex data prepare`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  domex data prepare photos --out photos.zip --size 256\n  domex data prepare animals --out animals.zip --size 128 --labels folders\n  domex data prepare party --crop face --size 256 --skip-bad --out faces.zip"
)]
pub struct PrepareArgs {
    /// The pictures: a folder with its sub-folders, or a zip file
    #[arg(value_name = "DIR|ZIP")]
    pub from: String,
    /// A folder to make, or a file that ends in .zip
    #[arg(short, long, visible_alias = "dest", value_name = "DIR|ZIP")]
    pub out: PathBuf,
    /// Pixels on a side; a network needs a power of two [default: as the pictures are, all of one size]
    #[arg(long, visible_aliases = ["resize", "resolution"], value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(4..=8192))]
    pub size: Option<u32>,
    /// What of a picture is taken; a square around a face needs --size
    #[arg(long, value_enum, default_value_t = Take::Center)]
    pub crop: Take,
    /// Which of several faces --crop face takes: 1 is the largest, 2 the next [default: 1, and a line counts such pictures]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub face: Option<u16>,
    /// Where labels come from
    #[arg(long, value_enum, default_value = "none")]
    pub labels: Labels,
    /// What shows where a picture is transparent: white, black, grey or #rrggbb
    #[arg(long, value_name = "COLOUR", default_value_t)]
    pub background: Background,
    /// Leave out pictures that cannot be used, and name them, instead of refusing all
    #[arg(long)]
    pub skip_bad: bool,
    /// Overwrite what is there
    #[arg(long)]
    pub force: bool,
    /// Only say what would be written
    #[arg(short = 'n', long)]
    pub dry_run: bool,
}

/// What of a picture is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Take {
    /// The square in its middle.
    Center,
    /// The square around a face, turned upright, as the pictures of FFHQ are; needs `domex fetch yunet`.
    Face,
}

/// Where labels come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Labels {
    /// The set gets none.
    None,
    /// From dataset.json.
    Json,
    /// A class for each outermost folder, in the order of their names.
    Folders,
}

/// Pictures at once: enough for any number of cores, little enough to hold in memory.
const CHUNK: u64 = 64;

/// Runs the verb.
pub fn run(context: &Context, args: &PrepareArgs) -> domex_error::Result<()> {
    let options = Options {
        skip_bad: args.skip_bad,
        labels: match args.labels {
            Labels::None => LabelsFrom::Nowhere,
            Labels::Json => LabelsFrom::Json,
            Labels::Folders => LabelsFrom::Folders,
        },
        mirror: false,
        background: args.background,
        resize: args.size,
    };
    refuse_own_folder(&args.from, &args.out)?;
    if !args.dry_run {
        // Before all pictures are looked at, which may take long.
        Writer::check(&args.out, args.force)?;
    }
    let opened = open(context, args, options)?;
    tell(context, &opened);
    let source = &*opened.source;
    let summary = json!({
        "out": text(&args.out), "pictures": source.len(), "size": source.resolution(), "channels": source.channels(),
        "classes": opened.classes, "left_out": opened.skipped, "notices": opened.notices,
    });
    if args.dry_run {
        context.result(&summary);
        return Ok(());
    }
    let interrupt = Interrupt::watch()?;
    let mut writer = Writer::create(&args.out, args.force)?;
    let progress = context.progress("pictures", usize::try_from(source.len())?);
    let grey = source.channels() == 1;
    for start in (0..source.len()).step_by(CHUNK as usize) {
        let indices: Vec<u64> = (start..source.len().min(start + CHUNK)).collect();
        let (pictures, labels) = batch(source, &indices)?;
        for (picture, label) in pictures.iter().zip(&labels) {
            writer.add_labelled(picture, grey, label)?;
            progress.advance(1);
        }
        interrupt.check()?;
    }
    writer.finish()?;
    drop(progress);
    context.say(&format!("data set  {}", args.out.display()));
    context.result(&summary);
    Ok(())
}

/// Pictures are read as they are written, and a folder is cleared of the set before: one of these would clear the other.
/// A zip is put in its place when it is whole.
fn refuse_own_folder(from: &str, out: &Path) -> domex_error::Result<()> {
    let from = Path::new(from);
    let is_one = from.is_dir() && out.is_dir() && (holds(from, out) || holds(out, from));
    match is_one {
        true => Err(user_error(format!(
            "--out {}: is the folder of the pictures, {}, or one lies in the other; give another folder, or a name that ends in .zip",
            out.display(),
            from.display()
        ))),
        false => Ok(()),
    }
}

fn open(context: &Context, args: &PrepareArgs, options: Options) -> domex_error::Result<Opened> {
    crop::check_number(args.face, args.crop == Take::Face)?;
    if args.crop == Take::Center {
        return datasets::open(context, &args.from, options);
    }
    if args.size.is_none() {
        return Err(user_error(
            "--crop face: faces are of all sizes; say --size PIXELS for what is cut out",
        ));
    }
    let cutter = Arc::new(FaceCutter {
        faces: Faces::open(args.face).context("--crop face")?,
        found: Mutex::default(),
    });
    let mut opened = datasets::open_cut(context, &args.from, options, cutter.clone())?;
    opened.notices.extend(cutter.notices());
    Ok(opened)
}

/// Cuts a face out of each picture.
struct FaceCutter {
    faces: Faces,
    /// By the pictures' names.
    found: Mutex<HashMap<String, Found>>,
}

impl FaceCutter {
    /// What a person should know of the faces.
    fn notices(&self) -> Vec<String> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let total = found.len();
        let several = found.values().filter(|found| found.unasked).count();
        let cut_off = found.values().filter(|found| found.leaves).count();
        let mut notices = Vec::new();
        if several > 0 {
            notices.push(format!(
                "{several} of {total} pictures show several faces: the largest is taken; --face N takes another of each"
            ));
        }
        if cut_off > 0 {
            notices.push(format!(
                "{cut_off} of {total} pictures end within the square around the face: their mirror image shows there"
            ));
        }
        notices
    }
}

impl Cutter for FaceCutter {
    fn look(&self, name: &str, picture: &RgbImage) -> Result<(), String> {
        let found = self.faces.choose(picture);
        let found = found.map_err(|error| error.to_string())??;
        let mut all = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(name.to_owned(), found);
        Ok(())
    }

    fn cut(&self, name: &str, picture: &RgbImage, side: u32) -> Result<RgbImage, String> {
        let square = {
            let all = self.found.lock().unwrap_or_else(PoisonError::into_inner);
            all.get(name).ok_or("it was not looked at")?.square
        };
        let cut = square.cut(picture, side, Outside::Mirrored);
        cut.map_err(|error| error.to_string())
    }
}

fn tell(context: &Context, opened: &Opened) {
    for line in &opened.skipped {
        tracing::warn!("left out: {line}");
    }
    let side = opened.source.resolution();
    context.say(&format!("pictures  {}", opened.source.describe()));
    for notice in &opened.notices {
        context.say(&format!("notice    {notice}"));
    }
    if !side.is_power_of_two() {
        context.say(&format!(
            "notice    {side} is no power of two, and networks need one: say --size {}",
            side.next_power_of_two() / 2
        ));
    }
    for (class, name) in opened.classes.iter().enumerate() {
        context.say(&format!("class     {class}: {name}"));
    }
}

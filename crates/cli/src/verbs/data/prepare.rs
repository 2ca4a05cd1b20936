//! `domex data prepare`: a data set of one form from pictures of any.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use domex_data::dataset::Writer;
use domex_data::picture::Background;
use domex_data::source::{LabelsFrom, Opened, Options, batch};
use serde_json::json;

use crate::context::Context;
use crate::datasets;
use crate::interrupt::Interrupt;
use crate::paths::text;

/// Flags of `domex data prepare`.
#[derive(Debug, Args)]
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
    let opened = datasets::open(context, &args.from, options)?;
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

//! `domex dormant`: the spectrum of the latent, and what each direction does to pictures.

use clap::Args;
use domex_data::folder::{OutputFolder, write_atomic};
use domex_data::plot::{Effect, Spectrum};
use domex_error::user_error;
use domex_latent::MsSsim;
use domex_latent::probe::{self, DormantRule, ProbeConfig, ProbeReport, RandomConfig};
use domex_random::Streams;
use serde_json::json;

use crate::args::{ModelArgs, OutArgs};
use crate::context::Context;
use crate::kinds::Model;
use crate::{basis, models, pictures};

/// Lines of the table on the screen; dormant.json has them all.
const ROWS: usize = 16;

/// Flags of `domex dormant`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  domex dormant --model ffhq.pkl --out dormant\n  domex dormant --model ffhq.pkl --probe all --samples 16\n  domex dormant --model ffhq.pkl --random-directions 256\n  domex dormant --model runs/two/model.safetensors --source portraits --probe 128\n\nAn expansion uses dormant directions up: --source says how many there were before it. Writes dormant.json, spectrum.png and spectrum.svg."
)]
pub struct Dormant {
    /// Which model.
    #[command(flatten)]
    pub model: ModelArgs,
    /// Where results go.
    #[command(flatten)]
    pub out: OutArgs,
    /// Which factorisation gives the basis
    #[arg(long, value_enum, default_value_t = basis::Choice::DomainExpansion)]
    pub basis: basis::Choice,
    /// Directions to probe: all, none, or this many, spread evenly over the spectrum
    #[arg(long, value_name = "all|none|N", default_value = "64")]
    pub probe: ProbeCount,
    /// The model before it was expanded, to count how many of the same directions were dormant then
    #[arg(long, value_name = "FILE|NAME")]
    pub source: Option<String>,
    /// How far to move along each direction, both ways, as a share of a domain's distance [default: 1]
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    pub distance: Option<f64>,
    /// Number of latents to move [default: 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub samples: Option<u16>,
    /// Largest pixel effect of a dormant direction: root mean square change of pictures in [-1, 1] [default: 0.02]
    #[arg(long, value_name = "E", allow_negative_numbers = true)]
    pub threshold: Option<f64>,
    /// Instead of a basis, draw N random unit directions and keep the dormant ones
    #[arg(long, value_name = "N", conflicts_with_all = ["basis", "probe", "threshold", "source"], value_parser = clap::value_parser!(u32).range(1..))]
    pub random_directions: Option<u32>,
    /// With --random-directions: keep a direction whose pictures stay at least this similar (cosine) [default: 0.95]
    #[arg(long, value_name = "C", allow_negative_numbers = true)]
    pub cosine: Option<f64>,
    /// Batch size: pictures computed at once
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    pub batch: u16,
}

impl Dormant {
    fn distance(&self) -> f64 {
        self.distance.unwrap_or(1.0)
    }

    fn samples(&self) -> usize {
        self.samples.unwrap_or(4).into()
    }

    fn threshold(&self) -> f64 {
        self.threshold.unwrap_or(0.02)
    }

    fn cosine(&self) -> f64 {
        self.cosine.unwrap_or(0.95)
    }

    /// Refuses flags of what is not done.
    fn refuse_unused(&self) -> domex_error::Result<()> {
        // Not by clap, which asks for no flag that another one excludes.
        if self.cosine.is_some() && self.random_directions.is_none() {
            return Err(user_error(
                "--cosine: is for --random-directions; leave it out, or give both",
            ));
        }
        let of_probe = [
            ("--distance", self.distance.is_some()),
            ("--samples", self.samples.is_some()),
            ("--threshold", self.threshold.is_some()),
            ("--source", self.source.is_some()),
        ];
        match of_probe.into_iter().find(|(_, is_given)| *is_given) {
            Some((flag, _)) if self.probe == ProbeCount::None => Err(user_error(format!(
                "{flag}: is for directions that are probed; leave it or --probe none out"
            ))),
            _ => Ok(()),
        }
    }
}

/// How many directions to probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeCount {
    /// Every direction.
    All,
    /// None: the spectrum alone.
    None,
    /// So many, spread evenly.
    Some(usize),
}

impl std::str::FromStr for ProbeCount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "all" => Ok(Self::All),
            "none" | "0" => Ok(Self::None),
            _ => text
                .parse()
                .map(Self::Some)
                .map_err(|_| format!("'{text}' is not all, none or a number")),
        }
    }
}

/// Runs the verb.
pub fn run(context: &Context, args: &Dormant) -> domex_error::Result<()> {
    args.refuse_unused()?;
    for (flag, number) in [
        ("--distance", args.distance()),
        ("--threshold", args.threshold()),
    ] {
        if !(number.is_finite() && number > 0.0) {
            return Err(user_error(format!(
                "{flag} {number}: give a number above 0"
            )));
        }
    }
    let folder = args.out.folder()?;
    let model = models::load(context, &args.model)?;
    let source = args.source.as_deref();
    let source = source.map(|name| source_of(context, &model, name));
    let source = source.transpose()?;
    match args.random_directions {
        Some(tries) => random(context, args, &model, &folder, tries as usize),
        None => spectrum(context, args, &model, source.as_ref(), &folder),
    }
}

/// What an expanded model was before, which must be of its shape.
fn source_of(context: &Context, model: &Model, name: &str) -> domex_error::Result<Model> {
    if model.expansion().is_none() {
        return Err(user_error(
            "--source: is for models that were expanded; this one has no domains",
        ));
    }
    let source = models::open(&context.device, "--source", name)?;
    match source.is_of_the_shape_of(model) {
        true => Ok(source),
        false => Err(user_error(
            "--source: a network that is not of the model's shape; give the file that it was expanded from",
        )),
    }
}

fn spectrum(
    context: &Context,
    args: &Dormant,
    model: &Model,
    source: Option<&Model>,
    folder: &OutputFolder,
) -> domex_error::Result<()> {
    let basis = basis::of(model, args.basis)?;
    let values = basis::spectrum(model, &basis)?;
    let wanted = directions(args.probe, basis.count())?;
    let probed = |model: &Model| {
        let directions = wanted.clone();
        let report = directions.map(|it| measure(context, args, model, &basis, it));
        report.transpose()
    };
    let report = probed(model)?;
    let before = source.map(probed).transpose()?.flatten();
    let repurposed: Vec<(usize, String)> = model
        .expansion()
        .map(|expansion| {
            expansion
                .layout
                .domains()
                .iter()
                .map(|d| (d.dimension, d.name.clone()))
                .collect()
        })
        .unwrap_or_default();
    draw(args, folder, &values, report.as_ref(), &repurposed)?;

    let json = json!({
        "basis": basis.kind(),
        "matrices": basis.sources(),
        "singular_values": values,
        "repurposed": repurposed,
        "probe": report,
        "before": before.as_ref().map(ProbeReport::dormant),
    });
    write_atomic(
        &folder.file("dormant.json"),
        serde_json::to_string_pretty(&json)?.as_bytes(),
    )?;
    if !context.json {
        print_table(context, &values, report.as_ref());
        if let (Some(before), Some(report)) = (&before, &report) {
            context.say(&used_up(before, report, &repurposed));
        }
        context.say(&format!(
            "dormant.json, spectrum.png and spectrum.svg are in {}",
            folder.path().display()
        ));
    }
    context.result(&json);
    Ok(())
}

fn check_batch(args: &Dormant, model: &Model) -> domex_error::Result<()> {
    let batch = args.samples().min(args.batch.into());
    pictures::check_batch(model.generator(), model.generator().dtype(), batch)
}

/// How many directions an expansion has used up.
fn used_up(before: &ProbeReport, now: &ProbeReport, repurposed: &[(usize, String)]) -> String {
    let now = now.dormant();
    let before = before.dormant();
    let domains = before
        .iter()
        .filter(|direction| repurposed.iter().any(|(own, _)| own == *direction));
    format!(
        "dormant   {} before the expansion, {} after it; of the others its domains have {}",
        before.len(),
        now.len(),
        domains.count()
    )
}

/// Which directions to probe, spread evenly and with both ends; `None` for no probing.
fn directions(wanted: ProbeCount, count: usize) -> domex_error::Result<Option<Vec<usize>>> {
    match wanted {
        ProbeCount::None => Ok(None),
        ProbeCount::All => Ok(Some((0..count).collect())),
        ProbeCount::Some(1) => Ok(Some(vec![count - 1])),
        ProbeCount::Some(number) => {
            let number = number.min(count);
            let last = (number - 1).max(1);
            Ok(Some(
                (0..number)
                    .map(|index| (index * (count - 1) + last / 2) / last)
                    .collect(),
            ))
        }
    }
}

fn measure(
    context: &Context,
    args: &Dormant,
    model: &Model,
    basis: &domex_latent::basis::Basis,
    directions: Vec<usize>,
) -> domex_error::Result<ProbeReport> {
    let config = ProbeConfig {
        samples: args.samples(),
        batch: args.batch.into(),
        step: args.distance() * model.distance()?,
        truncation: 1.0,
        directions: Some(directions),
        dormant: DormantRule::Pixel {
            at_most: args.threshold(),
        },
    };
    check_batch(args, model)?;
    let mut stream = Streams::new(context.seed).stream("probe");
    let mut bar = None;
    let report = probe::probe(
        model.generator(),
        basis,
        &MsSsim,
        &config,
        &mut stream,
        &mut |progress| {
            bar.get_or_insert_with(|| context.progress("pictures", progress.total))
                .set(progress.done);
        },
    )?;
    Ok(report)
}

fn draw(
    args: &Dormant,
    folder: &OutputFolder,
    values: &[f64],
    report: Option<&ProbeReport>,
    repurposed: &[(usize, String)],
) -> domex_error::Result<()> {
    let model = models::name(&args.model);
    let effects = report.map_or_else(Vec::new, |report| {
        let effect = |d: &probe::DirectionEffect| Effect {
            direction: d.index,
            pixel: d.pixel,
            perceptual: d.perceptual,
        };
        report.directions.iter().map(effect).collect()
    });
    let plot = Spectrum {
        title: format!("Latent directions of {model}"),
        singular_values: values.to_vec(),
        effects,
        dormant_below: report.map(|_| args.threshold()),
        repurposed: repurposed.to_vec(),
    };
    plot.write(&folder.file("spectrum.png"))?;
    plot.write(&folder.file("spectrum.svg"))?;
    Ok(())
}

fn print_table(context: &Context, values: &[f64], report: Option<&ProbeReport>) {
    let Some(report) = report else {
        context.say(&format!(
            "{} directions, singular values {:.4} to {:.4}",
            values.len(),
            values.first().copied().unwrap_or(0.0),
            values.last().copied().unwrap_or(0.0)
        ));
        return;
    };
    context.say("rank  direction  singular value  pixel effect  perceptual effect");
    for direction in report.ranked().into_iter().take(ROWS) {
        context.say(&format!(
            "{:>4}  {:>9}  {:>14.4}  {:>12.5}  {:>17.5}{}",
            direction.rank,
            direction.index,
            values[direction.index],
            direction.pixel,
            direction.perceptual,
            if direction.dormant { "  dormant" } else { "" }
        ));
    }
    let (dormant, probed) = (report.dormant().len(), report.directions.len());
    context.say(&format!(
        "{dormant} of {probed} probed directions are dormant at a distance of {:.4}",
        report.step
    ));
}

fn random(
    context: &Context,
    args: &Dormant,
    model: &Model,
    folder: &OutputFolder,
    tries: usize,
) -> domex_error::Result<()> {
    if !(-1.0..=1.0).contains(&args.cosine()) {
        return Err(user_error(format!(
            "--cosine {}: allowed are -1 to 1",
            args.cosine()
        )));
    }
    let config = RandomConfig {
        wanted: tries.min(model.generator().latent_dim()),
        tries,
        samples: args.samples(),
        batch: args.batch.into(),
        step: args.distance() * model.distance()?,
        similarity: args.cosine(),
        orthogonal: true,
    };
    check_batch(args, model)?;
    let mut stream = Streams::new(context.seed).stream("random directions");
    let mut bar = None;
    let report = probe::random_dormant(model.generator(), &config, &mut stream, &mut |progress| {
        bar.get_or_insert_with(|| context.progress("pictures", progress.total))
            .set(progress.done);
    })?;
    drop(bar);
    let json = serde_json::to_value(&report)?;
    write_atomic(
        &folder.file("dormant.json"),
        serde_json::to_string_pretty(&json)?.as_bytes(),
    )?;
    context.say(&format!(
        "{} of {tries} random directions keep the pictures alike (cosine at least {}); dormant.json is in {}",
        report.kept.len(),
        args.cosine(),
        folder.path().display()
    ));
    context.result(&json);
    Ok(())
}

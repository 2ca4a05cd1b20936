//! `domex eval`: what an expanded model learnt and what it kept, and how near any model's samples are to pictures.

use std::path::{Path, PathBuf};

use candle_core::DType;
use clap::Args;
use domex_data::folder::{OutputFolder, write_atomic};
use domex_data::portraits::Domain;
use domex_data::source::{self, Options, PictureSource, Portraits};
use domex_lpips::Lpips;
use domex_pretrain::judge::Judge;
use domex_pretrain::likeness::{Likeness, likeness};
use domex_pretrain::portraits::{Eyes, Outcomes, outcomes};
use domex_stylegan2::Model;
use serde_json::json;

use crate::args::{ModelArgs, OutArgs};
use crate::context::Context;
use crate::exit::mendable;
use crate::{assets, models};

/// Flags of `domex eval`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  domex eval --model run/model.safetensors --out eval\n  domex eval --model run/model.safetensors --source portraits --pictures 1000 --json\n  domex eval --model ffhq.pkl --data photos.zip --pictures 10000 --perceptual lpips-vgg --out eval\n\nOf a model that was expanded: a judge, a classifier that no training loss ever saw, looks at the same latents in the\nbase subspace and in every domain. `reached` is how often it names the domain, `factors kept` how often it sees the\nsame pose, hair, glasses and so on as in the base. With --data, of any model: Fréchet and kernel distance, precision\nand recall of samples (on the base subspace, where there is one) and pictures, on the features of the perceptual\nnetwork. Figures of other networks or other numbers of pictures are not to be compared with these. eval.json holds all of it."
)]
pub struct Eval {
    /// Which model.
    #[command(flatten)]
    pub model: ModelArgs,
    /// Where results go.
    #[command(flatten)]
    pub out: OutArgs,
    /// Pictures like those that the model was trained on: a folder, a zip file, or the built-in renderer
    #[arg(long, value_name = "DIR|ZIP|portraits")]
    pub data: Option<String>,
    /// The model before it was expanded: says how far the base moved
    #[arg(long, value_name = "FILE|NAME")]
    pub source: Option<String>,
    /// The judge [default: the shipped one]
    #[arg(long, value_name = "FILE")]
    pub judge: Option<PathBuf>,
    /// The perceptual network: a file, or a fetched one's name [default: the shipped one]
    #[arg(long, value_name = "FILE|NAME")]
    pub perceptual: Option<PathBuf>,
    /// Latents to look at, and pictures of --data
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(2..))]
    pub pictures: u32,
}

/// The word for the built-in renderer, in place of a path.
const PORTRAITS: &str = "portraits";

/// Seed of rendered portraits: other people than those of trainings.
const PEOPLE: u64 = 0x0e7a_1075;

/// Runs the verb.
pub fn run(context: &Context, args: &Eval) -> anyhow::Result<()> {
    let perceptual = match &args.perceptual {
        Some(path) => models::perceptual(path)?,
        None => assets::expect(assets::PERCEPTUAL)
            .map_err(|error| mendable(format!("no --perceptual, and {error}")))?,
    };
    let model = models::load(context, &args.model)?;
    let domains = model.expansion().is_some();
    if !domains && args.data.is_none() {
        return Err(mendable(
            "eval: the model has no domains; give one that `domex expand` made, as --model, or pictures to compare it with, as --data",
        ));
    }
    for (flag, given) in [
        ("--source", args.source.is_some()),
        ("--judge", args.judge.is_some()),
    ] {
        if given && !domains {
            let problem =
                format!("{flag}: is for models that were expanded; this one has no domains");
            return Err(mendable(problem));
        }
    }
    let perceptual = Lpips::load(&perceptual, DType::F32, &context.device)?;
    let judged = match domains {
        true => Judged::new(context, args, &model)?,
        false => None,
    };
    let size = side(model.generator());
    let labels = model.config().mapping.c_dim > 0;
    let set = args.data.as_deref();
    let set = set.map(|data| pictures(data, size, labels));
    let set = set.transpose()?;
    let folder = OutputFolder::create(&args.out.out, args.out.force)?;
    let path = folder.file("eval.json");

    let mut json = json!({});
    if let Some(judged) = &judged {
        let found = judged.outcomes(context, args, &model, &perceptual)?;
        json = serde_json::to_value(&found)?;
        for line in table(&found) {
            context.say(&line);
        }
    }
    if let Some(set) = &set {
        let count = args.pictures as usize;
        let progress = context.progress("pictures", 3 * count);
        let found = likeness(&model, &perceptual, &**set, count, context.seed, |n| {
            progress.advance(n);
        })?;
        drop(progress);
        json["likeness"] = serde_json::to_value(&found)?;
        for line in lines(&found) {
            context.say(&line);
        }
    }
    write_atomic(&path, format!("{json:#}\n").as_bytes())?;
    context.say(&format!("all figures in {}", path.display()));
    context.result(&json);
    Ok(())
}

/// Pixels on a side.
fn side(generator: &domex_stylegan2::Generator) -> usize {
    generator.config().synthesis.img_resolution
}

/// The pictures to compare with, with labels for a model that takes them. Their size is checked where they are looked at.
fn pictures(data: &str, size: usize, labels: bool) -> anyhow::Result<Box<dyn PictureSource>> {
    if data == PORTRAITS {
        return Ok(Box::new(Portraits::new(
            PEOPLE,
            Domain::Photo,
            size as u32,
        )?));
    }
    let options = Options {
        labels,
        ..Options::default()
    };
    Ok(source::open(Path::new(data), options)?.source)
}

/// What looks at the domains of an expanded model.
struct Judged {
    judge: Judge,
    source: Option<Model>,
}

impl Judged {
    /// Nothing, with a notice, where the shipped judge takes pictures of another size and there are other figures.
    fn new(context: &Context, args: &Eval, model: &Model) -> anyhow::Result<Option<Self>> {
        let source = args.source.as_deref();
        let source = source
            .map(|wanted| models::open(&context.device, wanted))
            .transpose()?;
        let size = side(model.generator());
        if let Some(source) = &source
            && source.generator().config() != model.generator().config()
        {
            return Err(mendable(format!(
                "--source: a network of {} pixels that is not of the model's shape, {size} pixels; give the file that it was expanded from",
                side(source.generator()),
            )));
        }
        let judge = Judge::load(judge_file(args.judge.as_deref())?, &context.device)?;
        let takes = judge.config().size;
        if size == takes {
            return Ok(Some(Self { judge, source }));
        }
        let problem = format!(
            "the model's pictures have {size} × {size} pixels and the judge takes {takes} × {takes}"
        );
        if args.judge.is_some() || args.data.is_none() {
            return Err(mendable(format!(
                "{problem}; give the judge of the model's world, as --judge"
            )));
        }
        context.say(&format!("{problem}: its domains are not judged"));
        Ok(None)
    }

    fn outcomes(
        &self,
        context: &Context,
        args: &Eval,
        model: &Model,
        perceptual: &Lpips,
    ) -> anyhow::Result<Outcomes> {
        let count = args.pictures as usize;
        let progress = context.progress("latents", count);
        let source = self.source.as_ref().map(Model::generator);
        let eyes = Eyes {
            judge: &self.judge,
            perceptual,
        };
        let found = outcomes(model, source, eyes, count, context.seed, |n| {
            progress.advance(n);
        })?;
        Ok(found)
    }
}

/// The flag's file, or the shipped one.
fn judge_file(wanted: Option<&Path>) -> anyhow::Result<PathBuf> {
    match wanted {
        Some(path) if path.is_file() => Ok(path.to_owned()),
        Some(path) => Err(mendable(format!(
            "--judge {}: no such file",
            path.display()
        ))),
        None => assets::expect(assets::JUDGE)
            .map_err(|error| mendable(format!("no --judge, and {error}"))),
    }
}

/// What the samples are like, as lines.
fn lines(found: &Likeness) -> Vec<String> {
    let of_set = match found.frechet_of_set {
        Some(distance) => format!("; {distance:.3} between two parts of the set"),
        None => String::new(),
    };
    let mut lines = vec![
        format!(
            "{} samples against {} of {}",
            found.samples, found.pictures, found.set
        ),
        format!("Fréchet distance {:.3}{of_set}", found.frechet),
        format!("kernel distance  {:.5}", found.kernel),
        format!("diversity        {:.2} of the set's", found.diversity),
    ];
    if let (Some(precision), Some(recall)) = (found.precision, found.recall) {
        lines.push(format!(
            "precision        {:.1} %, recall {:.1} %",
            100.0 * precision,
            100.0 * recall
        ));
    }
    lines
}

/// What stands above the columns.
pub const HEADS: [&str; 5] = ["", "reached", "factors kept", "diversity", "taken for"];

/// A row for the base, and one for each domain.
pub fn rows(found: &Outcomes) -> Vec<[String; 5]> {
    let taken = |seen: &std::collections::BTreeMap<String, f64>| {
        let mut seen: Vec<_> = seen.iter().collect();
        seen.sort_by(|a, b| b.1.total_cmp(a.1));
        let words = seen.iter().take(3);
        let words = words.map(|(class, share)| format!("{class} {:.0} %", *share * 100.0));
        words.collect::<Vec<_>>().join(", ")
    };
    let nothing = String::new;
    let base = [
        "base".to_owned(),
        nothing(),
        nothing(),
        nothing(),
        taken(&found.base),
    ];
    let domains = found.domains.iter().map(|domain| {
        let reached = domain.reached.map_or("no class".to_owned(), |share| {
            format!("{:.1} %", share * 100.0)
        });
        let kept = domain.kept.values().sum::<f64>() / domain.kept.len().max(1) as f64;
        [
            domain.name.clone(),
            reached,
            format!("{:.1} %", kept * 100.0),
            format!("{:.2}", domain.diversity),
            taken(&domain.seen),
        ]
    });
    std::iter::once(base).chain(domains).collect()
}

/// The same as lines.
fn table(found: &Outcomes) -> Vec<String> {
    let heads = HEADS.map(str::to_owned);
    let rows = std::iter::once(heads).chain(rows(found));
    let mut lines: Vec<String> = rows
        .map(|[name, reached, kept, diversity, taken]| {
            format!("{name:24} {reached:>8} {kept:>13} {diversity:>10}  {taken}")
        })
        .collect();
    if let Some(distance) = found.distance_to_source {
        lines.push(format!("distance of the base to the source: {distance:.4}"));
    }
    lines
}

//! `domex dormant`: the spectrum of the latent, and what each direction does to pictures.

use domex_data::folder::{OutputFolder, write_atomic};
use domex_data::plot::{Effect, Spectrum};
use domex_latent::MsSsim;
use domex_latent::probe::{self, DormantRule, ProbeConfig, ProbeReport, RandomConfig};
use domex_random::Streams;
use domex_stylegan2::Model;
use serde_json::json;

use crate::args::{Dormant, ProbeCount};
use crate::context::Context;
use crate::exit::mendable;
use crate::{basis, models};

/// Lines of the table on the screen; dormant.json has them all.
const ROWS: usize = 16;

/// Runs the verb.
pub fn run(context: &Context, args: &Dormant) -> anyhow::Result<()> {
    let folder = OutputFolder::create(&args.out.out, args.out.force)?;
    let model = models::load(context, &args.model)?;
    match args.random {
        Some(tries) => random(context, args, &model, &folder, tries),
        None => spectrum(context, args, &model, &folder),
    }
}

fn spectrum(
    context: &Context,
    args: &Dormant,
    model: &Model,
    folder: &OutputFolder,
) -> anyhow::Result<()> {
    let basis = basis::of(model, args.basis)?;
    let values = basis::spectrum(model, &basis)?;
    let report = match directions(args.probe, basis.count())? {
        Some(directions) => Some(measure(context, args, model, &basis, directions)?),
        None => None,
    };
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
    });
    write_atomic(
        &folder.file("dormant.json"),
        serde_json::to_string_pretty(&json)?.as_bytes(),
    )?;
    if !context.json {
        print_table(context, &values, report.as_ref());
        context.say(&format!(
            "dormant.json, spectrum.png and spectrum.svg are in {}",
            folder.path().display()
        ));
    }
    context.result(&json);
    Ok(())
}

/// Which directions to probe, spread evenly and with both ends; `None` for no probing.
fn directions(wanted: ProbeCount, count: usize) -> anyhow::Result<Option<Vec<usize>>> {
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
) -> anyhow::Result<ProbeReport> {
    let config = ProbeConfig {
        samples: args.samples.into(),
        batch: args.batch.into(),
        step: args.distance,
        truncation: 1.0,
        directions: Some(directions),
        dormant: DormantRule::Pixel {
            at_most: args.threshold,
        },
    };
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
) -> anyhow::Result<()> {
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
        dormant_below: report.map(|_| args.threshold),
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
        "{dormant} of {probed} probed directions are dormant at a distance of {}",
        report.step
    ));
}

fn random(
    context: &Context,
    args: &Dormant,
    model: &Model,
    folder: &OutputFolder,
    tries: usize,
) -> anyhow::Result<()> {
    if !(-1.0..=1.0).contains(&args.cosine) {
        return Err(mendable(format!(
            "--cosine {}: allowed are -1 to 1",
            args.cosine
        )));
    }
    let config = RandomConfig {
        wanted: tries.min(model.generator().config().w_dim()),
        tries,
        samples: args.samples.into(),
        batch: args.batch.into(),
        step: args.distance,
        similarity: args.cosine,
        orthogonal: true,
    };
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
        args.cosine,
        folder.path().display()
    ));
    context.result(&json);
    Ok(())
}

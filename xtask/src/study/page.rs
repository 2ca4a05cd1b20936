//! The study's page: tables in Markdown, and the grids beside it.

use std::fmt::Write as _;

use candle_core::{Device, Tensor};
use domex_data::{grid::Grid, picture, portraits::Domain};
use domex_error::{Context, Result};
use domex_eval::Outcome;
use domex_random::Streams;
use domex_stylegan2::{Generator, Model, Noise, mapping::broadcast};
use image::RgbImage;

use super::{
    Args, Study,
    measure::{Expanded, Found, kept, mean},
    runs::{Made, Runs},
};

/// People in a grid.
const PEOPLE: usize = 8;

/// The folder of pictures beside the page.
const PICTURES: &str = "study";

/// The page.
pub fn page(study: &Study<'_>, found: &Found) -> String {
    let mut text = String::from("# Study: what an expansion learns and what it keeps\n\n");
    let args = study.args;
    let _ = write!(
        text,
        "`{}`: the shipped generator, {} domains, {} steps of {} pictures for each \
         domain in every run. A judge that no training saw looks at {} latents for each domain. *Photo*, *Fréchet* and \
         *moved* are of the base subspace: the share of samples that the judge takes for photographs, Fréchet distance to \
         renderings ({} of each), and perceptual distance to the source generator at the same latents. *Factors kept* is the \
         mean share of factors (pose, hair, glasses …) that the judge sees the same in a picture and its edit.\n\n",
        command(args),
        args.domains.len(),
        args.steps,
        study.config.batch,
        args.pictures,
        4 * args.pictures,
    );
    let half = args.domains.len() / 2;
    let _ = write!(
        text,
        "Of the generator's {} directions {} are dormant: a walk of {} along them changes no picture by more than anyone sees. \
         *Used directions* are drawn at random from the others.\n\n",
        found.directions.all,
        found.directions.dormant,
        study.distance(),
    );
    let _ = write!(
        text,
        "## The comparison\n\n| | reached | the first {half} of them | photo | Fréchet | moved | factors kept | s a step |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    let _ = writeln!(
        text,
        "| source | | | {} | {:.4} | | | |",
        percent(found.source.source),
        found.source.frechet
    );
    let alone: Vec<f64> = found
        .adapted
        .iter()
        .filter_map(|domain| domain.reached)
        .collect();
    let _ = writeln!(
        text,
        "| adapted, one generator for each domain | {} | {} | | | | {} | |",
        percent(mean(alone.iter().copied())),
        percent(mean(alone.iter().copied().take(half))),
        percent(mean(found.adapted.iter().map(kept))),
    );
    for run in &found.expanded {
        let steps = args.steps_of(run.domains);
        let _ = writeln!(text, "{}", row(run, half, steps));
    }
    if found
        .expanded
        .iter()
        .any(|run| run.domains > Domain::ALL.len())
    {
        text.push_str(
            "\nBeyond the world's own domains there are texts of two, a character in a technique: what is seen as either has \
             reached it.\n",
        );
    }
    domains(&mut text, found);
    factors(&mut text, found);
    leaks(&mut text, found);
    compositions(&mut text, found);
    text.push_str("\n## Pictures: the same people\n");
    for (name, what) in [
        (
            "adapted",
            "The source generator, and one that was adapted to each domain",
        ),
        ("expanded", "Expanded with all"),
        ("unheld", "Expanded with all, and nothing holds the base"),
        ("used", "Expanded with all, along used directions"),
    ] {
        let _ = write!(text, "\n{what}:\n\n![{what}]({PICTURES}/{name}.png)\n");
    }
    text
}

/// What was typed, with everything that decides the figures.
fn command(args: &Args) -> String {
    let domains: Vec<&str> = args.domains.iter().map(|domain| domain.name()).collect();
    let many: Vec<String> = args.many.iter().map(usize::to_string).collect();
    let mut text = format!(
        "cargo xtask study --domains {} --steps {} --pictures {} --many {} --many-steps {} --seed {}",
        domains.join(","),
        args.steps,
        args.pictures,
        many.join(","),
        args.many_steps.unwrap_or(args.steps),
        args.seed,
    );
    for change in &args.set {
        let _ = write!(text, " --set {change}");
    }
    text
}

fn row(run: &Expanded, half: usize, steps: u64) -> String {
    let what = match run.name.as_str() {
        "expanded" => "expanded with all".to_owned(),
        "unheld" => "the same, nothing holds the base".to_owned(),
        "used" => "the same, along used directions".to_owned(),
        "half" => "the first half alone".to_owned(),
        "other-half" => "then the other half".to_owned(),
        _ => format!("expanded with {}, {steps} steps for each", run.domains),
    };
    let first = run
        .reached
        .get(..half)
        .map(|first| mean(first.iter().copied()));
    let moved = run.outcomes.distance_to_source;
    format!(
        "| {what} | {} | {} | {} | {:.4} | {} | {} | {:.2} |",
        percent(mean(run.reached.iter().copied())),
        first.map_or(String::new(), percent),
        percent(run.base.source),
        run.base.frechet,
        moved.map_or(String::new(), |moved| format!("{moved:.4}")),
        percent(run.kept()),
        run.seconds,
    )
}

/// How often each factor is the same in a picture and in its edit, over the domains of the comparison.
fn factors(text: &mut String, found: &Found) {
    let compared = found.expanded.iter().take(3);
    let columns: Vec<Vec<&Outcome>> = std::iter::once(found.adapted.iter().collect())
        .chain(compared.map(|run| run.outcomes.domains.iter().collect()))
        .collect();
    let Some(one) = found.adapted.first() else {
        return;
    };
    text.push_str(
        "\n## Factors: seen the same in a picture and in its edit\n\n| | adapted | expanded | nothing holds the base | used \
         directions |\n|---|---|---|---|---|\n",
    );
    for factor in one.kept.keys() {
        let _ = write!(text, "| {factor} |");
        for column in &columns {
            let shares = column.iter().filter_map(|domain| domain.kept.get(factor));
            let _ = write!(text, " {} |", percent(mean(shares.copied())));
        }
        text.push('\n');
    }
}

/// Every domain of the comparison, adapted and expanded.
fn domains(text: &mut String, found: &Found) {
    let Some(expanded) = found.expanded.first() else {
        return;
    };
    text.push_str("\n## Domain by domain\n\n| | adapted | factors kept | expanded | factors kept | diversity |\n|---|---|---|---|---|---|\n");
    for (alone, together) in found.adapted.iter().zip(&expanded.outcomes.domains) {
        let share = |reached: Option<f64>| reached.map_or(String::new(), percent);
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {:.2} |",
            alone.name,
            share(alone.reached),
            percent(kept(alone)),
            share(together.reached),
            percent(kept(together)),
            together.diversity,
        );
    }
}

/// What each direction is taken for.
fn leaks(text: &mut String, found: &Found) {
    let Some(expanded) = found.expanded.first() else {
        return;
    };
    let rows = &expanded.outcomes.domains;
    let classes: Vec<&str> = rows.iter().filter_map(|row| row.class.as_deref()).collect();
    text.push_str(
        "\n## Leaks: the direction (row) and what the judge sees (column), in percent\n\n| |",
    );
    for class in &classes {
        let _ = write!(text, " {class} |");
    }
    text.push_str(" photo | else |\n|---|");
    text.push_str(&"---|".repeat(classes.len() + 2));
    text.push('\n');
    for row in rows {
        let share = |class: &str| row.seen.get(class).copied().unwrap_or(0.0);
        let known: f64 = classes.iter().map(|class| share(class)).sum::<f64>() + share("photo");
        let _ = write!(text, "| {} |", row.name);
        for class in classes.iter().chain([&"photo"]) {
            let _ = write!(text, " {:.0} |", 100.0 * share(class));
        }
        let _ = writeln!(text, " {:.0} |", 100.0 * (1.0 - known));
    }
}

fn compositions(text: &mut String, found: &Found) {
    text.push_str(
        "\n## Compositions: seen as both\n\nBoth domains are the judge's likeliest two. *Rendered* is how often it says so of \
         renderings of both, which it never saw either.\n\n| | expanded, both directions | mean of two adapted generators | rendered |\n|---|---|---|---|\n",
    );
    for pair in &found.composed {
        let _ = writeln!(
            text,
            "| {}, {} | {} | {} | {} |",
            pair.rendering,
            pair.character,
            percent(pair.expanded),
            percent(pair.blended),
            percent(pair.rendered),
        );
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// The same people by the adapted generators, and by each expansion of the comparison.
pub fn pictures(study: &Study<'_>, runs: &Runs) -> Result<()> {
    let folder = study.args.out.join(PICTURES);
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let source = study.source.generator();
    let mut stream = Streams::new(study.args.seed).stream("people of the study");
    let mut z = vec![0f32; PEOPLE * source.config().z_dim()];
    stream.fill_normal(&mut z);
    let z = Tensor::from_vec(z, (PEOPLE, source.config().z_dim()), &Device::Cpu)?;
    let w = source.mapping().forward(Some(&z), None)?;

    let mut rows = vec![("source".to_owned(), paint(source, &w)?)];
    for made in &runs.adapted {
        rows.push((
            made.goals[0].task.name().to_owned(),
            paint(made.model.generator(), &w)?,
        ));
    }
    write(study, "adapted", &rows)?;
    for made in &runs.expanded {
        write(study, &made.name, &aligned(made, &w)?)?;
    }
    Ok(())
}

/// The base, and every domain.
fn aligned(made: &Made, w: &Tensor) -> Result<Vec<(String, Vec<RgbImage>)>> {
    let Model {
        expansion: Some(expansion),
        g_ema,
        ..
    } = &made.model
    else {
        return Ok(Vec::new());
    };
    let layout = &expansion.layout;
    let subspaces = layout.subspaces(&expansion.basis, w.device(), w.dtype())?;
    let base = subspaces.project(w, Some(&expansion.mean))?;
    let mut rows = vec![("base".to_owned(), paint(g_ema, &base)?)];
    for domain in layout.domains() {
        let strengths = layout.strengths(&[(&domain.name, 1.0)])?;
        let moved = subspaces.compose(&base, &strengths)?;
        rows.push((domain.name.clone(), paint(g_ema, &moved)?));
    }
    Ok(rows)
}

fn paint(generator: &Generator, w: &Tensor) -> Result<Vec<RgbImage>> {
    let ws = broadcast(w, generator.config().num_ws())?;
    Ok(picture::to_rgb(
        &generator.synthesis().forward(&ws, Noise::Const)?,
    )?)
}

fn write(study: &Study<'_>, name: &str, rows: &[(String, Vec<RgbImage>)]) -> Result<()> {
    let labels = rows.iter().map(|(label, _)| label.clone());
    let pictures: Vec<RgbImage> = rows.iter().flat_map(|(_, row)| row.clone()).collect();
    let grid = Grid::new(PEOPLE).row_labels(labels).draw(&pictures)?;
    Ok(picture::write_png(
        &study.args.out.join(PICTURES).join(format!("{name}.png")),
        &grid,
    )?)
}

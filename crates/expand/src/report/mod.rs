//! What a run has made, on one page: `report.html`, and its numbers in `report.json`.
//!
//! | part | from |
//! | --- | --- |
//! | the same people in every domain | the model, at the latents of seeds 0 to 7 |
//! | the way into each domain, α from 0 to 1.25 | base + α s v, for one person |
//! | pairs of domains | base + s_i v_i + s_j v_j |
//! | losses | the lines of `events.jsonl` |
//! | spectrum | singular values of the acting matrices, repurposed directions marked |
//! | measures | the pictures on the page, and the first and last line of the events |
//! | configuration, provenance | `run.json`, and what the model says of itself |
//!
//! The page is one file: pictures, drawings and style stand in it, nothing is fetched, and nothing is
//! run. It follows the reader's light or dark scheme.

mod chart;
mod events;
mod gallery;
mod measures;
mod page;

use std::path::{Path, PathBuf};

use domex_data::folder::write_atomic;
use domex_data::quoted;
use domex_latent::basis::BasisKind;
use domex_latent::{Expansion, Generator};
use serde_json::{Value as Json, json};

use crate::Result;
use chart::{Chart, Line};
use events::Events;
use gallery::{Gallery, Pictures};
use measures::Measures;
use page::Page;

/// The page.
pub const HTML: &str = "report.html";

/// Its numbers.
pub const JSON: &str = "report.json";

/// Points of a curve at most: a screen shows no more.
const POINTS: usize = 400;

/// What others measured: a table with a heading, for the page, and the same as JSON.
#[derive(Debug, Clone)]
pub struct Section {
    /// Heading.
    pub title: String,
    /// What one sees under it.
    pub about: String,
    /// Heads of the columns.
    pub heads: Vec<String>,
    /// Rows, each with its name first.
    pub rows: Vec<Vec<String>>,
    /// Stands in `report.json` as `judged`.
    pub json: Json,
}

/// A report that was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The page.
    pub page: PathBuf,
    /// The measures on it, as in the JSON file beside it.
    pub numbers: Json,
}

/// The model that a report is on.
#[derive(Clone, Copy)]
pub struct Expanded<'a> {
    /// Its generator.
    pub generator: &'a dyn Generator,
    /// Its domains.
    pub expansion: &'a Expansion,
    /// What its file says of where its weights come from.
    pub provenance: &'a Json,
    /// The class that the run drew its latents of, where it was one.
    pub class: Option<usize>,
}

/// Writes the report of the run in `folder` on its `model`. With the `source`, the generator before
/// the expansion, it says what was kept. `judged` is what a judge says, where there is one.
///
/// # Errors
///
/// A class that the model does not have, a failing network, or a folder that cannot be written.
pub fn write(
    folder: &Path,
    model: Expanded<'_>,
    source: Option<&dyn Generator>,
    judged: Option<&Section>,
) -> Result<Report> {
    let expansion = model.expansion;
    let pictures = Pictures::new(model, source)?;
    let aligned = pictures.aligned()?;
    let events = Events::read(folder);
    let measures = Measures::new(expansion, &aligned, source.is_some(), &events);

    let mut page = Page::new(&title(expansion));
    page.facts(&measures.facts());
    page.section("The same people in every domain", ALIGNED);
    page.gallery(&aligned)?;
    left_out(&mut page, &aligned);
    page.commands(&commands(model));
    page.section("On the way into each domain", TRANSITIONS);
    page.gallery(&pictures.transitions()?)?;
    if let Some(pairs) = pictures.pairs()? {
        page.section("Two domains at once", PAIRS);
        page.gallery(&pairs)?;
        left_out(&mut page, &pairs);
    }
    if let Some(judged) = judged {
        page.section(&judged.title, &judged.about);
        page.table(&judged.heads, &judged.rows);
    }
    page.section("Measures", MEASURES);
    page.table(&measures.heads(), &measures.rows());
    losses(&mut page, &events);
    page.section("Directions of the latent space", SPECTRUM);
    page.charts(&[spectrum(model.generator, expansion)?]);
    page.section(
        "Configuration",
        "What the run was asked for; going on with it keeps to this.",
    );
    page.json("run.json", &run(folder));
    page.section(
        "Provenance",
        "What the model's file says of where its weights come from.",
    );
    page.json("provenance", model.provenance);

    let mut numbers = measures.to_json();
    if let Some(judged) = judged {
        numbers["judged"] = judged.json.clone();
    }
    let json = format!("{numbers:#}\n");
    write_atomic(&folder.join(JSON), json.as_bytes())?;
    let path = folder.join(HTML);
    write_atomic(&path, page.finish().as_bytes())?;
    Ok(Report {
        page: path,
        numbers,
    })
}

/// What is typed to make the pictures of the page again, beside the model; of several classes those of the first.
fn commands(model: Expanded<'_>) -> Vec<String> {
    let class = match (model.generator.label_dim(), model.class) {
        (0, _) => String::new(),
        (_, class) => format!(" --class {}", class.unwrap_or(0)),
    };
    let beside = format!("--model model.safetensors{class}");
    let last = gallery::SEEDS - 1;
    let mut commands = vec![format!(
        "domex generate {beside} --domains all --seeds 0-{last} --out aligned"
    )];
    let domains = model.expansion.layout.domains();
    if let Some(domain) = domains.first() {
        let name = quoted(&domain.name);
        commands.push(format!(
            "domex traverse {beside} --domain {name} --seeds 0 --distance 1.25 --out way"
        ));
    }
    if let [one, other, ..] = domains {
        let (one, other) = (&one.name, &other.name);
        let set = quoted(format!("{one}=1,{other}=1"));
        commands.push(format!(
            "domex compose {beside} --set {set} --seeds 0 --out both"
        ));
    }
    commands
}

const ALIGNED: &str = "Each column is one person. The base should be as it was before the run; a domain is \
    the same latent moved along the domain's direction. Pose, hair and light should stay from row to row. A click enlarges a picture.";
const TRANSITIONS: &str =
    "One person, from the base subspace (0) to the domain (1) and a little beyond.";
const PAIRS: &str = "Both directions at full strength: one person above the diagonal, another one below; on it, each \
    domain by itself.";
const MEASURES: &str = "Pixel change is the root mean square difference of pictures in −1 to 1, over the people above. \
    Losses are means over a tick, of the first one and of the last.";
const LOSSES: &str = "Validation is by the averaged generator on latents that are the same at each tick; the others are \
    means over the steps of a tick.";
const SPECTRUM: &str = "How strongly the network's first layers react to each direction. The marked ones belong to \
    the domains: the generator hardly used them before.";

fn title(expansion: &Expansion) -> String {
    match expansion.layout.domains().len() {
        1 => "One generator, one more domain".to_owned(),
        n => format!("One generator, {n} more domains"),
    }
}

fn left_out(page: &mut Page, gallery: &Gallery) {
    if gallery.left_out > 0 {
        page.note(&format!("{} more domains are not shown.", gallery.left_out));
    }
}

fn losses(page: &mut Page, events: &Events) {
    if events.is_empty() {
        return;
    }
    page.section("Losses", LOSSES);
    let one = |(name, points): (&str, Vec<(f64, f64)>)| Chart {
        log: points.iter().all(|(_, y)| *y > 0.0),
        x_label: "step",
        lines: vec![Line {
            name: String::new(),
            points,
        }],
        ..Chart::new(in_words(name))
    };
    // One that is zero throughout has a weight of zero.
    let counts = |(_, points): &(&str, Vec<(f64, f64)>)| points.iter().any(|(_, y)| *y != 0.0);
    let terms = events.starting_with("loss/").filter(counts).map(one);
    let terms: Vec<Chart> = terms.collect();
    let mut charts = Vec::new();
    let validation = events
        .starting_with("validation/")
        .filter(|(name, _)| ["loss", "expand"].contains(name));
    for curve in validation {
        charts.insert(0, one(curve));
        charts[0].title = format!("validation, {}", charts[0].title);
    }
    let domains = events.starting_with("domain/");
    let lines: Vec<Line> = domains
        .map(|(name, points)| Line {
            name: name.to_owned(),
            points,
        })
        .take(chart::COLOURS)
        .collect();
    if lines.len() > 1 {
        charts.insert(
            0,
            Chart {
                x_label: "step",
                lines,
                ..Chart::new("new domains, each by itself")
            },
        );
    }
    page.charts(&charts);
    page.folded("Each term of the loss", &terms);
}

/// What a loss of the events is.
fn in_words(name: &str) -> &str {
    match name {
        "loss" => "all terms",
        "expand" => "new domains",
        "l2" => "squared difference from before, base",
        "lpips" => "perceptual distance from before, base",
        "earlier" => "difference from before, earlier domains",
        "diversity" => "perceptual distance within a domain",
        "realism" => "discriminator's opinion of new domains",
        "G" => "generator, base subspace",
        "path_length" => "path length",
        "D_fake" => "discriminator, fakes of the base subspace",
        "D_real" => "discriminator, real pictures",
        "r1" => "R1",
        name => name,
    }
}

fn spectrum(generator: &dyn Generator, expansion: &Expansion) -> Result<Chart> {
    let values = match expansion.basis.values() {
        Some(values) => values.to_vec(),
        None => {
            let matrices = generator.acting_matrices()?;
            expansion
                .basis
                .gains(&BasisKind::DomainExpansion, &matrices)?
        }
    };
    let at = |i: usize| values.get(i).copied().unwrap_or(f64::NAN);
    let domains = expansion.layout.domains();
    let marks = domains
        .iter()
        .map(|d| (d.dimension as f64, at(d.dimension), d.name.clone()));
    let points = (0..values.len()).map(|i| (i as f64, values[i])).collect();
    Ok(Chart {
        x_label: "direction, from the strongest to the most dormant",
        log: true,
        wide: true,
        marks: marks.collect(),
        lines: vec![Line {
            name: String::new(),
            points,
        }],
        ..Chart::new("singular values")
    })
}

/// `run.json`, or nothing where there is none.
fn run(folder: &Path) -> Json {
    let text = std::fs::read_to_string(folder.join("run.json"));
    text.ok()
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or(json!({}))
}

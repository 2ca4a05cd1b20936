//! The figures of `domex eval` as lines and as a Markdown page.

use std::collections::BTreeMap;
use std::fmt::Write;

use domex_eval::{Likeness, Outcomes, Pair, TextScores, Truth};
use domex_metrics::{Better, ClusterDiversity, Measure, Spread, markdown};

/// What stands above the columns.
pub const HEADS: [&str; 5] = ["", "reached", "factors kept", "diversity", "taken for"];

/// All that one call found.
#[derive(Debug, Default)]
pub struct Found {
    /// What a judge says of the domains.
    pub outcomes: Option<Outcomes>,
    /// The domains beside renderings.
    pub truth: Option<Truth>,
    /// Two of them in one picture.
    pub pairs: Vec<Pair>,
    /// What a CLIP model says of them.
    pub texts: Option<TextScores>,
    /// Samples beside pictures.
    pub likeness: Option<Likeness>,
    /// Samples among those near the same picture.
    pub clusters: Option<ClusterDiversity>,
    /// Perceptual path length, and the network.
    pub path_length: Option<String>,
}

/// The figures of samples and pictures.
fn measures(found: &Likeness) -> Vec<Measure> {
    let mut measures = found.comparison.measures();
    let (lower, higher) = (Better::Lower, Better::Higher);
    if let Some(distance) = found.frechet_of_set {
        let name = "Fréchet distance of two parts of the set";
        measures.insert(1, Measure::new(name, distance, lower));
    }
    if let Some(score) = &found.inception_score {
        measures.push(Measure {
            spread: Some(Spread::Std(score.std)),
            ..Measure::new("Inception score", score.mean, higher)
        });
    }
    if let Some(distance) = found.cmmd {
        measures.push(Measure::new("CLIP-MMD", distance, lower));
    }
    let name = "diversity, over the set's";
    measures.push(Measure::new(name, found.diversity, higher));
    measures
}

/// How many were compared, on what.
fn numbers(found: &Likeness) -> String {
    let comparison = &found.comparison;
    format!(
        "{} samples against {} of {}, on {} features of the {} network",
        comparison.samples, comparison.pictures, found.set, comparison.features, found.network
    )
}

/// What the samples are like, as lines.
pub fn likeness(found: &Likeness) -> Vec<String> {
    let mut lines = vec![numbers(found)];
    let rows = measures(found).into_iter();
    lines.extend(rows.map(|measure| format!("{:42} {}", measure.name, measure.digits())));
    let warnings = found.comparison.warnings.iter();
    lines.extend(warnings.map(|warning| format!("warning: {warning}")));
    lines
}

/// How different samples are that are near the same picture.
pub fn clusters(found: &ClusterDiversity) -> String {
    let near = |least: usize| {
        let clusters = found.clusters.iter();
        clusters.filter(|(samples, _)| *samples >= least).count()
    };
    format!(
        "diversity within clusters {:.4} ± {:.4}, of {} pictures with two samples or more; {} of {} have none",
        found.mean,
        found.std,
        near(2),
        found.clusters.len() - near(1),
        found.clusters.len()
    )
}

/// A row for the base, and one for each domain.
pub fn rows(found: &Outcomes) -> Vec<[String; 5]> {
    let taken = |seen: &BTreeMap<String, f64>| {
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

/// What a judge says of the domains, as lines.
pub fn outcomes(found: &Outcomes) -> Vec<String> {
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

const TRUTH_HEADS: [&str; 7] = [
    "",
    "truth",
    "none",
    "kernel distance",
    "edges",
    "high frequencies",
    "held out",
];

fn truth_rows(found: &Truth) -> Vec<[String; 7]> {
    let row = |domain: &domex_eval::DomainTruth| {
        let [edges, true_edges] = domain.edges;
        let [fine, true_fine] = domain.high_frequency;
        let none = domain.none.map(|share| format!("{:.1} %", share * 100.0));
        [
            domain.name.clone(),
            format!("{:.2}", domain.paired),
            none.unwrap_or_default(),
            format!("{:.3}", domain.kernel),
            format!("{edges:.1} of {true_edges:.1}"),
            format!("{fine:.3} of {true_fine:.3}"),
            if domain.held_out { "yes" } else { "" }.to_owned(),
        ]
    };
    found.domains.iter().map(row).collect()
}

/// What stands below those rows.
fn truth_notes(found: &Truth) -> Vec<String> {
    let mut notes = vec![format!(
        "kernel distance of the base to photographs {:.4}, of two halves of these {:.4}",
        found.base_kernel, found.floor_kernel
    )];
    for (held_out, name) in [(false, "domains"), (true, "held-out domains")] {
        let mean = found.mean(held_out);
        notes.extend(mean.map(|mean| format!("mean truth of {name} {mean:.2}")));
    }
    notes
}

/// The domains beside renderings, as lines.
pub fn truth(found: &Truth) -> Vec<String> {
    let rows = std::iter::once(TRUTH_HEADS.map(str::to_owned)).chain(truth_rows(found));
    let lines = rows.map(|[name, truth, none, kernel, edges, fine, held_out]| {
        format!("{name:24} {truth:>6} {none:>8} {kernel:>15} {edges:>14} {fine:>16}  {held_out}")
    });
    lines.chain(truth_notes(found)).collect()
}

const PAIR_HEADS: [&str; 3] = ["composed", "seen as both", "of renderings"];

fn pair_rows(found: &[Pair]) -> Vec<[String; 3]> {
    let share = |share: f64| format!("{:.0} %", share * 100.0);
    let row = |pair: &Pair| {
        [
            format!("{} + {}", pair.character, pair.rendering),
            share(pair.composed),
            share(pair.rendered),
        ]
    };
    found.iter().map(row).collect()
}

/// Two domains in one picture, as lines.
pub fn pairs(found: &[Pair]) -> Vec<String> {
    if found.is_empty() {
        return Vec::new();
    }
    let rows = std::iter::once(PAIR_HEADS.map(str::to_owned)).chain(pair_rows(found));
    let lines = rows.map(|[pair, seen, true_ones]| format!("{pair:32} {seen:>12} {true_ones:>14}"));
    lines.collect()
}

const TEXT_HEADS: [&str; 6] = ["", "text", "text score", "base", "directional", "diversity"];

fn text_rows(found: &TextScores) -> Vec<[String; 6]> {
    let row = |domain: &domex_eval::TextScore| {
        [
            domain.name.clone(),
            domain.target.clone(),
            format!("{:.2}", domain.text),
            format!("{:.2}", domain.base),
            format!("{:.3}", domain.directional),
            format!("{:.2}", domain.diversity),
        ]
    };
    found.domains.iter().map(row).collect()
}

/// What a CLIP model says of the domains, as lines.
pub fn texts(found: &TextScores) -> Vec<String> {
    let rows = std::iter::once(TEXT_HEADS.map(str::to_owned)).chain(text_rows(found));
    let mut lines: Vec<String> = rows
        .map(|[name, text, score, base, directional, diversity]| {
            format!("{name:24} {text:24} {score:>10} {base:>7} {directional:>12} {diversity:>10}")
        })
        .collect();
    if let Some((from, to, gain)) = found.leakage.worst() {
        lines.push(format!(
            "largest leak: {from} gains {gain:+.3} of the cosine with {to}'s text"
        ));
    }
    lines
}

fn table<const N: usize>(heads: &[&str; N], rows: &[[String; N]]) -> String {
    let escaped = |cell: &str| cell.replace('|', "\\|");
    let mut text = format!("| {} |\n|{}\n", heads.join(" | "), "---|".repeat(N));
    for row in rows {
        let cells: Vec<String> = row.iter().map(|cell| escaped(cell)).collect();
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    text
}

/// All of it as a Markdown page.
pub fn page(model: &str, found: &Found) -> String {
    let mut text = format!("# {model}\n");
    if let Some(outcomes) = &found.outcomes {
        let _ = writeln!(
            text,
            "\n## Domains, by the judge\n\n{} latents.\n",
            outcomes.pictures
        );
        text.push_str(&table(&HEADS, &rows(outcomes)));
        if let Ok(Some(leakage)) = outcomes.leakage() {
            let _ = write!(
                text,
                "\nGains over the base of what the judge sees:\n\n{}",
                leakage.markdown()
            );
        }
    }
    if let Some(truth) = &found.truth {
        let _ = writeln!(
            text,
            "\n## Domains, beside renderings\n\n{} latents.\n",
            truth.pictures
        );
        text.push_str(&table(&TRUTH_HEADS, &truth_rows(truth)));
        for note in truth_notes(truth) {
            let _ = writeln!(text, "\n{note}.");
        }
    }
    if !found.pairs.is_empty() {
        let _ = write!(text, "\n{}", table(&PAIR_HEADS, &pair_rows(&found.pairs)));
    }
    if let Some(texts) = &found.texts {
        let _ = writeln!(
            text,
            "\n## Domains, by a CLIP model\n\n{} latents.\n",
            texts.pictures
        );
        text.push_str(&table(&TEXT_HEADS, &text_rows(texts)));
        let leakage = texts.leakage.markdown();
        let _ = write!(
            text,
            "\nGains over the base of the cosine with each text:\n\n{leakage}"
        );
    }
    if let Some(likeness) = &found.likeness {
        let _ = writeln!(
            text,
            "\n## Samples and pictures\n\n{}.\n",
            numbers(likeness)
        );
        text.push_str(&markdown(&measures(likeness)));
        for warning in &likeness.comparison.warnings {
            let _ = writeln!(text, "\n**Warning**: {warning}.");
        }
    }
    if let Some(found) = &found.clusters {
        let line = clusters(found);
        let _ = writeln!(text, "\nPerceptual {line}.");
    }
    if let Some(line) = &found.path_length {
        let _ = writeln!(text, "\nPerceptual {line}.");
    }
    text
}

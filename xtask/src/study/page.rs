//! The study's page, in Markdown.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use clap::ValueEnum;
use domex_data::folder::write_atomic;
use domex_error::{Context, Result};

use super::Section;
use super::calls::{Measured, PEOPLE};
use super::figures::{Domain, Figures};
use super::rows::Row;
use crate::portraits::directions::Directions;

/// More domains than that have no columns of their own.
const COLUMNS: usize = 8;

/// Rows whose pictures the page shows.
const SHOWN: [&str; 4] = ["few", "unheld", "used", "gated"];

/// The folder of pictures beside the page.
const PICTURES: &str = "study";

type Found<'a> = (&'a Row, Figures);

/// The page of all rows that were run.
pub fn page(by: Measured, directions: &Directions, found: &[Found<'_>]) -> String {
    let mut text = String::from("# Study: what an expansion learns and what it keeps\n\n");
    let _ = write!(
        text,
        "`cargo xtask study --pictures {} --seed {}`: the shipped generator, 100 steps for each domain where nothing else is said, one run \
         a row, with the settings that the program has by itself. A row is some calls of `domex`, which stand in its folder. `domex eval` measures \
         each domain on {} latents, fewer where there are more than four ([what the columns mean](teacher.md#measures-that-do-not-flatter)); figures of a row are \
         means over its domains, without the six held out where there are others. *Taken* is how often the judge, which no training saw, names the domain, *leak* the largest share that it \
         takes for another one of the model, *base* the kernel distance of the base subspace to renderings, *moved* its perceptual distance to the \
         source. Edges and high frequencies are shares of those of renderings: 1 is as much. Where the base is lost, truth, whose \
         scale it is, is left out.\n\nOf the generator's {} directions {} are \
         dormant: a walk of 20 along them changes no picture by more than anyone sees.\n",
        by.pictures, by.seed, by.pictures, directions.all, directions.dormant,
    );
    for section in Section::value_variants() {
        let shown = |(row, _): &&Found<'_>| row.section == *section || row.also.contains(section);
        let rows: Vec<&Found<'_>> = found.iter().filter(shown).collect();
        if rows.iter().any(|(row, _)| row.section == *section) {
            write_section(&mut text, *section, &rows);
        }
    }
    text.push_str("\n## Pictures: the same people\n");
    for (row, _) in found
        .iter()
        .filter(|(row, _)| SHOWN.contains(&row.name.as_str()))
    {
        let (what, name) = (&row.what, &row.name);
        let _ = write!(text, "\n{what}:\n\n![{what}]({PICTURES}/{name}.png)\n");
    }
    text
}

/// Puts the pictures of the page beside it.
///
/// # Errors
///
/// A picture that cannot be read, or a folder that cannot be written.
pub fn pictures(out: &Path, found: &[Found<'_>]) -> Result<()> {
    let folder = out.join(PICTURES);
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    for (row, _) in found
        .iter()
        .filter(|(row, _)| SHOWN.contains(&row.name.as_str()))
    {
        let picture = out.join(&row.name).join(PEOPLE);
        let bytes = fs::read(&picture).with_context(|| picture.display().to_string())?;
        write_atomic(&folder.join(format!("{}.png", row.name)), &bytes)?;
    }
    Ok(())
}

fn title(section: Section) -> &'static str {
    match section {
        Section::Said => "How a domain is said",
        Section::Together => "One by one, and together",
        Section::Carried => "What carries a domain",
        Section::InTurns => "Some first, others later",
        Section::Many => "How many",
        Section::HeldOut => "Domains that no setting was chosen on",
        Section::Autoencoder => "The diffusion autoencoder",
    }
}

fn write_section(text: &mut String, section: Section, rows: &[&Found<'_>]) {
    let _ = write!(text, "\n## {}\n\n", title(section));
    means(text, rows);
    by_domain(text, rows);
    if section == Section::Carried {
        files(text, rows);
    } else {
        compositions(text, rows);
    }
}

fn means(text: &mut String, rows: &[&Found<'_>]) {
    text.push_str(
        "| | truth | taken | *none of these* | leak | factors kept | diversity | edges | high frequencies | base | moved | s a step |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    let number = |value: Option<f64>, digits: usize| {
        value.map_or(String::new(), |value| {
            let text = format!("{value:.digits$}");
            // A negative number that rounds to zero has no sign to show.
            match text.strip_prefix('-') {
                Some(rest) if !rest.contains(|digit| ('1'..='9').contains(&digit)) => {
                    rest.to_owned()
                }
                _ => text,
            }
        })
    };
    for (row, found) in rows {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {:.2} | {:.2} | {:.2} | {} | {} | {} |",
            row.what,
            number(
                found.has_truth().then(|| found.mean(|domain| domain.truth)),
                2
            ),
            percent(found.mean(|domain| domain.taken)),
            percent(found.mean(|domain| domain.none)),
            percent(found.mean(|domain| domain.leak)),
            percent(found.mean(|domain| domain.kept)),
            found.mean(|domain| domain.diversity),
            found.mean(|domain| domain.edges),
            found.mean(|domain| domain.high),
            number(found.base, 4),
            number(found.moved, 3),
            number(found.seconds, 2),
        );
    }
}

/// Truth and what the judge lets pass, a column for each domain; where there are many, for those that every row of several has.
fn by_domain(text: &mut String, rows: &[&Found<'_>]) {
    let names = |found: &Figures| -> BTreeSet<String> {
        found.domains.iter().map(|own| own.name.clone()).collect()
    };
    let Some((_, first)) = rows.iter().max_by_key(|(_, found)| found.domains.len()) else {
        return;
    };
    let mut columns: Vec<&Domain> = first.domains.iter().collect();
    if columns.len() > COLUMNS {
        columns.retain(|own| {
            rows.iter()
                .all(|(_, found)| found.domains.len() < 2 || names(found).contains(&own.name))
        });
    }
    text.push_str("\nTruth, and *none of these*:\n\n| |");
    for own in &columns {
        let _ = write!(text, " {} |", own.name);
    }
    let _ = writeln!(text, "\n|---|{}", "---|".repeat(columns.len()));
    for (row, found) in rows {
        let _ = write!(text, "| {} |", row.what);
        for column in &columns {
            let own = found.domains.iter().find(|own| own.name == column.name);
            let cell = own.map_or(String::new(), |own| match found.has_truth() {
                true => format!("{:.2}, {}", own.truth, percent(own.none)),
                false => percent(own.none),
            });
            let _ = write!(text, " {cell} |");
        }
        text.push('\n');
    }
}

fn files(text: &mut String, rows: &[&Found<'_>]) {
    text.push_str("\n| | numbers of a domain | its file |\n|---|---|---|\n");
    for (row, found) in rows {
        let _ = match found.file {
            Some([numbers, bytes]) => writeln!(
                text,
                "| {} | {numbers} | {:.1} KB |",
                row.what,
                bytes as f64 / 1e3
            ),
            None => writeln!(text, "| {} | | in the model |", row.what),
        };
    }
}

/// A column for each pair, of the rows that have domains in one model.
fn compositions(text: &mut String, rows: &[&Found<'_>]) {
    let rows: Vec<_> = rows
        .iter()
        .filter(|(_, found)| (1..=COLUMNS).contains(&found.composed.len()))
        .collect();
    let Some((_, first)) = rows.first() else {
        return;
    };
    text.push_str("\nTwo domains in one picture, seen as both:\n\n| |");
    for pair in &first.composed {
        let _ = write!(text, " {}, {} |", pair.both[0], pair.both[1]);
    }
    let _ = writeln!(text, "\n|---|{}", "---|".repeat(first.composed.len()));
    for (row, found) in &rows {
        let _ = write!(text, "| {} |", row.what);
        for pair in &first.composed {
            let own = found.composed.iter().find(|own| own.both == pair.both);
            let _ = write!(
                text,
                " {} |",
                own.map_or(String::new(), |own| percent(own.seen))
            );
        }
        text.push('\n');
    }
    text.push_str("| renderings of both |");
    for pair in &first.composed {
        let _ = write!(text, " {} |", percent(pair.rendered));
    }
    text.push('\n');
}

fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

#[cfg(test)]
mod tests {
    use super::super::figures::Composed;
    use super::*;

    fn row(name: &str, section: Section, also: Vec<Section>) -> Row {
        Row {
            name: name.to_owned(),
            what: format!("row {name}"),
            section,
            also,
            parts: Vec::new(),
            has_base: true,
            domain_file: None,
        }
    }

    fn figures(base: f64) -> Figures {
        let domain = |name: &str, held_out, truth| Domain {
            name: name.to_owned(),
            held_out,
            truth,
            taken: 0.5,
            none: 0.25,
            kept: 0.75,
            diversity: 1.0,
            edges: 1.0,
            high: 1.0,
            leak: 0.0,
        };
        Figures {
            domains: vec![
                domain("zombie", false, 0.25),
                domain("oil", false, 0.75),
                domain("elf", true, 0.0),
            ],
            base: Some(base),
            moved: None,
            composed: vec![Composed {
                both: ["elf", "oil"].map(str::to_owned),
                seen: 0.5,
                rendered: 1.0,
            }],
            seconds: None,
            file: Some([3648, 20_176]),
        }
    }

    #[test]
    fn a_section_has_its_own_rows_and_those_to_compare_with() {
        let (first, lost) = (
            row("first", Section::Said, vec![Section::Carried]),
            row("lost", Section::Carried, Vec::new()),
        );
        let found = [(&first, figures(0.0)), (&lost, figures(0.1))];
        let directions = Directions {
            all: 512,
            dormant: 400,
            used: Vec::new(),
        };
        let by = Measured {
            pictures: 128,
            seed: 0,
        };
        let page = page(by, &directions, &found);
        let said =
            &page[page.find("## How a domain").unwrap()..page.find("## What carries").unwrap()];
        let carried = &page[page.find("## What carries").unwrap()..];
        assert!(
            said.contains("| row first | 0.50 | 50 % | 25 % |"),
            "{said}"
        );
        assert!(
            said.contains("| row first | 0.25, 25 % | 0.75, 25 % | 0.00, 25 % |"),
            "{said}"
        );
        assert!(said.contains("elf, oil") && said.contains("| renderings of both | 100 % |"));
        assert!(!said.contains("row lost"), "{said}");
        // Truth has no scale where the base is lost.
        assert!(
            carried.contains("| row lost |  | 50 % | 25 % |"),
            "{carried}"
        );
        assert!(
            carried.contains("| row first | 3648 | 20.2 KB |"),
            "{carried}"
        );
        assert!(!page.contains("## How many"), "nothing was run of it");
    }
}

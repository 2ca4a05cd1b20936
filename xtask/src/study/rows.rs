//! The rows of the study: what is run for each.

use domex_data::portraits::{Domain, Family, phrases};
use domex_error::Result;

use super::Section;
use super::calls::{Call, EXPANDED, Goal, Measured, SOURCE, goals, tasks};
use super::part::Part;
use crate::portraits::directions::Directions;

/// The domains of every comparison: those of the README, two characters and two techniques.
pub const FOUR: [Domain; 4] = [
    Domain::Zombie,
    Domain::Statue,
    Domain::Sketch,
    Domain::Comic,
];

/// Four more that a setting may have been chosen on.
const OTHERS: [Domain; 4] = [
    Domain::Oil,
    Domain::Embroidery,
    Domain::Alien,
    Domain::Clown,
];

/// Steps for each domain.
const STEPS: usize = 100;

/// How far along its direction a domain lies by default.
pub const DISTANCE: f64 = domex_expand_stylegan2::DISTANCE;

/// The tasks of the diffusion model, as they ship.
const DRAWN: &str = include_str!("../../../configs/drawn.toml");

/// Leaves the base to itself.
const UNHELD: &str = "--lambda-src 0 --lambda-lpips 0 --lambda-l2 0";

/// What is trained in place of all weights.
const PARAMETRISATIONS: [&str; 7] = [
    "stylespace",
    "cin-mult",
    "gated",
    "affine-light",
    "affine",
    "gan-memory",
    "dorm",
];

/// The file of a domain that left its model.
const FILE: &str = "zombie.safetensors";

/// A line of the page.
#[derive(Debug, Clone)]
pub struct Row {
    pub name: String,
    /// What the page calls it.
    pub what: String,
    pub section: Section,
    /// Other sections that it is shown in, to compare with.
    pub also: Vec<Section>,
    /// One model each.
    pub parts: Vec<Part>,
    /// Whether the base is the model's own, not the source itself.
    pub has_base: bool,
    /// A file of one of its domains.
    pub domain_file: Option<&'static str>,
}

/// All rows, in the order of the page.
///
/// # Errors
///
/// A generator that uses too few directions.
pub fn all(by: Measured, directions: &Directions) -> Result<Vec<Row>> {
    let mut rows = said(by);
    rows.extend(together(by, directions.some_used(FOUR.len())?));
    rows.extend(carried(by));
    rows.extend(in_one_pass(by));
    rows.push(in_turns(by));
    rows.extend([1, 8, 25, 100].map(|n| many(by, n)));
    rows.extend(held_out(by));
    rows.extend(autoencoder(by));
    for row in rows.iter_mut().filter(|row| row.section != Section::Many) {
        row.parts.iter_mut().for_each(|part| part.show(by));
    }
    Ok(rows)
}

impl Row {
    fn new(section: Section, name: &str, what: &str, part: Part) -> Self {
        Self {
            name: name.to_owned(),
            what: what.to_owned(),
            section,
            also: Vec::new(),
            parts: vec![part],
            has_base: true,
            domain_file: None,
        }
    }
}

/// Words by CLIP, a hundred steps for each.
fn words(
    by: Measured,
    section: Section,
    name: &str,
    what: &str,
    goals: &[Goal],
    more: &str,
) -> Row {
    let length = (STEPS * goals.len(), goals.len());
    let part = by.by_tasks(name, tasks(goals, |_| String::new()), length, more);
    Row::new(section, name, what, part)
}

fn said(by: Measured) -> Vec<Row> {
    let mut clip = words(
        by,
        Section::Said,
        "clip",
        "words, by CLIP",
        &goals(&FOUR),
        "",
    );
    clip.also = vec![
        Section::Together,
        Section::Carried,
        Section::InTurns,
        Section::Many,
    ];
    let drawn = |name: &str, what: &str, text: String| {
        let length = (STEPS * FOUR.len(), FOUR.len());
        Row::new(
            Section::Said,
            name,
            what,
            by.by_tasks(name, text, length, ""),
        )
    };
    let both = DRAWN.replacen("[settings]\n", "[settings]\ndiffusion.clip = 0.1\n", 1);
    let mut teacher = drawn("teacher", "words, by the diffusion model", DRAWN.to_owned());
    teacher.also = vec![Section::Carried];
    vec![
        clip,
        teacher,
        drawn("both", "words, by both", both),
        pictures(by, Section::Said, "few", &FOUR, FEW),
        pictures(by, Section::Said, "folder", &FOUR, MANY),
    ]
}

/// What a domain is said by where it is said by pictures.
#[derive(Debug, Clone, Copy)]
struct Shown {
    what: &'static str,
    count: usize,
    more: &'static str,
}

const FEW: Shown = Shown {
    what: "10 pictures of each, by CLIP",
    count: 10,
    more: "",
};

const MANY: Shown = Shown {
    what: "500 pictures of each, by a discriminator",
    count: 500,
    more: "--batch 8",
};

/// From renderings of each domain.
fn pictures(by: Measured, section: Section, name: &str, domains: &[Domain], by_what: Shown) -> Row {
    let shown = domains
        .iter()
        .map(|domain| format!("--domain {domain}=@{domain}/00000"));
    let shown: Vec<String> = shown.collect();
    let drawn = domains.iter().map(|domain| by.draw(*domain, by_what.count));
    let mut calls: Vec<Call> = drawn.collect();
    let steps = STEPS * domains.len();
    calls.push(by.expand(steps, &format!("{} {}", shown.join(" "), by_what.more)));
    calls.push(by.eval(EXPANDED, domains.len(), SOURCE));
    let part = Part {
        folder: name.to_owned(),
        files: Vec::new(),
        calls,
    };
    Row::new(section, name, by_what.what, part)
}

/// The domains that no setting was chosen on, said in every way.
fn held_out(by: Measured) -> [Row; 4] {
    let (section, domains) = (Section::HeldOut, &Domain::HELD_OUT);
    let goals = goals(domains);
    let drawn = tasks(&goals, |_| "method = \"diffusion\"".to_owned());
    let length = (STEPS * goals.len(), goals.len());
    let drawn = by.by_tasks("held-out-teacher", drawn, length, "--batch 8");
    [
        words(by, section, "held-out", "words, by CLIP", &goals, ""),
        Row::new(
            section,
            "held-out-teacher",
            "words, by the diffusion model, which never saw them",
            drawn,
        ),
        pictures(by, section, "held-out-few", domains, FEW),
        pictures(by, section, "held-out-folder", domains, MANY),
    ]
}

fn together(by: Measured, used: &[usize]) -> Vec<Row> {
    let four = goals(&FOUR);
    let adapted = |goal: &Goal| {
        let task = tasks(std::slice::from_ref(goal), |_| String::new());
        let text = format!("[settings]\nplacement = \"whole\"\n\n{task}");
        let mut part = by.by_tasks(&format!("adapted-{}", goal.0), text, (STEPS, 1), UNHELD);
        part.calls[1] = by.eval(EXPANDED, 1, &format!("{SOURCE} --domain {}", goal.0));
        part
    };
    let what = "four generators, each adapted to one as a whole";
    let one_by_one = Row {
        parts: four.iter().map(adapted).collect(),
        has_base: false,
        ..words(by, Section::Together, "adapted", what, &four, "")
    };
    let what = "expanded, and nothing holds the base";
    let unheld = words(by, Section::Together, "unheld", what, &four, UNHELD);
    let dimension = |at: usize| format!("dimension = {}\n", used[at]);
    let part = by.by_tasks(
        "used",
        tasks(&four, dimension),
        (STEPS * four.len(), four.len()),
        "",
    );
    let what = "expanded along directions that the generator uses";
    vec![
        one_by_one,
        unheld,
        Row::new(Section::Together, "used", what, part),
    ]
}

/// Every parametrisation, of which a domain leaves its model as a file.
fn carried(by: Measured) -> Vec<Row> {
    let four = goals(&FOUR);
    let row = |name: &&str| {
        let flag = format!("--parametrisation {name}");
        let mut row = words(
            by,
            Section::Carried,
            name,
            &format!("`{flag}`"),
            &four,
            &flag,
        );
        let export = format!("domains export zombie --model {EXPANDED} --out {FILE}");
        row.parts[0].calls.insert(1, by.call(&export));
        row.domain_file = Some(FILE);
        row
    };
    let mut rows: Vec<Row> = PARAMETRISATIONS.iter().map(row).collect();
    let drawn = by.by_tasks(
        "gated-teacher",
        DRAWN.to_owned(),
        (STEPS * FOUR.len(), FOUR.len()),
        "--parametrisation gated",
    );
    rows.push(Row::new(
        Section::Carried,
        "gated-teacher",
        "`--parametrisation gated`, by the diffusion model",
        drawn,
    ));
    rows
}

/// Domains by networks that saw others before.
fn in_one_pass(by: Measured) -> [Row; 2] {
    let files = FOUR.map(|domain| format!("{domain}.safetensors"));
    let row = |name: &str, what: &str, of: &dyn Fn(Domain) -> [String; 2]| {
        let adapt = |domain: Domain| {
            let mut call = by.call(&format!("adapt --name {domain} --out {domain}.safetensors"));
            call.extend(of(domain));
            call
        };
        let mut calls: Vec<Call> = FOUR.iter().map(|domain| by.draw(*domain, 1)).collect();
        calls.extend(FOUR.map(adapt));
        let files = files.join(" ");
        calls.push(by.call(&format!(
            "domains add {files} --model portraits --out more.safetensors"
        )));
        calls.push(by.eval("more.safetensors", FOUR.len(), SOURCE));
        let part = Part {
            folder: name.to_owned(),
            files: Vec::new(),
            calls,
        };
        Row {
            domain_file: Some(FILE),
            ..Row::new(Section::Carried, name, what, part)
        }
    };
    let text = |domain: Domain| ["--text".to_owned(), phrases(domain)[0].to_owned()];
    let image = |domain: Domain| {
        [
            "--image".to_owned(),
            format!("{domain}/00000/img00000000.png"),
        ]
    };
    [
        row(
            "hyperdomain",
            "one pass of a hypernetwork over the words",
            &text,
        ),
        row("degan", "one pass of an encoder over one picture", &image),
    ]
}

/// Two domains, and two more onto what came of them.
fn in_turns(by: Measured) -> Row {
    let four = goals(&FOUR);
    let (first, second) = four.split_at(2);
    let none = |_| String::new();
    let steps = STEPS * 2;
    let onto = "--model first/model.safetensors --tasks second.toml";
    let part = Part {
        folder: "in-turns".to_owned(),
        files: vec![
            ("first.toml", tasks(first, none)),
            ("second.toml", tasks(second, none)),
        ],
        calls: vec![
            by.call(&format!(
                "expand --out first --steps {steps} --tasks first.toml"
            )),
            by.expand(steps, onto),
            by.eval(EXPANDED, FOUR.len(), SOURCE),
        ],
    };
    Row::new(
        Section::InTurns,
        "in-turns",
        "the first two, then two more onto these",
        part,
    )
}

/// The first domains of the world, then characters in techniques; the more there are, the fewer steps for each.
fn many(by: Measured, n: usize) -> Row {
    let all = made_up(n);
    let each = match n {
        0..=8 => STEPS,
        9..=32 => STEPS / 5,
        _ => STEPS / 10,
    };
    let name = format!("many-{n}");
    let s = if n == 1 { "" } else { "s" };
    let what = format!("{n} domain{s}, {each} steps for each");
    let part = by.by_tasks(&name, tasks(&all, |_| String::new()), (each * n, n), "");
    Row::new(Section::Many, &name, &what, part)
}

fn made_up(n: usize) -> Vec<Goal> {
    let first = FOUR.into_iter().chain(OTHERS);
    let rest = Domain::ALL.iter().copied().filter(|domain| {
        *domain != Domain::Photo && !FOUR.contains(domain) && !OTHERS.contains(domain)
    });
    let single: Vec<Domain> = first.chain(rest).collect();
    let pairs = Domain::of(Family::Rendering).flat_map(|rendering| {
        Domain::of(Family::Character).map(move |character| {
            let words = format!("{} of a {}", phrases(rendering)[0], phrases(character)[0]);
            (words.clone(), words)
        })
    });
    goals(&single).into_iter().chain(pairs).take(n).collect()
}

/// The diffusion autoencoder by the same words.
fn autoencoder(by: Measured) -> [Row; 2] {
    let row = |name: &str, what: &str, text: String, steps: usize, more: &str| {
        let length = (steps, FOUR.len());
        let mut part = by.by_tasks(name, text, length, &format!("--model diffae {more}"));
        part.calls[1] = by.eval(EXPANDED, FOUR.len(), "--source diffae");
        Row::new(Section::Autoencoder, name, what, part)
    };
    let words = tasks(&goals(&FOUR), |_| String::new());
    [
        row(
            "autoencoder",
            "words, by CLIP, 150 steps in all",
            words,
            150,
            "",
        ),
        row(
            "autoencoder-teacher",
            "words, by the diffusion model, 300 steps in all",
            DRAWN.to_owned(),
            300,
            "--batch 4",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use domex_expand::{Recipe, TaskFile};

    use super::*;

    fn rows() -> Vec<Row> {
        let directions = Directions {
            all: 512,
            dormant: 400,
            used: (0..112).collect(),
        };
        let by = Measured {
            pictures: 128,
            seed: 7,
        };
        all(by, &directions).unwrap()
    }

    #[test]
    fn every_part_has_a_folder_and_a_measure_of_its_own() {
        let rows = rows();
        let parts: Vec<&Part> = rows.iter().flat_map(|row| &row.parts).collect();
        let folders: BTreeSet<&str> = parts.iter().map(|part| part.folder.as_str()).collect();
        assert_eq!(folders.len(), parts.len());
        for part in parts {
            let verbs = part.calls.iter().map(|call| call[0].as_str());
            assert_eq!(verbs.filter(|verb| *verb == "eval").count(), 1, "{part:?}");
            let seeds = part
                .calls
                .iter()
                .filter(|call| call.ends_with(&["--seed".into(), "7".into()]));
            assert!(
                seeds.count() > 1 || part.folder == "hyperdomain" || part.folder == "degan",
                "{part:?}"
            );
        }
    }

    #[test]
    fn every_file_of_tasks_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tasks.toml");
        let recipe = Recipe::plain(domex_expand_stylegan2::SETTINGS).unwrap();
        for row in rows() {
            for (_, text) in row.parts.iter().flat_map(|part| &part.files) {
                std::fs::write(&path, text).unwrap();
                let found = TaskFile::read(&path, &recipe);
                assert!(found.is_ok(), "{}: {found:?}", row.name);
            }
        }
    }

    #[test]
    fn made_up_domains_begin_with_the_four_and_differ() {
        let goals = made_up(100);
        let names: BTreeSet<&str> = goals.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!((goals.len(), names.len()), (100, 100));
        assert_eq!(goals[0].0, "zombie");
        let single = goals
            .iter()
            .take_while(|(name, _)| !name.contains(" of a "));
        assert_eq!(single.count(), Domain::ALL.len() - 1);
    }
}

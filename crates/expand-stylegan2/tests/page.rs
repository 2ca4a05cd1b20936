//! The page on expansions says what files of tasks may say.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;

use domex_expand::methods::{self, diffusion::DiffusionConfig, mystyle::MyStyleConfig};
use domex_expand::{AdaptiveLayers, Config, Recipe, StyleDomainConfig, TaskFile, TaskSpec};
use domex_expand_stylegan2::SETTINGS;
use serde_json::Value as Json;

const PAGE: &str = include_str!("../../../docs/expansion.md");

fn read(folder: &Path, name: &str, text: &str) -> domex_expand::Result<TaskFile> {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    TaskFile::read(&path, &Recipe::plain(SETTINGS).unwrap())
}

/// The rows of the page's table with this head: the first two columns, without the quotes around code.
fn table(head: &str) -> BTreeMap<String, String> {
    let rows = PAGE.lines().skip_while(|line| !line.starts_with(head));
    let rows = rows.skip(2).take_while(|line| line.starts_with('|'));
    let cell = |cell: &str| cell.trim().trim_matches('`').to_owned();
    rows.map(|line| {
        let cells: Vec<&str> = line.split('|').collect();
        (cell(cells[1]), cell(cells[2]))
    })
    .collect()
}

/// Every number, word and truth value of a document, by its path.
fn leaves(path: &str, value: &Json, out: &mut BTreeMap<String, String>) {
    match value {
        Json::Object(map) => {
            for (key, value) in map {
                let dot = if path.is_empty() { "" } else { "." };
                leaves(&format!("{path}{dot}{key}"), value, out);
            }
        }
        _ => {
            let text = value.to_string();
            let text = text.strip_suffix(".0").unwrap_or(&text);
            out.insert(path.to_owned(), text.to_owned());
        }
    }
}

#[test]
fn the_page_lists_every_key_with_its_default() {
    let mut config = Config::default();
    config.complete(&SETTINGS).unwrap();
    let mut settings = serde_json::to_value(config).unwrap();
    // What the kind says where nobody else does.
    settings["distance"] = domex_expand_stylegan2::DISTANCE.into();
    // These are left out where they are off.
    settings["antialias"] = Json::Bool(false);
    settings["half_losses"] = Json::Bool(false);
    settings["low_memory"] = Json::Bool(false);
    settings["parametrisation"] = "full".into();
    settings["placement"] = "subspaces".into();
    settings["reserve"] = 0.into();
    settings["styledomain"] = serde_json::to_value(StyleDomainConfig::default()).unwrap();
    settings["mystyle"] = serde_json::to_value(MyStyleConfig::default()).unwrap();
    settings["diffusion"] = serde_json::to_value(DiffusionConfig::default()).unwrap();
    settings["adaptive_layers"] = serde_json::to_value(AdaptiveLayers::default()).unwrap();
    let mut expected = BTreeMap::new();
    leaves("", &settings, &mut expected);
    // No words that a file could say.
    expected.insert("class".to_owned(), "none".to_owned());
    expected.insert("micro_batch".to_owned(), "batch".to_owned());
    expected.insert("styledomain.block".to_owned(), "none".to_owned());
    // These have a page of their own.
    expected.insert("adversarial.*".to_owned(), String::new());
    assert_eq!(table("| key of `[settings]`"), expected);
}

#[test]
fn the_page_lists_every_key_of_a_task_by_its_method() {
    let common = ["method", "name", "dimension", "distance"];
    let mut expected: Vec<&str> = common.to_vec();
    for kind in methods::KINDS {
        expected.extend(kind.keys());
    }
    expected.sort_unstable();
    expected.dedup();
    let page = table("| key of a task");
    assert!(page.keys().eq(expected.iter()), "{page:?} and {expected:?}");
}

#[test]
fn the_example_of_the_page_is_read() {
    let example = PAGE.split("```toml\n").nth(1).unwrap();
    let example = example.split("```").next().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = read(folder.path(), "tasks.toml", example).unwrap();
    let names: Vec<String> = file.tasks.iter().map(TaskSpec::name).collect();
    assert_eq!(names, ["sketch", "my own style", "Ann"]);
    assert_eq!(file.tasks[0].keys()["clip"][0], "two");
    assert_eq!(file.settings.nada.weights.global, 0.3);
}

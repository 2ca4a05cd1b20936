//! Files of tasks: what they may say, what is refused, and that the page on them says so.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;

use domex_expand::{AdaptiveLayers, Config, Recipe, TaskFile, TaskSpec};
use serde_json::Value as Json;

const PAGE: &str = include_str!("../../../docs/expansion.md");

fn read(folder: &Path, name: &str, text: &str) -> domex_expand::Result<TaskFile> {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    TaskFile::read(&path, &Recipe::default())
}

#[test]
fn a_file_of_tasks_says_what_is_wrong_with_it() {
    let root = tempfile::tempdir().unwrap();
    let read = |name: &str, text: &str| read(root.path(), name, text);
    let good = read(
        "good.toml",
        "clip = [\"one\"]\nclip_weights = [0.5]\n[settings]\nbatch = 8\n[settings.objective.alignment]\nl2 = 3.0\n\
         [[tasks]]\nsource = \"photo\"\ntarget = \"pencil sketch\"\nname = \"sketch\"\ndimension = 5\ndistance = 15.0\n",
    )
    .unwrap();
    assert_eq!(
        (
            good.tasks[0].name(),
            good.tasks[0].dimension,
            good.settings.batch
        ),
        ("sketch", Some(5), 8)
    );
    assert_eq!(
        good.settings.objective.alignment.lpips,
        Config::default().objective.alignment.lpips
    );

    let pictures = "[[tasks]]\nname = \"mine\"\npictures = [\"a.png\"]\nclip = [\"one\"]\n";
    let pictures = read("pictures.toml", pictures).unwrap();
    assert_eq!(pictures.tasks[0].name(), "mine");
    assert_eq!(pictures.tasks[0].clip, ["one"]);

    // The published files have the losses of all types.
    let official = r#"{"tasks": [{"type": "NADA", "args": {"source_text": "photo", "target_text": "elf"}}],
        "tasks_losses": {"MyStyle": {"lpips_weight": 1, "nets": {"a": []}}, "NADA": {"clip_models": ["one"]}}}"#;
    let official = read("official.json", official).unwrap();
    assert_eq!(official.clip, ["one"]);
    assert_eq!(official.tasks[0].target, "elf");

    let one = "[[tasks]]\ntarget = \"a\"\n";
    for (name, text, word) in [
        (
            "key.toml",
            "[[tasks]]\ntarget = \"a\"\ndimention = 3\n",
            "did you mean `dimension`?",
        ),
        (
            "key.toml",
            &format!("clips = []\n{one}"),
            "did you mean `clip`?",
        ),
        (
            "key.toml",
            &format!("{one}[settings]\nbach = 3\n"),
            "did you mean `batch`?",
        ),
        ("none.toml", "", "at least one new domain"),
        (
            "newer.toml",
            &format!("version = 2\nlayers = 3\n{one}"),
            "version 2, expected 1",
        ),
        ("nothing.toml", "[[tasks]]\nname = \"a\"\n", "or pictures"),
        (
            "nameless.toml",
            "[[tasks]]\npictures = [\"a.png\"]\n",
            "name of task 1",
        ),
        (
            "texture.toml",
            &format!("{one}texture = [\"a.png\"]\n"),
            "settings.nada.weights.texture above 0",
        ),
        (
            "texture.toml",
            &format!("{one}[settings.nada.weights]\ntexture = 1.0\n"),
            "a task with `texture`",
        ),
        (
            "texture.toml",
            &format!("{one}texture = [\"a.png\"]\n[settings.nada.weights]\ntexture = 1.0\n"),
            "`texture_clip`",
        ),
        (
            "texture.toml",
            &format!("texture_clip = \"RN50\"\n{one}"),
            "texture_clip",
        ),
        (
            "layers.toml",
            &format!("{one}[settings.adaptive_layers]\nsteps = 0\n"),
            "adaptive_layers.steps",
        ),
        (
            "empty.toml",
            "[[tasks]]\ntarget = \"  \"\n",
            "an empty text",
        ),
        (
            "same.toml",
            "[[tasks]]\ntarget = \"photo\"\n",
            "other than the source's",
        ),
        ("twice.toml", &format!("{one}{one}"), "no other task"),
        (
            "weights.toml",
            &format!("clip_weights = [1.0]\n{one}"),
            "clip_weights",
        ),
        (
            "range.toml",
            &format!("{one}[settings]\nlr = -1.0\n"),
            "above 0",
        ),
        ("text.json", "{", "EOF"),
        (
            "type.json",
            "{\"tasks\": [{\"type\": \"MyStyle\", \"args\": {}}]}",
            "\"NADA\", the only kind",
        ),
        (
            "losses.json",
            "{\"tasks\": [], \"tasks_losses\": {\"NADA\": {\"clip_modells\": []}}}",
            "did you mean `clip_models`?",
        ),
        (
            "key.json",
            "{\"tasks\": [], \"task_losses\": {}}",
            "did you mean `tasks_losses`?",
        ),
    ] {
        let error = read(name, text).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(word), "{error}");
    }
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
    let mut settings = serde_json::to_value(Config::default()).unwrap();
    // These are left out where they are off.
    settings["antialias"] = Json::Bool(false);
    settings["adaptive_layers"] = serde_json::to_value(AdaptiveLayers::default()).unwrap();
    let mut expected = BTreeMap::new();
    leaves("", &settings, &mut expected);
    assert_eq!(table("| key of `[settings]`"), expected);

    let folder = tempfile::tempdir().unwrap();
    let error = read(folder.path(), "a.toml", "[[tasks]]\nqwerty = 1\n").unwrap_err();
    let error = error.to_string();
    let known = error.split("expected one of").nth(1).unwrap();
    let mut known: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
    known.sort_unstable();
    let page = table("| key of a task");
    assert!(page.keys().eq(known.iter()), "{page:?} and {known:?}");
}

#[test]
fn the_example_of_the_page_is_read() {
    let example = PAGE.split("```toml\n").nth(1).unwrap();
    let example = example.split("```").next().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = read(folder.path(), "tasks.toml", example).unwrap();
    let names: Vec<&str> = file.tasks.iter().map(TaskSpec::name).collect();
    assert_eq!(names, ["sketch", "my own style"]);
    assert_eq!(file.tasks[0].clip, ["two"]);
    assert_eq!(file.settings.nada.weights.global, 0.3);
}

#[test]
fn a_recipe_comes_before_the_defaults_and_after_the_file() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("expand.toml");
    let recipe = |text: &str| {
        std::fs::write(&path, text).unwrap();
        Recipe::read(&path)
    };
    let text = "clip = [\"a\"]\n[settings]\nlr = 0.01\ncooldown = 0.5\n[settings.nada.weights]\nglobal = 10.0\n";
    let good = recipe(text).unwrap();
    let plain = good.file();
    assert_eq!(plain.towers().collect::<Vec<_>>(), [("a", 1.0)]);
    let file = root.path().join("tasks.toml");
    let text = "[settings]\nlr = 0.5\n[settings.nada.weights]\ndirection = 2.0\n[[tasks]]\ntarget = \"ink\"\n";
    std::fs::write(&file, text).unwrap();
    let found = TaskFile::read(&file, &good).unwrap().settings;
    let weights = found.nada.weights;
    assert_eq!((found.lr, found.cooldown), (0.5, 0.5));
    assert_eq!((weights.global, weights.direction), (10.0, 2.0));
    assert_eq!(found.batch, Config::default().batch);

    let official = root.path().join("tasks.json");
    let text =
        r#"{"tasks": [{"type": "NADA", "args": {"source_text": "photo", "target_text": "ink"}}]}"#;
    std::fs::write(&official, text).unwrap();
    let found = TaskFile::read(&official, &good).unwrap();
    assert_eq!(found.settings, plain.settings);

    for (text, expected) in [
        ("[settings]\nlearning_rate = 0.1\n", "learning_rate"),
        ("[settings]\nlr = -1.0\n", "lr"),
        ("[settings]\ncooldown = 1.5\n", "cooldown"),
        (
            "clip = [\"a\"]\nclip_weights = [1.0, 2.0]\n",
            "clip_weights",
        ),
        ("[[tasks]]\ntarget = \"ink\"\n", "tasks"),
    ] {
        let message = recipe(text).unwrap_err().to_string();
        assert!(message.contains(expected), "{text}: {message}");
    }
}

//! Files of tasks: what they may say, and what is refused.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use domex_expand::{Config, Recipe, SourceSettings, TaskFile};

fn read(folder: &Path, name: &str, text: &str) -> domex_expand::Result<TaskFile> {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    TaskFile::read(&path, &Recipe::plain(SourceSettings::NONE).unwrap())
}

#[test]
fn a_file_sets_what_it_names_and_leaves_the_rest_at_its_default() {
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
            good.tasks[0].name().as_str(),
            good.tasks[0].dimension,
            good.settings.batch
        ),
        ("sketch", Some(5), 8)
    );
    assert_eq!(
        good.settings.objective.alignment.lpips,
        Config::default().objective.alignment.lpips
    );
}

#[test]
fn a_task_in_pictures_needs_a_name_and_no_text() {
    let root = tempfile::tempdir().unwrap();
    let read = |name: &str, text: &str| read(root.path(), name, text);
    let pictures = "[[tasks]]\nname = \"mine\"\npictures = [\"a.png\"]\nclip = [\"one\"]\n";
    let pictures = read("pictures.toml", pictures).unwrap();
    assert_eq!(pictures.tasks[0].name(), "mine");
    assert_eq!(pictures.tasks[0].keys()["clip"][0], "one");
}

#[test]
fn an_official_file_is_read_with_the_losses_of_its_tasks_alone() {
    let root = tempfile::tempdir().unwrap();
    let read = |name: &str, text: &str| read(root.path(), name, text);
    // The published files have the losses of all types.
    let official = r#"{"tasks": [{"type": "NADA", "args": {"source_text": "photo", "target_text": "elf"}}],
        "tasks_losses": {"MyStyle": {"lpips_weight": 1, "nets": {"a": []}}, "NADA": {"clip_models": ["one"]}}}"#;
    let official = read("official.json", official).unwrap();
    assert_eq!(official.clip, ["one"]);
    assert_eq!(official.tasks[0].keys()["target"], "elf");
}

#[test]
fn a_file_of_tasks_says_what_is_wrong_with_it() {
    let root = tempfile::tempdir().unwrap();
    let read = |name: &str, text: &str| read(root.path(), name, text);
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
        (
            "nan.toml",
            &format!("{one}distance = nan\n"),
            "tasks.distance: NaN, expected a finite number",
        ),
        (
            "nan.toml",
            &format!("{one}[settings.objective.alignment]\nl2 = -inf\n"),
            "settings.objective.alignment.l2: -inf",
        ),
        (
            "distance.toml",
            &format!("{one}distance = 0.0\n"),
            "distance of task \"a\": 0, expected a number above 0",
        ),
        (
            "space.toml",
            &format!("{one}[[tasks]]\ntarget = \" a \"\n"),
            "name of task 2: a, expected a name that no other task has",
        ),
        ("text.json", "{", "EOF"),
        (
            "type.json",
            "{\"tasks\": [{\"type\": \"NADO\", \"args\": {}}]}",
            "expected NADA or MyStyle; did you mean \"NADA\"?",
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

#[test]
fn a_recipe_comes_before_the_defaults_and_after_the_file() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("expand.toml");
    let recipe = |text: &str| {
        std::fs::write(&path, text).unwrap();
        Recipe::read(&path, SourceSettings::NONE)
    };
    let text = "clip = [\"a\"]\n[settings]\nlr = 0.01\ncooldown = 0.5\n[settings.nada.weights]\nglobal = 10.0\n";
    let good = recipe(text).unwrap();
    let plain = good.file();
    assert_eq!(plain.clip_models().collect::<Vec<_>>(), [("a", 1.0)]);
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
        ("[settings]\nlr = nan\n", "lr: NaN"),
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

#[test]
fn a_number_that_is_none_is_refused_of_flags_for_the_source_too() {
    let source = SourceSettings {
        keys: &["src"],
        ..SourceSettings::NONE
    };
    let recipe = Recipe::plain(source).unwrap();
    let mut file = recipe.file().clone();
    let value = f64::NAN.into();
    file.settings.source.insert("src".to_owned(), value);
    let error = recipe.complete(&mut file).unwrap_err().to_string();
    assert_eq!(error, "settings: src: not a finite number, expected one");
}

#[test]
fn an_unknown_method_is_refused_and_the_nearest_one_named() {
    let root = tempfile::tempdir().unwrap();
    let text = "[[tasks]]\nmethod = \"mystile\"\nname = \"Ann\"\n";
    let error = read(root.path(), "tasks.toml", text)
        .unwrap_err()
        .to_string();
    assert!(error.contains("did you mean \"mystyle\"?"), "{error}");
}

#[test]
fn a_key_of_another_method_is_refused_with_the_method_that_has_it() {
    let root = tempfile::tempdir().unwrap();
    let text = "[[tasks]]\ntarget = \"elf\"\nanchors = \"a.pt\"\n";
    let error = read(root.path(), "tasks.toml", text)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("it is a key of method \"mystyle\""),
        "{error}"
    );
}

#[test]
fn an_unknown_parametrisation_is_refused_and_the_nearest_one_named() {
    let root = tempfile::tempdir().unwrap();
    let text = "[settings]\nparametrisation = \"stylspace\"\n[[tasks]]\ntarget = \"elf\"\n";
    let error = read(root.path(), "tasks.toml", text)
        .unwrap_err()
        .to_string();
    assert!(error.contains("did you mean `stylespace`?"), "{error}");
}

#[test]
fn the_settings_of_styledomain_are_read_and_checked() {
    let root = tempfile::tempdir().unwrap();
    let text = |kind: &str, own: &str| {
        format!(
            "[settings]\nparametrisation = \"{kind}\"\nstyledomain = {{ {own} }}\n[[tasks]]\ntarget = \"elf\"\n"
        )
    };
    let file = read(
        root.path(),
        "tasks.toml",
        &text("affine-light", "rank = 3, block = 64"),
    );
    let own = file.unwrap().settings.styledomain;
    assert_eq!((own.rank, own.block, own.top), (3, Some(64), 1.0));
    let refused = |kind: &str, own: &str, words: &str| {
        let error = read(root.path(), "tasks.toml", &text(kind, own)).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    };
    refused("affine-light", "rank = 0", "styledomain.rank");
    refused("stylespace", "top = 1.5", "styledomain.top");
    refused("stylespace", "tops = 0.5", "did you mean `top`?");
}

#[test]
fn the_official_mystyle_file_is_read() {
    let root = tempfile::tempdir().unwrap();
    let text = r#"{"tasks": [{"type": "MyStyle", "dimension": 511, "args":
        {"person_name": "Ann", "images_dir": "pictures", "anchors_dir": "latents"}}],
        "tasks_losses": {"MyStyle": {"l2_weight": 0.5}}}"#;
    let file = read(root.path(), "mystyle.json", text).unwrap();
    let task = &file.tasks[0];
    assert_eq!(
        (task.method(), task.name().as_str(), task.dimension),
        ("mystyle", "Ann", Some(511))
    );
    assert_eq!(task.keys()["anchors"], "latents");
    assert_eq!(file.settings.mystyle.l2, 0.5);
}

#[test]
fn the_examples_of_the_repository_are_read_with_the_methods_that_they_name() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs");
    let methods = |name: &str| {
        let recipe = Recipe::plain(SourceSettings::NONE).unwrap();
        let file = TaskFile::read(&folder.join(name), &recipe).unwrap();
        let methods = file.tasks.iter().map(|task| task.method().to_owned());
        methods.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(methods("nada.json"), "nada nada");
    assert_eq!(methods("mystyle.json"), "mystyle mystyle mystyle");
    assert_eq!(methods("mixed.json"), "mystyle mystyle nada nada");
}

#[test]
fn official_tasks_with_one_target_get_numbered_names() {
    let root = tempfile::tempdir().unwrap();
    let task = r#"{"type": "NADA", "args": {"source_text": "photo", "target_text": "elf"}}"#;
    let text = format!("{{\"tasks\": [{task}, {task}, {task}]}}");
    let file = read(root.path(), "tasks.json", &text).unwrap();
    let names: Vec<String> = file
        .tasks
        .iter()
        .map(domex_expand::TaskSpec::name)
        .collect();
    assert_eq!(names, ["elf", "elf 2", "elf 3"]);
}

//! What `domex expand` is given: models, pictures, files of tasks; and what a run keeps of it.

use std::sync::OnceLock;

use domex_test_support::networks::{self, DIM};
#[cfg(unix)]
use domex_test_support::process;
use domex_test_support::program::World;
use domex_train::State;
use serde_json::Value as Json;

/// A short run on two threads.
const SHORT: &str = "--batch 2 --tick 2 --snap 1 --threads 2";

fn world() -> World {
    World::new(env!("CARGO_BIN_EXE_domex"))
}

/// With three pictures of 16² in `style`: their names.
fn style(world: &World) -> Vec<String> {
    world.ok("data portraits --out set --count 3 --size 16");
    let folder = std::fs::read_dir(world.path("set")).unwrap();
    let inner = folder
        .map(|entry| entry.unwrap().path())
        .find(|path| path.is_dir());
    let inner = inner.unwrap_or_else(|| world.path("set"));
    std::fs::rename(inner, world.path("style")).unwrap();
    let mut names: Vec<_> = std::fs::read_dir(world.path("style"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".png"))
        .collect();
    names.sort();
    names
}

#[test]
fn a_domain_in_pictures_is_learnt_and_remembered() {
    let world = world();
    let names = style(&world);
    let line = format!(
        "expand --domain mine=@style/{},style/{} --domain elf --out run --steps 1 --json {SHORT}",
        names[0], names[1]
    );
    assert!(world.json(&line)["last"]["validation/loss"].is_f64());
    let info = world.json("info --model run/model.safetensors --json");
    let domain = &info["expansion"]["domains"][0];
    assert_eq!(domain["name"], "mine");
    assert_eq!(domain["task"]["pictures"][1], names[1]);
}

#[test]
fn a_folder_stands_for_the_pictures_in_it() {
    let world = world();
    style(&world);
    world.write(
        "tasks.toml",
        "[[tasks]]\nname = \"mine\"\npictures = [\"style\"]\n",
    );
    for line in ["--domain mine=@style", "--tasks tasks.toml"] {
        let result = world.json(&format!("expand {line} --out x -n --json"));
        let pictures = result["settings"]["tasks"][0]["pictures"].as_array();
        assert_eq!(pictures.unwrap().len(), 3, "{line}");
    }
}

#[test]
fn pictures_that_cannot_be_used_are_refused_by_name() {
    let world = world();
    world.write("bad.png", "no picture");
    std::fs::create_dir(world.path("empty")).unwrap();
    for (domain, texts) in [
        ("mine=@bad.png", &["bad.png"][..]),
        ("mine=@none.png", &["none.png"]),
        ("mine=@empty", &["empty", "without pictures"]),
        ("mine=@", &["mine=@", "NAME=@PICTURE"]),
        ("=@bad.png", &["NAME=@PICTURE"]),
    ] {
        world.refused(&format!("expand --domain {domain} --out x"), texts);
    }
    assert!(!world.has("x"));
}

/// A file of two tasks, of which the first asks for these CLIP models.
fn tasks_with_clip(world: &World, clip: &str) {
    let text = format!("[[tasks]]\ntarget = \"elf\"\nclip = {clip}\n[[tasks]]\ntarget = \"b\"\n");
    world.write("tasks.toml", text);
}

#[test]
fn a_task_chooses_clip_models_by_name_and_by_file() {
    let world = world();
    for (clip, flags) in [
        ("[\"one\"]", ""),
        ("[\"two\", \"one\"]", "--clip two:0.5 --clip one"),
        (
            "[\"shipped/clip-two.safetensors\"]",
            "--clip shipped/clip-one.safetensors --clip shipped/clip-two.safetensors",
        ),
    ] {
        tasks_with_clip(&world, clip);
        world.ok(&format!("expand --tasks tasks.toml --out x -n {flags}"));
    }
}

#[test]
fn a_task_cannot_choose_a_clip_model_that_the_run_does_not_have() {
    let world = world();
    tasks_with_clip(&world, "[\"twoo\"]");
    world.refused(
        "expand --tasks tasks.toml --out x",
        &["elf", "twoo", "one, two", "did you mean \"two\"?"],
    );
    tasks_with_clip(&world, "[\"two\"]");
    world.refused(
        "expand --tasks tasks.toml --out x --clip one",
        &["two", "CLIP models, one"],
    );
    assert!(!world.has("x"));
}

#[test]
fn a_source_is_for_the_tasks_that_have_none() {
    let world = world();
    let (own, none) = ("source = \"oil\"\ntarget = \"elf\"", "target = \"b\"");
    world.write(
        "tasks.toml",
        format!("[[tasks]]\n{own}\n[[tasks]]\n{none}\n"),
    );
    let found = settings(&world, "--tasks tasks.toml --source wax");
    let sources = [0, 1].map(|at| found["tasks"][at]["source"].as_str().unwrap());
    assert_eq!(sources, ["oil", "wax"]);
}

/// A world whose shipped generator comes with settings, and a file of tasks with another learning rate.
fn recommended() -> World {
    let world = world();
    world.write(
        "shipped/expand.toml",
        "clip = [\"two\"]\nclip_weights = [0.5]\n[settings]\nlr = 0.25\ncooldown = 0.5\n",
    );
    world.write(
        "tasks.toml",
        "[[tasks]]\ntarget = \"elf\"\n[settings]\nlr = 0.125\n",
    );
    world
}

/// The settings that these flags lead to.
fn settings(world: &World, flags: &str) -> Json {
    let result = world.json(&format!("expand {flags} --out x -n --json"));
    result["settings"].clone()
}

#[test]
fn the_shipped_generator_has_settings_of_its_own() {
    let found = settings(&recommended(), "--domain elf");
    assert_eq!(found["config"]["lr"], 0.25);
    assert_eq!(found["config"]["cooldown"], 0.5);
    let clip = found["clip"].as_array().unwrap();
    assert_eq!(clip.len(), 1);
    assert_eq!(
        (&clip[0]["name"], &clip[0]["weight"]),
        (&"two".into(), &0.5.into())
    );
}

#[test]
fn a_file_of_tasks_overrides_the_shipped_settings() {
    let found = settings(&recommended(), "--tasks tasks.toml");
    assert_eq!(found["config"]["lr"], 0.125);
    assert_eq!(found["config"]["cooldown"], 0.5);
}

#[test]
fn flags_override_every_file() {
    let flags = "--tasks tasks.toml --lr 0.5 --cooldown 0 --lambda-global 3 --lambda-direction 0 --clip one";
    let found = settings(&recommended(), flags);
    let config = &found["config"];
    assert_eq!(
        (&config["lr"], &config["cooldown"]),
        (&0.5.into(), &0.0.into())
    );
    let weights = &config["nada"]["weights"];
    assert_eq!(
        (&weights["global"], &weights["direction"]),
        (&3.0.into(), &0.0.into())
    );
    assert_eq!(found["clip"][0]["name"], "one");
}

#[test]
fn other_generators_do_not_take_the_shipped_settings() {
    let world = recommended();
    networks::generator(&world.path("other.safetensors"), 99, false);
    let flags = "--model other.safetensors --clip one --perceptual shipped/perceptual.safetensors --domain elf";
    assert_eq!(settings(&world, flags)["config"]["lr"], 0.001);
}

#[test]
fn mistakes_in_the_shipped_settings_are_named() {
    let world = world();
    world.write("shipped/expand.toml", "[settings]\nlearn = 1\n");
    world.refused("expand --domain elf --out x", &["expand.toml", "learn"]);
    assert!(!world.has("x"));
}

/// A world with a generator that has nothing to do with the shipped one.
fn with_a_stranger() -> World {
    let world = world();
    networks::generator(&world.path("ffhq.safetensors"), 99, false);
    world
}

/// An expansion of it.
const STRANGER: &str = "expand --model ffhq.safetensors --domain elf --out x";

#[test]
fn another_generator_needs_networks_of_its_own() {
    let world = with_a_stranger();
    let all = [
        "ffhq",
        "--clip",
        "--perceptual",
        "domex fetch",
        "--lambda-lpips 0",
    ];
    for (flags, texts) in [
        ("", &all[..]),
        ("--lambda-lpips 0", &["ffhq", "--clip"]),
        ("--clip one", &["ffhq", "--perceptual"]),
    ] {
        world.refused(&format!("{STRANGER} {flags}"), texts);
    }
}

#[test]
fn another_generator_is_expanded_with_the_networks_that_are_named() {
    let world = with_a_stranger();
    world.ok(&format!("{STRANGER} --clip one --lambda-lpips 0 -n"));
    let named = "--clip one --perceptual shipped/perceptual.safetensors -n --json";
    let result = world.json(&format!("{STRANGER} {named}"));
    assert!(
        result["settings"]["data"].is_null(),
        "rendered portraits are the shipped generator's"
    );
}

#[test]
fn a_copy_of_the_shipped_generator_goes_with_the_shipped_networks() {
    let world = world();
    world.write(
        "copy.safetensors",
        world.read("shipped/generator.safetensors"),
    );
    let found = settings(&world, "--model copy.safetensors --domain elf");
    assert_eq!(found["data"], "portraits");
}

/// A world with a data set of four pictures in `set`.
fn with_a_data_set() -> World {
    let world = world();
    world.ok("data portraits --out set --count 4 --size 16");
    world
}

#[test]
fn unusable_pictures_of_a_data_set_are_refused_or_left_out() {
    let world = with_a_data_set();
    world.write("set/bad.png", "no picture");
    let line = "expand --domain elf --data set --out run -n --json";
    world.refused(line, &["bad.png", "--skip-bad"]);
    let result = world.json(&format!("{line} --skip-bad"));
    let notice = result["notices"][0].as_str().unwrap();
    assert!(notice.contains("left out: 1 picture "), "{notice}");
}

#[test]
fn a_run_remembers_its_data_set() {
    let world = with_a_data_set();
    world.ok(&format!(
        "expand --domain elf --data set --mirror --out run --steps 1 --quiet {SHORT}"
    ));
    let run = world.document("run/run.json");
    assert_eq!(run["job"]["pictures"]["count"], 8);
    assert_eq!(run["job"]["mirror"], true);
    world.ok("expand --resume run --steps 2 --threads 2 --quiet");
    world.refused(
        "expand --resume run --steps 3 --mirror",
        &["--mirror", "--resume"],
    );
}

#[test]
fn a_run_is_not_resumed_with_other_pictures() {
    let world = with_a_data_set();
    world.ok(&format!(
        "expand --domain elf --data set --out run --steps 1 --quiet {SHORT}"
    ));
    std::fs::rename(world.path("set"), world.path("old")).unwrap();
    world.ok("data portraits --out set --count 4 --size 16 --seed 5");
    world.refused("expand --resume run --steps 3", &["set", "4", "began with"]);
}

/// A run of one domain in `one`, and one in `two` that adds a domain to it. The first one's model, with which the second
/// began, has changed since.
fn two_runs() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    World::shared(
        &WORLD,
        env!("CARGO_BIN_EXE_domex"),
        env!("CARGO_TARGET_TMPDIR"),
        "two-runs",
        |world| {
            let run = |flags: &str| world.ok(&format!("expand {flags} --quiet {SHORT}"));
            run("--domain sketch --out one --steps 1");
            let second = "--model one/model.safetensors --domain robot";
            run(&format!("{second} --out two --steps 1"));
            run(&format!("{second} --out whole --steps 2"));
            world.ok("expand --resume one --steps 2 --threads 2 --quiet");
        },
    )
}

#[test]
fn a_run_is_resumed_without_the_model_that_it_began_with() {
    let world = two_runs();
    world.copy("two", "resumed");
    world.ok("expand --resume resumed --steps 2 --threads 2 --quiet");
    assert!(world.tensors("resumed") == world.tensors("whole"));
}

#[test]
fn a_run_without_its_copy_of_the_model_asks_for_the_very_one() {
    let world = two_runs();
    world.copy("two", "bare");
    std::fs::remove_file(world.path("bare/source.safetensors")).unwrap();
    world.refused(
        "expand --resume bare --steps 3",
        &["one/model.safetensors", "changed"],
    );
}

#[test]
fn force_does_not_remove_the_model_that_a_run_begins_with() {
    let world = world();
    world.ok("expand --domain elf --out run --steps 1 --batch 2 --threads 1 --quiet");
    let before = world.tensors("run");
    for dry in ["", "-n"] {
        world.refused(
            &format!("expand --model run/model.safetensors --domain robot --out run --force {dry}"),
            &["run/model.safetensors", "--force", "another folder"],
        );
    }
    assert!(world.tensors("run") == before);
    assert!(world.has("run/model.safetensors"));
}

#[test]
fn a_snapshot_of_something_else_is_refused() {
    let world = world();
    let mut state = State::new();
    state
        .put("settings", &serde_json::json!({ "layers": 3 }))
        .unwrap();
    state.write(&world.path("other.safetensors")).unwrap();
    world.refused(
        "expand --resume other.safetensors --out y",
        &["other.safetensors", "the version that began it", "--model"],
    );
}

#[test]
fn a_dry_run_writes_text_features_for_the_run_after_it_and_nothing_else() {
    let world = world();
    world.ok("expand --domain elf --out x --dry-run");
    assert!(world.has("cache/texts") && !world.has("x"));
}

#[test]
fn a_run_goes_on_where_text_features_cannot_be_kept() {
    let world = world();
    // No folder can be made where a file is.
    world.write("cache", "a file");
    let line = format!("expand --domain elf --out x --steps 1 --json {SHORT}");
    let result = world.json(&line);
    let notice = result["notices"][0].as_str().unwrap();
    assert!(notice.contains("cache/texts"), "{notice}");
}

#[test]
fn a_model_is_kept_where_its_report_fails_and_the_report_can_be_made_later() {
    let world = world();
    world.write("shipped/judge.safetensors", "no judge");
    let output = world.run(&format!("expand --domain elf --out run --steps 1 {SHORT}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stdout.contains("run/model.safetensors") && !stdout.contains("report.html"));
    for text in ["no report", "judge.safetensors", "--resume"] {
        assert!(stderr.contains(text), "{stderr}");
    }
    std::fs::remove_file(world.path("shipped/judge.safetensors")).unwrap();
    let text = world.ok("expand --resume run --threads 2");
    assert!(text.contains("run/report.html"), "{text}");
}

#[cfg(unix)]
#[test]
fn a_signal_during_the_report_ends_the_program_with_its_code() {
    use std::io::{BufRead as _, BufReader};
    let world = world();
    let domains = "--domain a --domain b --domain c --domain d --domain e --domain f";
    let mut command = world.command(&format!(
        "expand {domains} --out run --batch 2 --tick 1 --steps 1 --threads 1 --lambda-src 0"
    ));
    command.stdout(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut lines = lines.map_while(Result::ok);
    let named = lines.any(|line| line.contains("run/model.safetensors"));
    assert!(named, "the model is named before its report is made");
    process::signal(&child, "INT");
    lines.for_each(drop);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(world.has("run/model.safetensors"));
}

#[test]
fn what_cannot_be_trained_is_refused_and_nothing_is_written() {
    let world = world();
    world.ok("data portraits --out set --count 4 --size 32");
    let many: Vec<String> = (0..=DIM).map(|i| format!("--domain d{i}")).collect();
    for (flags, texts) in [
        ("", &["--domain", "--tasks"][..]),
        ("--domain \" \"", &["target", "empty"]),
        (
            "--domain Photo --source Photo",
            &["Photo", "other than the source"],
        ),
        ("--domain elf --domain elf", &["elf", "no other task"]),
        (
            "--domain elf --clip no-such",
            &["no-such", "one, two", "ViT-B/32"],
        ),
        ("--domain elf --clip ViT-B/32", &["clip-vit-b32"]),
        ("--domain elf --clip one:-2", &["-2", "above 0"]),
        (
            "--domain elf --clip shipped/perceptual.safetensors",
            &["perceptual", "a CLIP model is needed"],
        ),
        (
            "--domain elf --perceptual shipped/clip-one.safetensors",
            &["clip-one", "a perceptual network is needed"],
        ),
        (
            "--domain elf --model shipped/clip-one.safetensors",
            &[
                "clip-one",
                "a StyleGAN2, a StyleGAN3 or a diffusion autoencoder is needed",
            ],
        ),
        ("--domain elf --lr=-1", &["lr", "above 0"]),
        ("--domain elf --lambda-l2=-1", &["-1", "0 or more"]),
        ("--domain elf --distance 0", &["distance", "above 0"]),
        ("--domain elf --steps 0", &["--steps"]),
        (&many.join(" "), &["13", "at most 11"]),
        ("--tasks nowhere.toml", &["nowhere.toml"]),
        ("--domain elf --data set", &["32 × 32", "16 × 16"]),
        ("--domain elf --data nowhere", &["nowhere"]),
        ("--domain elf --data none --mirror", &["--mirror"]),
        ("--domain elf --background black", &["--background"]),
        ("--domain elf --skip-bad", &["--skip-bad"]),
        ("--domain a=>b --source c", &["--source", "leave it out"]),
        ("--domain elf --half-losses", &["--device cuda"]),
    ] {
        world.refused(&format!("expand --out run {flags}"), texts);
    }
    assert!(!world.has("run"));
}

#[test]
fn an_official_file_of_tasks_is_read_unchanged() {
    let world = world();
    let text = r#"{
        "tasks": [
            {"type": "NADA", "dimension": 7, "args": {"source_text": "photo", "target_text": "sketch"}},
            {"type": "NADA", "args": {"source_text": "photo", "target_text": "tiger"}}
        ],
        "tasks_losses": {"NADA": {"clip_models": ["one", "two"], "clip_model_weights": [1.0, 0.5]}}
    }"#;
    world.write("tasks.json", text);
    let result = world.json("expand --tasks tasks.json --out run -n --json");
    let domains = result["domains"].as_array().unwrap().iter();
    let dimensions: Vec<_> = domains.map(|domain| domain["dimension"].as_u64()).collect();
    assert_eq!(dimensions, [Some(7), Some(11)]);
    assert_eq!(result["settings"]["clip"][1]["weight"], 0.5);
}

//! What `domex expand` is given: networks, pictures, files of tasks; and what a run keeps of it.

#![allow(clippy::unwrap_used)]

#[cfg(unix)]
mod process;
#[path = "tiny/program.rs"]
mod program;
mod tiny;

use std::path::Path;

use candle_core::Device;
use domex_stylegan2::{GeneratorConfig, Model, Overwrite};
use domex_train::State;
use program::{command, domex, json, ok, refused, tensors, world};
use serde_json::Value as Json;

/// A short run on two threads.
const SHORT: &str = "--batch 2 --tick 2 --snap 1 --threads 2";

/// A generator that has nothing to do with the shipped one.
fn stranger(path: &Path) {
    let mut config = GeneratorConfig::with_defaults(8, tiny::DIM, tiny::SIDE, 128, 8).unwrap();
    config.mapping.num_layers = 2;
    let model = Model::random(&config, 99, &Device::Cpu).unwrap();
    model.save(path, Overwrite::Refuse).unwrap();
}

#[test]
fn a_domain_in_pictures() {
    let root = world();
    let root = root.path();
    ok(&domex(root, "data portraits --out set --count 3 --size 16"));
    let folder = std::fs::read_dir(root.join("set")).unwrap();
    let inner = folder
        .map(|entry| entry.unwrap().path())
        .find(|path| path.is_dir());
    let inner = inner.unwrap_or_else(|| root.join("set"));
    std::fs::rename(inner, root.join("style")).unwrap();
    let mut names: Vec<_> = std::fs::read_dir(root.join("style"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "png"))
        .collect();
    names.sort();
    let name = |at: usize| names[at].file_name().unwrap().to_str().unwrap();

    let line = format!(
        "expand --domain mine=@style/{},style/{} --domain elf --out run --steps 1 --json {SHORT}",
        name(0),
        name(1)
    );
    let result = json(&domex(root, &line));
    assert!(result["last"]["validation/loss"].is_f64());
    let info = json(&domex(root, "info --model run/model.safetensors --json"));
    let domain = &info["expansion"]["domains"][0];
    assert_eq!(domain["name"], "mine");
    assert_eq!(domain["task"]["pictures"][1], name(1));

    let tasks = "[[tasks]]\nname = \"mine\"\npictures = [\"style\"]\n";
    std::fs::write(root.join("tasks.toml"), tasks).unwrap();
    for line in ["--domain mine=@style", "--tasks tasks.toml"] {
        let result = json(&domex(root, &format!("expand {line} --out x -n --json")));
        let pictures = result["settings"]["tasks"][0]["pictures"].as_array();
        assert_eq!(pictures.unwrap().len(), 3, "{line}");
    }

    let expand = |domain: &str| domex(root, &format!("expand --domain \"{domain}\" --out x"));
    std::fs::write(root.join("bad.png"), "no picture").unwrap();
    std::fs::create_dir(root.join("empty")).unwrap();
    refused(&expand("mine=@bad.png"), &["bad.png"]);
    refused(&expand("mine=@none.png"), &["none.png"]);
    refused(&expand("mine=@empty"), &["empty", "without pictures"]);
    refused(&expand("mine=@"), &["mine=@", "NAME=@PICTURE"]);
    refused(&expand("=@bad.png"), &["NAME=@PICTURE"]);
    assert!(!root.join("x").exists(), "nothing was written");
}

#[test]
fn a_task_says_which_networks_look_at_it() {
    let root = world();
    let root = root.path();
    let tasks = |clip: &str, rest: &str| {
        let text =
            format!("[[tasks]]\ntarget = \"elf\"\nclip = {clip}\n[[tasks]]\ntarget = \"b\"\n");
        std::fs::write(root.join("tasks.toml"), text).unwrap();
        domex(root, &format!("expand --tasks tasks.toml --out x {rest}"))
    };
    // By the shipped names, by names that were given, and by files.
    ok(&tasks("[\"one\"]", "-n"));
    ok(&tasks("[\"two\", \"one\"]", "--clip two:0.5 --clip one -n"));
    ok(&tasks(
        "[\"shipped/clip-two.safetensors\"]",
        "--clip shipped/clip-one.safetensors --clip shipped/clip-two.safetensors -n",
    ));
    refused(
        &tasks("[\"twoo\"]", ""),
        &["elf", "twoo", "one, two", "did you mean \"two\"?"],
    );
    refused(
        &tasks("[\"two\"]", "--clip one"),
        &["two", "CLIP networks, one"],
    );
    assert!(!root.join("x").exists(), "nothing was written");
}

/// Below a file of tasks and flags, and for the shipped generator alone.
#[test]
fn the_shipped_generator_has_settings_of_its_own() {
    let root = world();
    let root = root.path();
    let config =
        |line: &str| json(&domex(root, &format!("{line} --out x -n --json")))["settings"].clone();
    let recipe = "clip = [\"two\"]\nclip_weights = [0.5]\n[settings]\nlr = 0.25\ncooldown = 0.5\n";
    std::fs::write(root.join("shipped/expand.toml"), recipe).unwrap();
    let tasks = "[[tasks]]\ntarget = \"elf\"\n[settings]\nlr = 0.125\n";
    std::fs::write(root.join("tasks.toml"), tasks).unwrap();

    let found = config("expand --domain elf");
    assert_eq!(found["config"]["lr"], 0.25);
    assert_eq!(found["config"]["cooldown"], 0.5);
    assert_eq!(found["clip"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&found["clip"][0]["name"], &found["clip"][0]["weight"]),
        (&"two".into(), &0.5.into())
    );
    assert_eq!(config("expand --tasks tasks.toml")["config"]["lr"], 0.125);
    let flags = config(
        "expand --tasks tasks.toml --lr 0.5 --cooldown 0 --lambda-global 3 --lambda-direction 0 --clip one",
    );
    assert_eq!(
        (&flags["config"]["lr"], &flags["config"]["cooldown"]),
        (&0.5.into(), &0.0.into())
    );
    let weights = &flags["config"]["nada"]["weights"];
    assert_eq!(
        (&weights["global"], &weights["direction"]),
        (&3.0.into(), &0.0.into())
    );
    assert_eq!(flags["clip"][0]["name"], "one");

    stranger(&root.join("other.safetensors"));
    let other = config(
        "expand --model other.safetensors --clip one --perceptual shipped/perceptual.safetensors --domain elf",
    );
    assert_eq!(other["config"]["lr"], 0.001);

    std::fs::write(root.join("shipped/expand.toml"), "[settings]\nlearn = 1\n").unwrap();
    refused(
        &domex(root, "expand --domain elf --out x"),
        &["expand.toml", "learn"],
    );
    assert!(!root.join("x").exists(), "nothing was written");
}

#[test]
fn another_generator_needs_networks_of_its_own() {
    let root = world();
    let root = root.path();
    stranger(&root.join("ffhq.safetensors"));
    let expand = |rest: &str| {
        let line = format!("expand --model ffhq.safetensors --domain elf --out x {rest}");
        domex(root, &line)
    };
    refused(
        &expand(""),
        &[
            "ffhq",
            "--clip",
            "--perceptual",
            "cargo xtask fetch",
            "--lambda-lpips 0",
        ],
    );
    refused(&expand("--lambda-lpips 0"), &["ffhq", "--clip"]);
    refused(&expand("--clip one"), &["ffhq", "--perceptual"]);
    let named = "--clip one --perceptual shipped/perceptual.safetensors -n --json";
    let result = json(&expand(named));
    assert!(result["settings"]["data"].is_null());
    ok(&expand("--clip one --lambda-lpips 0 -n"));
    // A copy of the shipped one, and what was expanded from it, go with the shipped networks.
    std::fs::copy(
        root.join("shipped/generator.safetensors"),
        root.join("copy.safetensors"),
    )
    .unwrap();
    let copy = "expand --model copy.safetensors --domain elf --out x -n --json";
    assert_eq!(json(&domex(root, copy))["settings"]["data"], "portraits");
}

#[test]
fn a_data_set_is_mirrored_cleaned_and_remembered() {
    let root = world();
    let root = root.path();
    ok(&domex(root, "data portraits --out set --count 4 --size 16"));
    std::fs::write(root.join("set/bad.png"), "no picture").unwrap();
    let line = format!("expand --domain elf --data set --out run --steps 1 --json {SHORT}");
    refused(&domex(root, &line), &["bad.png", "--skip-bad"]);
    let result = json(&domex(root, &format!("{line} --skip-bad --mirror")));
    let notice = result["notices"][0].as_str().unwrap();
    assert!(notice.contains("1 pictures"), "{notice}");
    let run: Json =
        serde_json::from_slice(&std::fs::read(root.join("run/run.json")).unwrap()).unwrap();
    assert_eq!(run["job"]["pictures"]["count"], 8);
    assert_eq!(run["job"]["mirror"], true);

    ok(&domex(
        root,
        "expand --resume run --steps 2 --threads 2 --quiet",
    ));
    refused(
        &domex(root, "expand --resume run --steps 3 --mirror"),
        &["--mirror", "--resume"],
    );
    // As many pictures, but others.
    std::fs::rename(root.join("set"), root.join("old")).unwrap();
    let other = "data portraits --out set --count 4 --size 16 --seed 5";
    ok(&domex(root, other));
    refused(
        &domex(root, "expand --resume run --steps 3"),
        &["set", "8", "began with"],
    );
}

#[test]
fn a_run_stands_alone() {
    let root = world();
    let root = root.path();
    let run = |rest: &str| ok(&domex(root, &format!("expand {rest} --quiet {SHORT}")));
    let resume = |rest: &str| domex(root, &format!("expand --resume {rest} --threads 2 --quiet"));
    run("--domain sketch --out one --steps 1");
    let second = "--model one/model.safetensors --domain robot";
    run(&format!("{second} --out two --steps 1"));
    run(&format!("{second} --out whole --steps 2"));
    // The model that the second run began with is no more.
    ok(&resume("one --steps 2"));
    ok(&resume("two --steps 2"));
    assert!(tensors(&root.join("two")) == tensors(&root.join("whole")));
    // Without its copy a run asks for the old file, as runs did that kept none.
    std::fs::remove_file(root.join("two/source.safetensors")).unwrap();
    refused(
        &resume("two --steps 3"),
        &["one/model.safetensors", "changed"],
    );
    refused(
        &domex(
            root,
            "expand --model one/model.safetensors --domain robot --out one --force",
        ),
        &["one/model.safetensors", "--force", "another folder"],
    );
    assert!(root.join("one/model.safetensors").is_file());

    let mut state = State::new();
    state
        .put("settings", &serde_json::json!({ "layers": 3 }))
        .unwrap();
    state.write(&root.join("other.safetensors")).unwrap();
    refused(
        &domex(root, "expand --resume other.safetensors --out y"),
        &["other.safetensors", "the version that began it", "--model"],
    );
}

#[test]
fn text_features_need_not_be_kept() {
    let root = world();
    let root = root.path();
    ok(&domex(root, "expand --domain elf --out x --dry-run"));
    assert!(!root.join("cache").exists(), "a dry run writes nothing");
    // No folder can be made where a file is.
    std::fs::write(root.join("cache"), "a file").unwrap();
    let line = format!("expand --domain elf --out x --steps 1 --json {SHORT}");
    let result = json(&domex(root, &line));
    let notice = result["notices"][0].as_str().unwrap();
    assert!(notice.contains("cache/texts"), "{notice}");
}

#[test]
fn a_model_is_there_whatever_becomes_of_its_report() {
    let root = world();
    let root = root.path();
    std::fs::write(root.join("shipped/judge.safetensors"), "no judge").unwrap();
    let line = format!("expand --domain elf --out run --steps 1 {SHORT}");
    let output = command(root, &line).output().unwrap();
    let told = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (told(&output.stdout), told(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stdout.contains("run/model.safetensors") && !stdout.contains("report.html"));
    for text in ["no report", "judge.safetensors", "--resume"] {
        assert!(stderr.contains(text), "{stderr}");
    }
    std::fs::remove_file(root.join("shipped/judge.safetensors")).unwrap();
    let text = ok(&domex(root, "expand --resume run --threads 2"));
    assert!(text.contains("run/report.html"), "{text}");
}

/// A signal while the result is judged and told of: the run is whole, and says that it was disturbed.
#[cfg(unix)]
#[test]
fn a_signal_during_the_report_is_heard() {
    use std::io::{BufRead as _, BufReader};
    let root = world();
    let root = root.path();
    let words = "--domain a --domain b --domain c --domain d --domain e --domain f";
    let line =
        format!("expand {words} --out run --batch 2 --tick 1 --steps 1 --threads 1 --lambda-src 0");
    let mut command = command(root, &line);
    command.stdout(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut lines = lines.map_while(Result::ok);
    let told = lines.any(|line| line.contains("run/model.safetensors"));
    assert!(told, "the model is told of before its report is made");
    process::signal(&child, "INT");
    lines.for_each(drop);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(root.join("run/model.safetensors").is_file());
}

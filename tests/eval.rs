//! `domex eval`: how like a set of pictures a model's samples are, and what a judge sees in an expanded model.

use std::process::Output;
use std::sync::OnceLock;

use domex_test_support::networks::{self, SIDE};
use domex_test_support::program::{World, ok, refused};
use serde_json::{Value as Json, json};

/// Two data sets: one of the generator's size, and a larger one.
fn pictures() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    World::shared(
        &WORLD,
        env!("CARGO_BIN_EXE_domex"),
        env!("CARGO_TARGET_TMPDIR"),
        "eval-pictures",
        |world| {
            for (name, size) in [("set", SIDE), ("large", 32)] {
                world.ok(&format!(
                    "data portraits --out {name} --count 30 --size {size}"
                ));
            }
            let line = "eval --data set --pictures 12 --out first --json";
            world.write("first.out", world.ok(line));
        },
    )
}

/// A run of two domains, of which the shipped judge knows the first.
fn judged() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    World::shared(
        &WORLD,
        env!("CARGO_BIN_EXE_domex"),
        env!("CARGO_TARGET_TMPDIR"),
        "eval-judged",
        |world| {
            judge(world, "shipped/judge.safetensors", SIDE);
            world.ok(
                "expand --domain \"a Pencil-Sketch of a face\" --domain elf --dimensions probed --out run \
                 --steps 1 --batch 2 --tick 2 --threads 2 --quiet",
            );
            let line = format!("{EVAL} --source portraits --out first --json");
            world.write("first.out", world.ok(&line));
        },
    )
}

const EVAL: &str = "eval --model run/model.safetensors --pictures 5";

fn judge(world: &World, file: &str, size: usize) {
    networks::judge(
        &world.path(file),
        size,
        &["photo", "pencil sketch", "sketch", "zombie"],
    );
}

#[test]
fn samples_are_compared_with_as_many_pictures_as_asked_for() {
    let found = &pictures().document("first.out")["likeness"];
    assert_eq!(found["samples"], 12);
    assert_eq!(found["pictures"], 12);
}

#[test]
fn a_random_network_is_less_like_portraits_than_portraits_are() {
    let found = &pictures().document("first.out")["likeness"];
    let figure = |name: &str| found[name].as_f64().unwrap();
    assert!(
        figure("frechet") > 3.0 * figure("frechet_of_set"),
        "{found}"
    );
    assert!(figure("kernel") > 0.0, "{found}");
    assert!(
        figure("precision") < 0.5 && figure("recall") < 0.5,
        "{found}"
    );
}

#[test]
fn a_model_without_domains_has_no_figures_of_domains() {
    assert!(pictures().document("first.out")["domains"].is_null());
}

#[test]
fn figures_are_written_as_they_are_printed() {
    let world = pictures();
    assert_eq!(
        world.document("first/eval.json"),
        world.document("first.out")
    );
}

#[test]
fn the_same_command_gives_the_same_figures() {
    let world = pictures();
    let again = world.json("eval --data set --pictures 12 --out again --json");
    assert_eq!(again, world.document("first.out"));
}

#[test]
fn a_set_too_small_to_part_is_not_compared_with_itself() {
    let few = pictures().json("eval --data set --pictures 20 --out few --json");
    assert_eq!(few["likeness"]["pictures"], 20);
    // 10 others are not 20.
    assert!(few["likeness"]["frechet_of_set"].is_null());
}

#[test]
fn samples_near_the_same_picture_are_compared() {
    let world = pictures();
    let found = world.json("eval --data set --pictures 12 --clusters --out near --json");
    let clusters = found["clusters"]["clusters"].as_array().unwrap();
    assert_eq!(clusters.len(), 30);
    let samples: u64 = clusters.iter().map(|c| c[0].as_u64().unwrap()).sum();
    assert_eq!(samples, 12);
    assert!(found["clusters"]["mean"].as_f64().unwrap() > 0.0);
}

#[test]
fn figures_are_printed_with_their_names() {
    let text = pictures().ok("eval --data portraits --pictures 4 --out words");
    for word in [
        "Fréchet distance",
        "kernel distance",
        "recall",
        "portraits of the domain photo",
    ] {
        assert!(text.contains(word), "{word}: {text}");
    }
}

#[test]
fn what_cannot_be_compared_is_refused_and_nothing_is_written() {
    let world = pictures();
    for (flags, texts) in [
        ("", &["no domains", "--data"][..]),
        ("--data large", &["32 × 32", "16 × 16"]),
        ("--data nowhere", &["nowhere"]),
        (
            "--data portraits --clusters",
            &["--clusters", "at most 100"],
        ),
        (
            "--data set --judge shipped/perceptual.safetensors",
            &["--judge", "expanded"],
        ),
        ("--data set --class 0", &["--class", "no domains"]),
        (
            "--data set --perceptual shipped/clip-one.safetensors",
            &["clip-one", "a perceptual network is needed"],
        ),
        (
            "--data set --perceptual lpips-vgg",
            &["lpips-vgg", "domex fetch lpips-vgg"],
        ),
    ] {
        world.refused(&format!("eval {flags} --out x"), texts);
    }
    assert!(!world.has("x/eval.json"));
}

#[test]
fn what_a_judge_sees_adds_up_to_one() {
    let result = judged().document("first.out");
    let total = |seen: &Json| -> f64 {
        let shares = seen.as_object().unwrap().values();
        shares.map(|share| share.as_f64().unwrap()).sum()
    };
    let domains = result["domains"].as_array().unwrap().iter();
    let seen = domains.map(|domain| &domain["seen"]);
    for seen in seen.chain([&result["base"]]) {
        assert!((total(seen) - 1.0).abs() < 1e-9, "{seen}");
    }
}

#[test]
fn a_domain_is_reached_where_the_judge_sees_its_class() {
    let domain = &judged().document("first.out")["domains"][0];
    assert_eq!(domain["class"], "pencil sketch");
    let seen = domain["seen"]["pencil sketch"].as_f64();
    assert_eq!(domain["reached"].as_f64(), Some(seen.unwrap_or(0.0)));
}

#[test]
fn a_domain_that_the_judge_does_not_know_is_not_said_to_be_reached() {
    let domain = &judged().document("first.out")["domains"][1];
    assert_eq!(domain["name"], "elf");
    assert!(domain["class"].is_null() && domain["reached"].is_null());
}

#[test]
fn factors_that_a_domain_kept_are_shares() {
    let result = judged().document("first.out");
    for domain in result["domains"].as_array().unwrap() {
        let kept = domain["kept"]["glasses"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&kept), "{domain}");
    }
}

#[test]
fn domains_are_compared_with_renderings_and_composed() {
    let world = judged();
    let line = "expand --domain zombie --domain sketch --dimensions probed --out pair --steps 1 --batch 2 --tick 2 --threads 2 --quiet";
    world.ok(line);
    let model = "eval --model pair/model.safetensors --pictures 8 --out composed --json";
    let result = world.json(model);
    let domains = result["truth"]["domains"].as_array().unwrap();
    let names: Vec<&Json> = domains.iter().map(|domain| &domain["domain"]).collect();
    assert_eq!(names, ["zombie", "sketch"]);
    assert_eq!(domains[0]["held_out"], false);
    let pair = &result["composed"][0];
    assert_eq!(
        (&pair["character"], &pair["rendering"]),
        (&json!("zombie"), &json!("sketch"))
    );
    for share in ["composed", "rendered"] {
        let share = pair[share].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&share), "{pair}");
    }
    assert!(world.text("composed/eval.md").contains("zombie + sketch"));
}

#[test]
fn a_model_that_was_adapted_as_a_whole_is_beside_its_source() {
    let world = judged();
    let tasks = "[settings]\nplacement = \"whole\"\n\n[[tasks]]\ntarget = \"zombie\"\n";
    world.write("whole.toml", tasks);
    world.ok(
        "expand --tasks whole.toml --out whole --steps 1 --batch 2 --tick 2 --threads 2 --quiet",
    );
    let model = "eval --model whole/model.safetensors --pictures 8";
    let line = format!(
        "{model} --source portraits --domain zombie --clip shipped/clip-one.safetensors --out adapted --json"
    );
    let result = world.json(&line);
    assert_eq!(result["domains"][0]["name"], "zombie");
    assert_eq!(result["truth"]["domains"][0]["domain"], "zombie");
    assert_eq!(result["texts"]["domains"][0]["target"], "zombie");
    assert!(
        result["distance_to_source"].is_null(),
        "its base is its source"
    );
    for (line, texts) in [
        (format!("{model} --out x"), &["no domains", "--domain"][..]),
        (format!("{model} --domain zombie --out x"), &["--source"]),
        (
            format!("{model} --domain zombie --source nope.pkl --out x"),
            &["--source nope.pkl"],
        ),
        (
            format!("{model} --source portraits --domain \"=>\" --out x"),
            &["source=>target"],
        ),
        (
            format!("{EVAL} --source portraits --domain elf --out x"),
            &["domains of its own"],
        ),
    ] {
        world.refused(&line, texts);
    }
    assert!(!world.has("x"));
}

#[test]
fn training_moves_the_base_away_from_its_source() {
    let result = judged().document("first.out");
    assert!(result["distance_to_source"].as_f64().unwrap() > 0.0);
}

#[test]
fn a_model_is_at_no_distance_from_itself() {
    let line = format!("{EVAL} --source run/model.safetensors --out same --json");
    assert_eq!(judged().json(&line)["distance_to_source"], 0.0);
}

#[test]
fn the_judges_table_is_printed() {
    let text = judged().ok(&format!("{EVAL} --out table"));
    for word in ["reached", "no class"] {
        assert!(text.contains(word), "{text}");
    }
}

#[test]
fn pictures_and_a_judge_give_both_kinds_of_figures() {
    let line = format!("{EVAL} --data portraits --out both --json");
    let result = judged().json(&line);
    assert!(result["domains"][0]["seen"].is_object());
    assert!(result["likeness"]["frechet"].is_f64());
}

#[test]
fn the_report_of_a_run_has_the_judges_table() {
    let world = judged();
    let report = world.document("run/report.json");
    assert_eq!(report["judged"]["domains"].as_array().unwrap().len(), 2);
    let page = world.text("run/report.html");
    assert!(page.contains("What a judge sees") && page.contains("no class"));
}

#[test]
fn a_run_remembers_how_its_dimensions_were_chosen() {
    let run = judged().text("run/run.json").replace(' ', "");
    assert!(run.contains("\"dimensions\":\"probed\""), "{run}");
}

#[test]
fn what_cannot_be_judged_is_refused_and_nothing_is_written() {
    let world = judged();
    judge(world, "large.safetensors", 32);
    for (line, texts) in [
        (format!("{EVAL} --out first"), &["first", "--force"][..]),
        (
            format!("{EVAL} --judge nowhere --out x"),
            &["--judge nowhere"],
        ),
        (
            format!("{EVAL} --judge shipped/clip-one.safetensors --out x"),
            &["clip-one", "judge"],
        ),
        ("eval --out x".into(), &["no domains", "domex expand"]),
        (
            format!("{EVAL} --judge large.safetensors --out x"),
            &["16 × 16", "32 × 32", "--judge"],
        ),
    ] {
        world.refused(&line, texts);
    }
    assert!(!world.has("x"));
}

/// With other shipped networks: a copy of them in the folder `assets`, as `change` leaves it.
fn with_assets(assets: &str, change: impl Fn(&World), flags: &str) -> Output {
    let world = judged();
    world.copy("shipped", assets);
    change(world);
    let mut command = world.command(&format!("{EVAL} {flags}"));
    command.env("DOMEX_ASSETS", world.path(assets));
    command.output().unwrap()
}

#[test]
fn without_a_judge_a_model_is_refused_with_where_one_is_looked_for() {
    let remove = |world: &World| {
        std::fs::remove_file(world.path("none/judge.safetensors")).unwrap();
    };
    let output = with_assets("none", remove, "--out x");
    refused(&output, &["judge.safetensors", "DOMEX_ASSETS"]);
}

#[test]
fn a_shipped_judge_of_another_size_is_left_out_where_there_are_pictures() {
    let replace = |world: &World| {
        std::fs::remove_file(world.path("other/judge.safetensors")).unwrap();
        judge(world, "other/judge.safetensors", 32);
    };
    let output = with_assets("other", replace, "--data portraits --out one --json");
    let result: Json = serde_json::from_str(&ok(&output)).unwrap();
    assert!(result["domains"].is_null() && result["likeness"]["frechet"].is_f64());
}

#[test]
fn a_judge_of_another_size_that_was_asked_for_is_refused() {
    let world = judged();
    judge(world, "asked.safetensors", 32);
    world.refused(
        &format!("{EVAL} --data portraits --judge asked.safetensors --out x"),
        &["16 × 16", "32 × 32", "--judge"],
    );
}

//! `domex expand` with Stable Diffusion as teacher, from end to end on a tiny one.

use std::sync::OnceLock;

use domex_checkpoint::container::Container;
use domex_test_support::program::World;
use domex_test_support::stable_diffusion;

const SHORT: &str = "--batch 2 --steps 2 --tick 2 --threads 2 --quiet";

const TAUGHT: &str = "expand --tasks tasks.toml --teacher sd --teacher-clip one";

/// A run that learnt a zombie from it.
fn taught() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    World::shared(
        &WORLD,
        env!("CARGO_BIN_EXE_domex"),
        env!("CARGO_TARGET_TMPDIR"),
        "expand-stable-diffusion",
        |world| {
            stable_diffusion::folder(&world.path("sd"), &stable_diffusion::files());
            let settings = "[settings.diffusion]\ntargets = 5\nadversarial = 0\ntranslation = { time = 0.5, steps = 2, guidance = 2 }\n\
                            score = { weight = 1 }\n\n[[tasks]]\nmethod = \"diffusion\"\ntarget = \"zombie\"\n";
            world.write("tasks.toml", settings);
            let all = settings.replace("targets = 5", "targets = 5\nkeep = 1");
            world.write("all.toml", all);
            world.ok(&format!("{TAUGHT} --out run {SHORT}"));
        },
    )
}

#[test]
fn a_domain_is_learnt_and_the_run_knows_the_files_of_the_folder() {
    let world = taught();
    let model = Container::open(world.path("run/model.safetensors")).unwrap();
    let domain = &model.expansion().unwrap()["layout"]["domains"][0];
    assert_eq!(domain["task"]["type"], "diffusion");
    let run = world.text("run/run.json");
    for file in [
        "sd/unet/diffusion_pytorch_model.safetensors",
        "sd/tokenizer/special_tokens_map.json",
        "sd/scheduler/scheduler_config.json",
    ] {
        assert!(run.contains(file), "{file} in {run}");
    }
    world.ok(&format!("{TAUGHT} --out again {SHORT}"));
    assert!(world.tensors("again") == world.tensors("run"));
}

#[test]
fn a_run_is_resumed_to_the_same_bits_but_not_with_another_folder() {
    let world = taught();
    world.copy("run", "more");
    world.ok("expand --resume more --steps 4 --threads 2 --quiet");
    let whole = SHORT.replace("--steps 2", "--steps 4");
    world.ok(&format!("{TAUGHT} --out whole {whole}"));
    assert!(world.tensors("more") == world.tensors("whole"));
    world.copy("sd", "changed");
    let line = TAUGHT.replace("--teacher sd", "--teacher changed");
    world.ok(&format!("{line} --out changing {SHORT}"));
    let file = "changed/scheduler/scheduler_config.json";
    let text = world.text(file).replace("0.012", "0.02");
    world.write(file, text);
    let resumed = "expand --resume changing --steps 4 --threads 2 --quiet";
    world.refused(resumed, &["scheduler_config.json", "has changed"]);
    // Another schedule draws other targets: those that are kept are not taken for its own.
    world.ok(&format!("{line} --out changed-run {SHORT}"));
    assert!(world.tensors("changed-run") != world.tensors("changing"));
}

#[test]
fn translations_are_chosen_by_a_clip_model_or_all_kept() {
    let world = taught();
    let line = "expand --tasks tasks.toml --teacher sd";
    let all = line.replace("tasks.toml", "all.toml");
    world.refused(
        &format!("{line} --out x {SHORT}"),
        &["diffusion.keep 0.8", "--teacher-clip", "diffusion.keep = 1"],
    );
    world.ok(&format!("{all} --out all {SHORT}"));
    // Where a task learns by CLIP, its models choose.
    let tasks = world.text("tasks.toml") + "\n[[tasks]]\ntarget = \"elf\"\n";
    world.write("both.toml", tasks);
    let both = line.replace("tasks.toml", "both.toml");
    world.ok(&format!(
        "{both} --clip one --clip two:0.5 --out both {SHORT}"
    ));
}

#[test]
fn what_it_costs_is_said_before_the_first_step() {
    let world = taught();
    let line = format!("{TAUGHT} --out x --dry-run").replace("tasks.toml", "all.toml");
    let said = world.ok(&format!("{line} {}", SHORT.replace("--quiet", "")));
    let said = said
        .lines()
        .find(|line| line.starts_with("teacher"))
        .unwrap();
    for part in ["sd;", "5 pictures", "TFLOP each", "GB of weights"] {
        assert!(said.contains(part), "{part:?} in {said}");
    }
    let line = format!("{TAUGHT} --out told").replace("tasks.toml", "all.toml");
    let line = line.replace("--teacher sd", "--teacher told-sd");
    world.copy("sd", "told-sd");
    let index = world.text("told-sd/model_index.json") + " ";
    world.write("told-sd/model_index.json", index);
    let output = world.run(&format!("{line} {}", SHORT.replace("--quiet", "")));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("estimate  1 more translations of "), "{told}");
}

#[test]
fn what_cannot_teach_is_refused_before_the_first_step() {
    let world = taught();
    let line = |teacher: &str| {
        format!(
            "expand --method diffusion --domain elf --teacher {teacher} --teacher-clip one --out x {SHORT}"
        )
    };
    world.copy("sd", "part");
    std::fs::remove_file(world.path("part/vae/diffusion_pytorch_model.safetensors")).unwrap();
    world.refused(
        &line("part"),
        &["part/vae/diffusion_pytorch_model.safetensors", "fetch"],
    );
    world.refused(
        &line("nowhere"),
        &["--teacher nowhere", "stable-diffusion-v1-5"],
    );
    world.refused(
        &line("stable-diffusion-v1-5"),
        &["not here yet", "domex fetch stable-diffusion-v1-5"],
    );
    let long = format!("{} --domain \"{}\"", line("sd"), "word ".repeat(60));
    world.refused(&long, &["tokens", "at most 48"]);
    let clip = "expand --domain elf --clip sd-turbo --out x --quiet";
    world.refused(
        clip,
        &["--clip sd-turbo", "--teacher of `domex expand` takes"],
    );
    world.refused(
        "expand --domain elf --teacher-clip one --out x --quiet",
        &["--teacher-clip: no task learns from a diffusion model"],
    );
    assert!(!world.has("x"));
}

#[test]
fn a_fetched_model_is_taken_by_its_name() {
    let world = taught();
    world.copy("sd", "cache/models/sd-turbo");
    for (part, stem) in [
        ("unet", "diffusion_pytorch_model"),
        ("vae", "diffusion_pytorch_model"),
        ("text_encoder", "model"),
    ] {
        let name = |kind: &str| {
            world.path(&format!(
                "cache/models/sd-turbo/{part}/{stem}{kind}.safetensors"
            ))
        };
        std::fs::rename(name(""), name(".fp16")).unwrap();
    }
    let line = "expand --method diffusion --domain elf --teacher sd-turbo --teacher-clip one --out x --dry-run --quiet";
    world.refused(line, &["not here yet"]);
    world.write(
        "cache/models/sd-turbo/tokenizer/tokenizer_config.json",
        "{}",
    );
    let result = world.json(&format!("{line} --json"));
    let path = result["settings"]["teacher"]["path"].as_str().unwrap();
    assert!(path.ends_with("cache/models/sd-turbo"), "{path}");
}

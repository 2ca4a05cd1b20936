//! `domex expand` and the verbs for what it makes, as their users meet them.

use std::sync::OnceLock;

use domex_test_support::networks::{self, DIM};
use domex_test_support::program::World;
use serde_json::Value as Json;

/// A short run on two threads.
const SHORT: &str = "--batch 2 --tick 2 --snap 1 --threads 2";

/// The domains of the run that most tests look at.
const DOMAINS: &str = "--domain \"pencil sketch\" --domain photo=>zombie";

/// The model of that run.
const MODEL: &str = "--model run/model.safetensors";

fn world() -> World {
    World::new(env!("CARGO_BIN_EXE_domex"))
}

/// A run of two domains, and a second one that adds a robot; tests only read them.
fn expanded() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    World::shared(
        &WORLD,
        env!("CARGO_BIN_EXE_domex"),
        env!("CARGO_TARGET_TMPDIR"),
        "expanded",
        |world| {
            let line = format!("expand {DOMAINS} --out run --steps 4 --json {SHORT}");
            world.write("run.out", world.ok(&line));
            let line = format!("expand {MODEL} --domain robot --out more --steps 2 --json {SHORT}");
            world.write("more.out", world.ok(&line));
            let line = format!("generate {MODEL} --domains all --seeds 0-2 --out all --json");
            world.write("all.out", world.ok(&line));
        },
    )
}

#[test]
fn a_run_counts_steps_and_images() {
    let result = expanded().document("run.out");
    assert_eq!((&result["step"], &result["images"]), (&4.into(), &8.into()));
}

#[test]
fn a_run_with_a_discriminator_and_pictures_has_every_loss() {
    let result = expanded().document("run.out");
    assert_eq!(result["notices"], Json::Array(Vec::new()));
    for name in [
        "loss/expand",
        "loss/lpips",
        "loss/D_real",
        "domain/zombie",
        "validation/loss",
    ] {
        assert!(result["last"][name].is_f64(), "{name} is not in {result}");
    }
}

#[test]
fn domains_take_the_most_dormant_dimensions() {
    let result = expanded().document("run.out");
    let domains = &result["measures"]["domains"];
    assert_eq!(domains[0]["dimension"], DIM - 1);
    assert_eq!(domains[1]["dimension"], DIM - 2);
}

#[test]
fn a_run_measures_how_far_the_base_has_moved() {
    let result = expanded().document("run.out");
    assert!(result["measures"]["base_pixel_change"].is_f64(), "{result}");
}

#[test]
fn a_run_leaves_models_records_and_pictures() {
    for file in [
        "model.safetensors",
        "best.safetensors",
        "run.json",
        "events.jsonl",
        "report.json",
        "aligned_init.png",
        "aligned000002.png",
    ] {
        assert!(expanded().has(&format!("run/{file}")), "{file}");
    }
}

#[test]
fn the_report_shows_every_domain() {
    let page = expanded().text("run/report.html");
    for text in [
        "pencil sketch",
        "zombie, 1.25",
        "singular values",
        "data:image/png;base64,",
        "<polyline",
        "prefers-color-scheme",
    ] {
        assert!(page.contains(text), "{text}");
    }
}

#[test]
fn the_report_fetches_nothing_and_runs_nothing() {
    let page = expanded().text("run/report.html");
    for text in ["http:", "https:", "<script", "url("] {
        assert!(!page.contains(text), "{text}");
    }
}

#[test]
fn the_curves_of_the_report_have_only_numbers() {
    let page = expanded().text("run/report.html");
    for text in [",NaN", "NaN,"] {
        assert!(!page.contains(text), "{text}");
    }
}

#[test]
fn a_resumed_run_has_the_bits_of_one_that_never_stopped() {
    let world = expanded();
    world.copy("run", "resumed");
    let text = world.ok("expand --resume resumed --steps 6 --threads 2");
    for file in ["resumed/model.safetensors", "resumed/report.html"] {
        assert!(text.contains(file), "{text}");
    }
    let line = format!("expand {DOMAINS} --out whole --steps 6 --quiet {SHORT}");
    world.ok(&line);
    assert!(world.tensors("resumed") == world.tensors("whole"));
}

#[test]
fn a_run_ends_before_its_length_where_nothing_improves() {
    let world = world();
    let line = "expand --domain elf --out still --lr 1e-12 --lambda-src 0 --steps 500 --plateau 2 --batch 2 --tick 1 --json";
    let result = world.json(line);
    assert_eq!(result["plateau"], true);
    assert!(result["step"].as_u64().unwrap() < 20, "{result}");
    assert!(world.has("still/report.html"));
}

#[test]
fn a_run_cannot_be_resumed_otherwise_than_it_began() {
    let world = expanded();
    for (line, texts) in [
        ("--resume run --lr 3", ["--lr", "--resume"]),
        ("--resume run --seed 5", ["--seed 5", "has 0"]),
        (
            "--resume run/model.safetensors",
            ["run/model.safetensors", "--model"],
        ),
        ("--resume nowhere", ["nowhere", "no snapshot"]),
    ] {
        world.refused(&format!("expand {line}"), &texts);
    }
}

#[test]
fn a_new_run_leaves_an_old_one_alone() {
    let line = format!("expand {DOMAINS} --out run");
    expanded().refused(&line, &["--resume run", "--force"]);
}

#[test]
fn a_run_cannot_be_resumed_with_another_clip_model_under_the_old_name() {
    let world = world();
    world.ok(&format!(
        "expand --domain elf --out run --steps 1 --quiet {SHORT}"
    ));
    std::fs::remove_file(world.path("shipped/clip-one.safetensors")).unwrap();
    networks::clip(&world.path("shipped/clip-one.safetensors"), 9);
    world.refused("expand --resume run --steps 2", &["clip-one", "changed"]);
}

#[test]
fn info_lists_domains_with_their_dimensions() {
    let text = expanded().ok(&format!("info {MODEL}"));
    for word in ["pencil sketch", "dimension   10"] {
        assert!(text.contains(word), "{text}");
    }
}

#[test]
fn generate_draws_every_seed_in_every_domain() {
    let world = expanded();
    let domains = &world.document("all.out")["domains"];
    assert_eq!(domains.as_array().unwrap().len(), 3);
    for file in [
        "base/seed0002.png",
        "pencil-sketch/seed0000.png",
        "zombie/seed0001.png",
        "grid.png",
    ] {
        assert!(world.has(&format!("all/{file}")), "{file}");
    }
}

#[test]
fn a_picture_does_not_depend_on_what_is_drawn_beside_it() {
    let world = expanded();
    world.ok(&format!(
        "generate {MODEL} --domains zombie --seeds 1 --out alone"
    ));
    let file = "zombie/seed0001.png";
    assert!(world.read(&format!("alone/{file}")) == world.read(&format!("all/{file}")));
}

#[test]
fn one_domain_at_full_strength_is_that_domain() {
    let world = expanded();
    world.ok(&format!(
        "compose {MODEL} --set zombie=1 --seeds 0,1 --out full"
    ));
    assert!(world.read("full/seed0001.png") == world.read("all/zombie/seed0001.png"));
}

#[test]
fn all_domains_at_strength_0_are_the_base() {
    let world = expanded();
    world.ok(&format!(
        "compose {MODEL} --set \"zombie=0,pencil sketch=0\" --seeds 0 --out zero"
    ));
    assert!(world.read("zero/seed0000.png") == world.read("all/base/seed0000.png"));
}

#[test]
fn compose_takes_a_strength_for_each_domain() {
    let line =
        format!("compose {MODEL} --set \"zombie=1,pencil sketch=0.5\" --seeds 0 --out both --json");
    let result = expanded().json(&line);
    assert_eq!(result["set"][1]["domain"], "pencil sketch");
    assert_eq!(result["set"][1]["alpha"], 0.5);
}

#[test]
fn a_region_limits_domains_to_a_part_of_the_picture() {
    let world = expanded();
    let paint = |name: &str, part: fn(u32) -> u8| {
        image::GrayImage::from_fn(40, 40, |x, _| image::Luma([part(x)]))
            .save(world.path(name))
            .unwrap();
    };
    paint("nowhere.png", |_| 0);
    paint("everywhere.png", |_| 255);
    paint("left.png", |x| if x < 20 { 255 } else { 0 });
    for name in ["nowhere", "everywhere", "left"] {
        world.ok(&format!(
            "compose {MODEL} --set zombie=1 --seeds 1 --region {name}.png --out region-{name}"
        ));
    }
    let made = |name: &str| world.read(&format!("{name}/seed0001.png"));
    assert!(made("region-nowhere") == made("all/base"));
    assert!(made("region-everywhere") == made("all/zombie"));
    assert!(made("region-left") != made("all/base") && made("region-left") != made("all/zombie"));

    // White strokes on a transparent layer.
    let stroke = |x: u32| image::Rgba([255, 255, 255, if x < 20 { 255 } else { 0 }]);
    image::RgbaImage::from_fn(40, 40, |x, _| stroke(x))
        .save(world.path("layer.png"))
        .unwrap();
    world.ok(&format!(
        "compose {MODEL} --set zombie=1 --seeds 1 --region layer.png --out region-layer"
    ));
    assert!(made("region-layer") == made("region-left"));

    image::GrayImage::new(40, 30)
        .save(world.path("wide.png"))
        .unwrap();
    let line = format!("compose {MODEL} --set zombie --region wide.png --out r");
    world.refused(&line, &["40 × 30", "square"]);
    let line =
        format!("compose {MODEL} --set zombie --region left.png --noise-mode random --out r");
    world.refused(&line, &["--region", "same noise"]);
    assert!(!world.has("r"));
}

#[test]
fn traverse_goes_along_a_learnt_domain() {
    let line =
        format!("traverse {MODEL} --domain zombie --seeds 0 --steps 3 --frames 2 --out way --json");
    let result = expanded().json(&line);
    assert_eq!(result["direction"], "domain zombie");
}

#[test]
fn domains_that_the_model_does_not_have_are_refused() {
    let world = expanded();
    for (line, texts) in [
        (
            format!("compose {MODEL} --set zombi=1 --out d1"),
            &["zombi", "zombie"][..],
        ),
        (
            format!("compose {MODEL} --set zombie=half --out d2"),
            &["half", "NAME=ALPHA"],
        ),
        (
            "compose --set zombie=1 --out d3".into(),
            &["no domains", "domex expand"],
        ),
        (
            format!("generate {MODEL} --domains zombie,zombie --out d4"),
            &["twice"],
        ),
        ("generate --domains all --out d5".into(), &["no domains"]),
    ] {
        world.refused(&line, texts);
    }
}

#[test]
fn a_model_that_has_domains_takes_more_and_keeps_its_own() {
    let world = expanded();
    let domains = |run: &str| {
        let info = world.json(&format!("info --model {run}/model.safetensors --json"));
        info["expansion"]["domains"].as_array().unwrap().clone()
    };
    let (before, after) = (domains("run"), domains("more"));
    assert_eq!(after[..2], before[..]);
    assert_eq!(after[2]["name"], "robot");
    assert_eq!(after[2]["dimension"], DIM - 3);
}

#[test]
fn earlier_domains_have_losses_of_their_own() {
    let result = expanded().document("more.out");
    for name in ["loss/earlier", "validation/earlier", "loss/D_real"] {
        assert!(result["last"][name].is_f64(), "{name} is not in {result}");
    }
}

#[test]
fn a_notice_tells_what_is_off_without_pictures() {
    let line = format!("expand {MODEL} --domain robot --data none --out x -n --json");
    let result = expanded().json(&line);
    let notice = result["notices"][0].as_str().unwrap();
    assert!(notice.contains("--data"), "{notice}");
}

#[test]
fn a_step_without_pictures_weighs_no_source_and_takes_no_flags_for_it() {
    let world = expanded();
    let line = format!("expand {MODEL} --domain robot --out x -n");
    assert!(world.ok(&line).contains("source 1"));
    for (off, why) in [
        ("--data none", "--data"),
        ("--lambda-src 0", "--lambda-src 0"),
    ] {
        assert!(world.ok(&format!("{line} {off}")).contains("source 0"));
        for flag in ["--gamma 3", "--scale-src"] {
            let name = flag.split(' ').next().unwrap();
            world.refused(&format!("{line} {off} {flag}"), &[name, why]);
        }
    }
}

#[test]
fn a_task_takes_only_a_free_dimension_of_the_latent() {
    let world = expanded();
    let tasks = |dimension: usize| {
        let file = format!("dimension{dimension}.toml");
        world.write(
            &file,
            format!("[[tasks]]\ntarget = \"robot\"\ndimension = {dimension}\n"),
        );
        format!("expand {MODEL} --tasks {file} --out x -n")
    };
    world.refused(&tasks(DIM - 1), &["11", "taken", "pencil sketch"]);
    world.refused(&tasks(DIM), &["12", "0 to 11"]);
    world.ok(&tasks(3));
}

#[test]
fn mistakes_in_a_file_of_tasks_are_named() {
    let world = world();
    for (file, text, texts) in [
        (
            "a.toml",
            "[[tasks]]\ntarget = \"a\"\ndimension = 3\n[[tasks]]\ntarget = \"b\"\ndimension = 3\n",
            ["a.toml", "\"b\"", "3"],
        ),
        (
            "b.toml",
            "[[tasks]]\ntaget = \"a\"\n",
            ["b.toml", "taget", "did you mean `target`"],
        ),
        (
            "c.json",
            "{\"tasks\": [{\"type\": \"NADAA\", \"args\": {}}]}",
            ["c.json", "NADAA", "did you mean"],
        ),
    ] {
        world.write(file, text);
        world.refused(&format!("expand --out run --tasks {file}"), &texts);
    }
}

#[test]
fn a_container_of_a_newer_version_is_refused_with_both_versions() {
    let world = world();
    let mut bytes = world.read("shipped/generator.safetensors");
    let at = bytes.windows(7).position(|bytes| bytes == b"domex/1");
    bytes[at.unwrap() + 6] = b'2';
    world.write("newer.safetensors", bytes);
    world.refused(
        "expand --domain elf --model newer.safetensors --out run",
        &["newer.safetensors", "domex/2", "domex/1"],
    );
}

#[test]
fn a_perceptual_network_is_needed_only_for_its_loss() {
    let world = world();
    std::fs::remove_file(world.path("shipped/perceptual.safetensors")).unwrap();
    world.refused(
        "expand --domain elf --out run",
        &["perceptual.safetensors", "--lambda-lpips 0", "DOMEX_ASSETS"],
    );
    let result = world.json("expand --domain elf --out run --lambda-lpips 0 --dry-run --json");
    assert_eq!(result["domains"][0]["dimension"], DIM - 1);
}

#[test]
fn a_step_may_have_several_passes() {
    let world = world();
    let line = "expand --domain elf --steps 1 --batch 3 --micro-batch 2 --out run";
    assert!(world.ok(line).contains("batch 3 in passes of 2"));
    world.refused(
        "expand --domain elf --batch 3 --batch-gpu 4 --out x",
        &["micro_batch: 4", "1 to the batch, which is 3"],
    );
}

#[test]
fn without_shipped_networks_a_model_must_be_given() {
    let world = World::empty(env!("CARGO_BIN_EXE_domex"));
    world.refused(
        "expand --domain elf --out run",
        &["--model", "generator.safetensors"],
    );
}

#[test]
fn a_model_without_a_discriminator_is_trained_without_its_losses() {
    let world = world();
    networks::generator(&world.path("plain.safetensors"), 3, false);
    let result = world.json(&format!(
        "expand --model plain.safetensors --domain elf --out run --steps 1 --json {SHORT}"
    ));
    let notice = result["notices"][0].as_str().unwrap();
    assert!(notice.contains("no discriminator"), "{notice}");
    assert!(result["last"]["loss/D_real"].is_null());
}

#[test]
fn pictures_of_the_source_domain_that_nothing_looks_at_are_said() {
    let world = world();
    world.ok("data portraits --out set --count 4 --size 16");
    let line = "expand --domain elf --data set --out run --dry-run";
    for (flags, why) in [
        ("--lambda-src 0", "--lambda-src 0 leaves out training"),
        ("--parametrisation gated", "the base stays as it is"),
    ] {
        let told = world.ok(&format!("{line} {flags}"));
        assert!(
            told.contains(why) && told.contains("not looked at"),
            "{told}"
        );
    }
    assert!(!world.ok(line).contains("not looked at"));
}

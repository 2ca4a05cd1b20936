//! The program as its users meet it: files, output, exit codes.

use std::path::Path;

use domex_test_support::networks;
use domex_test_support::program::{World, ok, refused};

/// Nothing is shipped: where no file is named, `--random` makes pictures.
fn world() -> World {
    World::empty(env!("CARGO_BIN_EXE_domex"))
}

/// A checkpoint among the reference cases.
fn golden(file: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../stylegan2/tests/golden");
    root.join(file).to_str().expect("a plain path").to_owned()
}

/// A small model with the domains sketch, elf and tiger.
const EXPANDED: &str = "expansion/domain_expansion_snapshot_tiny.pkl";

const CHECKPOINTS: [&str; 4] = [
    "stylegan2/nvlabs_tiny.pkl",
    "stylegan2/rosinality_tiny.pt",
    "stylegan2/rosinality_tiny_legacy.pt",
    EXPANDED,
];

#[test]
fn generate_writes_a_picture_a_seed_and_a_grid() {
    let world = world();
    world.ok("generate --random --seeds 0-1 --out out");
    for file in ["seed0000.png", "seed0001.png", "grid.png"] {
        assert!(world.has(&format!("out/{file}")), "{file}");
    }
}

#[test]
fn a_seed_gives_the_same_picture_each_time() {
    let world = world();
    world.ok("generate --random --seeds 0-2 --out out");
    let first = world.read("out/seed0001.png");
    world.ok("generate --random --seeds 1 --out out --force");
    assert!(world.read("out/seed0001.png") == first);
}

#[test]
fn fresh_noise_does_not_depend_on_how_many_pictures_are_computed_at_once() {
    let world = world();
    let line = format!(
        "generate --model {} --noise-mode random --seeds 0-2 --no-grid",
        golden(CHECKPOINTS[0])
    );
    for (flags, out) in [
        ("--batch 1", "one"),
        ("--batch 3", "all"),
        ("--seed 1", "other"),
    ] {
        world.ok(&format!("{line} {flags} --out {out}"));
    }
    let last = |out: &str| world.read(&format!("{out}/seed0002.png"));
    assert!(last("one") == last("all") && last("one") != last("other"));
}

#[test]
fn info_reads_every_kind_of_checkpoint() {
    let world = world();
    for file in CHECKPOINTS {
        let info = world.json(&format!("info --json --model {}", golden(file)));
        assert_eq!(info["kind"], "stylegan2", "{file}");
    }
}

#[test]
fn generate_draws_from_every_kind_of_checkpoint() {
    let world = world();
    for (at, file) in CHECKPOINTS.into_iter().enumerate() {
        let model = golden(file);
        world.ok(&format!(
            "generate --seeds 7 --trunc 0.7 --model {model} --out {at}"
        ));
        assert!(world.has(&format!("{at}/seed0007.png")), "{file}");
    }
}

#[test]
fn info_lists_the_domains_of_an_expanded_model() {
    let text = world().ok(&format!("info --model {}", golden(EXPANDED)));
    for word in ["sketch", "elf", "tiger", "31", "20"] {
        assert!(text.contains(word), "{word} is not in: {text}");
    }
}

#[test]
fn traverse_goes_from_the_base_to_a_domain() {
    let world = world();
    let model = golden(EXPANDED);
    let line = format!("traverse --model {model} --domain elf --seeds 0,1 --frames 3 --json");
    let result = world.json(&line);
    let number = |name: &str| result[name].as_f64().unwrap();
    assert_eq!(
        (number("from"), number("to"), number("unit")),
        (0.0, 1.0, 20.0)
    );
    assert!(world.has("out/traverse.gif") && world.has("out/grid.png"));
}

#[test]
fn an_unknown_domain_is_refused_with_those_there_are() {
    let line = format!("traverse --model {} --domain elv", golden(EXPANDED));
    world().refused(&line, &["elv", "elf"]);
}

#[test]
fn traverse_goes_along_a_dimension() {
    let world = world();
    world.ok("traverse --random --dim 0 --seeds 0 --steps 3 --frames 2 --out out");
    assert!(world.has("out/traverse.gif"));
}

#[test]
fn an_animations_name_gets_the_animation_alone() {
    let world = world();
    let line = "traverse --random --dim 0 --seeds 0";
    world.ok(&format!(
        "{line} --frames 2 --size 40 --fps 10 --out way.webp"
    ));
    let bytes = std::io::Cursor::new(world.read("way.webp"));
    let decoder = image::codecs::webp::WebPDecoder::new(bytes).unwrap();
    assert!(decoder.has_animation());
    assert!(!world.has("out"));
    world.ok(&format!("{line} --steps 2 --out way.png"));
    for (flags, flag) in [
        ("--steps 3 --out a/way.mp4", "--steps"),
        ("--format gif --out a/way.png", "--format"),
        ("--fps 9 --out a/way.png", "--fps"),
        ("--frames 9 --out a/way.png", "--frames"),
        ("--size 90 --out a/way.png", "--size"),
    ] {
        world.refused(&format!("{line} {flags}"), &[flag, "leave it out"]);
    }
    assert!(!world.has("a"));
}

#[test]
fn a_pictures_name_gets_the_picture_of_one_seed_and_the_grid_of_several() {
    let world = world();
    let size = |file: &str| image::load_from_memory(&world.read(file)).unwrap().width();
    world.ok("generate --random --seeds 3 --out one.png");
    world.ok("generate --random --seeds 3-6 --out four.png");
    assert!(size("one.png") < size("four.png"));
    assert!(!world.has("out"));
}

#[test]
fn mix_writes_a_picture_for_each_row_and_column() {
    let world = world();
    world.ok("mix --random --rows 0,1 --cols 2-4 --out out");
    for file in ["0-2.png", "1-4.png", "grid.png"] {
        assert!(world.has(&format!("out/{file}")), "{file}");
    }
}

#[test]
fn dormant_measures_as_many_directions_as_were_asked_for() {
    let world = world();
    let result = world.json("dormant --random --probe 4 --samples 1 --json --out out");
    assert_eq!(result["probe"]["directions"].as_array().unwrap().len(), 4);
    for file in ["dormant.json", "spectrum.png", "spectrum.svg"] {
        assert!(world.has(&format!("out/{file}")), "{file}");
    }
}

#[test]
fn dormant_refuses_a_source_of_what_was_not_expanded() {
    let line = "dormant --random --source portraits --out out";
    world().refused(line, &["--source", "no domains"]);
}

#[test]
fn bad_flags_are_refused_with_what_is_allowed() {
    let world = world();
    for (line, texts) in [
        ("generate --seeds 5-1", &["5-1", "1-5"][..]),
        ("generate --noise-mode loud", &["const", "random", "none"]),
        ("generate --random --class 3", &["no classes"]),
        ("generate --device tpu", &["tpu", "cpu, cuda"]),
        ("generate --device cuda:99", &["--device cuda:99"]),
        ("generate --random --trunc nan --force", &["--trunc"]),
        ("mix --random --styles 99 --force", &["99", "allowed"]),
        ("traverse --random --dim 100000 --force", &["100000"]),
        ("traverse --random --distance -3 --force", &["--distance"]),
        ("dormant --random --distance 0", &["--distance 0"]),
        ("dormant --random --threshold -1", &["--threshold -1"]),
        // Not only where no other flag is given: clap asks for no flag that another one excludes.
        (
            "dormant --random --probe 2 --cosine 0.9",
            &["--cosine", "--random-directions"],
        ),
        (
            "dormant --random --probe none --samples 3",
            &["--samples", "--probe none"],
        ),
        (
            "generate --random --trunc 1e38 --seeds 0 --force",
            &["not finite", "--trunc"],
        ),
        // Before the work: many hundreds of pictures.
        (
            "mix --random --rows 0-99 --cols 100-199 --out large",
            &["a grid of pictures", "fewer"],
        ),
        (
            "traverse --random --seeds 0-999 --out large.gif",
            &["frames of an animation", "fewer"],
        ),
        (
            "traverse --random --seeds 0-9999 --out large.png",
            &["a grid of pictures"],
        ),
        (
            "data portraits --count 2 --out set --preview set.jpg",
            &["--preview", ".png"],
        ),
        ("generate --random --trunc-cutoff 2", &["--trunc"]),
        ("generate --random --seeds 1,0-2", &["1 twice"]),
        ("mix --random --rows 0,0", &["0 twice"]),
        ("fetch --list ViT-B/32", &["--list"]),
        (
            "dormant --random --random-directions 4 --threshold 0.1",
            &["--random-directions", "--threshold"],
        ),
        ("info --random --threads 65535", &["--threads", "1024"]),
        (
            "info --random --allow-tf32",
            &["--allow-tf32 is for GPUs", "--device cuda"],
        ),
        (
            "info --random --no-cudnn",
            &["--no-cudnn is for GPUs", "--device cuda"],
        ),
        ("generat", &["generate"]),
    ] {
        world.refused(line, texts);
    }
    assert!(!world.has("large") && !world.has("set"));
}

#[test]
fn half_precision_makes_nearly_the_same_pictures_where_the_file_marks_it() {
    let world = world();
    networks::half(&world.path("half.safetensors"), 16);
    let made = |precision: &str| {
        world.ok(&format!(
            "generate --model half.safetensors --seeds 0 --no-grid --out {precision} --precision {precision}"
        ));
        let picture = world.path(&format!("{precision}/seed0000.png"));
        image::open(picture).unwrap().to_rgb8().into_raw()
    };
    let (half, single) = (made("float16"), made("float32"));
    assert_eq!(single, made("auto"));
    assert!(half != single);
    let furthest = half.iter().zip(&single).map(|(a, b)| a.abs_diff(*b)).max();
    assert!(furthest.unwrap() <= 4, "{furthest:?}");
}

#[test]
fn half_precision_is_refused_where_the_file_marks_none() {
    world().refused(
        "generate --random --precision float16",
        &["--precision float16", "marks no resolution"],
    );
}

#[test]
fn damaged_files_are_refused_by_name() {
    let world = world();
    let whole = std::fs::read(golden("stylegan2/nvlabs_tiny.pkl")).unwrap();
    let zip = std::fs::read(golden("stylegan2/rosinality_tiny.pt")).unwrap();
    for (name, bytes) in [
        ("empty.pkl", &[][..]),
        ("text.pt", b"this is no checkpoint at all"),
        ("cut.pkl", &whole[..whole.len() / 2]),
        ("cut.pt", &zip[..zip.len() / 3]),
        ("huge.safetensors", b"\xff\xff\xff\xff\xff\xff\xff\x7f{}"),
    ] {
        world.write(name, bytes);
        world.refused(&format!("info --model {name}"), &[name]);
        world.refused(&format!("generate --model {name} --force"), &[name]);
    }
}

#[test]
fn the_content_of_a_file_decides_not_its_name() {
    let world = world();
    let zip = std::fs::read(golden("stylegan2/rosinality_tiny.pt")).unwrap();
    world.write("renamed.jpg", zip);
    world.ok("info --model renamed.jpg");
}

#[test]
fn no_verb_makes_pictures_of_random_weights_unasked() {
    let world = world();
    for verb in [
        "info",
        "generate",
        "traverse --dim 0",
        "mix --rows 0 --cols 1",
        "dormant",
        "compose --set elf=1",
    ] {
        world.refused(verb, &["generator.safetensors", "DOMEX_ASSETS", "--random"]);
    }
    let both = "generate --random --model x.pkl";
    world.refused(both, &["--random", "--model"]);
}

#[test]
fn the_variable_names_the_model_where_nothing_else_does() {
    let world = world();
    let with = |value: &str, line: &str| {
        let mut command = world.command(line);
        command.env("DOMEX_MODEL", value).output().unwrap()
    };
    ok(&with("absent.pkl", "info --random"));
    ok(&with(
        "absent.pkl",
        &format!("info -m {}", golden(EXPANDED)),
    ));
    ok(&with(&golden(EXPANDED), "info"));
    for line in [
        "info",
        "expand --domain elf --out x",
        "train-encoder --out x",
        "train-degan --out x",
    ] {
        refused(&with("absent.pkl", line), &["DOMEX_MODEL absent.pkl"]);
        refused(&with("", line), &["the shipped generator.safetensors"]);
    }
}

#[test]
fn a_model_that_is_not_there_is_refused_with_what_is_known() {
    let world = world();
    let source = format!("dormant --model {} --source nope.pkl", golden(EXPANDED));
    world.refused(&source, &["--source nope.pkl: no such file"]);
    world.refused("domains merge nope.pkl b.pkl --out x", &["MODEL nope.pkl"]);
    // What a download that was stopped left is no model.
    let part = world.path("cache/models/own/own.pkl.part");
    std::fs::create_dir_all(part.parent().unwrap()).unwrap();
    std::fs::write(part, "half").unwrap();
    world.refused("info --model own", &["--model own: neither a file nor"]);
    let plain = golden(CHECKPOINTS[0]);
    std::fs::copy(&plain, world.path("plain.pkl")).unwrap();
    let merged = format!("domains merge {plain} plain.pkl --out x");
    world.refused(&merged, &["plain.pkl: has no domains"]);
    for (line, texts) in [
        (
            "info --model no-such-file.pkl",
            ["no-such-file.pkl", "no such file"],
        ),
        (
            "info --model no-such-name",
            ["no-such-name", "stylegan2-ffhq-1024"],
        ),
    ] {
        world.refused(line, &texts);
    }
}

#[test]
fn completions_know_the_verbs() {
    let world = world();
    for shell in ["bash", "zsh", "fish"] {
        let script = world.ok(&format!("completions {shell}"));
        assert!(script.contains("dormant"), "{shell}");
    }
}

/// The published training code's checkpoint of a tiny diffusion autoencoder.
fn autoencoder() -> String {
    golden("../../../diffae/tests/golden/diffae/diffae_tiny.ckpt")
}

#[test]
fn a_diffusion_autoencoder_is_shown_as_published() {
    let world = world();
    let shown = world.ok(&format!("info --model {}", autoencoder()));
    for part in [
        "Diffusion autoencoder, 16×16",
        "z_sem 32",
        "latent_net",
        "averaged       yes",
    ] {
        assert!(shown.contains(part), "{part} is not in {shown}");
    }
    let json = world.json(&format!("info --json --tensors --model {}", autoencoder()));
    assert_eq!(json["kind"], "diffae");
    assert_eq!(
        json["config"]["unet"]["output_channels"],
        serde_json::json!([8, 16])
    );
    assert_eq!(json["limits"], serde_json::json!([]));
}

#[test]
fn a_diffusion_autoencoder_makes_pictures_and_takes_them_in_and_out() {
    let (world, model) = (world(), autoencoder());
    world.ok(&format!(
        "generate --model {model} --seeds 1,2 --sampling-steps 4 --out out"
    ));
    let picture = image::open(world.path("out/seed0001.png")).unwrap();
    assert_eq!(picture.into_rgb8().dimensions(), (16, 16));
    world.ok(&format!(
        "encode --model {model} out/seed0001.png out/seed0001.png --steps 10 --out codes"
    ));
    world.ok(&format!(
        "decode --model {model} codes/codes.safetensors --steps 10 --out back"
    ));
    assert!(world.read("back/picture0000.png") == world.read("back/picture0001.png"));
}

#[test]
fn codes_are_those_of_the_shipped_autoencoder_where_no_model_is_named() {
    let (world, model) = (world(), autoencoder());
    std::fs::create_dir(world.path("shipped")).unwrap();
    std::fs::copy(&model, world.path("shipped/diffae.safetensors")).unwrap();
    world.ok("generate --model diffae --seeds 1 --sampling-steps 4 --out out");
    world.ok("encode out/seed0001.png --steps 0 --out codes");
    world.ok(&format!(
        "encode out/seed0001.png --network {model} --steps 0 --out same"
    ));
    assert!(world.read("codes/codes.safetensors") == world.read("same/codes.safetensors"));
    world.ok("decode codes/codes.safetensors --steps 4 --out back");
    assert!(world.has("back/picture0000.png"));
}

#[test]
fn a_diffusion_autoencoder_is_moved_along_its_directions() {
    let (world, model) = (world(), autoencoder());
    world.ok(&format!(
        "traverse --model {model} --dim 0 --seeds 1,2 --steps 3 --frames 2 --sampling-steps 4 --out way"
    ));
    assert!(world.path("way/grid.png").is_file());
    world.ok(&format!(
        "dormant --model {model} --probe 2 --samples 2 --batch 2 --out dormant"
    ));
    let report: serde_json::Value =
        serde_json::from_slice(&world.read("dormant/dormant.json")).unwrap();
    assert_eq!(report["singular_values"].as_array().unwrap().len(), 32);
}

#[test]
fn what_a_diffusion_autoencoder_cannot_do_is_said() {
    let world = world();
    let refused = |line: &str, model: &str, texts: &[&str]| {
        world.refused(&format!("{line} --model {model} --out out --force"), texts);
    };
    let model = autoencoder();
    refused("mix", &model, &["is a diffusion autoencoder", "domex info"]);
    let steps = ["1 to the 1000 steps of training"];
    refused("generate --sampling-steps 1001", &model, &steps);
    let class = ["--class", "leave the flag out"];
    refused("generate --class 3", &model, &class);
    let other = golden("stylegan2/nvlabs_tiny.pkl");
    let needed = ["a diffusion autoencoder is needed here"];
    refused("encode x.png", &other, &needed);
    refused(
        "generate --sampling-steps 5",
        &other,
        &["leave the flag out"],
    );
}

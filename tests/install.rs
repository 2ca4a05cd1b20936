//! The program alone, as it is installed: its own networks, and those that it fetches, by name.

use domex_test_support::networks;
use domex_test_support::program::World;

/// A name of each flag for a published network that is not here, and what brings it.
const NAMES: [(&str, &str); 8] = [
    ("info --model stylegan2-ffhq-1024", "stylegan2-ffhq-1024"),
    ("expand --domain elf --clip ViT-B/32", "clip-vit-b32"),
    ("expand --domain elf --clip clip-vit-b32", "clip-vit-b32"),
    ("expand --domain elf --perceptual lpips-vgg", "lpips-vgg"),
    ("invert --image x --perceptual lpips-alex", "lpips-alex"),
    ("invert --image x --crop face", "yunet"),
    ("eval --data portraits --features dinov2", "dinov2-vitl14"),
    (
        "eval --data portraits --features inception",
        "inception-fid",
    ),
];

#[test]
fn a_network_that_is_not_here_is_refused_with_the_fetch_that_brings_it() {
    let world = World::new(env!("CARGO_BIN_EXE_domex"));
    for (line, name) in NAMES {
        let out = if line.starts_with("info") {
            ""
        } else {
            "--out x"
        };
        let fetch = format!("`domex fetch {name}`");
        world.refused(&format!("{line} {out}"), &[&fetch]);
    }
}

/// Puts a file where `domex fetch` would.
fn fetched(world: &World, from: &str, to: &str) {
    let to = world.path("cache/models").join(to);
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    std::fs::copy(world.path(from), to).unwrap();
}

#[test]
fn a_name_that_was_fetched_is_taken_by_every_flag() {
    let world = World::new(env!("CARGO_BIN_EXE_domex"));
    for (from, to) in [
        ("generator", "stylegan2-ffhq-1024/model.safetensors"),
        ("clip-one", "clip-vit-b32/pytorch_model.bin"),
        ("perceptual", "lpips-vgg/model.safetensors"),
    ] {
        fetched(&world, &format!("shipped/{from}.safetensors"), to);
    }
    let line = "expand --model stylegan2-ffhq-1024 --domain elf --perceptual lpips-vgg --out x -n --json --clip";
    for name in ["ViT-B/32", "clip-vit-b32"] {
        let settings = &world.json(&format!("{line} {name}"))["settings"];
        for (path, part) in [
            (&settings["model"], "stylegan2-ffhq-1024"),
            (&settings["clip"][0]["path"], "clip-vit-b32"),
            (&settings["perceptual"], "lpips-vgg"),
        ] {
            assert!(path.as_str().unwrap().contains(part), "{settings}");
        }
    }
    world.ok("info --model stylegan2-ffhq-1024");
}

#[test]
fn the_doctor_tells_what_is_here_and_what_is_missing() {
    let world = World::new(env!("CARGO_BIN_EXE_domex"));
    fetched(
        &world,
        "shipped/perceptual.safetensors",
        "lpips-vgg/model.safetensors",
    );
    let judge = world.path("shipped/judge.safetensors");
    networks::judge(&judge, networks::SIDE, &["photo", "zombie"]);
    let found = world.json("doctor --json --threads 2");
    assert_eq!(found["problems"], serde_json::json!([]));
    assert_eq!(found["threads"]["used"], 2);
    assert_eq!(found["fetched"], serde_json::json!(["lpips-vgg"]));
    assert!(world.ok("doctor").lines().count() >= 9);

    assert!(!world.ok("doctor").contains("cannot be"));

    let empty = World::empty(env!("CARGO_BIN_EXE_domex"));
    let missing = ["networks of the portrait world are missing", "DOMEX_ASSETS"];
    empty.refused("doctor", &missing);
}

#[test]
fn what_can_be_fetched_is_listed_with_what_is_here() {
    let world = World::new(env!("CARGO_BIN_EXE_domex"));
    fetched(
        &world,
        "shipped/clip-one.safetensors",
        "clip-vit-b32/pytorch_model.bin",
    );
    let list = world.json("fetch --list --json");
    let models = list["models"].as_array().unwrap();
    let of = |name: &str| models.iter().find(|model| model["name"] == name).unwrap();
    assert_eq!(of("clip-vit-b32")["alias"], "ViT-B/32");
    assert_eq!(of("clip-vit-b32")["here"], "cached");
    assert!(of("clip-vit-b16")["here"].is_null());
}

#[cfg(feature = "embedded-assets")]
mod embedded {
    use std::path::{Path, PathBuf};
    use std::process::Command;

    use domex_test_support::program::{ok, refused};

    use super::*;

    /// The program in a folder with nothing shipped beside it.
    fn command(world: &World, line: &str) -> Command {
        let mut command = world.command(line);
        command.env_remove("DOMEX_ASSETS");
        command
    }

    /// What the cache holds of the program's own files.
    fn unpacked(world: &World) -> Vec<PathBuf> {
        let folders = std::fs::read_dir(world.path("cache/shipped")).unwrap();
        let files = folders.flat_map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap());
        files.map(|file| file.unwrap().path()).collect()
    }

    #[test]
    fn the_doctor_shows_all_its_lines_where_nothing_can_be_unpacked() {
        let world = World::empty(env!("CARGO_BIN_EXE_domex"));
        world.write("taken", "a file");
        let doctor = |line: &str| {
            let mut command = command(&world, line);
            let output = command
                .env("DOMEX_CACHE", world.path("taken/cache"))
                .output();
            let output = output.unwrap();
            refused(
                &output,
                &["taken/cache", "nothing can be kept there", "DOMEX_CACHE"],
            );
            String::from_utf8(output.stdout).unwrap()
        };
        let screen = doctor("doctor");
        let row = |what: &str| screen.lines().find(|line| line.starts_with(what)).unwrap();
        assert!(row("shipped").contains("cannot be unpacked"), "{screen}");
        assert!(
            row("cache").contains("taken/cache, cannot be written"),
            "{screen}"
        );
        assert!(row("fetched").contains("nothing"), "{screen}");
        assert_eq!(screen.lines().count(), 8, "{screen}");
        let json: serde_json::Value = serde_json::from_str(&doctor("doctor --json")).unwrap();
        assert_eq!(json["problems"].as_array().unwrap().len(), 1, "{json}");
    }

    #[test]
    fn the_program_has_all_that_ships() {
        let world = World::empty(env!("CARGO_BIN_EXE_domex"));
        let line = "expand --domain zombie --out run --steps 1 --batch 1 --snap 1 --quiet";
        ok(&command(&world, line).output().unwrap());
        ok(&command(&world, "doctor").output().unwrap());
        let line =
            "expand --model diffae --domain zombie --dimensions dormant --out dry -n --quiet";
        ok(&command(&world, line).output().unwrap());
        for line in [
            "generate --seeds 0 --out style --quiet",
            "adapt --image style/seed0000.png --out style.safetensors --quiet",
            "adapt --text zombie --out words.safetensors --quiet",
        ] {
            ok(&command(&world, line).output().unwrap());
        }
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/portraits");
        let read = |path: &Path| std::fs::read(path).unwrap();
        let mut left = unpacked(&world);
        for file in std::fs::read_dir(shipped).unwrap() {
            let file = file.unwrap().path();
            let is_same = |found: &PathBuf| found.file_name() == file.file_name();
            match left.iter().position(is_same) {
                Some(at) => assert!(read(&left.swap_remove(at)) == read(&file), "{file:?}"),
                None => assert!(
                    file.ends_with("README.md"),
                    "{file:?} is not in the program"
                ),
            }
        }
        assert!(left.is_empty(), "{left:?}");

        // A run remembers files of the cache; it is resumed where the cache was cleared.
        let short = "--kimg 0.004 --tick 0.004 --batch 4 --quiet";
        for verb in ["train-degan", "train-hyperdomain", "train-encoder"] {
            let line = format!("{verb} --out {verb} {short}");
            ok(&command(&world, &line).output().unwrap());
        }
        for run in [
            "expand --resume run",
            "train-degan --resume train-degan",
            "train-hyperdomain --resume train-hyperdomain",
            "train-encoder --resume train-encoder",
        ] {
            drop(std::fs::remove_dir_all(world.path("cache")));
            let told = ok(&command(&world, &format!("{run} -n")).output().unwrap());
            // Where the program keeps what it has is nobody's business.
            assert!(!told.contains("cache/shipped"), "{told}");
        }
        // Another folder, where one is given, has nothing to do with the program's own files.
        world.refused("generate --out x", &["generator.safetensors"]);
    }
}

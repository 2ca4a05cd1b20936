//! Mistakes that people make: what was typed is named with what is expected, before any work.

use std::path::Path;

use domex_test_support::program::World;

fn world() -> World {
    World::new(env!("CARGO_BIN_EXE_domex"))
}

#[test]
fn a_run_that_cannot_be_written_is_refused_before_anything_is_told() {
    let world = world();
    world.write("taken", "a file");
    for verb in [
        "train --data portraits --size 16",
        "expand --domain elf",
        "train-degan",
    ] {
        for (out, words) in [
            ("taken", "taken: is a file"),
            ("taken --force", "taken: is a file"),
            ("taken/run", "cannot write taken/run"),
        ] {
            let output = world.run(&format!("{verb} --out {out}"));
            domex_test_support::program::refused(&output, &["--out", words]);
            assert!(output.stdout.is_empty(), "{verb} {out}");
        }
    }
    assert_eq!(world.text("taken"), "a file");
}

#[test]
fn sizes_that_no_generator_has_are_refused_by_their_flags() {
    let world = world();
    let sizes = "a power of two from 4 to 4096";
    world.refused(
        "train --data portraits --size 63 --out run",
        &["--size 63", sizes],
    );
    world.ok("data portraits --out set --count 2 --size 24");
    world.refused(
        "train --data set --resize 7 --out run",
        &["--resize 7", sizes],
    );
    world.refused(
        "train --data set --out run",
        &["--data set", "24 pixels", sizes, "--resize"],
    );
    assert!(!world.has("run"));
}

/// No machine has so much, and no step says so before it is killed.
#[cfg(target_os = "linux")]
#[test]
fn a_batch_that_never_fits_is_refused_before_the_first_step() {
    let world = world();
    let train = "train --data portraits --size 1024 --out run --batch 65536";
    for line in [
        train,
        &format!("{train} --dry-run"),
        "expand --domain elf --out run --batch 4000000000",
    ] {
        let batch = line.split("--batch ").nth(1).unwrap();
        let batch = batch.split(' ').next().unwrap();
        world.refused(
            line,
            &[
                &format!("{batch} samples at once"),
                "this machine has",
                "--batch or --micro-batch",
            ],
        );
        assert!(!world.has("run"), "{line}");
    }
    world.ok(&format!("{train} --dry-run --micro-batch 1"));
}

#[test]
fn steps_that_an_autoencoder_cannot_take_are_refused_by_their_flags() {
    let world = world();
    let model = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../diffae/tests/golden/diffae/diffae_tiny.ckpt");
    let model = model.display();
    world.ok("data portraits --out set --count 1 --size 16");
    let picture = "set/00000/img00000000.png";
    let refused = |line: &str, flag: &str| {
        world.refused(
            &format!("{line} --model {model} --out x"),
            &[flag, "steps of training"],
        );
        assert!(!world.has("x"));
    };
    refused(&format!("encode {picture} --steps 5000"), "--steps");
    refused("decode absent.safetensors --steps 0", "--steps");
    refused("generate --sampling-steps 5000", "--sampling-steps");
}

#[test]
fn what_is_no_file_is_called_what_it_is() {
    let world = world();
    world.write("list.txt", "words");
    for (line, words) in [
        (
            "info --model /dev/null",
            &["--model /dev/null", "a device or a pipe"][..],
        ),
        ("generate --seeds x", &["'x' is neither a number"]),
        (
            "generate --seeds 1,x",
            &["'x' in '1,x' is neither a number"],
        ),
        ("traverse --direction absent", &["--direction: absent"]),
        ("person sample --anchors absent", &["--anchors: absent"]),
        (
            "convert shipped/generator.safetensors --out list.txt",
            &["list.txt", "--force"],
        ),
        (
            "convert shipped/generator.safetensors --out shipped",
            &["--out shipped: is a folder"],
        ),
    ] {
        world.refused(line, words);
    }
    world.ok("convert shipped/generator.safetensors --out new/copy.safetensors");
    assert!(world.has("new/copy.safetensors"));
}

#[cfg(unix)]
#[test]
fn a_search_that_is_interrupted_leaves_nothing_in_the_way_of_the_next() {
    use domex_test_support::process::{signal, start, wait_until};
    let world = world();
    world.ok("generate --seeds 0 --no-grid --out made");
    world.ok("invert --image made --steps 1 --out anchors");
    world.ok("expand --domain zombie --out run --steps 1 --batch 2 --threads 2 --quiet");
    for (line, begun, is_left) in [
        (
            "invert --image made --steps 1000000",
            "found/pictures",
            false,
        ),
        // What the search found before the tuning stays.
        (
            "invert --image made --steps 1 --tune 1000000",
            "found/pictures/seed0000.png",
            true,
        ),
        (
            "edit --model run/model.safetensors --image made --set zombie --steps 1000000",
            "found/inverted/pictures",
            false,
        ),
        (
            "person project --anchors anchors/latents --image made --steps 1000000",
            "found/pictures",
            false,
        ),
    ] {
        let mut search = start(world.command(&format!("{line} --out found")));
        wait_until(&mut search, begun, || world.has(begun));
        signal(&search, "INT");
        assert_eq!(search.wait().unwrap().code(), Some(130), "{line}");
        assert_eq!(world.has("found"), is_left, "{line}");
        if is_left {
            std::fs::remove_dir_all(world.path("found")).unwrap();
        }
    }
}

//! Domains as a mapping with affine maps, and as styles of kernels.

use super::*;

/// A mapping with its affine maps, and styles of kernels, as models of their names.
fn frozen() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    World::shared(
        &WORLD,
        env!("CARGO_BIN_EXE_domex"),
        env!("CARGO_TARGET_TMPDIR"),
        "expand-frozen",
        |world| {
            for name in ["dorm", "gan-memory"] {
                let line = format!("expand --domain {name} --parametrisation {name}");
                world.ok(&format!("{line} --out {name} --steps 2 {SHORT}"));
                std::fs::copy(
                    world.path(&format!("{name}/model.safetensors")),
                    world.path(&format!("{name}.safetensors")),
                )
                .unwrap();
            }
            world.ok("domains merge dorm.safetensors gan-memory.safetensors --out two.safetensors");
        },
    )
}

#[test]
fn mappings_and_styles_of_kernels_are_merged_removed_renamed_and_carried() {
    let world = frozen();
    for name in ["dorm", "gan-memory"] {
        assert!(numbers(world, name, "two") == numbers(world, name, name));
        let line = format!("domains export {name} --model two.safetensors --json");
        let taken = world.json(&format!("{line} --out {name}.domain.safetensors"));
        let bytes = taken["bytes"].as_u64().unwrap();
        assert!(bytes > 4 * taken["numbers"].as_u64().unwrap());
        let line = format!("domains add {name}.domain.safetensors --model portraits");
        world.ok(&format!("{line} --out {name}.home.safetensors"));
        assert!(numbers(world, name, &format!("{name}.home")) == numbers(world, name, name));
    }
    world.ok("domains remove dorm --model two.safetensors --out one.safetensors");
    assert!(numbers(world, "gan-memory", "one") == numbers(world, "gan-memory", "gan-memory"));
    world.ok("domains rename dorm elf --model two.safetensors --out named.safetensors");
    let list = world.json("domains list --model named.safetensors --json");
    assert_eq!(list["domains"][0]["name"], "elf");
    world.ok("compose --model two.safetensors --set dorm,gan-memory=0.5 --seeds 0 --out both.png");
}

#[test]
fn styles_of_kernels_are_fused_and_mappings_refused_by_what_they_are() {
    let world = frozen();
    world.ok("domains fuse gan-memory=0.5 --model two.safetensors --out fused.safetensors");
    let info = world.json("info --json --model fused.safetensors");
    assert!(info["expansion"].is_null());
    let line = "domains fuse dorm --model two.safetensors --out x.safetensors";
    world.refused(line, &["dorm: has a mapping", "not linear"]);
    let line = "export --model gan-memory.safetensors --out x.onnx";
    world.refused(line, &["gan-memory adds to weights", "domains fuse"]);
    world.refused(
        "export --model dorm.safetensors --out x.onnx",
        &["dorm has a mapping"],
    );
}

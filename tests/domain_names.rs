//! Names of domains, and words that stand where names do.

use candle_core::Device;
use domex_stylegan2::{Model, Overwrite};
use domex_test_support::program::World;

/// With the domains elf and orc beside the weights of one model, each alone in another.
fn world() -> World {
    let world = World::new(env!("CARGO_BIN_EXE_domex"));
    for name in ["elf", "orc"] {
        world.ok(&format!(
            "expand --domain {name} --parametrisation gated --out {name} --steps 1 --batch 2 --threads 2 --quiet"
        ));
    }
    let [elf, orc] = ["elf", "orc"].map(|name| format!("{name}/model.safetensors"));
    world.ok(&format!("domains merge {elf} {orc} --out both.safetensors"));
    world
}

#[test]
fn a_domain_is_given_no_name_that_means_another_thing() {
    let world = world();
    let name = |name: &str| {
        let to = format!("named-{name}.safetensors");
        world.refused(
            &format!("domains rename elf {name} --model both.safetensors --out {to}"),
            &[name, "choose another name"],
        );
        world.refused(
            &format!("expand --domain elf --domain {name} --out named"),
            &[name, "give it another"],
        );
        assert!(!world.has(&to) && !world.has("named"));
    };
    ["all", "base"].into_iter().for_each(name);
    world.write(
        "named.toml",
        "[[tasks]]\ntarget = \"elf\"\nname = \"all\"\n",
    );
    world.refused(
        "expand --tasks named.toml --out named",
        &["\"all\"", "every domain"],
    );

    // One that was called so before is there still.
    let mut model = Model::load(world.path("both.safetensors"), &Device::Cpu).unwrap();
    let layout = &mut model.expansion.as_mut().unwrap().layout;
    layout.rename("elf", "all").unwrap();
    let to = world.path("called.safetensors");
    model.save(to, Overwrite::Replace).unwrap();
    world.ok("domains export all --model called.safetensors --out called.domain.safetensors");
    let said = world.ok("generate --model called.safetensors --domains all --seeds 0 --out every");
    assert!(said.contains("--domains all=1 draws the one"), "{said}");
    assert!(world.has("every/orc/seed0000.png"));
    world.ok("generate --model called.safetensors --domains all=1 --seeds 0 --out alone");
    assert!(world.has("alone/all/seed0000.png") && !world.has("alone/orc"));
    world.refused(
        "domains add called.domain.safetensors --model orc/model.safetensors --out x.safetensors",
        &["\"all\"", "`domex domains rename`"],
    );
    world.ok("domains rename all fay --model called.safetensors --out again.safetensors");
}

#[test]
fn a_name_with_the_sign_of_a_strength_can_be_asked_for() {
    let world = world();
    world.ok("domains rename elf size=2 --model both.safetensors --out sized.safetensors");
    let line = "compose --model sized.safetensors --set size=2,orc=0.5 --seeds 0 --out x --json";
    let set = &world.json(line)["set"];
    assert_eq!(set[0]["domain"], "size=2");
    assert_eq!(
        (&set[0]["alpha"], &set[1]["alpha"]),
        (&1.0.into(), &0.5.into())
    );
    world.refused(
        "domains fuse size=two --model sized.safetensors --out y.safetensors",
        &["size=two", "no number"],
    );
}

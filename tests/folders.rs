//! Folders of pictures that are given: nothing in them is passed over in silence.

use domex_test_support::program::{World, ok};

fn world() -> World {
    World::new(env!("CARGO_BIN_EXE_domex"))
}

#[test]
fn a_folder_of_few_pictures_is_looked_into_as_that_of_many_is() {
    let world = world();
    world.ok("data portraits --out art --count 3 --size 16");
    world.write("art/00000/photo.heic", "no picture that is read");
    world.write(
        "tasks.toml",
        "[[tasks]]\nname = \"mine\"\npictures = [\"art\"]\n",
    );
    for line in ["--domain mine=@art", "--tasks tasks.toml"] {
        let result = world.json(&format!("expand {line} --out x -n --json"));
        let pictures = result["settings"]["tasks"][0]["pictures"].as_array();
        assert_eq!(pictures.unwrap().len(), 3, "{line}");
        let notice = result["notices"][0].as_str().unwrap();
        assert!(notice.contains("00000/photo.heic"), "{notice}");
    }
}

#[test]
fn what_of_a_folder_is_not_inverted_is_said() {
    let world = world();
    world.ok("data portraits --out set --count 2 --size 16");
    std::fs::create_dir_all(world.path("photos")).unwrap();
    let picture = |name| world.path(&format!("set/00000/img0000000{name}.png"));
    std::fs::rename(picture(1), world.path("photos/anna.png")).unwrap();
    world.refused(
        "invert --image set --steps 1 --out x",
        &[
            "holds no picture",
            "1 picture in sub-folders passed over (00000)",
        ],
    );
    std::fs::rename(world.path("set"), world.path("photos/older")).unwrap();
    world.write("photos/berta.heic", "no picture that is read");
    let output = world.run("invert --image photos --steps 1 --keep-noise --out found --json");
    let result: serde_json::Value = serde_json::from_str(&ok(&output)).unwrap();
    assert_eq!(result["pictures"].as_array().unwrap().len(), 1);
    let warned = String::from_utf8_lossy(&output.stderr);
    for part in ["1 picture in sub-folders passed over (older)", "berta.heic"] {
        assert!(warned.contains(part), "{warned}");
    }
}

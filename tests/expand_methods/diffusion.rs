//! Domains in words by a diffusion model.

use super::*;

/// A run of two such domains.
fn taught() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    World::shared(
        &WORLD,
        env!("CARGO_BIN_EXE_domex"),
        env!("CARGO_TARGET_TMPDIR"),
        "expand-taught",
        |world| {
            let clip = world.path("shipped/clip-one.safetensors");
            networks::teacher(&world.path("teacher.safetensors"), networks::SIDE, &clip);
            networks::teacher(&world.path("large.safetensors"), 2 * networks::SIDE, &clip);
            let tasks = "[settings.diffusion]\ntargets = 5\npaired = 1\nadversarial = 0\ntranslation = { steps = 3 }\nscore = { weight = 2 }\n\n\
                         [[tasks]]\nmethod = \"diffusion\"\ntarget = \"zombie\"\n\n\
                         [[tasks]]\nmethod = \"diffusion\"\ntarget = \"sketch\"\ntime = 0.97\n";
            world.write("tasks.toml", tasks);
            world.ok(&format!("{TAUGHT} --out run --steps 2 {SHORT}"));
        },
    )
}

const TAUGHT: &str = "expand --tasks tasks.toml --teacher teacher.safetensors --teacher-clip one";

#[test]
fn a_domain_is_learnt_from_a_diffusion_model() {
    let model = Container::open(taught().path("run/model.safetensors")).unwrap();
    let domains = &model.expansion().unwrap()["layout"]["domains"];
    assert_eq!(domains[1]["name"], "sketch");
    assert_eq!(domains[1]["task"]["type"], "diffusion");
}

#[test]
fn target_pictures_are_kept_and_found_again() {
    let world = taught();
    let kept = || {
        let files = std::fs::read_dir(world.path("cache/texts")).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with("targets-")).count()
    };
    let before = kept();
    assert!(before >= 2);
    world.ok(&format!("{TAUGHT} --out again --steps 2 {SHORT}"));
    assert_eq!(kept(), before);
    assert!(world.tensors("again") == world.tensors("run"));
}

#[test]
fn a_task_says_below_which_time_its_target_is_followed_alone() {
    let world = taught();
    let tasks = world.text("tasks.toml");
    let alone = tasks.replace("time = 0.97", "time = 0.97\ntarget_only = 0.9");
    world.write("alone.toml", &alone);
    let line = |name: &str| {
        let line = TAUGHT.replace("tasks.toml", &format!("{name}.toml"));
        format!("{line} --out {name} --steps 2 {SHORT}")
    };
    world.ok(&line("alone"));
    assert!(world.tensors("alone") != world.tensors("run"));
    let inversion = alone.replace("{ steps = 3 }", "{ steps = 3, way = \"inversion\" }");
    world.write("inversion.toml", inversion);
    world.refused(&line("inversion"), &["target_only: 0.9", "inversion"]);
}

#[test]
fn an_inversion_takes_no_time_from_the_settings_but_a_recipe_may_have_one() {
    let world = World::new(env!("CARGO_BIN_EXE_domex"));
    let recipe = "[settings.diffusion.translation]\nsteps = 3\ntarget_only = 0.4\n";
    world.write("shipped/expand.toml", recipe);
    let clip = world.path("shipped/clip-one.safetensors");
    networks::teacher(&world.path("teacher.safetensors"), networks::SIDE, &clip);
    let file = |name: &str, given: &str| {
        let task = "[[tasks]]\nmethod = \"diffusion\"\ntarget = \"zombie\"\n";
        let settings = format!("[settings.diffusion.translation]\nway = \"inversion\"\n{given}");
        world.write(&format!("{name}.toml"), format!("{settings}\n{task}"));
        TAUGHT.replace("tasks.toml", &format!("{name}.toml")) + " --out x --dry-run"
    };
    let words = [
        "both.toml: diffusion.translation.target_only: found 0.5",
        "inversion",
    ];
    world.refused(&file("both", "target_only = 0.5"), &words);
    let settings = &world.json(&format!("{} --json", file("way", "")))["settings"];
    let translation = &settings["config"]["diffusion"]["translation"];
    assert_eq!(translation["target_only"], 0.4, "{settings}");
}

#[test]
fn what_the_teacher_draws_anew_is_learnt_too() {
    let world = taught();
    let tasks = world
        .text("tasks.toml")
        .replace("score = { weight = 2 }", "");
    world.write("targets-only.toml", tasks);
    let line = TAUGHT.replace("tasks.toml", "targets-only.toml");
    world.ok(&format!("{line} --out targets-only --steps 2 {SHORT}"));
    assert!(world.tensors("targets-only") != world.tensors("run"));
    let nothing = "[settings.diffusion]\npaired = 0\nadversarial = 0\n[[tasks]]\nmethod = \"diffusion\"\ntarget = \"elf\"\n";
    world.write("nothing.toml", nothing);
    let line = TAUGHT.replace("tasks.toml", "nothing.toml");
    world.refused(&format!("{line} --out x {SHORT}"), &["diffusion.paired"]);
    let wrong = "[settings.diffusion.score]\ntimes = [0.6, 0.1]\n[[tasks]]\nmethod = \"diffusion\"\ntarget = \"elf\"\n";
    world.write("wrong.toml", wrong);
    let line = TAUGHT.replace("tasks.toml", "wrong.toml");
    world.refused(
        &format!("{line} --out x {SHORT}"),
        &["diffusion.score.times"],
    );
}

#[test]
fn clip_models_teach_beside_the_diffusion_model() {
    let world = taught();
    let line = |name: &str| {
        let line = TAUGHT.replace("tasks.toml", &format!("{name}.toml"));
        format!("{line} --clip one --out {name} --steps 2 {SHORT}")
    };
    world.refused(&line("tasks"), &["--clip", "diffusion.clip"]);
    for (name, weight) in [("by-clip", "1"), ("by-clip-more", "3")] {
        let settings = format!("[settings.diffusion]\nclip = {weight}\n");
        let tasks = world.text("tasks.toml");
        world.write(
            &format!("{name}.toml"),
            tasks.replace("[settings.diffusion]\n", &settings),
        );
        world.ok(&line(name));
    }
    assert!(world.tensors("by-clip") != world.tensors("run"));
    assert!(world.tensors("by-clip") != world.tensors("by-clip-more"));
}

#[test]
fn a_discriminator_of_translations_is_resumed_to_the_same_bits() {
    let world = taught();
    let tasks = world
        .text("tasks.toml")
        .replace("paired = 1\nadversarial = 0\n", "")
        .replace("score = { weight = 2 }", "");
    world.write("adversarial.toml", tasks);
    let line = TAUGHT.replace("tasks.toml", "adversarial.toml");
    world.ok(&format!("{line} --out judged --steps 2 {SHORT}"));
    world.ok("expand --resume judged --steps 4 --threads 2 --quiet");
    world.ok(&format!("{line} --out judged-whole --steps 4 {SHORT}"));
    assert!(world.tensors("judged") == world.tensors("judged-whole"));
    let events = world.text("judged/events.jsonl");
    assert!(events.contains("diffusion.discriminator/real"), "{events}");
}

#[test]
fn a_run_by_a_diffusion_model_is_resumed_to_the_same_bits() {
    let world = taught();
    world.copy("run", "more");
    world.ok("expand --resume more --steps 4 --threads 2 --quiet");
    world.ok(&format!("{TAUGHT} --out whole --steps 4 {SHORT}"));
    assert!(world.tensors("more") == world.tensors("whole"));
}

/// Each step sees other targets than the one before, and so does a run that is resumed after all of the first have gone.
#[test]
fn targets_are_renewed_as_the_run_goes_on() {
    let world = taught();
    let tasks = world.text("tasks.toml");
    let tasks = tasks.replace("targets = 5", "targets = 9\nrenew = 1\nkeep = 0.7");
    world.write("renewed.toml", &tasks);
    world.write("lasting.toml", tasks.replace("renew = 1", "renew = 11"));
    let line = |tasks: &str| TAUGHT.replace("tasks.toml", &format!("{tasks}.toml"));
    for tasks in ["renewed", "lasting"] {
        world.ok(&format!("{} --out {tasks} --steps 11 {SHORT}", line(tasks)));
    }
    assert!(world.tensors("renewed") != world.tensors("lasting"));
    world.ok(&format!(
        "{} --out part --steps 10 {SHORT}",
        line("renewed")
    ));
    world.ok("expand --resume part --steps 11 --threads 2 --quiet");
    assert!(world.tensors("part") == world.tensors("renewed"));
}

#[test]
fn domains_of_the_command_line_take_the_method_too() {
    let line =
        "expand --method diffusion --domain elf --teacher teacher.safetensors --teacher-clip one";
    let result = taught().json(&format!("{line} --out x --dry-run --json {SHORT}"));
    assert_eq!(result["settings"]["tasks"][0]["method"], "diffusion");
}

#[test]
fn a_teacher_that_does_not_fit_is_refused_before_the_first_step() {
    let world = taught();
    let line = format!("expand --method diffusion --domain elf --out x {SHORT}");
    let teacher = |name: &str, clip: &str| format!("{line} --teacher {name} --teacher-clip {clip}");
    world.refused(&line, &["no --teacher", "teacher.safetensors"]);
    world.refused(&teacher("teacher.safetensors", "two"), &["text encoder"]);
    world.refused(
        &teacher("large.safetensors", "one"),
        &["32 × 32", "16 × 16"],
    );
    let wrong = "shipped/perceptual.safetensors";
    world.refused(
        &teacher(wrong, "one"),
        &["a perceptual network", "diffusion model"],
    );
    let long = "word ".repeat(60);
    world.refused(
        &format!(
            "{} --domain \"{long}\"",
            teacher("teacher.safetensors", "one")
        ),
        &["96"],
    );
    assert!(!world.has("x"));
}

#[test]
fn pictures_are_no_domain_in_words() {
    let line = format!("expand --method diffusion --domain a=@b.png --out x {SHORT}");
    taught().refused(&line, &["--method diffusion", "in words"]);
}

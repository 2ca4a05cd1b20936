//! The loop within one process: resuming, numbers that are not finite, refusals.

#![allow(clippy::unwrap_used)]

mod walk;

use candle_core::{Device, Tensor};
use domex_error::UserError as _;
use domex_train::snapshots::latest;
use domex_train::stop::PlateauConfig;
use domex_train::{Error, RunConfig, State, run};
use walk::{Plan, Walk, lines, weights};

#[test]
fn a_run_in_parts_has_the_bits_of_one() {
    let root = tempfile::tempdir().unwrap();
    let [whole, parts] = ["whole", "parts"].map(|name| root.path().join(name));
    let plan = Plan::new(&whole, 23);
    run(&mut Walk::new(&plan), &plan.config(false)).unwrap();
    for (steps, resume) in [(5, None), (6, Some(&parts)), (23, Some(&parts))] {
        let plan = Plan {
            resume: resume.cloned(),
            ..Plan::new(&parts, steps)
        };
        let outcome = run(&mut Walk::new(&plan), &plan.config(false)).unwrap();
        assert_eq!(outcome.clock.step, steps);
    }
    assert_eq!(weights(&whole), weights(&parts));
    // Ticks at the ends of parts are additional; all others tell the same numbers.
    let of = |out| -> Vec<(u64, f64)> {
        let number = |line: &serde_json::Value| {
            let step = line["step"].as_u64().unwrap();
            (step, line["loss"].as_f64().unwrap())
        };
        lines(out)
            .iter()
            .map(number)
            .filter(|(step, _)| step % 4 == 0)
            .collect()
    };
    assert_eq!(of(&whole).len(), 5);
    // The tick of step 8 was told in two parts: its mean is over what came after the additional tick.
    let apart = |values: Vec<(u64, f64)>| values.into_iter().filter(|(step, _)| *step != 8);
    assert!(apart(of(&whole)).eq(apart(of(&parts))));

    // Nothing is left to do: the run says where its files are.
    let plan = Plan {
        resume: Some(parts.clone()),
        ..Plan::new(&parts, 10)
    };
    let outcome = run(&mut Walk::new(&plan), &plan.config(false)).unwrap();
    assert_eq!(outcome.clock.step, 23);
    assert!(outcome.snapshot.is_file() && outcome.model.is_file());
}

#[test]
fn a_run_goes_on_in_another_folder_and_from_an_older_snapshot() {
    let root = tempfile::tempdir().unwrap();
    let [first, second] = ["first", "second"].map(|name| root.path().join(name));
    let plan = Plan::new(&first, 8);
    run(&mut Walk::new(&plan), &plan.config(false)).unwrap();
    let plan = Plan {
        resume: Some(first.join("snapshots/step-000000004.safetensors")),
        ..Plan::new(&second, 8)
    };
    run(&mut Walk::new(&plan), &plan.config(false)).unwrap();
    assert_eq!(weights(&first), weights(&second));
    assert_eq!(lines(&second).len(), 1);
    let plan = Plan {
        resume: Some(first.join("snapshots/step-000000004.safetensors")),
        ..Plan::new(&first, 6)
    };
    run(&mut Walk::new(&plan), &plan.config(false)).unwrap();
    let steps: Vec<_> = lines(&first)
        .iter()
        .map(|line| line["step"].clone())
        .collect();
    assert_eq!(steps, [4, 6], "the other future is forgotten");
    assert_eq!(latest(&first).unwrap().1.get::<u64>("walked").unwrap(), 6);
}

#[test]
fn steps_that_are_not_finite_are_not_applied_and_end_the_run_at_last() {
    let root = tempfile::tempdir().unwrap();
    let out = root.path().join("run");
    let plan = Plan {
        broken: vec![2, 3, 5, 9, 10, 11, 12],
        ..Plan::new(&out, 40)
    };
    let error = run(&mut Walk::new(&plan), &plan.config(false)).unwrap_err();
    let text = error.to_string();
    assert!(
        matches!(error, Error::NotFinite { skipped: 3, .. }),
        "{text}"
    );
    assert!(
        text.contains("step-000000008") && text.contains("(loss)"),
        "{text}"
    );
    assert_eq!(lines(&out).last().unwrap()["skipped"], 3.0);
    let (x, _, _, count, _) = weights(&out);
    assert!(x.iter().all(|bits| f32::from_bits(*bits).is_finite()));
    assert_eq!(count, [5], "eight steps, of which three were not applied");

    // Resumed with what was wrong put right, the count of the row begins where the snapshot has it.
    let plan = Plan {
        resume: Some(out.clone()),
        ..Plan::new(&out, 12)
    };
    let outcome = run(&mut Walk::new(&plan), &plan.config(false)).unwrap();
    assert_eq!((outcome.clock.step, outcome.skipped), (12, 3));
}

#[test]
fn a_step_that_fails_says_which_and_what_is_left() {
    let root = tempfile::tempdir().unwrap();
    let plan = Plan {
        fails_at: Some((6, "A_PICTURE_IS_GONE".to_owned())),
        ..Plan::new(root.path(), 12)
    };
    let error = run(&mut Walk::new(&plan), &plan.config(false)).unwrap_err();
    let message = error.to_string();
    for part in [
        "the run stopped at step 6",
        "A_PICTURE_IS_GONE",
        "step-000000004.safetensors",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
}

#[test]
fn a_device_that_fails_leaves_the_last_snapshot_and_a_run_that_resumes() {
    let root = tempfile::tempdir().unwrap();
    let [whole, failed] = ["whole", "failed"].map(|name| root.path().join(name));
    let plan = Plan::new(&whole, 12);
    run(&mut Walk::new(&plan), &plan.config(false)).unwrap();
    for (code, lost) in [
        ("CUDA_ERROR_OUT_OF_MEMORY", false),
        ("CUDA_ERROR_LAUNCH_FAILED", true),
    ] {
        let plan = Plan {
            force: true,
            fails_at: Some((6, code.to_owned())),
            ..Plan::new(&failed, 12)
        };
        let error = run(&mut Walk::new(&plan), &plan.config(false)).unwrap_err();
        assert!(matches!(error, Error::Device { .. }), "{error:?}");
        // The user can give less to do; a broken device is nothing to correct.
        assert_eq!(error.is_user_error(), !lost);
        let message = error.to_string();
        assert!(message.contains("step-000000004.safetensors"), "{message}");
        assert_eq!(
            message.contains("a run with --batch 1 needs less"),
            !lost,
            "{message}"
        );
        let plan = Plan {
            resume: Some(failed.clone()),
            ..Plan::new(&failed, 12)
        };
        run(&mut Walk::new(&plan), &plan.config(false)).unwrap();
        assert_eq!(weights(&whole), weights(&failed));
    }
}

#[test]
fn what_cannot_be_resumed_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let out = root.path().join("run");
    let resume = |from: &std::path::Path| {
        let plan = Plan {
            resume: Some(from.to_path_buf()),
            ..Plan::new(&root.path().join("new"), 4)
        };
        run(&mut Walk::new(&plan), &plan.config(false))
            .unwrap_err()
            .to_string()
    };
    assert!(resume(&out).contains("no snapshot"));

    let plan = Plan::new(&out, 4);
    run(&mut Walk::new(&plan), &plan.config(false)).unwrap();
    let error = run(&mut Walk::new(&plan), &plan.config(false)).unwrap_err();
    assert!(error.to_string().contains("--force"), "{error}");

    let mut other = State::new();
    let tensor = Tensor::new(&[1f32, 2.0], &Device::Cpu).unwrap();
    other.put_tensor("model.x", &tensor).unwrap();
    assert!(
        other
            .tensor("model.y", &Device::Cpu)
            .unwrap_err()
            .to_string()
            .starts_with("tensor model.y")
    );
    let path = root.path().join("other.safetensors");
    other.write(&path).unwrap();
    let text = resume(&path);
    assert!(
        text.contains("other.safetensors") && text.contains("model.x"),
        "{text}"
    );
    assert!(text.contains("[3]"), "{text}");
}

#[test]
fn a_plateau_ends_the_run_and_survives_a_resume() {
    let root = tempfile::tempdir().unwrap();
    let out = root.path().join("run");
    let config = |plan: &Plan| RunConfig {
        plateau: Some(PlateauConfig {
            measure: "loss".into(),
            patience: 3,
            least: 1e9,
        }),
        ..plan.config(false)
    };
    let plan = Plan::new(&out, 8);
    let outcome = run(&mut Walk::new(&plan), &config(&plan)).unwrap();
    assert!(!outcome.plateau);
    let plan = Plan {
        resume: Some(out.clone()),
        ..Plan::new(&out, 100)
    };
    let outcome = run(&mut Walk::new(&plan), &config(&plan)).unwrap();
    // The first tick is the best one, the three after it are no better by that much.
    assert_eq!((outcome.plateau, outcome.clock.step), (true, 16));
    assert_eq!(latest(&out).unwrap().1.get::<u64>("walked").unwrap(), 16);
}

/// The step that a model was written at; the job's models say nothing else.
fn model(path: impl AsRef<std::path::Path>) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn the_model_of_the_best_tick_stays_beside_the_last() {
    let root = tempfile::tempdir().unwrap();
    let out = root.path().join("run");
    let plan = |steps, resume: Option<&std::path::PathBuf>| Plan {
        resume: resume.cloned(),
        scores: vec![3.0, 1.0, f64::NAN, 2.0, 0.5, 0.7],
        ..Plan::new(&out, steps)
    };
    // A snapshot comes only at the end: ticks alone decide.
    let rare = |plan: &Plan| RunConfig {
        snap: 0,
        keep_models: 2,
        ..plan.config(false)
    };
    let first = plan(16, None);
    let outcome = run(&mut Walk::new(&first), &rare(&first)).unwrap();
    let (path, best) = outcome.best.unwrap();
    assert_eq!((model(&path), best.step, best.score), ("8".into(), 8, 1.0));
    assert_eq!(model(&outcome.model), "16");
    // Another process knows what is to be beaten.
    let second = plan(24, Some(&out));
    let outcome = run(&mut Walk::new(&second), &rare(&second)).unwrap();
    assert_eq!(model(out.join("best.safetensors")), "20");
    assert_eq!(outcome.best.unwrap().1.images, 40);
    // Every second tick, and where a part of the run ended, a model stays.
    let kept = ["000000016", "000000032", "000000048"];
    for (name, step) in kept.iter().zip(["8", "16", "24"]) {
        let name = format!("network-snapshot-{name}.safetensors");
        assert_eq!(model(out.join(name)), step);
    }
    // A run that is forced into the folder leaves nothing of it.
    let third = Plan {
        force: true,
        ..Plan::new(&out, 4)
    };
    let outcome = run(&mut Walk::new(&third), &third.config(false)).unwrap();
    assert_eq!(outcome.best, None);
    let names = std::fs::read_dir(&out).unwrap().flatten();
    let models = names.filter(|entry| entry.file_name().to_string_lossy().contains(".safetensors"));
    assert_eq!(models.count(), 1);
}

#[test]
fn force_removes_no_input_and_nothing_that_no_run_wrote() {
    let root = tempfile::tempdir().unwrap();
    let out = root.path().join("run");
    let plan = Plan::new(&out, 4);
    run(&mut Walk::new(&plan), &plan.config(false)).unwrap();
    let forced = Plan {
        force: true,
        ..Plan::new(&out, 8)
    };
    let config = |input: &str| RunConfig {
        inputs: vec![out.join(input)],
        ..forced.config(false)
    };
    for input in ["model.safetensors", "."] {
        let error = run(&mut Walk::new(&forced), &config(input)).unwrap_err();
        assert!(matches!(error, Error::Input { .. }), "{error}");
        assert!(error.to_string().contains("another folder"), "{error}");
    }
    assert_eq!(model(out.join("model.safetensors")), "4");
    assert_eq!(latest(&out).unwrap().1.get::<u64>("walked").unwrap(), 4);

    // Without a run.json the folder is somebody else's.
    std::fs::remove_file(out.join("run.json")).unwrap();
    let error = run(&mut Walk::new(&forced), &config("elsewhere")).unwrap_err();
    assert!(matches!(error, Error::NotOurs { .. }), "{error}");
    assert_eq!(latest(&out).unwrap().1.get::<u64>("walked").unwrap(), 4);
    let foreign = root.path().join("foreign");
    std::fs::create_dir_all(foreign.join("snapshots")).unwrap();
    for name in ["snapshots/mine.txt", "best.safetensors"] {
        std::fs::write(foreign.join(name), "mine").unwrap();
    }
    let plan = Plan {
        force: true,
        ..Plan::new(&foreign, 4)
    };
    for _ in 0..2 {
        run(&mut Walk::new(&plan), &plan.config(false)).unwrap();
        assert!(foreign.join("snapshots/mine.txt").is_file());
    }
}

#[test]
fn a_file_of_somebody_that_is_called_stop_is_neither_removed_nor_obeyed() {
    let root = tempfile::tempdir().unwrap();
    let (out, stop) = (root.path().join("run"), root.path().join("run/stop"));
    std::fs::create_dir(&out).unwrap();
    std::fs::write(&stop, "mine").unwrap();
    let plan = Plan {
        force: true,
        ..Plan::new(&out, 4)
    };
    let error = run(&mut Walk::new(&plan), &plan.config(false)).unwrap_err();
    assert!(matches!(error, Error::Stop { .. }), "{error}");
    assert!(error.to_string().contains("run/stop"), "{error}");
    assert_eq!(model(&stop), "mine");
    // In the folder of a run it is what asked that one to stop.
    std::fs::remove_file(&stop).unwrap();
    run(&mut Walk::new(&plan), &plan.config(false)).unwrap();
    std::fs::write(&stop, "").unwrap();
    let outcome = run(&mut Walk::new(&plan), &plan.config(false)).unwrap();
    assert_eq!((outcome.clock.step, outcome.signal), (4, None));
    assert!(!stop.exists());
}

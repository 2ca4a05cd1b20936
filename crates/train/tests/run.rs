//! The loop within one process: resuming, numbers that are not finite, refusals.

#![allow(clippy::unwrap_used)]

mod walk;

use candle_core::{Device, Tensor};
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
fn what_cannot_be_gone_on_with_is_refused() {
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

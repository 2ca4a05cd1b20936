use clap::Parser;

use super::*;
use crate::args::Common;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    train: Train,
}

fn line(flags: &str) -> (Train, Context) {
    let words = ["train", "--data", "d", "--out", "o"].into_iter();
    let line = Line::parse_from(words.chain(flags.split_whitespace()));
    (
        line.train,
        Context::new(&line.common, domex_train::Team::default()).unwrap(),
    )
}

fn data() -> DataSettings {
    DataSettings {
        path: "d".into(),
        domain: Domain::Photo,
        seed: 0,
        resolution: 32,
        labels: false,
        mirror: false,
        skip_bad: false,
        background: Background::default(),
        resize: None,
        channels: 3,
        pictures: 100,
        label_dim: 0,
    }
}

fn new(flags: &str) -> domex_error::Result<Settings> {
    let (args, context) = line(flags);
    Settings::new(&args, &context, data(), None)
}

fn refused(result: domex_error::Result<Settings>) -> String {
    result.unwrap_err().message()
}

#[test]
fn flags_change_the_preset() {
    let settings = new("").unwrap();
    assert_eq!(settings.cfg, Preset::Auto);
    assert!(matches!(
        settings.config.augment,
        Augmentation::Ada { p: 0.0, .. }
    ));
    assert_eq!(
        (settings.length.images, settings.length.snap),
        (25_000_000, 10)
    );

    let settings = new("--cfg stylegan2 --batch 8 --gamma 3 --lrate 0.001 --cbase 256 --cmax 16 --map-depth 3 --freezed 2 --kimg 0.5 --tick 0.25 --snap 0 --keep 5 --seed 7").unwrap();
    let config = &settings.config;
    assert_eq!(
        (config.batch, config.micro_batch, config.map_layers),
        (8, 8, 3)
    );
    assert_eq!((config.gamma, config.lr, config.freeze_d), (3.0, 0.001, 2));
    assert_eq!(
        (config.channel_base, config.channel_max, settings.seed),
        (256, 16, 7)
    );
    let length = Length {
        images: 500,
        tick_images: 250,
        snap: 0,
        keep: 5,
        keep_models: 50,
    };
    assert_eq!(settings.length, length);
    assert_eq!(
        new("--batch 8 --batch-gpu 4").unwrap().config.micro_batch,
        4
    );
}

#[test]
fn augmentation_flags_fit_each_other() {
    let of = |flags: &str| new(flags).unwrap().config.augment;
    assert_eq!(of("--aug noaug"), Augmentation::NoAug);
    let Augmentation::Fixed { p, pipe } = of("--aug fixed --p 0.3 --augpipe blit") else {
        panic!("another augmentation")
    };
    assert_eq!((p, pipe.xflip, pipe.scale, pipe.hue), (0.3, 1.0, 0.0, 0.0));
    for (name, groups) in [
        ("bgc", [1.0, 0.0, 0.0, 0.0]),
        ("bgcf", [1.0, 1.0, 0.0, 0.0]),
        ("bgcfn", [1.0, 1.0, 1.0, 0.0]),
        ("bgcfnc", [1.0, 1.0, 1.0, 1.0]),
        ("filter", [0.0, 1.0, 0.0, 0.0]),
        ("noise", [0.0, 0.0, 1.0, 0.0]),
        ("cutout", [0.0, 0.0, 0.0, 1.0]),
    ] {
        let Augmentation::Ada { pipe, .. } = of(&format!("--aug ada --augpipe {name}")) else {
            panic!("another augmentation")
        };
        let found = [pipe.xflip, pipe.imgfilter, pipe.noise, pipe.cutout];
        assert_eq!(found, groups, "{name}");
    }
    let Augmentation::Ada { p, ada, .. } = of("--target 0.5 --p 0.1") else {
        panic!("another augmentation")
    };
    assert_eq!((p, ada.target), (0.1, Some(0.5)));
    assert!(refused(new("--aug fixed")).contains("--p"));
    assert!(refused(new("--aug noaug --p 0.1")).contains("--p"));
    assert!(refused(new("--aug fixed --p 0.1 --target 0.5")).contains("--target"));
    assert!(refused(new("--aug ada --p 1.5")).contains("augmentation probability"));
}

#[test]
fn bad_numbers_name_their_flag() {
    assert!(refused(new("--kimg 0")).contains("--kimg 0"));
    assert!(refused(new("--tick nan")).contains("--tick NaN"));
    assert!(refused(new("--cfg best")).contains("paper256"));
    assert!(refused(new("--batch 0")).contains("batch"));
    assert!(refused(new("--lr inf")).contains("learning rate"));
}

#[test]
fn a_resumed_run_keeps_its_settings() {
    let run =
        new("--gamma 0.81920000001 --kimg 5 --micro-batch 4 --aug fixed --p 0.2 --seed 3").unwrap();
    let json = serde_json::to_string(&run).unwrap();
    assert_eq!(serde_json::from_str::<Settings>(&json).unwrap(), run);
    let on = |flags: &str| {
        let (args, context) = line(flags);
        run.resumed(&args, &context, data())
    };
    assert_eq!(on("").unwrap(), run);
    let longer =
        on("--kimg 9 --tick 1 --snap 2 --keep 1 --batch 32 --gamma 0.8192 --seed 3").unwrap();
    assert_eq!((longer.length.images, longer.length.keep), (9000, 1));
    assert_eq!(longer.config, run.config);
    for (flags, text) in [
        (
            "--gamma 1",
            "gamma (the run has 0.81920000001, asked for 1.0)",
        ),
        ("--lr 0.1", "lr (the run has 0.0025"),
        ("--batch 16", "batch (the run has 32, asked for 16)"),
        ("--seed 0", "seed (the run has 3, asked for 0)"),
        ("--aug noaug", "augment"),
        (
            "--p 0.3",
            "augment.fixed.p (the run has 0.2, asked for 0.3)",
        ),
        ("--cfg cifar", "cfg"),
        ("--freezed 1", "freeze_d"),
    ] {
        let said = refused(on(flags));
        assert!(said.contains(text), "{flags}: {said}");
    }
    let (args, context) = line("");
    let moved = DataSettings {
        path: "elsewhere".into(),
        ..data()
    };
    let resumed = run.resumed(&args, &context, moved).unwrap();
    assert_eq!(resumed.data.path, "elsewhere");
    let fewer = DataSettings {
        pictures: 99,
        ..data()
    };
    let said = refused(run.resumed(&args, &context, fewer));
    assert!(
        said.contains("data.pictures (the run has 100, asked for 99)"),
        "{said}"
    );
}

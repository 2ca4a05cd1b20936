//! Ranks that share the steps of a StyleGAN2's training come to the bits of one process. Here they are threads.

#![allow(clippy::unwrap_used)]

use candle_core::Device;
use domex_data::portraits::Domain;
use domex_data::source::Portraits;
use domex_gan::augment::{AdaConfig, AugmentConfig};
use domex_pretrain::stylegan2::{
    Augmentation, Config, Imitation, Preset, Start, StyleGan2, Teacher,
};
use domex_test_support::ranks::{stepped, together};
use domex_train::Team;
use image::RgbImage;

const SIDE: usize = 16;
const STEPS: u64 = 4;

/// Three passes of two pictures, with everything that a step can do switched on.
fn tiny() -> Config {
    Config {
        z_dim: 8,
        w_dim: 8,
        channel_base: 64,
        channel_max: 8,
        batch: 6,
        micro_batch: 2,
        mbstd_group: 2,
        r1_interval: 2,
        path_length_interval: 2,
        style_mixing: 0.9,
        augment: Augmentation::Ada {
            p: 0.3,
            ada: AdaConfig {
                interval: 2,
                ..AdaConfig::default()
            },
            pipe: Box::new(AugmentConfig::default()),
        },
        ..Config::preset(Preset::Portraits, SIDE, 0)
    }
}

fn job(config: Config, team: Team) -> Result<StyleGan2, String> {
    let source = Portraits::new(7, Domain::Photo, SIDE as u32).unwrap();
    let job = StyleGan2::new(config, Box::new(source), &Start::Random, 7, &Device::Cpu);
    job.unwrap().shared(team).map_err(|error| error.to_string())
}

#[test]
fn two_ranks_have_the_weights_streams_and_losses_of_one_process_to_the_bit() {
    let alone = stepped(job(tiny(), Team::default()).unwrap(), STEPS);
    assert!(alone.0.len() > 100);
    assert!(alone.1["ada"]["p"] != 0.3, "the controller has moved");
    for shared in together(2, |team| stepped(job(tiny(), team).unwrap(), STEPS)) {
        assert!(shared == alone);
    }
}

/// The first two coordinates are red and green.
struct Colours;

impl Teacher for Colours {
    fn picture(&self, z: &[f32]) -> RgbImage {
        let byte = |x: f32| (128.0 + 60.0 * x.clamp(-2.0, 2.0)) as u8;
        RgbImage::from_pixel(
            SIDE as u32,
            SIDE as u32,
            image::Rgb([byte(z[0]), byte(z[1]), 128]),
        )
    }

    fn describe(&self) -> String {
        "colours".into()
    }
}

#[test]
fn two_ranks_imitate_as_one_process_does() {
    let config = || Config {
        imitation: Some(Imitation {
            weight: 100.0,
            alone: 6,
            warm_up: 6,
            finest: 0,
            first_lr: Some(0.005),
            limits: vec![vec![]; 2],
        }),
        ..tiny()
    };
    let imitating = |team| {
        stepped(
            job(config(), team).unwrap().with_teacher(Box::new(Colours)),
            STEPS,
        )
    };
    let alone = imitating(Team::default());
    for shared in together(2, imitating) {
        assert!(shared == alone);
    }
}

#[test]
fn fewer_passes_than_ranks_are_refused() {
    let config = || Config {
        micro_batch: 6,
        ..tiny()
    };
    for refused in together(2, |team| job(config(), team).err()) {
        let refused = refused.unwrap();
        assert!(
            refused.contains("passes of a step is 1 (batch 6 in passes of 6)"),
            "{refused}"
        );
    }
}

#[test]
fn each_rank_gets_whole_groups() {
    let of = |batch, ranks| {
        let config = Config {
            batch,
            mbstd_group: 4,
            ..tiny()
        };
        config.micro_batch_of(ranks)
    };
    assert_eq!([of(32, 1), of(32, 2), of(32, 3), of(32, 5)], [32, 16, 8, 4]);
    assert_eq!([of(8, 4), of(4, 8)], [2, 1]);
}

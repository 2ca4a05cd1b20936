//! The controller of the augmentation's probability.

use super::*;

#[test]
fn the_controller_holds_its_target() {
    let logits = |positive: usize, of: usize| {
        let sign = |i| if i < positive { 2.0 } else { -0.5 };
        Tensor::from_vec(
            (0..of).map(sign).collect::<Vec<f32>>(),
            (of, 1),
            &Device::Cpu,
        )
        .unwrap()
    };
    let mut ada = Ada::new(AdaConfig::default(), 0.0).unwrap();
    let steps = |ada: &mut Ada, positive| {
        for step in 0..4 {
            ada.note(Signs::of(&logits(positive, 10)).unwrap());
            assert_eq!(ada.step(20), step == 3);
        }
    };
    // 9 of 10 positive: r = 0.8 is above the target; one adjustment is 80 pictures of 500 000.
    steps(&mut ada, 9);
    assert!((ada.p() - 80.0 / 500_000.0).abs() < 1e-15);
    assert!((ada.sign().unwrap() - 0.8).abs() < 1e-12);
    // Saved in between two adjustments, it continues as it would have.
    ada.note(Signs::of(&logits(10, 10)).unwrap());
    ada.step(20);
    let saved = serde_json::to_string(&ada).unwrap();
    let mut resumed: Ada = serde_json::from_str(&saved).unwrap();
    for ada in [&mut ada, &mut resumed] {
        ada.note(Signs::of(&logits(0, 30)).unwrap());
        (0..3).for_each(|_| _ = ada.step(20));
    }
    assert_eq!(ada, resumed);
    assert_eq!(ada.p(), 0.0);
    // Never below 0, never above 1.
    steps(&mut ada, 0);
    assert_eq!(ada.p(), 0.0);
    let quick = AdaConfig {
        kimg: 0.05,
        ..AdaConfig::default()
    };
    let mut ada = Ada::new(quick, 0.5).unwrap();
    steps(&mut ada, 10);
    assert_eq!(ada.p(), 1.0);
}

/// A domain's share of a step's samples changes from step to step.
#[test]
fn the_controller_counts_the_pictures_of_each_step() {
    let mut ada = Ada::new(AdaConfig::default(), 0.0).unwrap();
    for batch in [1, 4, 2, 1] {
        ada.note(Signs { sum: 1.0, count: 1 });
        ada.step(batch);
    }
    assert!((ada.p() - 8.0 / 500_000.0).abs() < 1e-15, "{}", ada.p());
}

#[test]
fn the_controller_can_be_left_fixed_and_survives_bad_logits() {
    let fixed = AdaConfig {
        target: None,
        ..AdaConfig::default()
    };
    let mut ada = Ada::new(fixed, 0.3).unwrap();
    let logits = Tensor::new(&[f32::NAN, f32::INFINITY, 1.0, 0.0], &Device::Cpu).unwrap();
    ada.note(Signs::of(&logits).unwrap());
    (0..4).for_each(|_| _ = ada.step(16));
    assert_eq!((ada.p(), ada.sign()), (0.3, Some(0.5)));
    assert!(
        Ada::new(
            AdaConfig {
                interval: 0,
                ..fixed
            },
            0.0
        )
        .is_err()
    );
    assert!(Ada::new(AdaConfig { kimg: 0.0, ..fixed }, 0.0).is_err());
    assert!(Ada::new(AdaConfig::default(), -0.1).is_err());
}

use domex_random::Streams;

use super::*;
use crate::basis::BasisKind;
use crate::distance::PixelRms;
use crate::ms_ssim::MsSsim;
use crate::sample::estimate_mean;
use crate::toy::{DIM, Toy};

/// Falling singular values; the last two are dormant. Column 5 looks nearly dormant to the first layer,
/// but a later one amplifies it: only the pictures tell.
fn toy() -> Toy {
    let values = [8.0, 7.0, 6.0, 5.0, 4.0, 0.02, 0.01, 0.005];
    Toy::new(values, [0.02, 0.02, 0.02, 0.02, 0.02, 40.0, 0.01, 0.01]).unwrap()
}

fn run(config: &ProbeConfig, distance: &dyn ImageDistance) -> Result<ProbeReport> {
    let toy = toy();
    let basis = Basis::of(&toy, &BasisKind::DomainExpansion)?;
    let mut stream = Streams::new(1).stream("probe");
    probe(&toy, &basis, distance, config, &mut stream, &mut |_| {})
}

fn config() -> ProbeConfig {
    ProbeConfig {
        samples: 6,
        batch: 4,
        step: 2.0,
        ..ProbeConfig::default()
    }
}

#[test]
fn dormant_directions_are_found_and_a_deceptive_one_is_not() -> Result<()> {
    let report = run(&config(), &MsSsim)?;
    assert_eq!(report.dormant(), [7, 6]);
    let ranks: Vec<usize> = report.directions.iter().map(|d| d.rank).collect();
    assert_eq!((ranks[7], ranks[6], ranks[5]), (0, 1, 7), "{ranks:?}");
    let five = &report.directions[5];
    assert!((five.value.unwrap() - 0.02).abs() < 1e-9 && five.pixel > 0.2 && !five.dormant);
    assert!(report.directions[7].pixel < 0.2 / 127.5);
    assert_eq!(report.ranked()[7].index, 5);
    Ok(())
}

/// For tiny steps tanh is straight: the effect is proportional to `value · gain`, and the pixel effect can
/// be computed by hand.
#[test]
fn the_pixel_effect_is_the_root_mean_square_over_samples_and_signs() -> Result<()> {
    let toy = toy();
    let basis = Basis::of(&toy, &BasisKind::DomainExpansion)?;
    let w = draw_latents(&toy, 3, &mut Streams::new(1).stream("w"))?;
    let report = probe_at(&toy, &basis, &PixelRms, &w, &config(), &mut |_| {})?;
    let base = toy.synthesize(&w)?;
    for d in &report.directions {
        let v = (basis.vectors().get_on_dim(1, d.index)? * 2.0)?;
        let mut square = 0.0;
        for moved in [w.broadcast_add(&v)?, w.broadcast_sub(&v)?] {
            let difference = (toy.synthesize(&moved)? - &base)?.sqr()?;
            square += difference.mean_all()?.to_scalar::<f64>()? / 2.0;
        }
        assert!((d.pixel - square.sqrt()).abs() < 1e-12, "{d:?}");
        assert!(
            d.perceptual <= d.pixel + 1e-12,
            "a mean is at most the root mean square"
        );
    }
    Ok(())
}

#[test]
fn batch_size_and_choice_of_directions_do_not_change_numbers() -> Result<()> {
    let all = run(&config(), &MsSsim)?;
    let again = run(
        &ProbeConfig {
            batch: 1,
            ..config()
        },
        &MsSsim,
    )?;
    for (a, b) in all.directions.iter().zip(&again.directions) {
        assert!((a.pixel - b.pixel).abs() < 1e-12 && (a.perceptual - b.perceptual).abs() < 1e-12);
    }
    let some = run(
        &ProbeConfig {
            directions: Some(vec![6, 1]),
            ..config()
        },
        &MsSsim,
    )?;
    let indices: Vec<_> = some.directions.iter().map(|d| (d.index, d.rank)).collect();
    assert_eq!(indices, [(6, 0), (1, 1)]);
    assert_eq!(some.directions[0].pixel, all.directions[6].pixel);
    Ok(())
}

#[test]
fn w_plus_latents_and_rules() -> Result<()> {
    let toy = toy();
    let basis = Basis::of(&toy, &BasisKind::DomainExpansion)?;
    let w = draw_latents(&toy, 2, &mut Streams::new(1).stream("w"))?;
    let plus = crate::subspace::to_w_plus(&w, 2)?;
    let flat = probe_at(&toy, &basis, &PixelRms, &w, &config(), &mut |_| {})?;
    let deep = probe_at(&toy, &basis, &PixelRms, &plus, &config(), &mut |_| {})?;
    for (a, b) in flat.directions.iter().zip(&deep.directions) {
        assert!((a.pixel - b.pixel).abs() < 1e-12);
    }
    let largest = flat.ranked()[DIM - 1].pixel;
    let relative = ProbeConfig {
        dormant: DormantRule::Relative { at_most: 0.999 },
        ..config()
    };
    let report = probe_at(&toy, &basis, &PixelRms, &w, &relative, &mut |_| {})?;
    let expected = report
        .directions
        .iter()
        .filter(|d| d.pixel <= 0.999 * largest)
        .count();
    assert!(report.dormant().len() == expected && expected < DIM);
    let strict = ProbeConfig {
        dormant: DormantRule::Perceptual { at_most: 0.0 },
        ..config()
    };
    let report = probe_at(&toy, &basis, &PixelRms, &w, &strict, &mut |_| {})?;
    assert!(report.dormant().is_empty());
    Ok(())
}

#[test]
fn progress_ends_at_the_total_and_reports_read_back() -> Result<()> {
    let toy = toy();
    let basis = Basis::of(&toy, &BasisKind::DomainExpansion)?;
    let mut seen = Vec::new();
    let mut stream = Streams::new(1).stream("probe");
    let report = probe(&toy, &basis, &PixelRms, &config(), &mut stream, &mut |p| {
        seen.push(p);
    })?;
    assert_eq!(
        seen.last(),
        Some(&Progress {
            done: 6 * 17,
            total: 6 * 17
        })
    );
    assert!(seen.windows(2).all(|w| w[0].done < w[1].done));
    let json = serde_json::to_string(&report).unwrap();
    assert_eq!(
        serde_json::from_str::<ProbeReport>(&json)
            .unwrap()
            .dormant(),
        report.dormant()
    );
    assert!(
        json.contains(r#""rule":{"measure":"pixel","at_most":0.02}"#),
        "{json}"
    );
    Ok(())
}

#[test]
fn bad_settings_and_bad_networks_are_refused() -> Result<()> {
    let refuse = |config: ProbeConfig| run(&config, &PixelRms).unwrap_err().to_string();
    assert!(
        refuse(ProbeConfig {
            samples: 0,
            ..config()
        })
        .contains("samples: 0")
    );
    assert!(
        refuse(ProbeConfig {
            batch: 0,
            ..config()
        })
        .contains("batch: 0")
    );
    assert!(
        refuse(ProbeConfig {
            step: -1.0,
            ..config()
        })
        .contains("step: -1")
    );
    assert!(
        refuse(ProbeConfig {
            truncation: f64::NAN,
            ..config()
        })
        .contains("truncation")
    );
    assert!(
        refuse(ProbeConfig {
            directions: Some(vec![8]),
            ..config()
        })
        .contains("dimension 8")
    );
    assert!(
        refuse(ProbeConfig {
            directions: Some(vec![]),
            ..config()
        })
        .contains("at least one")
    );
    let rule = DormantRule::Pixel { at_most: f64::NAN };
    assert!(
        refuse(ProbeConfig {
            dormant: rule,
            ..config()
        })
        .contains("dormant threshold")
    );

    let broken = Toy::new([1.0; DIM], [f64::NAN; DIM])?;
    let basis = Basis::given(Tensor::eye(DIM, DType::F64, &Device::Cpu)?)?;
    let mut stream = Streams::new(1).stream("probe");
    let found = probe(
        &broken,
        &basis,
        &PixelRms,
        &config(),
        &mut stream,
        &mut |_| {},
    );
    assert!(matches!(found, Err(Error::NotFinite { .. })));
    Ok(())
}

#[test]
fn random_directions_are_kept_by_similarity_and_repeat_with_the_seed() -> Result<()> {
    let toy = toy();
    let config = RandomConfig {
        wanted: 3,
        tries: 60,
        step: 0.5,
        similarity: 0.9,
        ..RandomConfig::default()
    };
    let find = |config: &RandomConfig, seed| {
        random_dormant(
            &toy,
            config,
            &mut Streams::new(seed).stream("random"),
            &mut |_| {},
        )
    };
    let report = find(&config, 1)?;
    assert_eq!(report, find(&config, 1)?);
    assert_ne!(report.similarities, find(&config, 2)?.similarities);
    assert_eq!(report.similarities.len(), report.tried);
    assert!(!report.kept.is_empty(), "{:?}", report.similarities);
    let above = report.similarities.iter().filter(|&&s| s >= 0.9).count();
    assert_eq!(above, report.kept.len());
    for (i, a) in report.kept.iter().enumerate() {
        for (j, b) in report.kept.iter().enumerate() {
            let product: f64 = a.vector.iter().zip(&b.vector).map(|(x, y)| x * y).sum();
            assert!((product - f64::from(u8::from(i == j))).abs() < 1e-12);
        }
    }
    // A threshold of -1 keeps all, and as many orthogonal ones as there are dimensions make a basis.
    let all = find(
        &RandomConfig {
            wanted: DIM,
            similarity: -1.0,
            ..config.clone()
        },
        1,
    )?;
    assert!(all.kept.len() == DIM && all.tried == DIM);
    let rows: Vec<f64> = all.kept.iter().flat_map(|k| k.vector.clone()).collect();
    Basis::given(Tensor::from_vec(rows, (DIM, DIM), &Device::Cpu)?.t()?)?;
    // An impossible one keeps none and stops.
    let none = find(
        &RandomConfig {
            similarity: 1.0,
            step: 20.0,
            tries: 5,
            ..config.clone()
        },
        1,
    )?;
    assert!(none.kept.is_empty() && none.tried == 5);
    assert!(
        find(
            &RandomConfig {
                wanted: DIM + 1,
                ..config.clone()
            },
            1
        )
        .is_err()
    );
    assert!(
        find(
            &RandomConfig {
                similarity: 1.5,
                ..config
            },
            1
        )
        .is_err()
    );
    Ok(())
}

#[test]
fn the_mean_is_estimated_from_samples() -> Result<()> {
    let mut toy = toy();
    toy.offset = 3.0;
    let estimate = |toy: &Toy, samples, batch| -> Result<Vec<f64>> {
        let mut stream = Streams::new(4).stream("mean");
        Ok(estimate_mean(toy, samples, batch, &mut stream)?.to_vec1()?)
    };
    // The standard error of 4000 samples is 0.016.
    let mean = estimate(&toy, 4000, 333)?;
    assert!(mean.iter().all(|m| (m - 3.0).abs() < 0.08), "{mean:?}");
    assert_eq!(estimate(&toy, 1, 1)?.len(), DIM);
    assert!(estimate(&toy, 0, 1).is_err() && estimate(&toy, 1, 0).is_err());
    // With classes, each coordinate that a class moves gets its share.
    toy.classes = 4;
    let mean = estimate(&toy, 4000, 500)?;
    assert!(
        mean[..4].iter().all(|m| (m - 3.25).abs() < 0.09),
        "{mean:?}"
    );
    assert!(mean[4..].iter().all(|m| (m - 3.0).abs() < 0.08), "{mean:?}");
    Ok(())
}

#[test]
fn truncation_shrinks_towards_the_mean() -> Result<()> {
    let (w, mean) = (
        Tensor::new(&[[4.0, -2.0]], &Device::Cpu)?,
        Tensor::new(&[2.0, 2.0], &Device::Cpu)?,
    );
    assert_eq!(truncate(&w, &mean, 0.5)?.to_vec2::<f64>()?, [[3.0, 0.0]]);
    Ok(())
}

//! A discovery on networks of a few thousand random weights.

#![allow(clippy::unwrap_used)] // Also in the helpers.

use std::sync::Arc;

use candle_core::{DType, Device};
use candle_nn::{VarBuilder, VarMap};
use domex_clip::{Clip, Config as ClipConfig, Tokenizer};
use domex_discover::{Config, Progress, discover, nearest};
use domex_error::user_error;
use domex_latent::basis::{Basis, BasisKind};
use domex_latent::subspace::Layout;
use domex_latent::{Expansion, Generator as _};
use domex_nada::Guide;
use domex_stylegan2::{Generator, GeneratorConfig, Model};
use serde_json::json;

const DIM: usize = 12;

fn generator() -> Generator {
    let config = GeneratorConfig::with_defaults(8, DIM, 16, 128, 8).unwrap();
    Model::random(&config, 3, &Device::Cpu).unwrap().g_ema
}

fn expansion(generator: &Generator) -> Expansion {
    let basis = Basis::of(generator, &BasisKind::DomainExpansion).unwrap();
    let layout = Layout::new(basis.count());
    Expansion::new(layout, basis, generator.mean().unwrap()).unwrap()
}

fn guide() -> Guide {
    let tokenizer = Tokenizer::with_merges("").unwrap();
    let block = json!({ "width": 16, "layers": 1, "heads": 2, "mlp_width": 32, "activation": "quick_gelu", "eps": 1e-5 });
    let config: ClipConfig = serde_json::from_value(json!({
        "embed_dim": 16,
        "vision": { "kind": "vit", "image_size": 16, "patch_size": 8, "transformer": block },
        "text": { "vocab_size": 514, "context_length": 64, "end_token": null, "transformer": block }
    }))
    .unwrap();
    let map = VarMap::new();
    let build = || {
        Clip::new(
            &VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu),
            &config,
        )
    };
    build().unwrap();
    let mut names: Vec<_> = map.data().lock().unwrap().clone().into_iter().collect();
    names.sort_by(|(a, _), (b, _)| a.cmp(b));
    for (seed, (_, var)) in names.iter().enumerate() {
        let values = domex_ops::testing::randn(var.dims(), seed as u64);
        var.set(&(values.to_dtype(DType::F32).unwrap() * 0.3).unwrap())
            .unwrap();
    }
    Guide::new("small", build().unwrap(), Arc::new(tokenizer))
}

fn config(domains: usize, steps: usize) -> Config {
    Config {
        candidates: 24,
        latents: 3,
        steps,
        ..Config::new(domains, 4.0, 7)
    }
}

#[test]
fn domains_are_found_that_differ_more_than_random_vectors_do() {
    let (generator, guides) = (generator(), [guide()]);
    let expansion = expansion(&generator);
    let mut seen = Vec::new();
    let mut watch = |progress| {
        seen.push(progress);
        Ok(())
    };
    let found = discover(&config(3, 12), &generator, &expansion, &guides, &mut watch).unwrap();
    assert_eq!(seen.last(), Some(&Progress::Measure(6, 6)));
    assert!(seen.contains(&Progress::Edits(24, 24)) && seen.contains(&Progress::Fit(12, 12)));

    let names = found
        .domains
        .iter()
        .map(|found| found.file.domain.name.as_str());
    assert_eq!(names.collect::<Vec<_>>(), ["found 1", "found 2", "found 3"]);
    let shares: Vec<f64> = found.domains.iter().map(|found| found.explained).collect();
    assert!(shares.windows(2).all(|pair| pair[0] >= pair[1]) && shares.iter().sum::<f64>() < 1.0);
    let reached: Vec<f64> = found.domains.iter().map(|found| found.reached).collect();
    assert!(reached.iter().all(|reached| *reached > 0.5), "{reached:?}");
    assert!(
        found.likeness < found.likeness_of_random,
        "{} {}",
        found.likeness,
        found.likeness_of_random
    );

    // Each is a domain of a model, on a direction of its own, most dormant first.
    let mut model = expansion.clone();
    for (at, found) in found.domains.iter().enumerate() {
        assert_eq!(model.put_in(&found.file).unwrap(), DIM - 1 - at);
        assert!(found.file.numbers().unwrap() > 100);
    }

    // The same seed finds the same; a fit brings them nearer to their components than the sum that they begin as.
    let again = discover(&config(3, 12), &generator, &expansion, &guides, &mut |_| {
        Ok(())
    })
    .unwrap();
    assert_eq!(again.cosines, found.cosines);
    let sums = discover(&config(3, 0), &generator, &expansion, &guides, &mut |_| {
        Ok(())
    })
    .unwrap();
    let sum = sums.domains.iter().map(|found| found.reached).sum::<f64>();
    assert!(reached.iter().sum::<f64>() > sum, "{reached:?} {sum}");

    let words = ["sketch", "zombie", "statue"].map(str::to_owned);
    let named = nearest(&found.domains, &guides, &words, 2).unwrap();
    assert!(
        named
            .iter()
            .all(|named| named.len() == 2 && named[0].1 >= named[1].1)
    );
}

#[test]
fn what_cannot_be_found_is_refused_before_any_work() {
    let (generator, guides) = (generator(), [guide()]);
    let expansion = expansion(&generator);
    let refused = |config: &Config| {
        let outcome = discover(config, &generator, &expansion, &guides, &mut |_| {
            Err(user_error("work was done"))
        });
        outcome.unwrap_err().to_string()
    };
    for (domains, part) in [(0, "1 to 12"), (13, "1 to 12"), (12, "1 to 12")] {
        let mut config = config(domains, 1);
        config.candidates = if domains == 12 { 12 } else { 24 };
        let error = refused(&config);
        let part = if domains == 12 {
            "more than the 12"
        } else {
            part
        };
        assert!(error.contains(part), "{error}");
    }
    let error = refused(&Config {
        latents: 0,
        ..config(2, 1)
    });
    assert!(error.contains("number of latents"), "{error}");
    assert_eq!(refused(&config(2, 1)), "work was done");
}

//! Laws of the adversarial phases, on random tiny networks.

#![allow(clippy::unwrap_used)]

use candle_core::{DType, Device, Tensor};
use domex_error::AnyError;
use domex_gan::{
    Error, PathLengthConfig, fake_loss, frozen, generator_loss, latents, path_length, r1,
    real_loss, realism,
};
use domex_random::Streams;
use domex_stylegan2::{
    Discriminator, DiscriminatorConfig, Generator, GeneratorConfig, Noise, Vars, config::channels,
    init,
};

const DIM: usize = 6;

fn generator() -> (Generator, Vars) {
    let cfg = GeneratorConfig::with_defaults(4, DIM, 8, 32, 4).unwrap();
    let weights = init::generator(&cfg, 1, DType::F64, &Device::Cpu).unwrap();
    let (vars, live) = Generator::spec(&cfg).unwrap().trainable(&weights).unwrap();
    (Generator::from_tensors(&live, &cfg).unwrap(), vars)
}

fn discriminator() -> (Discriminator, Vars) {
    let cfg = DiscriminatorConfig::new(8, 3, channels(8, 32, 4).unwrap());
    let weights = init::discriminator(&cfg, 2, DType::F64, &Device::Cpu).unwrap();
    let spec = Discriminator::spec(&cfg).unwrap();
    let (vars, live) = spec.trainable(&weights).unwrap();
    (Discriminator::from_tensors(&live, &cfg).unwrap(), vars)
}

fn normal(shape: &[usize], name: &str) -> Tensor {
    domex_ops::testing::randn(shape, name.bytes().map(u64::from).sum())
}

fn number(t: &Tensor) -> f64 {
    t.to_scalar::<f64>().unwrap()
}

fn mean_softplus(logits: &Tensor, sign: f64) -> f64 {
    let logits: Vec<f64> = logits.flatten_all().unwrap().to_vec1().unwrap();
    let sum: f64 = logits.iter().map(|x| (1.0 + (sign * x).exp()).ln()).sum();
    sum / logits.len() as f64
}

#[test]
fn losses_are_mean_softplus_of_the_logits() {
    let (d, _) = discriminator();
    let pictures = normal(&[4, 3, 8, 8], "pictures");
    let fake = fake_loss(&d, &pictures, None, None).unwrap();
    assert!((number(&fake.loss) - mean_softplus(&fake.logits, 1.0)).abs() < 1e-12);
    let real = real_loss(&d, &pictures, None, None).unwrap();
    assert!((number(&real.loss) - mean_softplus(&real.logits, -1.0)).abs() < 1e-12);
    assert_eq!(real.per_sample.dims(), [4, 1]);
}

#[test]
fn each_phase_gives_gradients_to_its_own_network_only() {
    let ((mut g, g_vars), (d, d_vars)) = (generator(), discriminator());
    let d_frozen = frozen::discriminator(&d).unwrap();
    let w = latents::map(&mut g, &normal(&[4, 4], "z"), None).unwrap();
    let ws = latents::plain(&g, &w).unwrap();
    let phase = generator_loss(&g, &d_frozen, &ws, None, Noise::Const, None).unwrap();
    let grads = phase.loss.backward().unwrap();
    assert!(g_vars.values().any(|var| grads.get(var).is_some()));
    assert!(grads.get(&g_vars["mapping.fc0.weight"]).is_some());
    assert!(d_vars.values().all(|var| grads.get(var).is_none()));

    // The generator's graph hangs on these pictures; the discriminator's losses cut it.
    for loss in [
        fake_loss(&d, &phase.pictures, None, None).unwrap().loss,
        real_loss(&d, &phase.pictures, None, None).unwrap().loss,
        r1(&d, &phase.pictures, None, 10.0, None).unwrap().loss,
    ] {
        let grads = loss.backward().unwrap();
        assert!(g_vars.values().all(|var| grads.get(var).is_none()));
        assert!(grads.get(&d_vars["b8.conv0.weight"]).is_some());
    }
}

#[test]
fn a_frozen_network_follows_the_optimizer() {
    let ((g, g_vars), (d, d_vars)) = (generator(), discriminator());
    let (still_g, still_d) = (
        frozen::generator(&g).unwrap(),
        frozen::discriminator(&d).unwrap(),
    );
    let pictures = normal(&[4, 3, 8, 8], "pictures");
    let ws = normal(&[1, g.config().num_ws(), DIM], "ws");
    let logits = || {
        let logits = realism(&still_d, &pictures, None, None).unwrap().logits;
        number(&logits.sum_all().unwrap())
    };
    let picture = || still_g.synthesis().forward(&ws, Noise::Const).unwrap();
    let (logits_before, before) = (logits(), picture());
    for var in [&g_vars["synthesis.b4.const"], &d_vars["b4.out.weight"]] {
        var.set(&(var.as_tensor() * 2.0).unwrap()).unwrap();
    }
    assert!((logits() - logits_before).abs() > 1e-6);
    let (now, live) = (picture(), g.synthesis().forward(&ws, Noise::Const).unwrap());
    assert!(domex_ops::testing::max_difference(&now, &before) > 1e-6);
    assert_eq!(domex_ops::testing::max_difference(&now, &live), 0.0);
    assert!(!now.track_op());
}

#[test]
fn a_change_of_the_pictures_is_differentiated_through() {
    let (d, _) = discriminator();
    let pictures = normal(&[4, 3, 8, 8], "pictures");
    let double = |x: &Tensor| -> domex_gan::Result<Tensor> { Ok((x * 2.0)?) };
    let changed = r1(&d, &pictures, None, 10.0, Some(&double)).unwrap();
    let doubled = r1(&d, &(&pictures * 2.0).unwrap(), None, 10.0, None).unwrap();
    // The chain rule: a factor of 2 in the gradient, of 4 in its square.
    let ratio = number(&changed.loss) / number(&doubled.loss);
    assert!((ratio - 4.0).abs() < 1e-12, "{ratio}");
    let mean = number(&changed.penalty.mean_all().unwrap());
    assert!((number(&changed.loss) - 5.0 * mean).abs() < 1e-12);

    let real = real_loss(&d, &pictures, None, Some(&double)).unwrap();
    let logits = doubled.logits;
    assert_eq!(
        domex_ops::testing::max_difference(&real.logits, &logits),
        0.0
    );
}

#[test]
fn a_failing_change_says_so() {
    let (d, _) = discriminator();
    let pictures = normal(&[4, 3, 8, 8], "pictures");
    let fails = |_: &Tensor| Err(Error::transform(AnyError::internal("no such colour")));
    let text = |error: Error| error.to_string();
    let error = text(real_loss(&d, &pictures, None, Some(&fails)).unwrap_err());
    assert!(error.contains("no such colour"), "{error}");
    let error = text(r1(&d, &pictures, None, 1.0, Some(&fails)).unwrap_err());
    assert!(error.contains("no such colour"), "{error}");
    let cuts = |x: &Tensor| -> domex_gan::Result<Tensor> { Ok(x.narrow(2, 0, 4)?) };
    let error = text(real_loss(&d, &pictures, None, Some(&cuts)).unwrap_err());
    assert!(error.contains("[4, 3, 4, 8]"), "{error}");
    for gamma in [-1.0, f64::NAN] {
        let error = text(r1(&d, &pictures, None, gamma, None).unwrap_err());
        assert!(error.contains("gamma"), "{error}");
    }
}

#[test]
fn style_mixing_leaves_the_mean_alone() {
    let (mut g, _) = generator();
    let w = latents::map(&mut g, &normal(&[2, 4], "z"), None).unwrap();
    let ws = latents::plain(&g, &w).unwrap();
    let mean: Vec<f64> = g.mean_w().unwrap().to_vec1().unwrap();
    let mixed = latents::mix(&g, &ws, &normal(&[2, 4], "other"), None, 1).unwrap();
    assert_eq!(mean, g.mean_w().unwrap().to_vec1::<f64>().unwrap());
    let row = |ws: &Tensor, row| ws.narrow(1, row, 1).unwrap();
    let difference = |i| domex_ops::testing::max_difference(&row(&mixed, i), &row(&ws, i));
    assert_eq!(difference(0), 0.0);
    assert!(difference(1) > 1e-3);
}

#[test]
fn cutoffs_are_uniform_and_draw_alike() {
    let mut stream = Streams::new(3).stream("mixing");
    let mut counts = [0usize; 5];
    for _ in 0..4000 {
        match latents::draw_cutoff(&mut stream, 5, 0.9).unwrap() {
            None => counts[0] += 1,
            Some(cutoff) => counts[cutoff] += 1,
        }
    }
    assert!((300..500).contains(&counts[0]), "{counts:?}");
    assert!(
        counts[1..].iter().all(|n| (800..1000).contains(n)),
        "{counts:?}"
    );

    // As much is drawn whether it mixes or not: what follows in the stream stays the same.
    let rest = |probability| {
        let mut stream = Streams::new(3).stream("mixing");
        latents::draw_cutoff(&mut stream, 5, probability).unwrap();
        stream.next_u64()
    };
    assert_eq!(rest(0.0), rest(1.0));
    assert!(latents::draw_cutoff(&mut stream, 5, 1.5).is_err());
    assert_eq!(latents::draw_cutoff(&mut stream, 1, 1.0).unwrap(), None);
}

#[test]
fn path_length_keeps_its_mean_out_of_the_graph() {
    let (g, vars) = generator();
    let ws = normal(&[2, g.config().num_ws(), DIM], "ws");
    let direction = normal(&[2, 3, 8, 8], "direction");
    let mean = Tensor::zeros((), DType::F64, &Device::Cpu).unwrap();
    let config = PathLengthConfig::default();
    let phase = path_length(&g, &ws, Noise::Const, &direction, &mean, &config).unwrap();
    let lengths = number(&phase.lengths.mean_all().unwrap());
    assert!((number(&phase.mean) - 0.01 * lengths).abs() < 1e-12);
    assert!(!phase.mean.track_op());
    let penalty = number(&phase.penalty.mean_all().unwrap());
    assert!((number(&phase.loss) - 2.0 * penalty).abs() < 1e-12);
    let grads = phase.loss.backward().unwrap();
    assert!(grads.get(&vars["synthesis.b4.const"]).is_some());

    assert_eq!((config.samples(5), config.samples(1)), (2, 1));
    let bad = PathLengthConfig {
        batch_shrink: 0,
        ..config
    };
    assert!(path_length(&g, &ws, Noise::Const, &direction, &mean, &bad).is_err());
}

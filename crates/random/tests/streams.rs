//! The laws of named streams: same seed and name, same numbers; saved at any point, they go on unchanged.

use domex_random::{Error, Stream, Streams};

// From an independent ChaCha8, SHA-256, Lemire and Box–Muller in Python, written from the module's docs.
const PINNED_WORD: u64 = 0x8746_1565_d778_fe72;
const PINNED_INDEX: usize = 199;
const PINNED_ORDER: [usize; 8] = [4, 7, 1, 0, 5, 3, 6, 2];
const PINNED_NORMAL: f64 = -0.4266856942181945;

/// A mixture of every kind of draw, as bits, so that each leaves the state in a different place.
fn draw(stream: &mut Stream, step: usize) -> u64 {
    match step % 7 {
        0 => u64::from(stream.uniform_f32().to_bits()),
        1 | 4 => stream.normal_f64().to_bits(),
        2 => stream.uniform_f64().to_bits(),
        3 => stream.index(1000 + step).expect("not empty") as u64,
        5 => stream
            .permutation(5)
            .iter()
            .fold(0, |sum, &i| sum * 5 + i as u64),
        _ => u64::from(stream.normal_f32().to_bits()),
    }
}

#[test]
fn goes_on_from_every_point() {
    const STEPS: usize = 120; // several ChaCha blocks
    let mut whole = Streams::new(42).stream("latents");
    let expected: Vec<u64> = (0..STEPS).map(|step| draw(&mut whole, step)).collect();
    let mut stream = Streams::new(42).stream("latents");
    for split in 0..STEPS {
        let saved = serde_json::to_string(&stream).unwrap();
        let mut resumed: Stream = serde_json::from_str(&saved).unwrap();
        let mut cloned = stream.clone();
        for step in split..STEPS {
            assert_eq!(
                draw(&mut resumed, step),
                expected[step],
                "saved at {split}, draw {step}"
            );
            assert_eq!(
                draw(&mut cloned, step),
                expected[step],
                "cloned at {split}, draw {step}"
            );
        }
        assert_eq!(draw(&mut stream, split), expected[split]);
    }
}

#[test]
fn the_numbers_never_change() {
    // A version that gave others would break every saved run.
    let mut stream = Streams::new(0).stream("noise");
    assert_eq!(stream.next_u64(), PINNED_WORD);
    let mut stream = Streams::new(0).stream("noise");
    assert_eq!(
        stream.uniform_f64(),
        (PINNED_WORD >> 11) as f64 / 2f64.powi(53)
    );
    assert_eq!(stream.index(1000).unwrap(), PINNED_INDEX);
    assert_eq!(stream.permutation(8), PINNED_ORDER);
    assert!((stream.normal_f64() - PINNED_NORMAL).abs() < 1e-14);
}

#[test]
fn names_and_seeds_are_independent() {
    let streams = Streams::new(1);
    let n = 4000usize;
    let mut names = ["noise", "latents", "noise ", ""]
        .map(|name| streams.stream(name))
        .to_vec();
    names.push(Streams::new(2).stream("noise"));
    let draws: Vec<Vec<f64>> = names
        .iter_mut()
        .map(|stream| (0..n).map(|_| stream.normal_f64()).collect())
        .collect();
    for (i, a) in draws.iter().enumerate() {
        for b in &draws[..i] {
            let correlation = a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>() / n as f64;
            assert!(
                correlation.abs() < 5.0 / (n as f64).sqrt(),
                "correlation {correlation}"
            );
        }
    }
}

#[test]
fn moments_of_the_distributions() {
    let mut stream = Streams::new(3).stream("moments");
    let n = 200_000;
    let mut normals = vec![0f32; n];
    stream.fill_normal(&mut normals);
    let moment = |k: i32| normals.iter().map(|&v| f64::from(v).powi(k)).sum::<f64>() / n as f64;
    // Five standard errors: the variance of x^k is its moment 2k less the square of its moment k.
    for (k, mean, variance) in [(1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0)] {
        let error = (moment(k) - mean).abs();
        assert!(
            error < 5.0 * (variance / n as f64).sqrt(),
            "moment {k} is off by {error}"
        );
    }
    let uniforms: Vec<f32> = (0..n).map(|_| stream.uniform_f32()).collect();
    assert!(uniforms.iter().all(|v| (0.0..1.0).contains(v)));
    let mean = uniforms.iter().map(|&v| f64::from(v)).sum::<f64>() / n as f64;
    assert!(
        (mean - 0.5).abs() < 5.0 * (1.0 / 12.0 / n as f64).sqrt(),
        "mean {mean}"
    );
}

#[test]
fn indices_cover_their_range_evenly() {
    let mut stream = Streams::new(4).stream("indices");
    let (n, draws) = (7, 70_000);
    let mut counts = vec![0u32; n];
    for _ in 0..draws {
        counts[stream.index(n).unwrap()] += 1;
    }
    let expected = f64::from(draws) / n as f64;
    let chi2: f64 = counts
        .iter()
        .map(|&c| (f64::from(c) - expected).powi(2) / expected)
        .sum();
    assert!(chi2 < 30.0, "chi-squared {chi2} with 6 degrees of freedom");
    assert_eq!(stream.index(1).unwrap(), 0);
    assert_eq!(
        stream.index(0).unwrap_err(),
        Error::EmptyRange {
            stream: "indices".into()
        }
    );
}

#[test]
fn permutations_hold_every_element_once() {
    let mut stream = Streams::new(5).stream("order");
    for n in [0, 1, 2, 17, 1000] {
        let mut order = stream.permutation(n);
        order.sort_unstable();
        assert!(order.into_iter().eq(0..n));
    }
    // All six orders of three, about equally often.
    let mut counts = std::collections::BTreeMap::new();
    for _ in 0..6000 {
        *counts.entry(stream.permutation(3)).or_insert(0) += 1;
    }
    assert_eq!(counts.len(), 6);
    assert!(
        counts.values().all(|&count| (850..1150).contains(&count)),
        "{counts:?}"
    );
}

#[test]
fn a_damaged_state_is_refused() {
    let mut stream = Streams::new(6).stream("noise");
    stream.normal_f64();
    let good = serde_json::to_value(&stream).unwrap();
    assert_eq!(good["spare"].as_str().map(str::len), Some(16));
    for (field, value) in [
        ("spare", serde_json::json!("12")),
        ("spare", serde_json::json!("+000000000000000")),
        ("spare", serde_json::json!("7ff0000000000000")),
        ("position", serde_json::json!(-1)),
        ("unknown", serde_json::json!(0)),
    ] {
        let mut bad = good.clone();
        bad[field] = value.clone();
        assert!(
            serde_json::from_value::<Stream>(bad).is_err(),
            "{field} = {value}"
        );
    }
    // The largest position is a place like any other.
    let mut far = good;
    far["position"] = serde_json::json!(u64::MAX);
    serde_json::from_value::<Stream>(far).unwrap().normal_f64();
}

#[test]
fn a_fork_goes_its_own_way() {
    let [mut forked, mut plain] = [(); 2].map(|()| Streams::new(1).stream("noise"));
    let mut fork = forked.fork();
    plain.next_u64();
    let drawn = [(); 50].map(|()| fork.next_u64());
    let next = [(); 50].map(|()| forked.next_u64());
    assert_eq!(
        next,
        [(); 50].map(|()| plain.next_u64()),
        "one number further"
    );
    assert!(!next.iter().any(|number| drawn.contains(number)));
}

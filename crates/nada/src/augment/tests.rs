use candle_core::{Device, Tensor};
use domex_ops::testing::{assert_gradients, max_difference, randn};
use domex_random::{Stream, Streams};

use super::{Augment, View, span};

fn stream() -> Stream {
    Streams::new(5).stream("views")
}

#[test]
fn nothing_is_done_by_default() {
    let pictures = randn(&[2, 3, 5, 7], 1);
    let view = Augment::default().draw(&mut stream(), [2, 5, 7]).unwrap();
    let same = view.apply(&pictures).unwrap();
    assert_eq!(max_difference(&same, &pictures), 0.0);
}

#[test]
fn a_span_repeats_the_edge_and_turns_round() {
    let x = Tensor::new(&[10f64, 11.0, 12.0, 13.0], &Device::Cpu).unwrap();
    let get = |start, length, reversed| {
        let y = span(&x, 0, start, length, reversed).unwrap();
        y.to_vec1::<f64>().unwrap()
    };
    assert_eq!(get(1, 2, false), [11.0, 12.0]);
    assert_eq!(get(1, 3, true), [13.0, 12.0, 11.0]);
    assert_eq!(get(-2, 4, false), [10.0, 10.0, 10.0, 11.0]);
    assert_eq!(get(2, 4, false), [12.0, 13.0, 13.0, 13.0]);
}

/// A window shows a piece of the picture; colours are an affine map of it.
#[test]
fn windows_lie_where_they_were_drawn() {
    let augment = Augment {
        crop: 0.5,
        ..Augment::default()
    };
    let rows = Tensor::arange(0f64, 20.0, &Device::Cpu).unwrap();
    let pictures = rows.reshape((1, 1, 20, 1)).unwrap();
    let pictures = pictures.expand((4, 3, 20, 20)).unwrap();
    let (mut sizes, mut tops) = (Vec::new(), Vec::new());
    let mut stream = stream();
    for _ in 0..50 {
        let view = augment.draw(&mut stream, [4, 20, 20]).unwrap();
        let cut = view.apply(&pictures).unwrap();
        let height = cut.dim(2).unwrap();
        assert!((10..=20).contains(&height));
        sizes.push(height);
        for k in 0..4 {
            let column = cut.get(k).unwrap().get(0).unwrap().narrow(1, 0, 1).unwrap();
            let column = column.flatten_all().unwrap().to_vec1::<f64>().unwrap();
            assert!(column.windows(2).all(|w| w[1] == w[0] + 1.0));
            tops.push(column[0] as usize);
        }
    }
    sizes.sort_unstable();
    sizes.dedup();
    tops.sort_unstable();
    tops.dedup();
    assert!(sizes.len() > 6 && tops.len() > 6, "{sizes:?} {tops:?}");
}

#[test]
fn noise_and_colours_have_the_strength_asked_for() {
    let augment = Augment {
        noise: 0.1,
        colour: 0.3,
        ..Augment::default()
    };
    let view = augment.draw(&mut stream(), [8, 40, 40]).unwrap();
    let zeros = randn(&[8, 3, 40, 40], 1).zeros_like().unwrap();
    let out = view.apply(&zeros).unwrap().reshape((24, 1600)).unwrap();
    let offsets = out.mean_keepdim(1).unwrap();
    let spread = out.broadcast_sub(&offsets).unwrap().sqr().unwrap();
    let spread = spread
        .mean_all()
        .unwrap()
        .to_scalar::<f64>()
        .unwrap()
        .sqrt();
    assert!((spread - 0.1).abs() < 0.005, "{spread}");
    let offsets = offsets.flatten_all().unwrap().to_vec1::<f64>().unwrap();
    assert!(offsets.iter().all(|o| o.abs() < 0.31));
    assert!(offsets.iter().any(|o| o.abs() > 0.15));
}

#[test]
fn half_of_the_pairs_are_mirrored() {
    let augment = Augment {
        flip: true,
        ..Augment::default()
    };
    let view: View = augment.draw(&mut stream(), [200, 4, 4]).unwrap();
    let mirrored = view.mirrored.iter().filter(|m| **m).count();
    assert!((70..130).contains(&mirrored), "{mirrored}");
}

#[test]
fn gradients_go_back_to_their_pixels() {
    let augment = Augment {
        crop: 0.6,
        shift: 0.2,
        flip: true,
        colour: 0.2,
        noise: 0.1,
        views: 1,
    };
    let view = augment.draw(&mut stream(), [3, 6, 8]).unwrap();
    let apply = |xs: &[Tensor]| Ok(view.apply(&xs[0]).map_err(candle_core::Error::wrap)?);
    assert_gradients("view", apply, &[randn(&[3, 3, 6, 8], 2)]);
}

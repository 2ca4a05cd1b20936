use domex_ops::testing::randn;
use domex_random::Streams;

use super::{Patches, cut, draw_centres};

#[test]
fn patches_are_inside_and_reach_every_edge() {
    let mut stream = Streams::new(1).stream("patches");
    let centres = draw_centres(&mut stream, [100, 6, 9], 3, 4).unwrap();
    assert_eq!(centres.len(), 300);
    let range = |axis: usize| {
        let at = centres.iter().map(|centre| centre[axis]);
        (at.clone().min().unwrap(), at.max().unwrap())
    };
    assert_eq!((range(0), range(1)), ((2, 7), (2, 4)));
    let patches = cut(&randn(&[100, 3, 6, 9], 1), &centres, 4).unwrap();
    assert_eq!(patches.dims(), [300, 3, 4, 4]);
    // As large as the picture: one place.
    let centres = draw_centres(&mut stream, [2, 4, 4], 1, 4).unwrap();
    assert_eq!(centres, [[2, 2]; 2]);
}

#[test]
fn sizes_are_even_and_fit() {
    let size = |size: f64, h, w| Patches { count: 1, size }.pixels(h, w);
    assert_eq!(size(0.5, 1024, 2048), 512);
    assert_eq!(size(0.5, 7, 9), 4);
    assert_eq!(size(1.0, 9, 9), 8);
    assert_eq!(size(0.01, 9, 9), 2);
}

#[test]
fn what_does_not_fit_is_refused() {
    let mut stream = Streams::new(1).stream("patches");
    assert!(draw_centres(&mut stream, [1, 4, 4], 1, 6).is_err());
    assert!(draw_centres(&mut stream, [1, 4, 4], 1, 1).is_err());
    let pictures = randn(&[2, 3, 8, 8], 1);
    for (centres, size) in [
        (vec![[4, 4]], 4),
        (vec![[4, 4], [1, 4]], 4),
        (vec![[4, 4], [4, 7]], 4),
        (vec![[4, 4], [usize::MAX - 1, 4]], 4),
        (vec![], 4),
        (vec![[4, 4], [4, 4]], 0),
    ] {
        assert!(cut(&pictures, &centres, size).is_err(), "{centres:?}");
    }
}

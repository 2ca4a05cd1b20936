use candle_core::Device;

use super::*;
use crate::Parameters;
use crate::adam::AdamConfig;

#[test]
fn passes_add_up_to_the_batch() {
    assert_eq!(passes(16, 6), [6, 6, 4]);
    assert_eq!(passes(16, 16), [16]);
}

#[test]
fn smaller_passes_divide_the_batch_and_come_in_groups() {
    assert_eq!(smaller(16, 16, 4), 8);
    assert_eq!(smaller(12, 12, 4), 4, "6 would be a group and a half");
    assert_eq!(smaller(12, 12, 1), 6);
    assert_eq!(smaller(12, 4, 4), 2);
    assert_eq!(smaller(7, 7, 4), 1);
    assert_eq!(smaller(1, 1, 4), 1);
}

fn weight() -> (Var, Adam) {
    let x = Var::new(&[1f32, -2.0], &Device::Cpu).unwrap();
    let parameters = Parameters::new([("x".to_owned(), x.clone())].into());
    let adam = Adam::new(&parameters, AdamConfig::default()).unwrap();
    (x, adam)
}

#[test]
fn several_passes_move_as_one_does() {
    let targets = Tensor::new(&[[3f32, 1.0], [0.5, 4.0], [2.0, 2.0]], &Device::Cpu).unwrap();
    let moved = |micro: usize| {
        let (x, mut adam) = weight();
        let (mut sum, mut losses) = (Accumulator::default(), Losses::default());
        let mut start = 0;
        for n in passes(3, micro) {
            let part = targets.narrow(0, start, n).unwrap();
            let apart = x.as_tensor().broadcast_sub(&part).unwrap();
            let loss = apart.sqr().unwrap().mean_all().unwrap();
            sum.add("loss", &loss, n as f64 / 3.0, 2.0).unwrap();
            start += n;
        }
        sum.apply(&mut adam, &[], &mut losses).unwrap();
        (x.to_vec1::<f32>().unwrap(), losses.values[0].1)
    };
    let (whole, loss) = moved(3);
    for micro in [1, 2] {
        let (parts, told) = moved(micro);
        assert!((told - loss).abs() < 1e-6, "{told} {loss}");
        for (a, b) in parts.iter().zip(&whole) {
            assert!((a - b).abs() < 1e-6, "{a} {b}");
        }
    }
}

#[test]
fn a_pass_that_is_not_finite_stops_the_whole_step() {
    let (x, mut adam) = weight();
    let (mut sum, mut losses) = (Accumulator::default(), Losses::default());
    let loss = x.as_tensor().sqr().unwrap().sum_all().unwrap();
    sum.descend(&loss, 0.5).unwrap();
    sum.descend(&(loss * f64::NAN).unwrap(), 0.5).unwrap();
    assert!(!sum.is_finite());
    sum.apply(&mut adam, &[], &mut losses).unwrap();
    assert_eq!(x.to_vec1::<f32>().unwrap(), [1.0, -2.0]);
    assert_eq!(losses.not_finite, ["loss"]);
}

#[test]
fn gradients_are_kept_without_what_they_came_from() {
    let (x, _) = weight();
    let mut sum = Accumulator::default();
    // Of a square candle computes it from the operand, with a graph.
    let loss = x.as_tensor().sqr().unwrap().sum_all().unwrap();
    sum.descend(&loss, 1.0).unwrap();
    let gradient = sum.gradients.first().and_then(|kept| kept.get(&x));
    assert!(!gradient.unwrap().track_op());
}

//! Minibatch deviation, the optimizer, sums over channels.

use candle_core::{Device, Tensor, Var};
use domex_cuda::{
    Element,
    plan::{self, MinibatchStd},
};
use domex_kernels::adam::{self, Adam, AdamState};

use crate::{
    data::{ELEMENTS, assert_close, noise, tolerance, wide},
    runner::{alike, bytes, from_bytes, rounded, run},
};

#[test]
fn the_minibatch_deviation_agrees_with_the_cpu_both_ways() {
    for (n, c, sets, group) in [(6, 4, 2, 3), (4, 3, 1, 4), (2, 2, 1, 1)] {
        let (h, w) = (5, 13);
        let s = MinibatchStd {
            n,
            c,
            sets,
            group,
            pixels: h * w,
        };
        for element in ELEMENTS {
            minibatch_std_agrees(&s, [h, w], element);
        }
    }
}

fn minibatch_std_agrees(s: &MinibatchStd, [h, w]: [usize; 2], element: Element) {
    let x = rounded(&noise(s.n * s.c * h * w, 1), element);
    let shape = (s.n, s.c, h, w);
    let var = Tensor::from_vec(x.clone(), shape, &Device::Cpu).unwrap();
    let var = Var::from_tensor(&var).unwrap();
    let y = domex_ops::minibatch_std(&var, Some(s.group), s.sets).unwrap();
    let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let want = flat(&y);
    let plan = plan::minibatch_std(s, element).unwrap();
    let what = format!("{s:?} {element:?}");
    let Some(got) = alike(&plan, &[&x], &[(1, want.len())], element) else {
        return;
    };
    assert_close(&got[0], &want, tolerance(element, 2e-6), &what);
    let gy = rounded(&noise(want.len(), 2), element);
    let along = Tensor::from_vec(gy.clone(), y.shape(), &Device::Cpu).unwrap();
    let loss = (y * along).unwrap().sum_all().unwrap();
    let want = flat(loss.backward().unwrap().get(&var).unwrap());
    let plan = plan::minibatch_std_backward(s, element).unwrap();
    let Some(got) = alike(&plan, &[&x, &gy], &[(2, x.len())], element) else {
        return;
    };
    assert_close(&got[0], &want, tolerance(element, 2e-5), &what);
}

#[test]
fn three_steps_of_adam_agree_with_the_cpu() {
    for len in [1, 257, 1000] {
        let start = noise(len, 1);
        let (mut p, mut m, mut v) = (wide(&start), vec![0.0; len], vec![0.0; len]);
        let mut buffers = [
            bytes(&start),
            bytes(&vec![0.0; len]),
            bytes(&vec![0.0; len]),
            vec![],
        ];
        for step in 1..=3 {
            let how = Adam {
                lr: 0.02,
                beta1: 0.5,
                beta2: 0.99,
                eps: 1e-8,
                decay: 0.1,
                step,
            };
            let g = noise(len, 10 + step);
            adam::step(
                &how,
                AdamState {
                    parameters: &mut p,
                    m: &mut m,
                    v: &mut v,
                },
                &wide(&g),
            )
            .unwrap();
            buffers[3] = bytes(&g);
            let Some(after) = run(&plan::adam(&how, len).unwrap(), &buffers) else {
                return;
            };
            buffers.clone_from_slice(&after);
        }
        for (got, want) in buffers.iter().zip([&p, &m, &v]) {
            assert_close(&from_bytes(got), want, 2e-6, "Adam");
        }
    }
}

#[test]
fn an_average_moves_by_its_share() {
    let (average, value) = (noise(300, 1), noise(300, 2));
    let Some(after) = run(
        &plan::average(0.9, 300).unwrap(),
        &[bytes(&average), bytes(&value)],
    ) else {
        return;
    };
    let want: Vec<f64> = average
        .iter()
        .zip(&value)
        .map(|(&a, &v)| f64::from(v) + 0.9 * (f64::from(a) - f64::from(v)))
        .collect();
    assert_close(&from_bytes(&after[0]), &want, 1e-6, "average");
}

#[test]
fn sums_over_channels_agree_with_the_formula() {
    for element in ELEMENTS {
        sums_agree(element);
    }
}

fn sums_agree(element: Element) {
    let (n, c, pixels) = (3, 5, 301);
    let [x, y, s] = [
        noise(n * c * pixels, 1),
        noise(n * c * pixels, 2),
        noise(n * c, 3),
    ]
    .map(|t| rounded(&t, element));
    let [x64, y64] = [wide(&x), wide(&y)];
    let at = |i: usize, j: usize, p: usize| (i * c + j) * pixels + p;
    let all =
        || (0..n).flat_map(move |i| (0..c).flat_map(move |j| (0..pixels).map(move |p| (i, j, p))));
    let [mut dots, mut channels, mut each, mut shared] =
        [n * c, c, n * pixels, pixels].map(|len| vec![0.0; len]);
    for (i, j, p) in all() {
        let v = f64::from(x[at(i, j, p)]);
        dots[i * c + j] += v * y64[at(i, j, p)];
        channels[j] += v;
        each[i * pixels + p] += v;
        shared[p] += v;
    }
    let scaled: Vec<f64> = all()
        .map(|(i, j, p)| f64::from(x[at(i, j, p)]) * f64::from(s[i * c + j]))
        .collect();
    let cases = [
        (
            plan::scale_rows(n * c, pixels, element),
            vec![&x[..], &s],
            scaled,
        ),
        (
            plan::dot_rows(n * c, pixels, element),
            vec![&x[..], &y],
            dots,
        ),
        (
            plan::channel_sum(n, c, pixels, element),
            vec![&x[..]],
            channels,
        ),
        (plan::plane_sum(n, c, pixels, element), vec![&x[..]], each),
        (
            plan::plane_sum(1, n * c, pixels, element),
            vec![&x[..]],
            shared,
        ),
        (
            plan::join(x.len(), s.len(), element),
            vec![&x[..], &s],
            [x64, wide(&s)].concat(),
        ),
    ];
    for (plan, operands, want) in cases {
        let plan = plan.unwrap();
        let output = (operands.len(), want.len());
        let Some(got) = alike(&plan, &operands, &[output], element) else {
            return;
        };
        assert_close(
            &got[0],
            &want,
            tolerance(element, 1e-5),
            plan.launches[0].kernel,
        );
    }
}

//! Layer, group and pixel norm; softmax.

use domex_cuda::{
    Element,
    plan::{self, Affine, Line},
};
use domex_kernels::rows::{self, LayerNorm, RowsShape};

use crate::{
    data::{ELEMENTS, assert_close, noise, tolerance, wide},
    runner::{alike, floats, rounded},
};

/// The norm of every line in float64, and the derivative along g, by their formulas. Weights come per element.
fn by_hand(l: &Line, x: &[f64], weight: &[f64], bias: &[f64], g: &[f64]) -> [Vec<f64>; 3] {
    let [mut y, mut gx, mut normal] = [(); 3].map(|()| vec![0.0; x.len()]);
    for line in 0..l.outer * l.inner {
        let start = line / l.inner * l.len * l.inner + line % l.inner;
        let places: Vec<usize> = (0..l.len).map(|i| start + i * l.inner).collect();
        let mean_of =
            |f: &dyn Fn(usize) -> f64| places.iter().map(|&e| f(e)).sum::<f64>() / l.len as f64;
        let mean = if l.centre { mean_of(&|e| x[e]) } else { 0.0 };
        let r = 1.0 / (mean_of(&|e| (x[e] - mean).powi(2)) + l.eps).sqrt();
        let h = |e: usize| (x[e] - mean) * r;
        let mean_g = if l.centre {
            mean_of(&|e| g[e] * weight[e])
        } else {
            0.0
        };
        let mean_gh = mean_of(&|e| g[e] * weight[e] * h(e));
        for &e in &places {
            y[e] = h(e) * weight[e] + bias[e];
            gx[e] = r * (g[e] * weight[e] - mean_g - h(e) * mean_gh);
            normal[e] = h(e);
        }
    }
    [y, gx, normal]
}

#[test]
fn norms_along_any_axis_agree_with_the_formula() {
    let line = |outer, len, inner, centre| Line {
        outer,
        len,
        inner,
        centre,
        eps: 1e-5,
    };
    let cases = [
        // Layer norm, group norm of two channels of 35 pixels, a long row.
        (
            line(7, 37, 1, true),
            Affine {
                channels: 37,
                repeat: 1,
            },
        ),
        (
            line(6, 70, 1, true),
            Affine {
                channels: 4,
                repeat: 35,
            },
        ),
        (
            line(2, 1031, 1, true),
            Affine {
                channels: 1,
                repeat: 1031,
            },
        ),
        // Pixel norm, over rows and over channels; an axis in the middle.
        (
            line(5, 33, 1, false),
            Affine {
                channels: 33,
                repeat: 1,
            },
        ),
        (
            line(2, 9, 35, false),
            Affine {
                channels: 9,
                repeat: 35,
            },
        ),
        (
            line(3, 1, 300, true),
            Affine {
                channels: 900,
                repeat: 1,
            },
        ),
    ];
    for (l, affine) in cases {
        agrees(&l, affine, Element::F32);
    }
    // What an element is does not show in how lines are walked: one by blocks, one by threads.
    for (l, affine) in [cases[1], cases[4]] {
        agrees(&l, affine, Element::F16);
        agrees(&l, affine, Element::Bf16);
    }
}

fn agrees(l: &Line, affine: Affine, element: Element) {
    let len = l.outer * l.len * l.inner;
    let [x, g] = [noise(len, 1), noise(len, 2)].map(|t| rounded(&t, element));
    let [weight, bias] = [3, 4].map(|seed| rounded(&noise(affine.channels, seed), element));
    let spread = |t: &[f32]| -> Vec<f64> {
        (0..len)
            .map(|e| f64::from(t[e / affine.repeat % affine.channels]))
            .collect()
    };
    let what = format!("{l:?} {affine:?} {element:?}");
    let [near, far] = [1e-5, 2e-5].map(|arithmetic| tolerance(element, arithmetic));

    let [y, gx, normal] = by_hand(l, &wide(&x), &spread(&weight), &spread(&bias), &wide(&g));
    let plan = plan::norm(l, Some(affine), element).unwrap();
    let Some(got) = alike(&plan, &[&x, &weight, &bias], &[(1, len)], element) else {
        return;
    };
    assert_close(&got[0], &y, near, &what);
    let [mut g_weight, mut g_bias] = [(); 2].map(|()| vec![0.0; affine.channels]);
    for e in 0..len {
        g_weight[e / affine.repeat % affine.channels] += f64::from(g[e]) * normal[e];
        g_bias[e / affine.repeat % affine.channels] += f64::from(g[e]);
    }
    let plan = plan::norm_backward(l, Some(affine), true, element).unwrap();
    let outputs = [(2, len), (4, affine.channels), (5, affine.channels)];
    let Some(got) = alike(&plan, &[&x, &g, &weight], &outputs, element) else {
        return;
    };
    for (got, want) in got.iter().zip([&gx, &g_weight, &g_bias]) {
        assert_close(got, want, far, &what);
    }
    // A frozen weight: gx alone.
    let plan = plan::norm_backward(l, Some(affine), false, element).unwrap();
    assert_eq!((plan.launches.len(), plan.scratch.len()), (1, 0));
    let Some(got) = alike(&plan, &[&x, &g, &weight], &[(2, len)], element) else {
        return;
    };
    assert_close(&got[0], &gx, far, &what);

    let [y, gx, _] = by_hand(l, &wide(&x), &vec![1.0; len], &vec![0.0; len], &wide(&g));
    let Some(got) = alike(
        &plan::norm(l, None, element).unwrap(),
        &[&x],
        &[(1, len)],
        element,
    ) else {
        return;
    };
    assert_close(&got[0], &y, near, &what);
    let plan = plan::norm_backward(l, None, false, element).unwrap();
    let Some(got) = alike(&plan, &[&x, &g], &[(2, len)], element) else {
        return;
    };
    assert_close(&got[0], &gx, far, &what);
}

#[test]
fn a_layer_norm_agrees_with_the_cpu() {
    let s = RowsShape { rows: 5, width: 65 };
    let [x, weight, bias] = [noise(5 * 65, 1), noise(65, 2), noise(65, 3)];
    let (weight64, bias64) = (wide(&weight), wide(&bias));
    let mut want = vec![0.0; x.len()];
    rows::layer_norm(
        &s,
        &LayerNorm {
            weight: Some(&weight64),
            bias: Some(&bias64),
            eps: 1e-6,
        },
        &wide(&x),
        &mut want,
    )
    .unwrap();
    let line = Line {
        outer: 5,
        len: 65,
        inner: 1,
        centre: true,
        eps: 1e-6,
    };
    let plan = plan::norm(
        &line,
        Some(Affine {
            channels: 65,
            repeat: 1,
        }),
        Element::F32,
    )
    .unwrap();
    let Some(got) = floats(&plan, &[&x, &weight, &bias], &[(1, x.len())]) else {
        return;
    };
    assert_close(&got[0], &want, 1e-5, "layer norm");
}

#[test]
fn softmax_along_any_axis_agrees_with_the_cpu_both_ways() {
    for [outer, len, inner] in [[3, 50, 1], [2, 1000, 1], [4, 1, 1], [2, 7, 33], [1, 5, 300]] {
        let count = outer * len * inner;
        let x: Vec<f32> = noise(count, 1).iter().map(|v| 30.0 * v).collect();
        let g = noise(count, 2);
        let long = len > 100;
        for element in ELEMENTS.into_iter().take(if long { 1 } else { 3 }) {
            softmax_agrees([outer, len, inner], &x, &g, element);
        }
    }
}

fn softmax_agrees([outer, len, inner]: [usize; 3], x: &[f32], g: &[f32], element: Element) {
    let (count, [x, g]) = (x.len(), [x, g].map(|t| rounded(t, element)));
    // To rows for the CPU's kernel, and back.
    let place = |row: usize, i: usize| (row / inner * len + i) * inner + row % inner;
    let s = RowsShape {
        rows: outer * inner,
        width: len,
    };
    let gather = |t: &[f32]| -> Vec<f64> {
        (0..count)
            .map(|e| f64::from(t[place(e / len, e % len)]))
            .collect()
    };
    let scatter = |t: &[f64]| {
        let mut all = vec![0.0; count];
        (0..count).for_each(|e| all[place(e / len, e % len)] = t[e]);
        all
    };
    let [mut y, mut gx] = [(); 2].map(|()| vec![0.0; count]);
    rows::softmax(&s, &gather(&x), &mut y).unwrap();
    let what = format!("{outer} {len} {inner} {element:?}");
    let plan = plan::softmax(outer, len, inner, element).unwrap();
    let Some(got) = alike(&plan, &[&x], &[(1, count)], element) else {
        return;
    };
    assert_close(&got[0], &scatter(&y), tolerance(element, 5e-6), &what);
    rows::softmax_backward(&s, &gather(&got[0]), &gather(&g), &mut gx).unwrap();
    let plan = plan::softmax_backward(outer, len, inner, element).unwrap();
    let Some(got) = alike(&plan, &[&got[0], &g], &[(2, count)], element) else {
        return;
    };
    assert_close(&got[0], &scatter(&gx), tolerance(element, 1e-5), &what);
}

#[test]
fn softmax_of_masked_scores_is_zero_there() {
    let x = [1000.0, 1000.0, f32::NEG_INFINITY];
    let Some(got) = floats(
        &plan::softmax(1, 3, 1, Element::F32).unwrap(),
        &[&x],
        &[(1, 3)],
    ) else {
        return;
    };
    assert_eq!(got[0], [0.5, 0.5, 0.0]);
}

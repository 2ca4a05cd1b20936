//! Speed of the bodies that memory bounds: milliseconds of processor time per call.
//!
//! `RAYON_NUM_THREADS=1 cargo run --release -p domex-kernels --example fused [-- FILTER]`.

mod common;

use common::{median, noise, wanted};
use domex_kernels::adam::{self, Adam, AdamState};
use domex_kernels::epilogue::{self, Epilogue, EpilogueGrads, EpilogueShape};
use domex_kernels::rows::{self, LayerNorm, RowsShape};
use domex_kernels::upfirdn::{UpFirDnShape, upfirdn2d};
use domex_kernels::{Activation, Result};

fn line(name: &str, mut work: impl FnMut() -> Result<()>) {
    if wanted(name) {
        let seconds = median(|| work().expect("a good shape"));
        println!("{name:40} {:8.2} ms", seconds * 1e3);
    }
}

fn resampling() {
    let taps = [1.0f32, 3.0, 3.0, 1.0];
    let filter: Vec<f32> = taps
        .iter()
        .flat_map(|a| taps.iter().map(move |b| a * b / 64.0))
        .collect();
    let base = UpFirDnShape {
        planes: 512,
        h: 128,
        w: 128,
        fh: 4,
        fw: 4,
        up: [1, 1],
        down: [1, 1],
        padding: [2, 1, 2, 1],
        flip: false,
        gain: 1.0,
    };
    for (name, up, down) in [
        ("filter 128", 1, 1),
        ("up 64 to 128", 2, 1),
        ("down 128 to 64", 1, 2),
    ] {
        let size = base.w / up;
        let s = UpFirDnShape {
            up: [up; 2],
            down: [down; 2],
            h: size,
            w: size,
            ..base
        };
        let x = noise(s.planes * s.h * s.w);
        let mut y = noise(s.planes * s.out_h() * s.out_w());
        line(&format!("upfirdn 4 x 128 channels, {name}"), || {
            upfirdn2d(&s, &filter, &x, &mut y)
        });
    }
}

fn epilogues() {
    let s = EpilogueShape {
        n: 4,
        channels: 128,
        pixels: 128 * 128,
    };
    let len = s.n * s.channels * s.pixels;
    let (x, gy, mut y, mut gx) = (noise(len), noise(len), noise(len), noise(len));
    let (scale, field, bias) = (noise(512), noise(s.pixels), noise(128));
    let e = Epilogue {
        scale: Some(&scale),
        noise: Some(&field),
        bias: Some(&bias),
        act: Activation::Lrelu { alpha: 0.2 },
        gain: 2f64.sqrt(),
        clamp: Some(256.0),
    };
    line("epilogue 4 x 128 x 128 x 128", || {
        epilogue::forward(&s, &e, &x, &mut y)
    });
    line("epilogue backward", || {
        let (mut g0, mut g1) = (vec![0.0; 512], vec![0.0; 128]);
        let grads = EpilogueGrads {
            scale: Some(&mut g0),
            noise: None,
            bias: Some(&mut g1),
        };
        epilogue::backward(&s, &e, &x, &gy, &mut gx, grads)
    });
    for (name, act) in [
        ("gelu", Activation::Gelu),
        ("quick gelu", Activation::QuickGelu),
    ] {
        let e = Epilogue {
            act,
            ..Epilogue::default()
        };
        line(&format!("{name} 8.4 M"), || {
            epilogue::forward(&s, &e, &x, &mut y)
        });
    }
}

fn by_rows() {
    let s = RowsShape {
        rows: 8 * 50,
        width: 768,
    };
    let (x, gy, weight) = (
        noise(s.rows * s.width),
        noise(s.rows * s.width),
        noise(s.width),
    );
    let (mut y, mut gx) = (x.clone(), x.clone());
    let l = LayerNorm {
        weight: Some(&weight),
        bias: Some(&weight),
        eps: 1e-5,
    };
    line("layer norm 400 x 768", || {
        rows::layer_norm(&s, &l, &x, &mut y)
    });
    line("layer norm backward", || {
        rows::layer_norm_backward(&s, &l, &x, &gy, &mut gx, None)
    });
    let s = RowsShape {
        rows: 8 * 12 * 50,
        width: 50,
    };
    let x = noise(s.rows * s.width);
    let mut y = x.clone();
    line("softmax 4800 x 50", || rows::softmax(&s, &x, &mut y));
}

fn optimizer() {
    let len = 16 << 20;
    let (mut parameters, mut m, g) = (noise(len), noise(len), noise(len));
    let mut v = vec![0.1; len];
    let adam = Adam {
        lr: 0.002,
        beta1: 0.0,
        beta2: 0.99,
        eps: 1e-8,
        decay: 0.0,
        step: 3,
    };
    line("Adam 16.8 M", || {
        let state = AdamState {
            parameters: &mut parameters,
            m: &mut m,
            v: &mut v,
        };
        adam::step(&adam, state, &g)
    });
}

fn main() {
    resampling();
    epilogues();
    by_rows();
    optimizer();
}

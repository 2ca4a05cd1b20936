//! Speed of matrix products: GFLOP per second of processor time, with the right side packed before and on the way.
//!
//! `RAYON_NUM_THREADS=1 cargo run --release -p domex-kernels --example products [-- FILTER]`. See `rows.rs` for the clock.

mod common;

use std::hint::black_box;

use common::{median, noise, wanted};
use domex_kernels::attention::{self, AttentionGrads, AttentionShape};
use domex_kernels::dense::PackedMatrix;
use domex_kernels::gemm::{MatRef, Product, gemm};

fn product(name: &str, [m, n, k]: [usize; 3], [a_turned, b_turned]: [bool; 2]) {
    if !wanted(name) {
        return;
    }
    let (a, b) = (noise(m * k), noise(k * n));
    let mut c = vec![0.0; m * n];
    let a = match a_turned {
        true => MatRef::transposed(&a, k, m),
        false => MatRef::row_major(&a, m, k),
    };
    let b = match b_turned {
        true => MatRef::transposed(&b, n, k),
        false => MatRef::row_major(&b, k, n),
    };
    let p = Product { batch: 1, m, n, k };
    let work = 2.0 * (m * n * k) as f64 / 1e9;
    let whole = median(|| gemm(p, 1.0, black_box(a), b, 0.0, &mut c).expect("a good shape"));
    // A factor other than one takes the crate `gemm`.
    let plain = median(|| gemm(p, 2.0, black_box(a), b, 0.0, &mut c).expect("a good shape"));
    let packed = PackedMatrix::new(k, n, b).expect("a good shape");
    let kept = median(|| {
        packed
            .run(m, black_box(a), None, &mut c)
            .expect("a good shape");
    });
    println!(
        "{name:32} {:5.0}   packed before {:5.0}   gemm {:5.0}",
        work / whole,
        work / kept,
        work / plain
    );
}

fn heads(name: &str, s: AttentionShape) {
    if !wanted(name) {
        return;
    }
    let (q, k, v) = (noise(s.q_len()), noise(s.k_len()), noise(s.k_len()));
    let (mut y, mut gq, mut gk, mut gv) = (q.clone(), q.clone(), k.clone(), v.clone());
    let forward = median(|| attention::forward(&s, black_box(&q), &k, &v, &mut y).expect("good"));
    let backward = median(|| {
        let grads = AttentionGrads {
            q: &mut gq,
            k: &mut gk,
            v: &mut gv,
        };
        attention::backward(&s, [black_box(&q), &k, &v], &y, grads).expect("good");
    });
    println!(
        "{name:32} {:8.3} ms, back {:8.3} ms",
        forward * 1e3,
        backward * 1e3
    );
}

fn main() {
    let plain = [false, false];
    product("1024", [1024; 3], plain);
    product("1024 a bT", [1024; 3], [false, true]);
    product("1024 aT b", [1024; 3], [true, false]);
    product("1024 aT bT", [1024; 3], [true, true]);
    product("400 x 768 x 768 linear", [400, 768, 768], [false, true]);
    product("400 x 3072 x 768 linear", [400, 3072, 768], [false, true]);
    product("400 x 768 x 3072 linear", [400, 768, 3072], [false, true]);
    product("400 x 768 x 768 back", [400, 768, 768], plain);
    product("768 x 768 x 400 weight", [768, 768, 400], [true, false]);
    product("8 x 512 x 512 linear", [8, 512, 512], [false, true]);
    product("8 x 512 x 8192 linear", [8, 512, 8192], [false, true]);
    product("64 x 512 x 512 linear", [64, 512, 512], [false, true]);
    product("32 x 512 x 512 linear", [32, 512, 512], [false, true]);
    product("16384 x 64 x 64 linear", [16384, 64, 64], [false, true]);
    let s = AttentionShape {
        n: 8,
        queries: 50,
        keys: 50,
        heads: 12,
        depth: 64,
        causal: false,
    };
    heads("attention 8 x 50 x 12", s);
    let s = AttentionShape {
        queries: 257,
        keys: 257,
        heads: 16,
        ..s
    };
    heads("attention 8 x 257 x 16", s);
    let s = AttentionShape {
        queries: 77,
        keys: 77,
        heads: 8,
        causal: true,
        ..s
    };
    heads("attention 8 x 77 x 8 causal", s);
}

//! What each kernel must move and compute, and the least time that takes on one card: a bound, not a forecast.
//!
//! Bytes are those that must come from memory or go there once, whatever the kernel: operands and results. Operations count a
//! multiplication and an addition as two.

use domex_error::Result;
use domex_kernels::conv::ConvShape;

use crate::out::say;

/// The card: NVIDIA's data sheet of the H100 SXM5.
const CARD: &str = "H100 SXM5";
/// Bytes a second.
const BANDWIDTH: f64 = 3.35e12;
/// float32 operations a second, outside the tensor cores, which these kernels do not use.
const RATE: f64 = 66.9e12;

/// One kernel at one size.
struct Row {
    what: String,
    /// float32 values read and written.
    values: f64,
    operations: f64,
}

/// Prints the table of `bench/GPU.md`.
pub fn run() -> Result<()> {
    say!(
        "| kernel | size | MB | GFLOP | by memory ms | by arithmetic ms | least ms on an {CARD} |"
    );
    say!("| --- | --- | --- | --- | --- | --- | --- |");
    for row in rows() {
        let (bytes, ms) = (4.0 * row.values, |seconds: f64| seconds * 1e3);
        let (memory, arithmetic) = (ms(bytes / BANDWIDTH), ms(row.operations / RATE));
        say!(
            "{} | {:.1} | {:.2} | {memory:.4} | {arithmetic:.4} | {:.4} |",
            row.what,
            bytes / 1e6,
            row.operations / 1e9,
            memory.max(arithmetic)
        );
    }
    Ok(())
}

/// The sizes of StyleGAN2 configuration F at 1024² (channels 512 up to 64², then halved), batch 4, and of CLIP ViT-B/32, batch 16.
fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    let mut add = |kernel: &str, size: &str, values: f64, operations: f64| {
        let what = format!("| `{kernel}` | {size}");
        rows.push(Row {
            what,
            values,
            operations,
        });
    };
    let n = 4.0;
    for (side, c) in [(16, 512), (64, 512), (256, 128), (1024, 32)] {
        let s = ConvShape {
            n: 4,
            c_in: c,
            h: side,
            w: side,
            c_out: c,
            kh: 3,
            kw: 3,
            stride: 1,
            padding: 1,
        };
        let values = (s.x_len() + s.w_len() + s.y_len()) as f64;
        let operations = 2.0 * s.y_len() as f64 * (c * 9) as f64;
        let size = format!("n4 c{c} {side}² 3×3");
        add("conv_forward", &size, values, operations);
        add("conv_grad_input", &size, values, operations);
        add("conv_grad_weight", &size, values, operations);
        let map = s.y_len() as f64;
        let size = format!("n4 c{c} {side}²");
        add("epilogue_forward", &size, 2.0 * map, 7.0 * map);
        add("epilogue_slope", &size, 3.0 * map, 9.0 * map);
        add("epilogue_backward", &size, 3.0 * map, 13.0 * map);
    }
    let (side, c) = (1024.0, 32.0);
    let from = n * c * (side + 1.0) * (side + 1.0);
    let to = n * c * side * side;
    add(
        "upfirdn2d",
        "n4 c32 1025² to 1024², 4×4 taps",
        from + to,
        2.0 * 16.0 * to,
    );
    add(
        "upfirdn2d_epilogue",
        "n4 c32 1025² to 1024², 4×4 taps",
        from + to,
        (2.0 * 16.0 + 7.0) * to,
    );
    let rgb = n * 3.0 * side * side;
    add(
        "upfirdn2d",
        "n4 c3 512² to 1024², up 2",
        1.25 * rgb,
        2.0 * 4.0 * rgb,
    );
    add(
        "demodulation",
        "n4 512 × 512 × 9",
        512.0 * 512.0 * 9.0,
        2.0 * 512.0 * (512.0 * 9.0 + 4.0 * 512.0),
    );
    let (tokens, width, heads) = (50.0, 768.0, 12.0);
    let row = 16.0 * tokens * width;
    add("norm_rows", "16·50 rows of 768", 2.0 * row, 8.0 * row);
    add(
        "norm_rows_backward",
        "16·50 rows of 768",
        3.0 * row,
        16.0 * row,
    );
    add(
        "norm_lines",
        "pixel norm of n4 512",
        2.0 * n * 512.0,
        4.0 * n * 512.0,
    );
    let scores = 16.0 * heads * tokens * tokens;
    add(
        "softmax_rows",
        "16·12·50 rows of 50",
        2.0 * scores,
        6.0 * scores,
    );
    add(
        "attention_forward",
        "n16 50 tokens, 12 heads of 64",
        4.0 * row,
        4.0 * scores * 64.0 + 6.0 * scores,
    );
    add(
        "attention_grad_queries + _keys",
        "n16 50 tokens, 12 heads of 64",
        12.0 * row,
        14.0 * scores * 64.0,
    );
    let pooled = n * 64.0 * 256.0 * 256.0;
    add("max_pool", "n4 c64 256² 2×2 s2", 1.25 * pooled, pooled);
    add(
        "max_pool_backward",
        "n4 c64 256² 2×2 s2",
        1.5 * pooled,
        pooled,
    );
    let small = n * 3.0 * 224.0 * 224.0;
    add(
        "resample",
        "n4 c3 1024² to 224², bicubic with antialiasing",
        rgb + small,
        2.0 * 19.0 * 19.0 * small,
    );
    let ada = n * 3.0 * 256.0 * 256.0;
    add(
        "grid_sample",
        "n4 c3 256²",
        2.0 * ada + 2.0 * n * 256.0 * 256.0,
        14.0 * ada,
    );
    add(
        "grid_sample_scatter and around it",
        "n4 c3 256²",
        9.0 * ada,
        16.0 * ada,
    );
    let last = n * 512.0 * 16.0;
    add("minibatch_std", "n4 c512 4²", 2.0 * last, 6.0 * last);
    let weights = 30.0e6;
    add("adam", "30 million weights", 7.0 * weights, 12.0 * weights);
    add(
        "average",
        "30 million weights",
        3.0 * weights,
        3.0 * weights,
    );
    rows
}

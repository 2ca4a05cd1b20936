//! The least time that each kernel can take on one card, by what it must move and compute: a bound, not a forecast.

use domex_error::Result;

use super::costs::{self, Cost, Sizes};
use crate::out::say;

/// The card: NVIDIA's data sheet of the H100 SXM5.
pub const CARD: &str = "H100 SXM5";
/// Bytes a second.
const BANDWIDTH: f64 = 3.35e12;
/// float32 operations a second, outside the tensor cores.
const RATE: f64 = 66.9e12;
/// TF32 operations a second of the tensor cores, which multiply half types, too.
const TENSOR_RATE: f64 = 494.7e12;

/// Seconds by memory and by arithmetic.
pub fn bounds(cost: &Cost) -> [f64; 2] {
    let rate = match cost.by_tensor_cores() {
        true => TENSOR_RATE,
        false => RATE,
    };
    [cost.bytes() / BANDWIDTH, cost.operations / rate]
}

/// Seconds of so many operations of float32.
pub fn arithmetic(operations: f64) -> f64 {
    operations / RATE
}

/// Prints the table of `bench/GPU.md`.
pub fn run() -> Result<()> {
    say!(
        "| kernel | size | MB | GFLOP | by memory ms | by arithmetic ms | least ms on an {CARD} |"
    );
    say!("| --- | --- | --- | --- | --- | --- | --- |");
    for cost in costs::all(&Sizes::PUBLISHED) {
        let [memory, arithmetic] = bounds(&cost).map(|seconds| seconds * 1e3);
        say!(
            "| `{}` | {} | {:.1} | {:.2} | {memory:.4} | {arithmetic:.4} | {:.4} |",
            cost.kernel,
            cost.size,
            cost.bytes() / 1e6,
            cost.operations / 1e9,
            memory.max(arithmetic)
        );
    }
    Ok(())
}

//! The least time that each kernel can take on one card, by what it must move and compute: a bound, not a forecast.

use domex_error::Result;

use super::costs::{self, Cost, Sizes};
use crate::out::say;

/// The card: NVIDIA's data sheet of the H100 SXM5.
pub const CARD: &str = "H100 SXM5";
/// Bytes a second.
const BANDWIDTH: f64 = 3.35e12;
/// float32 operations a second, outside the tensor cores, which these kernels do not use.
const RATE: f64 = 66.9e12;

/// Seconds by memory and by arithmetic.
pub fn bounds(cost: &Cost) -> [f64; 2] {
    [cost.bytes() / BANDWIDTH, cost.operations / RATE]
}

/// Seconds of so many operations.
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

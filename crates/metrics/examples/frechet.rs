//! What few pictures do to a Fréchet distance: `cargo run -p domex-metrics --example frechet`.

use candle_core::{Device, Tensor};
use domex_metrics::{Moments, frechet};
use domex_random::Streams;

/// Numbers in a feature.
const DIM: usize = 16;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut stream = Streams::new(0).stream("features");
    // Features of `count` pictures, normal, with this mean.
    let mut set = |count: usize, mean: f64| -> Result<Moments, Box<dyn std::error::Error>> {
        let values = (0..count * DIM).map(|_| mean + stream.normal_f64());
        let mut moments = Moments::new(DIM);
        moments.add(&Tensor::from_iter(values, &Device::Cpu)?.reshape((count, DIM))?)?;
        Ok(moments)
    };
    let reference = set(20_000, 0.0)?;
    println!(
        "pictures  of the same kind  half a deviation away (truly {})",
        0.25 * DIM as f64
    );
    for count in [32, 128, 512, 2048, 8192] {
        let same = frechet(&set(count, 0.0)?, &reference)?;
        let away = frechet(&set(count, 0.5)?, &reference)?;
        println!("{count:>8}  {same:>16.3}  {away:>21.3}");
    }
    Ok(())
}

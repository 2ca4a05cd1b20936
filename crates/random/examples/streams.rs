//! Streams that a snapshot can save, and the latents that a seed means to the published programs:
//! `cargo run -p domex-random --example streams -- [SEED]`.

use domex_random::{RandomState, Stream, Streams};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let seed: u32 = std::env::args().nth(1).map_or(Ok(0), |seed| seed.parse())?;
    let z = RandomState::new(seed).randn(512);
    println!("z of seed {seed}, as NumPy draws it: {:.4?} …", &z[..4]);

    let streams = Streams::new(u64::from(seed));
    for name in ["latents", "noise"] {
        let mut stream = streams.stream(name);
        let first: Vec<f64> = (0..3).map(|_| stream.normal_f64()).collect();
        let saved = serde_json::to_string(&stream)?;
        let mut resumed: Stream = serde_json::from_str(&saved)?;
        let next = [stream.normal_f64(), resumed.normal_f64()];
        println!("{name:8} {first:.4?}, then {next:.4?}: drawn on, and drawn on from a snapshot");
    }
    Ok(())
}

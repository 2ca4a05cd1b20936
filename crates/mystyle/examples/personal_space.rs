//! Between the latents of a few pictures of a person: `cargo run -p domex-mystyle --example personal_space`.

use candle_core::{Device, Tensor};
use domex_mystyle::{Anchors, hull, nearest};
use domex_random::Streams;

/// Size of a latent.
const DIM: usize = 8;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut stream = Streams::new(4).stream("person");
    let mut latents = |n: usize| {
        let values = (0..n * DIM).map(|_| stream.normal_f64());
        Tensor::from_iter(values, &Device::Cpu)?.reshape((n, DIM))
    };
    // What inversion found for five pictures; a sixth latent is of somebody else.
    let anchors = Anchors::new(&latents(5)?)?;
    let stranger = latents(1)?;

    // New pictures of the person come from between its anchors, three at a time.
    let points = hull::sample(&anchors, 2, 3, &mut Streams::new(0).stream("points"))?;
    println!("two points of the personal space: {points:.2}");

    // And the nearest that the person comes to the stranger, in the space and a little beyond it.
    for beta in [0.0, 0.02, 0.1] {
        let found = nearest::nearest(&anchors, &stranger, beta)?;
        let distance = (&found.latents - &stranger)?.sqr()?.sum_all()?.sqrt()?;
        println!("β {beta}: distance {:.3}", distance.to_scalar::<f64>()?);
    }
    Ok(())
}

//! The shim itself: it computes as CUDA does, and it finds what it is there to find.

use crate::{
    build::Program,
    runner::{Host, Raw, from_bytes},
};

/// What a kernel of `faults.cu` leaves in 64 floats, or None where it was stopped; the outer None: no compiler.
fn run(kernel: &str, falling: bool) -> Option<Option<Vec<f32>>> {
    let mut host = Host::start(Program::Faults)?;
    let mut buffers = vec![vec![0; 4 * 64]];
    let done = host.try_launch(
        kernel,
        [[1, 1, 1], [64, 0, 0]],
        falling,
        &mut buffers,
        &[Raw::Buffer(0)],
    );
    Some(done.is_ok().then(|| from_bytes(&buffers[0])))
}

#[test]
fn lanes_exchange_values() {
    let Some(got) = run("right", false) else {
        return;
    };
    let got = got.expect("no mistake");
    assert_eq!((got[0], got[31], got[32]), (496.0, 496.0, 1520.0));
}

#[test]
fn a_missing_barrier_shows() {
    let (Some(rising), Some(falling)) = (run("no_barrier", false), run("no_barrier", true)) else {
        return;
    };
    let (rising, falling) = (rising.unwrap(), falling.unwrap());
    // Shared memory that nobody has written yet is NaN.
    assert!(rising[0].is_nan() && falling[0] == 1.0 && falling[63].is_nan());
}

#[test]
fn mistakes_stop_the_program() {
    for kernel in [
        "some_barrier",
        "some_shuffle",
        "beyond_buffer",
        "beyond_shared",
        "overflow",
    ] {
        let Some(done) = run(kernel, false) else {
            return;
        };
        assert!(done.is_none(), "{kernel} went unnoticed");
    }
}

//! What a checkpoint of any format holds: `cargo run -p domex-checkpoint --example inspect -- FILE`.

use domex_checkpoint::foreign;

/// Read where no file is named.
const SHIPPED: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../assets/portraits/judge.safetensors"
);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args()
        .nth(1)
        .unwrap_or_else(|| SHIPPED.to_owned());
    // Nothing that a pickle names is run.
    let file = foreign::read(&path)?;
    println!("{path}: {:?}", file.format);
    for (name, tensor) in file.weights(&file.value)? {
        println!("{name:<40} {:?} {:?}", tensor.dtype(), tensor.shape());
    }
    Ok(())
}

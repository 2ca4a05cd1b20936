//! Which published weights are known, and which are here: `cargo run -p domex-hub --example list -- [KIND]`.

use domex_hub::{Cache, Manifest};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let kind = std::env::args().nth(1);
    let cache = Cache::from_env()?;
    for entry in Manifest::builtin()?.entries() {
        if kind.as_ref().is_some_and(|kind| entry.kind != *kind) {
            continue;
        }
        let here = cache.find(entry)?;
        let here = here.map_or_else(|| "not here".to_owned(), |path| path.display().to_string());
        println!("{:<28} {here}", entry.name);
    }
    Ok(())
}

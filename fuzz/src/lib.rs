//! The targets of cargo-fuzz, each a function of [`readers`]. `cargo xtask fuzz` runs them.
//!
//! What one of them found is read again, without cargo-fuzz and by any compiler, by
//! `cargo run --manifest-path fuzz/Cargo.toml --bin TARGET -- FILE`.

pub mod readers;

#[cfg(fuzzing)]
pub use libfuzzer_sys;

/// The entry of a target: for cargo-fuzz, and without it one that reads the files of its arguments.
#[macro_export]
macro_rules! target {
    ($run:path) => {
        #[cfg(fuzzing)]
        $crate::libfuzzer_sys::fuzz_target!(|bytes: &[u8]| $run(bytes));

        #[cfg(not(fuzzing))]
        fn main() -> std::io::Result<()> {
            for file in std::env::args_os().skip(1) {
                $run(&std::fs::read(file)?);
            }
            Ok(())
        }
    };
}

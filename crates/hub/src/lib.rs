//! Published weights by name: where they are, and fetching them, verified and cached.
//!
//! What there is stands in the [`Manifest`] that is part of the program, `models.toml`. A file is verified by the SHA-256
//! given there; where none is publicly stated, the first download is trusted, and its hash is pinned in the cache's
//! [lock file](Cache::lock): every later download must match. Nothing is fetched without a name, and what a download
//! stopped at stays, for the next one to go on from.
//!
//! This crate knows no network: what is made of a file after it is there is its caller's business, for which an entry
//! says [`Convert`].
//!
//! # Example
//!
//! ```
//! use domex_hub::{Cache, Manifest};
//!
//! # fn main() -> Result<(), domex_hub::Error> {
//! let manifest = Manifest::builtin()?;
//! let entry = manifest.find("ViT-B/32")?;
//! assert_eq!(entry.name, "clip-vit-b32");
//!
//! // What is there already, without asking the network.
//! let folder = tempfile::tempdir().unwrap();
//! assert!(Cache::at(folder.path()).find(entry)?.is_none());
//! # Ok(())
//! # }
//! ```

mod cache;
mod error;
mod fetch;
mod http;
mod lock;
mod manifest;
mod repository;

pub use cache::{CONTAINER, Cache};
pub use error::{Error, Mismatch, Result};
pub use fetch::{Fetched, Fetcher, Watch};
pub use manifest::{Convert, Entry, Manifest, Source};

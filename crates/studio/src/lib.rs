//! The studio: a page on this machine on which a generator is explored.
//!
//! This crate is the page (HTML, CSS and JavaScript, part of the program) and the server below it. What makes pictures is
//! an [`Engine`], which the program implements for its generators; here nothing is known of networks or latents.
//!
//! Domains are learnt by a [`Learner`], which the program implements too: runs in processes of their own, each the folder of its name below the
//! workspace. So are domains that it makes in one pass, without a run.
//!
//! Faces of photos are cut out by [`Faces`], which the program implements as well.
//!
//! [`Studio::bind`] takes a port, [`Studio::run`] serves until it is told to end. [`Models`] gives it an engine of each model that the page
//! wants, one at a time. The engine stays on the thread that called `run` and has one job at a time; the server has a thread of its own, and a bounded [`queue`] lies between them, in which a newer
//! request of one view of the page takes the place of an older one that still waits.
//!
//! A page of any other origin in the same browser can send requests to a server on this machine, so none of them is trusted: see
//! [`guard`]. What is uploaded goes through the readers of `domex_data`, and files are written only into one folder, under names that are
//! checked: see [`workspace`].
//!
//! The tests show it with an engine that paints plain colours.

mod crop;
pub mod engine;
mod error;
pub mod film;
pub mod guard;
pub mod learn;
mod models;
mod page;
mod photos;
pub mod queue;
mod refusal;
mod region;
mod routes;
mod server;
pub mod settings;
mod shared;
pub mod sheet;
pub mod stamp;
mod upload;
pub mod workspace;

pub use crop::Faces;
pub use engine::{Direction, Engine, Found, Frame, Info, Models, PhotoBytes, PhotoSupport, Stop};
pub use error::{Error, Result};
pub use guard::Token;
pub use learn::{Given, Learner, Progress, Wanted};
pub use models::Named;
pub use refusal::Refusal;
pub use region::Region;
pub use server::{Config, Limits, Port, Studio};
pub use settings::{Mixing, PhotoId, Settings, Source};

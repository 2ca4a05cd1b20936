//! A group of processes, the *ranks*, that compute one thing together.
//!
//! A [`Launch`] is what a launcher (`mpirun`, `torchrun`, `srun`, or the program itself) says of a process in its environment.
//! [`Group::join`] finds the others: rank 0 listens, all others come to it, prove that they belong to the same run, and are linked
//! in a *chain* in the order of ranks. Two operations are all that is done over it: [`Group::gather`] for a few bytes of each,
//! and [`Group::sum`], which adds float32 numbers in the order of ranks. What arrives is added to before it is passed on, so the sum
//! has one order and one rounding, whatever the number of ranks, and each rank sends and receives every number twice.
//!
//! Plain TCP of the standard library: MPI is not needed to build or to run, and `mpirun` is a launcher like others. What is
//! exchanged takes milliseconds beside steps of seconds.
//!
//! A rank that ends closes its links; the system does so for one that is killed, and finds out within [seconds](link) about a
//! machine that is no longer there. Its neighbours pass on who was lost, and every rank ends with [`Error::Lost`]. Rank 0 says of itself
//! that it ends with an error, for which all others end with [`Error::Ended`], or learn by [`Group::end`] that it is their own too.
//!
//! Deliberately not here: what is summed, and what a run does when it ends.

mod error;
mod group;
pub mod launch;
pub mod link;
mod local;
mod rendezvous;

pub use error::{Error, Result};
pub use group::{Group, Part};
pub use launch::Launch;
pub use local::Children;

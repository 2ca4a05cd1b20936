//! Base and repurposed subspaces: which directions belong to which domain, and how latents move.
//!
//! With an orthonormal basis `V`, repurposed directions `R` (one per domain), base directions `B`
//! (all others) and mean latent `m` (Nitzan et al., CVPR 2023, arXiv 2301.05225; the published form
//! is `expansion_utils/latent_operations.py` of adobe-research/domain-expansion):
//!
//! - base subspace: `base(w) = B Bᵀ w + R Rᵀ m`; the repurposed coordinates are those of the mean,
//!   or zero when there is no mean;
//! - traversal of domain `i`: `base(w) + s r_i`, whatever `w`'s own coordinate was;
//! - composition: `base(w) + Σ_i α_i s_i r_i`.
//!
//! [`Layout`] is the bookkeeping (who has which dimension), [`Subspaces`] the maths. Latents are in
//! W, `[n, D]`, or W+, `[n, L, D]`; results have the same form.

mod layout;
mod project;
mod steps;
mod w_plus;

pub use layout::{Domain, Layout, choose_dimension};
pub use project::Subspaces;
pub use steps::Steps;
pub use w_plus::{to_w, to_w_plus};

#[cfg(test)]
mod tests;

//! Networks that no gradient is computed for, while the optimizer goes on writing their weights.
//!
//! In a generator's step the discriminator only passes gradients on to the pictures, and in a
//! discriminator's step the generator only makes pictures. A frozen network shares the memory of
//! the one it was made from: it follows every write to that one's variables, and need not be made
//! again. Buffers that are replaced instead of written (the running mean of w) stay as they were.

use domex_stylegan2::{Discriminator, Generator, Tensors};

use crate::Result;

/// `network` without variables, on the same memory. Precision is the default one.
///
/// # Errors
///
/// When the network cannot be built, which its own tensors do not cause.
pub fn discriminator(network: &Discriminator) -> Result<Discriminator> {
    let tensors = detached(network.tensors());
    Ok(Discriminator::from_tensors(&tensors, network.config())?)
}

/// `network` without variables, on the same memory. Precision is the default one.
///
/// # Errors
///
/// When the network cannot be built, which its own tensors do not cause.
pub fn generator(network: &Generator) -> Result<Generator> {
    let tensors = detached(network.tensors());
    Ok(network.with_tensors(&tensors)?)
}

fn detached(tensors: Tensors) -> Tensors {
    let detach = |(name, tensor): (String, candle_core::Tensor)| (name, tensor.detach());
    tensors.into_iter().map(detach).collect()
}

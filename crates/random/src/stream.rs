//! Named random streams, one per purpose, derived from one seed.
//!
//! A stream is the ChaCha8 keystream (Bernstein, "ChaCha, a variant of Salsa20", 2008) under the key
//!
//! ```text
//! key = SHA-256("domex stream 1" ‖ 0x00 ‖ seed as 8 little-endian bytes ‖ name as UTF-8)
//! ```
//!
//! so two names, or two seeds, give streams with nothing in common, and adding a stream to a program
//! changes no other. The keystream is read as little-endian 32-bit words; the state of a stream is the
//! number of words read and the normal that waits (Box–Muller makes them in pairs).
//!
//! The words, uniforms, indices and permutations are the same on every machine. Normals go through the
//! platform's `ln`, `sin` and `cos`, whose last bit may differ from one machine to another.

use std::f64::consts::TAU;

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What can go wrong with a stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An index was asked for among no elements.
    #[error(
        "random stream {stream:?}: an index among 0 elements was asked for; there must be at least one"
    )]
    EmptyRange {
        /// The stream's name.
        stream: String,
    },
    /// A saved state does not hold the bits of a number.
    #[error(
        "random stream {stream:?}: saved state has {found:?} as the waiting normal; 16 hexadecimal digits of a finite number were expected"
    )]
    BadState {
        /// The stream's name.
        stream: String,
        /// The text found.
        found: String,
    },
}

/// What the fallible functions here return.
pub type Result<T> = std::result::Result<T, Error>;

/// The run's seed, from which every stream is derived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Streams {
    seed: u64,
}

impl Streams {
    /// All streams of a run with this seed.
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// The run's seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The stream called `name`, at its beginning. The same name always gives the same stream, so a name is
    /// used once per run: two parts that shared one would draw the same numbers.
    pub fn stream(&self, name: &str) -> Stream {
        Stream::at(self.seed, name, 0, None)
    }
}

/// One sequence of random numbers. See the [module docs](self) for how it is made.
///
/// A clone, or a copy saved through serde and read back, goes on with the same bits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(into = "State", try_from = "State")]
pub struct Stream {
    seed: u64,
    name: String,
    rng: ChaCha8Rng,
    /// The second normal of a pair, until it is asked for.
    spare: Option<f64>,
}

/// The saved form of a stream.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    seed: u64,
    name: String,
    /// 32-bit words read so far.
    position: u64,
    /// Bits of the waiting normal, as 16 hexadecimal digits: decimal text is not exact in every format.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    spare: Option<String>,
}

impl From<Stream> for State {
    fn from(stream: Stream) -> Self {
        Self {
            seed: stream.seed,
            position: stream.position(),
            spare: stream
                .spare
                .map(|value| format!("{:016x}", value.to_bits())),
            name: stream.name,
        }
    }
}

impl TryFrom<State> for Stream {
    type Error = Error;

    fn try_from(state: State) -> Result<Self> {
        let bits = |text: &String| {
            u64::from_str_radix(text, 16)
                .ok()
                .map(f64::from_bits)
                .filter(|value| value.is_finite())
                .filter(|_| text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit()))
                .ok_or_else(|| Error::BadState {
                    stream: state.name.clone(),
                    found: text.clone(),
                })
        };
        let spare = state.spare.as_ref().map(bits).transpose()?;
        Ok(Self::at(state.seed, &state.name, state.position, spare))
    }
}

impl Stream {
    fn at(seed: u64, name: &str, position: u64, spare: Option<f64>) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"domex stream 1\0");
        hash.update(seed.to_le_bytes());
        hash.update(name.as_bytes());
        let mut rng = ChaCha8Rng::from_seed(hash.finalize().into());
        rng.set_word_pos(u128::from(position));
        Self {
            seed,
            name: name.to_owned(),
            rng,
            spare,
        }
    }

    /// The name it was asked for by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A stream that goes its own way from here: its seed is the next number of this one, which goes on after it. However
    /// much is drawn from it, this one stays where it is.
    #[must_use]
    pub fn fork(&mut self) -> Self {
        Self::at(self.next_u64(), &self.name, 0, None)
    }

    /// 32-bit words read so far.
    fn position(&self) -> u64 {
        // A run would need centuries to pass 2^64 words.
        u64::try_from(self.rng.get_word_pos()).unwrap_or(u64::MAX)
    }

    /// 64 uniform bits.
    pub fn next_u64(&mut self) -> u64 {
        self.rng.next_u64()
    }

    /// Uniform in [0, 1), 24 bits, from one word.
    pub fn uniform_f32(&mut self) -> f32 {
        (self.rng.next_u32() >> 8) as f32 * 2f32.powi(-24)
    }

    /// Uniform in [0, 1), 53 bits, from two words.
    pub fn uniform_f64(&mut self) -> f64 {
        (self.rng.next_u64() >> 11) as f64 * 2f64.powi(-53)
    }

    /// One draw from the normal distribution with mean 0 and variance 1, by Box and Muller (1958).
    pub fn normal_f64(&mut self) -> f64 {
        if let Some(value) = self.spare.take() {
            return value;
        }
        // 1 − u is in (0, 1], where the logarithm is finite.
        let radius = (-2.0 * (1.0 - self.uniform_f64()).ln()).sqrt();
        let (sin, cos) = (TAU * self.uniform_f64()).sin_cos();
        self.spare = Some(radius * sin);
        radius * cos
    }

    /// [`normal_f64`](Self::normal_f64), rounded: the two share one sequence.
    pub fn normal_f32(&mut self) -> f32 {
        self.normal_f64() as f32
    }

    /// Fills `values` with normals, in order.
    pub fn fill_normal(&mut self, values: &mut [f32]) {
        values.fill_with(|| self.normal_f32());
    }

    /// A uniform index below `n`, each exactly as likely.
    ///
    /// # Errors
    ///
    /// [`Error::EmptyRange`] when `n` is 0.
    pub fn index(&mut self, n: usize) -> Result<usize> {
        if n == 0 {
            return Err(Error::EmptyRange {
                stream: self.name.clone(),
            });
        }
        Ok(self.below(n as u64) as usize)
    }

    /// The numbers 0 to `n` − 1 in random order, each order as likely (Fisher and Yates).
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        for i in (1..n).rev() {
            let j = self.below(i as u64 + 1) as usize;
            order.swap(i, j);
        }
        order
    }

    /// Uniform below `n` ≥ 1: Lemire, "Fast random integer generation in an interval" (2019).
    fn below(&mut self, n: u64) -> u64 {
        // The high half of a 64-bit draw times n is the result. Low halves under 2^64 mod n are the ones
        // that would make some results likelier, and are drawn again.
        let reject = n.wrapping_neg() % n;
        loop {
            let product = u128::from(self.rng.next_u64()) * u128::from(n);
            if product as u64 >= reject {
                return (product >> 64) as u64;
            }
        }
    }
}

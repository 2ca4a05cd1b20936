//! The Mersenne Twister MT19937, 32-bit outputs.
//!
//! Source: Matsumoto and Nishimura, "Mersenne Twister: a 623-dimensionally equidistributed uniform
//! pseudo-random number generator" (1998), with the initialisation of 2002 (`init_genrand`).

/// Words of state.
const N: usize = 624;
/// Distance of the word mixed in.
const M: usize = 397;

/// State of the generator: 624 words and the place of the next one to hand out.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Mt19937 {
    key: [u32; N],
    next: usize,
}

impl Mt19937 {
    /// `init_genrand(seed)`.
    pub(crate) fn new(seed: u32) -> Self {
        let mut key = [0; N];
        let mut word = seed;
        for (i, slot) in (1u32..).zip(&mut key) {
            *slot = word;
            word = (word ^ (word >> 30))
                .wrapping_mul(1_812_433_253)
                .wrapping_add(i);
        }
        Self { key, next: N }
    }

    /// The next 32 bits, tempered.
    pub(crate) fn next_u32(&mut self) -> u32 {
        if self.next == N {
            self.twist();
            self.next = 0;
        }
        let mut y = self.key[self.next];
        self.next += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    /// Replaces all 624 words.
    fn twist(&mut self) {
        for i in 0..N {
            // One bit of this word, 31 of the next.
            let y = (self.key[i] & 0x8000_0000) | (self.key[(i + 1) % N] & 0x7fff_ffff);
            let odd = if y & 1 == 1 { 0x9908_b0df } else { 0 };
            self.key[i] = self.key[(i + M) % N] ^ (y >> 1) ^ odd;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Mt19937;

    #[test]
    fn the_standard_check_value() {
        // The C++ standard, [rand.predef]: the 10000th output of mt19937 with its default seed.
        let mut mt = Mt19937::new(5489);
        let last = (0..10_000).map(|_| mt.next_u32()).last();
        assert_eq!(last, Some(4_123_659_995));
    }
}

//! In which order the pictures come.
//!
//! A finite set is gone through in epochs, each in an order of its own; the order of an epoch is a function of seed and
//! epoch alone. An endless set (a renderer) is simply counted through: its pictures have no order to begin with. So the
//! place in the order is one number, the pictures handed out, and a run resumes with the very next picture.

use domex_random::Streams;

/// Sets larger than this are counted through: their permutation would take too much memory.
const LARGEST: u64 = 1 << 26;

/// See the [module docs](self).
#[derive(Debug)]
pub(crate) struct Order {
    streams: Streams,
    len: u64,
    /// The epoch whose order is at hand.
    epoch: Option<(u64, Vec<usize>)>,
}

impl Order {
    /// For a set of `len` pictures, at least one.
    pub fn new(seed: u64, len: u64) -> Self {
        Self {
            streams: Streams::new(seed),
            len: len.max(1),
            epoch: None,
        }
    }

    /// Index of the picture that comes after `before` others.
    pub fn index(&mut self, before: u64) -> u64 {
        let (epoch, place) = (before / self.len, before % self.len);
        if self.len > LARGEST {
            return place;
        }
        if self.epoch.as_ref().is_none_or(|(at, _)| *at != epoch) {
            let mut stream = self.streams.stream(&format!("order of epoch {epoch}"));
            self.epoch = Some((epoch, stream.permutation(self.len as usize)));
        }
        let order = self.epoch.as_ref().and_then(|(_, o)| o.get(place as usize));
        order.map_or(place, |index| *index as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_epoch_has_every_picture_once() {
        let mut order = Order::new(3, 10);
        let epoch = |order: &mut Order, e: u64| -> Vec<u64> {
            (10 * e..10 * e + 10).map(|i| order.index(i)).collect()
        };
        let (first, second) = (epoch(&mut order, 0), epoch(&mut order, 1));
        assert_ne!(first, second);
        for epoch in [&first, &second] {
            let mut sorted = epoch.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..10).collect::<Vec<_>>());
        }
        let mut again = Order::new(3, 10);
        assert_eq!(
            again.index(17),
            second[7],
            "without having seen what came before"
        );
        assert_eq!(Order::new(3, 1 << 32).index((1 << 32) + 5), 5);
    }
}

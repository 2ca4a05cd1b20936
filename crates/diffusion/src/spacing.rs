//! Which of the training steps a sampler visits.

use crate::{Error, Result};

/// A rule that picks `n` of `T` training steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Spacing {
    /// `0, s, 2s, ..` with the smallest whole stride `s` that gives `n` steps (Song et al. 2021, arXiv 2010.02502). Not every
    /// `n` can be had.
    Ddim,
    /// From the first to the last step with the stride `(T − 1)/(n − 1)`, each rounded half to even (Nichol and Dhariwal 2021,
    /// arXiv 2102.09672).
    Ddpm,
}

impl Spacing {
    /// The steps of a sampler of `steps` steps, rising, for a model trained with `train_steps`.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] for no steps, for more than the model was trained with, and for a number that the rule cannot give; the
    /// message names the nearest ones that it can.
    pub fn timesteps(self, train_steps: usize, steps: usize) -> Result<Vec<usize>> {
        if steps == 0 || steps > train_steps {
            let expected = format!("1 to the {train_steps} steps of training");
            return Err(Error::setting("sampling steps", steps, expected));
        }
        match self {
            Self::Ddim => {
                // The smallest stride with ⌈T/s⌉ = n, if there is one.
                let stride = train_steps.div_ceil(steps);
                if train_steps.div_ceil(stride) == steps {
                    return Ok((0..train_steps).step_by(stride).collect());
                }
                let fewer = train_steps.div_ceil(stride);
                let more = train_steps.div_ceil(stride - 1);
                Err(Error::setting(
                    "sampling steps",
                    format!("{steps} of {train_steps} with a whole stride"),
                    format!("{fewer} or {more}, or another number that a stride gives"),
                ))
            }
            Self::Ddpm => {
                let stride = match steps {
                    1 => 1.0,
                    _ => (train_steps - 1) as f64 / (steps - 1) as f64,
                };
                // Summed up, not multiplied, as the published code does.
                let positions = std::iter::successors(Some(0.0f64), |at| Some(at + stride));
                let rounded = positions.map(|at| at.round_ties_even() as usize);
                Ok(rounded.take(steps).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_steps_are_the_training_steps() {
        let all: Vec<usize> = (0..50).collect();
        assert_eq!(Spacing::Ddim.timesteps(50, 50).unwrap(), all);
        assert_eq!(Spacing::Ddpm.timesteps(50, 50).unwrap(), all);
    }

    #[test]
    fn the_stride_is_the_smallest_that_gives_the_number() {
        for train_steps in 1..60usize {
            for steps in 1..=train_steps {
                let smallest = (1..=train_steps).find(|s| train_steps.div_ceil(*s) == steps);
                let found = Spacing::Ddim.timesteps(train_steps, steps);
                match smallest {
                    Some(stride) => {
                        let want: Vec<usize> = (0..train_steps).step_by(stride).collect();
                        assert_eq!(found.unwrap(), want);
                    }
                    None => assert!(found.is_err(), "{steps} of {train_steps}"),
                }
            }
        }
    }

    #[test]
    fn the_ends_are_visited_with_a_fractional_stride() {
        let steps = Spacing::Ddpm.timesteps(1000, 7).unwrap();
        assert_eq!(steps, [0, 166, 333, 500, 666, 832, 999]);
    }

    #[test]
    fn numbers_that_cannot_be_had_are_refused_with_those_that_can() {
        let text = |steps| {
            Spacing::Ddim
                .timesteps(1000, steps)
                .unwrap_err()
                .to_string()
        };
        assert!(text(600).contains("500 or 1000"), "{}", text(600));
        assert!(text(1001).contains("1 to the 1000 steps of training"));
        assert!(text(0).contains("1 to the 1000"));
    }
}

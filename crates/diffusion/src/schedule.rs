//! Noise schedules, in float64.
//!
//! A schedule gives the variance `β_t` of the noise that step `t` adds; everything else follows from `α_t = 1 − β_t` and
//! `ᾱ_t = Π_{s ≤ t} α_s` (Ho et al. 2020, arXiv 2006.11239): `x_t = √ᾱ_t x_0 + √(1 − ᾱ_t) ε`.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// No model is trained with more steps than this; a file that says so is damaged.
pub const MAX_STEPS: usize = 100_000;

/// How `β_t` depends on the step. All but [`ScaledLinear`](Self::ScaledLinear) keep the total noise when the number of steps `T`
/// changes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Betas {
    /// From `0.0001 · 1000/T` to `0.02 · 1000/T` in equal steps (Ho et al. 2020).
    Linear,
    /// `value · 1000/T` at every step.
    Constant(f64),
    /// `1 − ᾱ(t+1) / ᾱ(t)`, at most 0.999, with `ᾱ(t) = cos²((t/T + 0.008) / 1.008 · π/2)` (Nichol and Dhariwal 2021,
    /// arXiv 2102.09672).
    Cosine,
    /// `(√first + t/(T−1) (√last − √first))²`: latent diffusion (Rombach et al. 2022, arXiv 2112.10752).
    ScaledLinear {
        /// `β_0`.
        first: f64,
        /// `β_{T−1}`.
        last: f64,
    },
}

/// What the name of [`Betas::ScaledLinear`] begins with.
const SCALED_LINEAR: &str = "scaled_linear:";

impl Betas {
    /// `β_0 .. β_{T−1}` for `T = steps`.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] for no steps, more than [`MAX_STEPS`], or so few that a `β` would pass 1.
    pub fn values(&self, steps: usize) -> Result<Vec<f64>> {
        if steps == 0 || steps > MAX_STEPS {
            let expected = format!("1 to {MAX_STEPS}");
            return Err(Error::setting("diffusion steps", steps, expected));
        }
        let count = steps as f64;
        let scale = 1000.0 / count;
        let betas: Vec<f64> = match *self {
            Self::Linear => {
                let (first, last) = (scale * 0.0001, scale * 0.02);
                let step = (last - first) / (count - 1.0).max(1.0);
                (0..steps).map(|t| first + t as f64 * step).collect()
            }
            Self::Constant(value) => vec![scale * value; steps],
            Self::Cosine => {
                let remaining = |t: usize| {
                    let angle = (t as f64 / count + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2;
                    angle.cos().powi(2)
                };
                let beta = |t| (1.0 - remaining(t + 1) / remaining(t)).min(0.999);
                (0..steps).map(beta).collect()
            }
            Self::ScaledLinear { first, last } => {
                let (first, last) = (first.sqrt(), last.sqrt());
                let step = (last - first) / (count - 1.0).max(1.0);
                (0..steps)
                    .map(|t| (first + t as f64 * step).powi(2))
                    .collect()
            }
        };
        match betas.iter().find(|beta| !(**beta > 0.0 && **beta <= 1.0)) {
            None => Ok(betas),
            Some(beta) => Err(Error::setting(
                "noise schedule",
                format!("{self} with {steps} steps has a β of {beta}"),
                "steps enough for every β to be above 0 and at most 1",
            )),
        }
    }
}

impl fmt::Display for Betas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Linear => f.pad("linear"),
            Self::Constant(value) => write!(f, "const{value}"),
            Self::Cosine => f.pad("cosine"),
            Self::ScaledLinear { first, last } => write!(f, "{SCALED_LINEAR}{first}:{last}"),
        }
    }
}

impl FromStr for Betas {
    type Err = Error;

    /// The published names: `linear`, `cosine`, `const` with the value behind it, such as `const0.008`, and `scaled_linear` with the
    /// first and the last value, such as `scaled_linear:0.00085:0.012`.
    fn from_str(name: &str) -> Result<Self> {
        match name {
            "linear" => return Ok(Self::Linear),
            "cosine" => return Ok(Self::Cosine),
            _ => {}
        }
        let beta = |text: &str| text.parse().ok().filter(|v: &f64| *v > 0.0 && *v <= 1.0);
        if let Some(value) = name.strip_prefix("const").and_then(beta) {
            return Ok(Self::Constant(value));
        }
        let ends = name.strip_prefix(SCALED_LINEAR);
        let ends = ends.and_then(|ends| ends.split_once(':'));
        if let Some((Some(first), Some(last))) = ends.map(|(a, b)| (beta(a), beta(b))) {
            return Ok(Self::ScaledLinear { first, last });
        }
        Err(Error::setting(
            "noise schedule",
            format!("{name:?}"),
            "linear, cosine, const with a value above 0 and at most 1, such as const0.008, or scaled_linear with two of them, such \
             as scaled_linear:0.00085:0.012",
        ))
    }
}

impl From<Betas> for String {
    fn from(betas: Betas) -> Self {
        betas.to_string()
    }
}

impl TryFrom<String> for Betas {
    type Error = Error;

    fn try_from(name: String) -> Result<Self> {
        name.parse()
    }
}

/// A schedule with all that follows from it, one entry per step.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Schedule {
    /// `β_t`.
    pub betas: Vec<f64>,
    /// `ᾱ_t`.
    pub alphas_cumprod: Vec<f64>,
    /// `ᾱ_{t−1}`, 1 at the first step.
    pub alphas_cumprod_prev: Vec<f64>,
    /// `ᾱ_{t+1}`, 0 at the last step.
    pub alphas_cumprod_next: Vec<f64>,
    /// `√ᾱ_t`.
    pub sqrt_alphas_cumprod: Vec<f64>,
    /// `√(1 − ᾱ_t)`.
    pub sqrt_one_minus_alphas_cumprod: Vec<f64>,
    /// `ln(1 − ᾱ_t)`.
    pub log_one_minus_alphas_cumprod: Vec<f64>,
    /// `√(1/ᾱ_t)`.
    pub sqrt_recip_alphas_cumprod: Vec<f64>,
    /// `√(1/ᾱ_t − 1)`.
    pub sqrt_recipm1_alphas_cumprod: Vec<f64>,
    /// Variance of `q(x_{t−1} | x_t, x_0)`: `β_t (1 − ᾱ_{t−1}) / (1 − ᾱ_t)`.
    pub posterior_variance: Vec<f64>,
    /// Its logarithm; at the first step, where it is 0, that of the second.
    pub posterior_log_variance_clipped: Vec<f64>,
    /// Factor of `x_0` in that distribution's mean: `β_t √ᾱ_{t−1} / (1 − ᾱ_t)`.
    pub posterior_mean_coef1: Vec<f64>,
    /// Factor of `x_t` in that distribution's mean: `(1 − ᾱ_{t−1}) √α_t / (1 − ᾱ_t)`.
    pub posterior_mean_coef2: Vec<f64>,
}

impl Schedule {
    /// What follows from `betas`.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] for none, more than [`MAX_STEPS`], a value that is not above 0 and at most 1, or values that leave nothing of
    /// a picture at the last step, from which none could be sampled.
    pub fn new(betas: Vec<f64>) -> Result<Self> {
        if betas.is_empty() || betas.len() > MAX_STEPS {
            let expected = format!("1 to {MAX_STEPS}");
            return Err(Error::setting("diffusion steps", betas.len(), expected));
        }
        if let Some(beta) = betas.iter().find(|beta| !(**beta > 0.0 && **beta <= 1.0)) {
            return Err(Error::setting("β", beta, "above 0 and at most 1"));
        }
        let steps = betas.len();
        let mut product = 1.0;
        let cumprod: Vec<f64> = betas
            .iter()
            .map(|beta| {
                product *= 1.0 - beta;
                product
            })
            .collect();
        let left = cumprod[steps - 1];
        if left < f64::from(f32::MIN_POSITIVE) {
            return Err(Error::setting(
                "noise schedule",
                format!("{left:e} of a picture's variance is left at step {steps}"),
                "some of it: a smaller β",
            ));
        }
        let prev: Vec<f64> = std::iter::once(1.0)
            .chain(cumprod[..steps - 1].iter().copied())
            .collect();
        let next: Vec<f64> = cumprod[1..].iter().copied().chain([0.0]).collect();
        let each = |f: &dyn Fn(f64) -> f64| cumprod.iter().map(|&a| f(a)).collect::<Vec<f64>>();
        let posterior = |f: &dyn Fn(usize) -> f64| {
            let entry = |t: usize| f(t) / (1.0 - cumprod[t]);
            (0..steps).map(entry).collect::<Vec<f64>>()
        };
        let variance = posterior(&|t| betas[t] * (1.0 - prev[t]));
        let second = variance.get(1).unwrap_or(&variance[0]);
        let log_variance = std::iter::once(second)
            .chain(&variance[1..])
            .map(|v| v.ln())
            .collect();
        Ok(Self {
            sqrt_alphas_cumprod: each(&f64::sqrt),
            sqrt_one_minus_alphas_cumprod: each(&|a| (1.0 - a).sqrt()),
            log_one_minus_alphas_cumprod: each(&|a| (1.0 - a).ln()),
            sqrt_recip_alphas_cumprod: each(&|a| (1.0 / a).sqrt()),
            sqrt_recipm1_alphas_cumprod: each(&|a| (1.0 / a - 1.0).sqrt()),
            posterior_mean_coef1: posterior(&|t| betas[t] * prev[t].sqrt()),
            posterior_mean_coef2: posterior(&|t| (1.0 - prev[t]) * (1.0 - betas[t]).sqrt()),
            posterior_variance: variance,
            posterior_log_variance_clipped: log_variance,
            alphas_cumprod_prev: prev,
            alphas_cumprod_next: next,
            alphas_cumprod: cumprod,
            betas,
        })
    }

    /// Number of steps.
    pub fn steps(&self) -> usize {
        self.betas.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        for name in [
            "linear",
            "cosine",
            "const0.008",
            "const0.0015",
            "scaled_linear:0.00085:0.012",
        ] {
            assert_eq!(name.parse::<Betas>().unwrap().to_string(), name);
        }
        for name in [
            "",
            "Linear",
            "const",
            "const-1",
            "constNaN",
            "const2",
            "sqrt",
            "scaled_linear:0.1",
            "scaled_linear:0:1",
            "scaled_linear:0.1:2",
        ] {
            let error = name.parse::<Betas>().unwrap_err().to_string();
            assert!(error.contains("const0.008"), "{error}");
        }
    }

    #[test]
    fn the_cosine_schedule_follows_its_curve() {
        let schedule = Schedule::new(Betas::Cosine.values(1000).unwrap()).unwrap();
        let curve = |t: f64| ((t / 1000.0 + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2).cos();
        for t in [0, 10, 500, 900] {
            let want = (curve(t as f64 + 1.0) / curve(0.0)).powi(2);
            assert!((schedule.alphas_cumprod[t] - want).abs() < 1e-12, "{t}");
        }
        assert_eq!(schedule.betas[999], 0.999);
    }

    #[test]
    fn the_roots_of_a_scaled_linear_schedule_rise_evenly() {
        let (first, last) = (0.00085f64, 0.012f64);
        let betas = Betas::ScaledLinear { first, last };
        let betas = betas.values(1000).unwrap();
        for (t, beta) in betas.iter().enumerate() {
            let share = t as f64 / 999.0;
            let root = (1.0 - share) * first.sqrt() + share * last.sqrt();
            assert!((beta - root * root).abs() < 1e-16, "{t}");
        }
        // Known of Stable Diffusion: at the last step 0.47 % of the signal's variance are left.
        let left = Schedule::new(betas).unwrap().alphas_cumprod[999];
        assert!((left - 0.004_660_099).abs() < 1e-8, "{left}");
    }

    #[test]
    fn schedules_that_cannot_be_are_refused() {
        assert!(Betas::Linear.values(0).is_err());
        assert!(Betas::Linear.values(MAX_STEPS + 1).is_err());
        // 0.008 · 1000/5 = 1.6.
        let error = Betas::Constant(0.008).values(5).unwrap_err().to_string();
        assert!(error.contains("const0.008 with 5 steps"), "{error}");
        for betas in [vec![], vec![0.0], vec![0.1, f64::NAN], vec![1.5]] {
            assert!(Schedule::new(betas).is_err());
        }
        // 0.02 · 1000/20 = 1; and 0.1 to the power of 1000.
        for betas in [
            Betas::Linear.values(20).unwrap(),
            Betas::Constant(0.9).values(1000).unwrap(),
        ] {
            let error = Schedule::new(betas).unwrap_err().to_string();
            assert!(error.contains("is left at step"), "{error}");
        }
    }

    #[test]
    fn one_step_is_a_schedule_too() {
        let schedule = Schedule::new(vec![0.5]).unwrap();
        assert_eq!(schedule.alphas_cumprod_prev, [1.0]);
        assert_eq!(schedule.alphas_cumprod_next, [0.0]);
    }
}

//! A bound on the distance from a stimulus.

use serde::{Deserialize, Serialize};

use crate::stimulus::Stimulus;
use crate::{Error, Result};

/// A norm of the difference between two stimuli.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Norm {
    /// The Euclidean norm over all values, `sqrt(sum d^2)`.
    L2,
    /// The largest absolute difference of a value.
    Linf,
}

impl Norm {
    /// The norm of `a - b`.
    #[must_use]
    pub fn distance(self, a: &[f32], b: &[f32]) -> f64 {
        let differences = a.iter().zip(b).map(|(&a, &b)| f64::from(a) - f64::from(b));
        match self {
            Self::L2 => differences.map(|d| d * d).sum::<f64>().sqrt(),
            Self::Linf => differences.fold(0.0, |most, d| most.max(d.abs())),
        }
    }
}

impl std::fmt::Display for Norm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::L2 => "L2",
            Self::Linf => "L∞",
        })
    }
}

/// The stimuli within a distance of another one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bound {
    norm: Norm,
    eps: f64,
    /// The name of the center.
    of: String,
    /// Saved beside the provenance.
    #[serde(skip)]
    center: Option<Stimulus>,
}

impl Bound {
    pub(in crate::synthesis) fn new(norm: Norm, eps: f64, center: Stimulus) -> Result<Self> {
        Self::check_eps(eps)?;
        Ok(Self { norm, eps, of: center.name().into(), center: Some(center) })
    }

    /// Checks a largest allowed distance.
    pub(crate) fn check_eps(eps: f64) -> Result<()> {
        if eps.is_finite() && eps > 0.0 {
            return Ok(());
        }
        let reason = format!("must be positive and finite, got {eps}; 8.0 / 255.0 is usual for the L∞ norm of pixels");
        Err(Error::invalid("eps of the bound", reason))
    }

    /// The norm.
    #[must_use]
    pub fn norm(&self) -> Norm {
        self.norm
    }

    /// The largest allowed distance.
    #[must_use]
    pub fn eps(&self) -> f64 {
        self.eps
    }

    /// The stimulus at the center; `None` for a bound that was read from a text, which has its name only.
    #[must_use]
    pub fn center(&self) -> Option<&Stimulus> {
        self.center.as_ref()
    }

    pub(in crate::synthesis) fn set_center(&mut self, center: Stimulus) {
        self.center = Some(center.with_name(&self.of));
    }

    /// The name of the center.
    pub(crate) fn center_name(&self) -> &str {
        &self.of
    }

    /// Moves a stimulus to the nearest point within the bound.
    pub(in crate::synthesis) fn project(&self, x: &mut [f32]) {
        let Some(center) = self.center.as_ref().map(Stimulus::values) else { return };
        match self.norm {
            Norm::Linf => {
                for (x, &c) in x.iter_mut().zip(center) {
                    let (low, high) = (f64::from(c) - self.eps, f64::from(c) + self.eps);
                    *x = f64::from(*x).clamp(low, high) as f32;
                }
            }
            Norm::L2 => {
                let distance = self.norm.distance(x, center);
                if distance > self.eps {
                    let scale = self.eps / distance;
                    for (x, &c) in x.iter_mut().zip(center) {
                        *x = (f64::from(c) + scale * (f64::from(*x) - f64::from(c))) as f32;
                    }
                }
            }
        }
    }
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "within {} {:.4} of {}", self.norm, self.eps, self.of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stimulus::{Image, Noise};

    #[test]
    fn a_projection_is_the_nearest_point_within() {
        let noise = |seed| Image::noise(5, 4, Noise::Uniform { low: 0.0, high: 1.0 }, seed).unwrap().values().to_vec();
        let center = Image::from_planes("center", 5, 4, noise(1)).unwrap();
        for (norm, eps) in [(Norm::L2, 0.5), (Norm::Linf, 0.1)] {
            let bound = Bound::new(norm, eps, center.clone().into()).unwrap();
            let outside = noise(2);
            let mut x = outside.clone();
            bound.project(&mut x);
            let distance = norm.distance(&x, center.values());
            assert!((distance - eps).abs() < 1e-6, "{norm}: {distance}");
            // The projection is idempotent, and no other point within is nearer.
            let mut again = x.clone();
            bound.project(&mut again);
            assert!(Norm::Linf.distance(&again, &x) < 1e-6);
            let moved = Norm::L2.distance(&x, &outside);
            for seed in 3..50 {
                let mut other = noise(seed);
                bound.project(&mut other);
                assert!(Norm::L2.distance(&other, &outside) >= moved - 1e-6);
            }
        }
        for eps in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(Bound::new(Norm::L2, eps, center.clone().into()).unwrap_err().to_string().contains("8.0 / 255.0"));
        }
    }
}

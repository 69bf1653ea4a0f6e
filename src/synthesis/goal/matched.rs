//! The features of all stages that a metamer matches.

use serde::{Deserialize, Serialize};

use super::check_weight;
use super::target::Target;
use crate::network::Network;
use crate::{Error, Result};

/// The features that a metamer matches: those of one stage, or of several with weights.
///
/// The loss is the sum of the weight times the recipe's loss of each target. With the relative losses (`Matching`, `NormRatio`) equal
/// weights count equal relative errors equally; `HalfSquaredError` and `MeanSquaredError` are in the units of each stage. The joint
/// signal-to-noise ratio of targets `k` with weights `w` is
/// `-10 log10(sum w[k] e[k] / sum w[k])` with `e[k] = norm2(A[k] - A'[k])^2 / norm2(A[k])^2`; for one target it is the usual one.
///
/// A stage's name, a [`Target`] and a `Match` can all be given to [`Synthesis::new`](super::super::Synthesis::new).
///
/// ```
/// use metamers::prelude::*;
///
/// let net = zoo::efficientnet_lite0()?;
/// let dog = Image::open("photos/dog.jpg")?;
/// let both = Match::stages([("stem", 1.0), ("block2", 1.0)]);
/// let mut run = Synthesis::new(&net, both, &dog)?.seed(7).quiet().start()?;
/// run.step(5)?;
/// let metamer = run.finish()?;
/// assert_eq!(metamer.matches().len(), 2);
/// assert_eq!(metamer.matches()[1].target, "block2");
/// # Ok::<(), metamers::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
#[must_use]
pub struct Match {
    targets: Vec<Target>,
}

impl Match {
    /// Several stages, each with its weight.
    pub fn stages<S: Into<String>>(stages: impl IntoIterator<Item = (S, f64)>) -> Self {
        Self::targets(stages.into_iter().map(|(name, weight)| Target::stage(name).weight(weight)))
    }

    /// Several targets, which may be parts or statistics of stages.
    pub fn targets(targets: impl IntoIterator<Item = Target>) -> Self {
        Self { targets: targets.into_iter().collect() }
    }

    /// The targets.
    pub fn parts(&self) -> &[Target] {
        &self.targets
    }

    /// The name of the stage if the match is that of one whole stage.
    #[must_use]
    pub fn whole_stage(&self) -> Option<&str> {
        match self.targets.as_slice() {
            [target] if target.is_whole_stage() => Some(&target.stage),
            _ => None,
        }
    }

    /// Returns whether a stage's name says it all: one whole stage of weight 1.
    pub(in crate::synthesis) fn is_plain(&self) -> bool {
        self.whole_stage().is_some() && self.targets[0].weight == 1.0
    }

    /// The stages, each once, in the order of the targets.
    pub(crate) fn stage_names(&self) -> Vec<String> {
        let mut names: Vec<String> = vec![];
        for target in &self.targets {
            if !names.contains(&target.stage) {
                names.push(target.stage.clone());
            }
        }
        names
    }

    /// Checks all targets, and returns them with masks of the size of the network's input.
    pub(crate) fn prepared(&self, network: &Network) -> Result<Self> {
        if self.targets.is_empty() {
            return Err(Error::invalid("match", "names no stage; a stage's name matches that stage"));
        }
        let targets = self.targets.iter().map(|target| target.prepared(network)).collect::<Result<Vec<_>>>()?;
        for (i, target) in targets.iter().enumerate() {
            if targets[..i].iter().any(|other| other.has_features_of(target)) {
                let reason = format!("has {target} twice; add the weights of the two");
                return Err(Error::invalid("match", reason));
            }
        }
        let total: f64 = targets.iter().map(|target| target.weight).sum();
        check_weight(|| "the sum of all stages".into(), total)?;
        Ok(Self { targets })
    }
}

impl std::fmt::Display for Match {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let weighted = |target: &Target| match self.targets.iter().all(|other| other.weight == target.weight) {
            true => target.to_string(),
            false => format!("{} × {target}", target.weight),
        };
        f.write_str(&self.targets.iter().map(weighted).collect::<Vec<_>>().join(" + "))
    }
}

impl From<Target> for Match {
    fn from(target: Target) -> Self {
        Self { targets: vec![target] }
    }
}

macro_rules! from_name {
    ($($name:ty),+) => {$(
        impl From<$name> for Match {
            fn from(stage: $name) -> Self {
                Target::stage(stage).into()
            }
        }
    )+};
}

from_name!(&str, &String, String);

impl From<&&str> for Match {
    fn from(stage: &&str) -> Self {
        Target::stage(*stage).into()
    }
}

impl From<&Match> for Match {
    fn from(matched: &Match) -> Self {
        matched.clone()
    }
}

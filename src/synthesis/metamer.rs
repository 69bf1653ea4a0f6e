//! The result.

use super::history::Point;
use super::run::Run;
use super::stamp::Stamp;
use crate::Result;
use crate::network::Classification;
use crate::stimulus::Image;
use crate::verdict::Similarity;

/// How many classes a metamer remembers of each picture.
const GUESSES: usize = 5;

/// A picture made to match another at one stage of a network, and how well it does.
#[derive(Clone, PartialEq)]
pub struct Metamer {
    pub(super) original: Image,
    pub(super) image: Image,
    pub(super) history: Vec<Point>,
    pub(super) similarity: Similarity,
    pub(super) original_class: Option<Classification>,
    pub(super) metamer_class: Option<Classification>,
    pub(super) stamp: Stamp,
}

impl Metamer {
    pub(super) fn of(run: &Run, image: Image) -> Result<Self> {
        let activations = run.problem.activations(image.values())?;
        let classify = |image: &Image| match run.plan.network.classes() {
            Some(_) => run.plan.network.classify(image, GUESSES).map(Some),
            None => Ok(None),
        };
        Ok(Self {
            similarity: Similarity::between(&run.problem.objective.target, &activations)?,
            original_class: classify(&run.plan.original)?,
            metamer_class: classify(&image)?,
            original: run.plan.original.clone(),
            image,
            history: run.history.points.to_vec(),
            stamp: Stamp::of(&run.plan),
        })
    }

    /// The metamer's picture.
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// The original, as the network saw it.
    pub fn original(&self) -> &Image {
        &self.original
    }

    /// How alike the activations at the matched stage are, measured on the pixels that are kept.
    pub fn similarity(&self) -> Similarity {
        self.similarity
    }

    /// What the network says of the original, if it is a classifier.
    pub fn original_class(&self) -> Option<&Classification> {
        self.original_class.as_ref()
    }

    /// What the network says of the metamer, if it is a classifier.
    pub fn metamer_class(&self) -> Option<&Classification> {
        self.metamer_class.as_ref()
    }

    /// Whether the network gives both the same class; `None` when it is no classifier.
    pub fn same_class(&self) -> Option<bool> {
        Some(self.original_class.as_ref()?.top().class == self.metamer_class.as_ref()?.top().class)
    }

    /// Every gradient evaluation of the run.
    pub fn history(&self) -> &[Point] {
        &self.history
    }

    /// Where the metamer comes from.
    pub fn stamp(&self) -> &Stamp {
        &self.stamp
    }
}

impl std::fmt::Debug for Metamer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Stamp { original, stage, network, .. } = &self.stamp;
        let snr = self.similarity.snr_db.map_or("undefined".into(), |snr| format!("{snr:.1} dB"));
        write!(f, "Metamer({original} at {stage} of {network}, SNR {snr}, {} evaluations)", self.history.len())
    }
}

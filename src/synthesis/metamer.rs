//! The result.

use super::history::Point;
use super::provenance::Provenance;
use super::run::Run;
use crate::Result;
use crate::display::Raster;
use crate::hearing::Cochleagram;
use crate::network::{Classification, Network};
use crate::similarity::Similarity;
use crate::stimulus::{Image, Sound, Stimulus};

/// How many classes a metamer remembers of each picture.
const GUESSES: usize = 5;

/// A picture or a sound made to match another at one stage of a network, and how well it does.
#[derive(Clone)]
pub struct Metamer {
    pub(super) original: Stimulus,
    pub(super) stimulus: Stimulus,
    pub(super) history: Vec<Point>,
    pub(super) similarity: Similarity,
    pub(super) original_class: Option<Classification>,
    pub(super) metamer_class: Option<Classification>,
    pub(super) stamp: Provenance,
    /// What the run started from, when that was no noise.
    pub(super) start: Option<Stimulus>,
    /// How many steps the run took; a file from before that was kept does not know.
    pub(super) steps: Option<usize>,
    pub(super) layer_by_layer: bool,
    /// The cochleagram to look at a sound by; not kept in the file.
    pub(super) ear: Option<Cochleagram>,
}

impl Metamer {
    pub(super) fn of(run: &Run, stimulus: Stimulus) -> Result<Self> {
        let activations = run.problem.activations(stimulus.values())?;
        let classify = |stimulus: &Stimulus| match run.plan.network.classes() {
            Some(_) => run.plan.network.classify(stimulus, GUESSES).map(Some),
            None => Ok(None),
        };
        Ok(Self {
            similarity: Similarity::between(&run.problem.objective.target, &activations)?,
            original_class: classify(&run.plan.original)?,
            metamer_class: classify(&stimulus)?,
            original: run.plan.original.clone(),
            stimulus,
            history: run.history.points.to_vec(),
            stamp: Provenance::of(&run.plan),
            start: run.plan.start.clone(),
            steps: Some(run.steps),
            layer_by_layer: run.plan.layer_by_layer,
            ear: super::plot::ear(&run.plan.network),
        })
    }

    /// The same metamer without the times of its history, which alone differ when it is made again.
    pub(crate) fn without_times(mut self) -> Self {
        self.history.iter_mut().for_each(|point| point.seconds = 0.0);
        self
    }

    /// What original and metamer look like in little: the picture, or the cochleagram or spectrogram of the sound, both on the
    /// original's scale.
    pub(crate) fn thumbnails(&self) -> [Raster; 2] {
        let ear = self.ear.as_ref();
        [&self.original, &self.stimulus].map(|stimulus| super::plot::thumbnail(stimulus, &self.original, ear))
    }

    /// With the ear of the network that made it, which a file does not keep.
    pub(crate) fn heard_by(mut self, network: &Network) -> Self {
        self.ear = super::plot::ear(network);
        self
    }

    /// The metamer itself.
    pub fn stimulus(&self) -> &Stimulus {
        &self.stimulus
    }

    /// The metamer's picture.
    ///
    /// # Errors
    /// When it is a sound.
    pub fn image(&self) -> Result<&Image> {
        self.stimulus.image()
    }

    /// The metamer's sound.
    ///
    /// # Errors
    /// When it is a picture.
    pub fn sound(&self) -> Result<&Sound> {
        self.stimulus.sound()
    }

    /// The original, as the network saw it.
    pub fn original(&self) -> &Stimulus {
        &self.original
    }

    /// How alike the activations at the matched stage are, measured on what is kept.
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
    pub fn provenance(&self) -> &Provenance {
        &self.stamp
    }
}

impl PartialEq for Metamer {
    fn eq(&self, other: &Self) -> bool {
        // The ear belongs to the network, and a file does not keep it.
        let answers = |m: &Self| (m.original_class.clone(), m.metamer_class.clone(), m.similarity, m.stamp.clone());
        self.original == other.original
            && self.stimulus == other.stimulus
            && self.history == other.history
            && (&self.start, self.steps, self.layer_by_layer) == (&other.start, other.steps, other.layer_by_layer)
            && answers(self) == answers(other)
    }
}

impl std::fmt::Debug for Metamer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Provenance { original, stage, network, .. } = &self.stamp;
        let snr = self.similarity.snr_db.map_or("undefined".into(), |snr| format!("{snr:.1} dB"));
        write!(f, "Metamer({original} at {stage} of {network}, SNR {snr}, {} evaluations)", self.history.len())
    }
}

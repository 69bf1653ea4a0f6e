//! The result of a synthesis.

use std::sync::Arc;

use super::film::Film;
use super::history::{Point, TargetCurves};
use super::optimizer::Pull;
use super::prior::Prior;
use super::problem::TargetMatch;
use super::provenance::Provenance;
use super::run::Run;
use super::synthesis::start_values;
use crate::display::Raster;
use crate::hearing::Cochleagram;
use crate::network::{Classification, Network};
use crate::similarity::Similarity;
use crate::stimulus::{Image, Sound, Stimulus};
use crate::{Error, Result};

/// The number of class scores that are kept for each stimulus.
const NUM_CLASSES: usize = 5;

/// A stimulus that was synthesized to match an original at a stage of a network, with its similarity and provenance.
///
/// ```
/// use metamers::prelude::*;
///
/// let net = zoo::efficientnet_lite0()?;
/// let mut run = Synthesis::new(&net, "stem", Image::open("photos/giant_panda.jpg")?)?.seed(7).start()?;
/// run.step(3)?;
/// let metamer = run.finish()?;
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("panda.metamer");
/// metamer.save(&path)?;
/// assert!(Metamer::open(&path)? == metamer);
/// # Ok::<(), metamers::Error>(())
/// ```
#[derive(Clone)]
pub struct Metamer {
    pub(super) original: Stimulus,
    pub(super) stimulus: Stimulus,
    pub(super) history: Vec<Point>,
    pub(super) targets: Arc<TargetCurves>,
    pub(super) similarity: Similarity,
    pub(super) matches: Vec<TargetMatch>,
    pub(super) original_class: Option<Classification>,
    pub(super) metamer_class: Option<Classification>,
    pub(super) provenance: Provenance,
    /// The initial stimulus; `None` for noise.
    pub(super) start: Option<Stimulus>,
    /// The number of steps of the run; `None` for older files, which lack it.
    pub(super) steps: Option<usize>,
    /// If the run of [`Recipe::nearest`] had settled; `None` for other recipes and for older files.
    ///
    /// [`Recipe::nearest`]: super::Recipe::nearest
    pub(super) settled: Option<bool>,
    pub(super) layer_by_layer: bool,
    pub(super) film: Option<Film>,
    /// The network's cochleagram, which displays sounds; not saved.
    pub(super) cochleagram: Option<Cochleagram>,
}

impl Metamer {
    pub(super) fn new(run: &Run, stimulus: Stimulus) -> Result<Self> {
        let (similarity, matches) = run.problem.similarity(stimulus.values())?;
        let classify = |stimulus: &Stimulus| match run.synthesis.network.classes() {
            Some(_) => run.synthesis.network.classify(stimulus, NUM_CLASSES).map(Some),
            None => Ok(None),
        };
        Ok(Self {
            similarity,
            matches,
            original_class: classify(&run.synthesis.original)?,
            metamer_class: classify(&stimulus)?,
            original: run.synthesis.original.clone(),
            stimulus,
            history: run.history.points.to_vec(),
            targets: run.target_curves(),
            provenance: Provenance::new(&run.synthesis),
            start: run.synthesis.start.clone(),
            steps: Some(run.steps),
            settled: run.state.pull().map(Pull::is_settled),
            layer_by_layer: run.synthesis.is_layer_by_layer(),
            film: run.film.clone(),
            cochleagram: super::plot::network_cochleagram(&run.synthesis.network),
        })
    }

    /// Zeroes the times of the history, the only part that differs between two runs of the same synthesis.
    pub(crate) fn without_times(mut self) -> Self {
        self.history.iter_mut().for_each(|point| point.seconds = 0.0);
        self
    }

    /// Thumbnails of original and metamer: the image, or the cochleagram or spectrogram of the sound, both on the
    /// original's color scale.
    pub(crate) fn thumbnails(&self) -> [Raster; 2] {
        let cochleagram = self.cochleagram.as_ref();
        [&self.original, &self.stimulus].map(|stimulus| super::plot::thumbnail(stimulus, &self.original, cochleagram))
    }

    /// Sets the cochleagram that displays the sounds of a metamer from a file, which does not contain it: the one of its network. Without
    /// it, and with a network that has none, a spectrogram displays them.
    ///
    /// ```
    /// use metamers::prelude::*;
    ///
    /// let net = zoo::cochcnn_words()?;
    /// let mut run = Synthesis::new(&net, "relu0", Sound::open("speech/november.wav")?)?.seed(7).quiet().start()?;
    /// run.step(2)?;
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("november.metamer");
    /// run.finish()?.save(&path)?;
    /// let metamer = Metamer::open(&path)?.with_cochleagram_of(&net);
    /// # let _ = metamer;
    /// # Ok::<(), metamers::Error>(())
    /// ```
    #[must_use]
    pub fn with_cochleagram_of(mut self, network: &Network) -> Self {
        self.cochleagram = super::plot::network_cochleagram(network);
        self
    }

    /// The stimulus of the metamer.
    #[must_use]
    pub fn stimulus(&self) -> &Stimulus {
        &self.stimulus
    }

    /// The metamer's image.
    ///
    /// # Errors
    /// When the metamer is a sound.
    pub fn image(&self) -> Result<&Image> {
        self.stimulus.image()
    }

    /// The metamer's sound.
    ///
    /// # Errors
    /// When the metamer is an image.
    pub fn sound(&self) -> Result<&Sound> {
        self.stimulus.sound()
    }

    /// The original, prepared for the network.
    #[must_use]
    pub fn original(&self) -> &Stimulus {
        &self.original
    }

    /// The stimulus that the run began with, clamped to the valid range: the given one, or the recipe's noise for the seed. With
    /// [`Recipe::nearest`](super::Recipe::nearest) the metamer is the match nearest to it.
    ///
    /// ```
    /// use metamers::prelude::*;
    /// use metamers::synthesis::Norm;
    ///
    /// let net = zoo::efficientnet_lite0()?;
    /// let mut run = Synthesis::new(&net, "stem", Image::open("photos/giant_panda.jpg")?)?.seed(7).start()?;
    /// run.step(3)?;
    /// let metamer = run.finish()?;
    /// let distance = Norm::L2.distance(metamer.stimulus().values(), metamer.initial()?.values());
    /// assert!(distance > 0.0 && metamer.steps() == Some(3));
    /// # Ok::<(), metamers::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] for a file of an older version that names its start, but does not hold it.
    pub fn initial(&self) -> Result<Stimulus> {
        if let Some(reason) = self.missing_start() {
            return Err(Error::invalid(&self.provenance.original, reason));
        }
        let Provenance { recipe, seed, bound, .. } = &self.provenance;
        let values = start_values(self.start.as_ref(), recipe, &self.original, *seed, bound.as_ref())?;
        Ok(self.original.with_clamped("start", &values))
    }

    /// The reason why the start is not known; `None` if it is.
    pub(super) fn missing_start(&self) -> Option<String> {
        let start = &self.provenance.start;
        let is_missing = self.start.is_none() && self.steps.is_none() && start != "noise";
        let reason = || format!("does not hold \"{start}\", from which it started: it was saved by an older version");
        is_missing.then(reason)
    }

    /// The number of steps of the run; `None` for a file of an older version that lacks it.
    #[must_use]
    pub fn steps(&self) -> Option<usize> {
        self.steps
    }

    /// The content that the run gave the stimulus where the stage leaves it open: that of its recipe ([`Recipe::prior`]), or
    /// [`Prior::NotSettled`] when a run of [`Recipe::nearest`] ended on its way. Files of older versions do not tell; they count as settled.
    ///
    /// [`Recipe::nearest`]: super::Recipe::nearest
    /// [`Recipe::prior`]: super::Recipe::prior
    #[must_use]
    pub fn prior(&self) -> Prior {
        match (self.settled, self.provenance.recipe.search_prior()) {
            (Some(false), Prior::Natural) => Prior::NotSettled,
            (Some(false), search) => search,
            _ => self.provenance.recipe.prior(),
        }
    }

    /// The similarity of the matched features, measured on the final (clamped) stimulus. Of several targets, rho and r are the
    /// lowest, and the signal-to-noise ratio is the joint one of [`Match`](super::Match).
    #[must_use]
    pub fn similarity(&self) -> Similarity {
        self.similarity
    }

    /// The similarity of each target's features. Files of older versions have one target.
    #[must_use]
    pub fn matches(&self) -> &[TargetMatch] {
        &self.matches
    }

    /// The network's classification of the original; `None` when the network is not a classifier.
    #[must_use]
    pub fn original_class(&self) -> Option<&Classification> {
        self.original_class.as_ref()
    }

    /// The network's classification of the metamer; `None` when the network is not a classifier.
    #[must_use]
    pub fn metamer_class(&self) -> Option<&Classification> {
        self.metamer_class.as_ref()
    }

    /// Returns whether the network assigns original and metamer to the same class; `None` when the network is not a classifier.
    #[must_use]
    pub fn same_class(&self) -> Option<bool> {
        Some(self.original_class.as_ref()?.top().class == self.metamer_class.as_ref()?.top().class)
    }

    /// All gradient evaluations of the run.
    #[must_use]
    pub fn history(&self) -> &[Point] {
        &self.history
    }

    /// The film of the run.
    ///
    /// # Errors
    /// [`Error::Invalid`] when none was recorded.
    pub fn film(&self) -> Result<Film> {
        let reason = "was not recorded; call run.record_every(5)? before the steps";
        self.film.clone().ok_or_else(|| Error::invalid("film", reason))
    }

    /// The provenance: network, stage, original, recipe, seed and versions.
    #[must_use]
    pub fn provenance(&self) -> &Provenance {
        &self.provenance
    }
}

impl PartialEq for Metamer {
    fn eq(&self, other: &Self) -> bool {
        // The cochleagram belongs to the network and is not saved.
        let results =
            |m: &Self| (m.original_class.clone(), m.metamer_class.clone(), m.matches.clone(), m.provenance.clone());
        self.original == other.original
            && self.stimulus == other.stimulus
            && self.history == other.history
            && (&self.start, self.steps, self.settled) == (&other.start, other.steps, other.settled)
            && self.layer_by_layer == other.layer_by_layer
            && self.film == other.film
            && (self.similarity, &self.targets) == (other.similarity, &other.targets)
            && results(self) == results(other)
    }
}

impl std::fmt::Debug for Metamer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Provenance { original, stage, network, .. } = &self.provenance;
        let snr = self.similarity.snr_db.map_or("undefined".into(), |snr| format!("{snr:.1} dB"));
        write!(f, "Metamer({original} at {stage} of {network}, SNR {snr}, {} evaluations)", self.history.len())
    }
}

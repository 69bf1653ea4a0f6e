//! Several metamers of one original, as different from each other as possible.

use super::evaluator::Evaluator;
use super::execution::Execution;
use super::feature::Feature;
use super::goal::Target;
use super::metamer::Metamer;
use super::push::Push;
use super::run::Run;
use super::stop::{Stop, StopReason};
use super::synthesis::Synthesis;
use crate::display::{Figure, MimeBundle, Panel, Show, Table};
use crate::interrupt::Listening;
use crate::network::Network;
use crate::similarity::Similarity;
use crate::stimulus::Stimulus;
use crate::{Error, Result};

/// The maximum number of metamers.
const MAX_COUNT: usize = 64;

/// Several metamers of one original, made one after the other, each pushed away from those before it; see [`Synthesis::different`].
pub struct Different {
    synthesis: Synthesis,
    count: usize,
    push: Push,
    metamers: Vec<Metamer>,
    /// The signal-to-noise ratio that each of them reached, in dB.
    reached: Vec<f64>,
    /// The run of the next metamer.
    running: Option<Run>,
}

impl Synthesis {
    /// Prepares `count` metamers that the stage cannot tell from the original, and that are as far from each other as can be: the
    /// most direct picture of what the stage is invariant to.
    ///
    /// The metamers are made one after the other, with the seeds that follow the one of this synthesis. Each has the penalty
    /// [`Penalty::away_from`](super::Penalty::away_from) the metamers before it, with this weight: in units of the recipe's loss for an rms
    /// difference of 1. The first one is pushed away from the original. If a metamer does not reach its match within a quarter of the
    /// recipe's steps, the weight is halved, and a new run goes on from there, so that all metamers match equally well.
    ///
    /// The return towards the start of [`Recipe::nearest`](super::Recipe::nearest), the default, would undo the push: in its place the runs
    /// have [`Recipe::natural_prior`](super::Recipe::natural_prior).
    ///
    /// Each is a metamer like any other, with its provenance; [`Metamer::reproduce`] repeats its last run.
    /// [`Different::apart_in`] takes the distance in the features of another network instead.
    ///
    /// ```
    /// use metamers::prelude::*;
    ///
    /// let net = zoo::efficientnet_lite0()?;
    /// let dog = Image::open("photos/dog.jpg")?;
    /// let mut different = Synthesis::new(&net, "stem", &dog)?.seed(1).quiet().different(2, 0.05)?;
    /// different.until(5.0)?;
    /// assert_eq!(different.metamers().len(), 2);
    /// assert!(different.mean_distance().unwrap() > 0.0);
    /// # Ok::<(), metamers::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] for fewer than 2 or more than 64 metamers, for a weight that is not positive and finite, and for a synthesis with
    /// a bound or from coarse to fine.
    pub fn different(self, count: usize, weight: f64) -> Result<Different> {
        if !(2..=MAX_COUNT).contains(&count) {
            return Err(Error::invalid(
                "the number of different metamers",
                format!("must be 2 to {MAX_COUNT}, got {count}"),
            ));
        }
        Push::check(weight, self.goal.restrictions())?;
        self.check_recipe_kind()?;
        let synthesis = Self { recipe: self.recipe.clone().without_return(), ..self };
        let push = Push::new(weight, synthesis.goal.penalties.len());
        Ok(Different { synthesis, count, push, metamers: vec![], reached: vec![], running: None })
    }
}

impl Different {
    /// Runs until every metamer has this signal-to-noise ratio at the matched stages, in dB; 20 dB is well matched.
    ///
    /// An interrupt ends the call after the current step; another call goes on, with the metamers that are not finished. The reason is
    /// [`StopReason::Matched`] if all metamers reached this ratio, and [`StopReason::Steps`] if one did not, even without a push, or was
    /// finished by a call with a lower one.
    ///
    /// # Errors
    /// As [`Run::advance`].
    pub fn until(&mut self, snr_db: f64) -> Result<StopReason> {
        // Also during what comes between two runs: the network is compiled and the metamer classified.
        let listening = Listening::begin();
        while self.metamers.len() < self.count {
            if listening.interrupted() {
                return Ok(StopReason::Interrupted);
            }
            let mut run = match self.running.take() {
                Some(run) => run,
                None => self.start()?,
            };
            let outcome = run.advance(Stop::snr(snr_db).or_step_limit(self.push.steps_left(&run)));
            let stop_reason = match outcome {
                Ok(progress) => progress.stop_reason,
                Err(error) => {
                    self.running = Some(run);
                    return Err(error);
                }
            };
            match stop_reason {
                StopReason::Interrupted => {
                    self.running = Some(run);
                    return Ok(StopReason::Interrupted);
                }
                StopReason::Matched => self.keep(&run)?,
                _ => match self.push.weaker(&run)? {
                    Some(run) => self.running = Some(run),
                    None => self.keep(&run)?,
                },
            }
        }
        let all = self.reached.iter().all(|reached| *reached >= snr_db);
        Ok(if all { StopReason::Matched } else { StopReason::Steps })
    }

    /// Keeps the metamer of a run.
    fn keep(&mut self, run: &Run) -> Result<()> {
        self.metamers.push(run.finish()?);
        self.reached.push(run.snr_db().unwrap_or(f64::NEG_INFINITY));
        Ok(())
    }

    /// A run of the next metamer.
    fn start(&self) -> Result<Run> {
        let index = self.metamers.len();
        let seed = self.synthesis.seed.wrapping_add(index as u64);
        self.push
            .start(self.synthesis.clone().seed(seed), self.metamers.iter().map(|metamer| metamer.stimulus().clone()))
    }

    /// Pushes the metamers apart in the features of another network, with [`Penalty::away_in`](super::Penalty::away_in) in place of
    /// [`Penalty::away_from`](super::Penalty::away_from): metamers of one network that another one tells apart. The weight is in units of
    /// the recipe's loss for a correlation distance of 1.
    ///
    /// `target` is a stage's name or a [`Target`]. Call it before [`Different::until`].
    ///
    /// ```
    /// use metamers::prelude::*;
    ///
    /// let net = zoo::efficientnet_lite0()?;
    /// let dog = Image::open("photos/dog.jpg")?;
    /// // Another network in earnest; here the same one, at an earlier stage.
    /// let apart = Synthesis::new(&net, "block0", &dog)?.quiet().different(2, 0.05)?.apart_in(&net, "stem")?;
    /// # let _ = apart;
    /// # Ok::<(), metamers::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] for a network with another input and for a target that it does not have, and once a metamer is finished.
    pub fn apart_in(mut self, network: &Network, target: impl Into<Target>) -> Result<Self> {
        if !self.metamers.is_empty() || self.running.is_some() {
            return Err(Error::invalid(
                "apart_in",
                "comes too late: the first metamer has been begun; call it before until",
            ));
        }
        self.push.features = Some((network.clone(), target.into()));
        let (original, own) = (&self.synthesis.original, &self.synthesis.network);
        drop(self.push.penalty(vec![original.clone()]).prepared(own, original)?);
        Ok(self)
    }

    /// The finished metamers.
    #[must_use]
    pub fn metamers(&self) -> &[Metamer] {
        &self.metamers
    }

    /// The mean over all pairs of the root mean square difference between two metamers; `None` for fewer than 2.
    #[must_use]
    pub fn mean_distance(&self) -> Option<f64> {
        mean_pairwise_distance(&self.metamers)
    }
}

/// The mean over all pairs of metamers of the root mean square difference of their values; `None` for fewer than 2.
#[must_use]
pub fn mean_pairwise_distance(metamers: &[Metamer]) -> Option<f64> {
    mean_over_pairs(metamers, |a, b| Ok(rms_difference(a.stimulus(), b.stimulus()))).ok().flatten()
}

/// The mean over all pairs of metamers of the correlation distance `1 - r` in the features of a network, with Pearson's correlation `r`;
/// `None` for fewer than 2 metamers, and if an `r` is not defined. `target` is a stage's name or a [`Target`].
///
/// # Errors
/// [`Error::Invalid`] for a network with another input than that of the metamers, and [`Error::Unknown`] for an unknown stage.
pub fn correlation_distance_of_pairs(
    metamers: &[Metamer],
    network: &Network,
    target: impl Into<Target>,
) -> Result<Option<f64>> {
    let target = target.into().prepared(network)?;
    let evaluator = Evaluator::new(network, std::slice::from_ref(&target.stage), &Execution::Compiled)?;
    let feature = Feature::new(&target, network)?;
    let shape: Vec<usize> = std::iter::once(1).chain(network.input().shape()).collect();
    let features = |metamer: &Metamer| {
        let x = metamer.stimulus().to_tensor()?;
        if x.dims() != shape {
            let reason = format!("takes {}, and the metamers have shape {:?}", network.input(), x.dims());
            return Err(Error::invalid(network.name(), reason));
        }
        Ok(feature.values(&evaluator.preactivations(metamer.stimulus().values(), &shape)?))
    };
    let features = metamers.iter().map(features).collect::<Result<Vec<_>>>()?;
    let distance = |a: &Vec<f32>, b: &Vec<f32>| Ok(1.0 - Similarity::between(a, b)?.pearson.unwrap_or(f64::NAN));
    Ok(mean_over_pairs(&features, distance)?.filter(|distance| distance.is_finite()))
}

fn mean_over_pairs<T>(values: &[T], distance: impl Fn(&T, &T) -> Result<f64>) -> Result<Option<f64>> {
    let pairs = (0..values.len()).flat_map(|i| (0..i).map(move |j| (i, j)));
    let distances = pairs.map(|(i, j)| distance(&values[i], &values[j])).collect::<Result<Vec<_>>>()?;
    Ok((!distances.is_empty()).then(|| distances.iter().sum::<f64>() / distances.len() as f64))
}

fn rms_difference(a: &Stimulus, b: &Stimulus) -> f64 {
    let square: f64 = a.values().iter().zip(b.values()).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum();
    (square / a.values().len().max(1) as f64).sqrt()
}

impl Different {
    /// The root mean square differences between original and metamers, as a table.
    pub fn table(&self) -> Table {
        let names = (1..=self.metamers.len()).map(|i| format!("metamer {i}"));
        let mut table = Table::new(std::iter::once(String::new()).chain(names.clone()))
            .caption("rms difference of pixels in [0, 1] or of samples");
        let stimuli = self.metamers.iter().map(Metamer::stimulus);
        let rows =
            std::iter::once(("original".to_string(), &self.synthesis.original)).chain(names.zip(stimuli.clone()));
        for (name, row) in rows {
            let cells = stimuli.clone().map(|other| format!("{:.3}", rms_difference(row, other)));
            table.push(std::iter::once(name).chain(cells));
        }
        table
    }
}

impl Show for Different {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        let matched = &self.synthesis.goal.matched;
        let title = format!("{} metamers of {} at {matched}", self.metamers.len(), self.synthesis.original.name());
        let distance = self.mean_distance().map_or(String::new(), |d| format!("\nmean rms difference of two: {d:.3}"));
        let text = format!("{title}{distance}");
        let network = &self.synthesis.network;
        let original = &self.synthesis.original;
        let panel = |title: String, stimulus: &Stimulus| Panel::picture(title, network.thumbnail(stimulus, original));
        let first = panel("original".into(), original).caption(original.name());
        let others = self.metamers.iter().enumerate().map(|(i, metamer)| {
            let snr = metamer.similarity().snr_db.map_or("undefined".into(), |snr| format!("{snr:.1} dB"));
            let class = metamer.metamer_class().map_or(String::new(), |class| format!("\n{}", class.top().name));
            panel(format!("metamer {}", i + 1), metamer.stimulus()).caption(format!("SNR {snr}{class}"))
        });
        let figure = Figure::new(format!("Original and metamers side by side: {}", text.replace('\n', "; ")));
        vec![figure.title(title).row(std::iter::once(first).chain(others)).bundle(text)]
    }
}

impl std::fmt::Debug for Different {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Different({} of {} metamers, weight {})", self.metamers.len(), self.count, self.push.weight)
    }
}

crate::show_in_notebooks!(Different);

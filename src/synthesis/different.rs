//! Several metamers of one original, as different from each other as possible.

use super::goal::Penalty;
use super::metamer::Metamer;
use super::run::Run;
use super::stop::{Stop, StopReason};
use super::synthesis::Synthesis;
use crate::display::{Figure, MimeBundle, Panel, Show, Table};
use crate::stimulus::Stimulus;
use crate::{Error, Result};

/// The maximum number of metamers.
const MAX_COUNT: usize = 64;
/// The maximum number of times that the weight of one metamer is halved.
const MAX_HALVINGS: usize = 8;
/// The fraction of the recipe's steps after which the weight is halved if the match is not reached.
const STEPS_PER_WEIGHT: usize = 4;

/// Several metamers of one original, made one after the other, each pushed away from those before it; see [`Synthesis::different`].
pub struct Different {
    synthesis: Synthesis,
    count: usize,
    weight: f64,
    metamers: Vec<Metamer>,
    /// The run of the next metamer, with the weight of its push.
    running: Option<(Run, f64, usize)>,
}

impl Synthesis {
    /// Prepares `count` metamers that the stage cannot tell from the original, and that are as far from each other as can be: the
    /// most direct picture of what the stage is invariant to.
    ///
    /// The metamers are made one after the other, with the seeds that follow the one of this synthesis. Each has the penalty
    /// [`Penalty::away_from`] the metamers before it, with this weight: in units of the recipe's loss for an rms difference of 1. The first
    /// one is pushed away from the original. If a metamer does not reach its match within a quarter of the recipe's steps, the weight is
    /// halved, and a new run goes on from there, so that all metamers match equally well.
    ///
    /// The return towards the start of [`Recipe::nearest`](super::Recipe::nearest), the default, would undo the push: in its place the runs
    /// have [`Recipe::natural_prior`](super::Recipe::natural_prior).
    ///
    /// Each is a metamer like any other, with its provenance; [`Metamer::reproduce`] repeats its last run.
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
    /// [`Error::Invalid`] for fewer than 2 or more than 64 metamers, and for a weight that is not positive and finite.
    pub fn different(self, count: usize, weight: f64) -> Result<Different> {
        if !(2..=MAX_COUNT).contains(&count) {
            return Err(Error::invalid(
                "the number of different metamers",
                format!("must be 2 to {MAX_COUNT}, got {count}"),
            ));
        }
        if !(weight.is_finite() && weight > 0.0) {
            let reason = format!("must be positive and finite, got {weight}; 0.1 is a good start");
            return Err(Error::invalid("the weight of the difference", reason));
        }
        let synthesis = Self { recipe: self.recipe.clone().without_return(), ..self };
        Ok(Different { synthesis, count, weight, metamers: vec![], running: None })
    }
}

impl Different {
    /// Runs until every metamer has this signal-to-noise ratio at the matched stages, in dB; 20 dB is well matched.
    ///
    /// An interrupt ends the call after the current step; another call goes on. The reason is [`StopReason::Matched`] if all metamers
    /// reached it, and [`StopReason::Steps`] if one did not, even without a push.
    ///
    /// # Errors
    /// As [`Run::advance`].
    pub fn until(&mut self, snr_db: f64) -> Result<StopReason> {
        let mut reason = StopReason::Matched;
        while self.metamers.len() < self.count {
            let (mut run, weight, halvings) = match self.running.take() {
                Some(running) => running,
                None => (self.start(self.weight, None)?, self.weight, 0),
            };
            let steps = (run.synthesis.recipe.steps / STEPS_PER_WEIGHT).max(1);
            let left =
                if halvings > MAX_HALVINGS { run.synthesis.recipe.steps } else { steps }.saturating_sub(run.steps());
            let outcome = run.advance(Stop::snr(snr_db).or_steps(left));
            let stop_reason = match outcome {
                Ok(progress) => progress.stop_reason,
                Err(error) => {
                    self.running = Some((run, weight, halvings));
                    return Err(error);
                }
            };
            match stop_reason {
                StopReason::Interrupted => {
                    self.running = Some((run, weight, halvings));
                    return Ok(StopReason::Interrupted);
                }
                StopReason::Matched => self.metamers.push(run.finish()?),
                _ if halvings <= MAX_HALVINGS => {
                    let weight = if halvings == MAX_HALVINGS { 0.0 } else { 0.5 * weight };
                    let run = self.start(weight, Some(run.current()))?;
                    self.running = Some((run, weight, halvings + 1));
                }
                _ => {
                    reason = StopReason::Steps;
                    self.metamers.push(run.finish()?);
                }
            }
        }
        Ok(reason)
    }

    /// A run of the next metamer with this weight; 0 is none.
    fn start(&self, weight: f64, from: Option<Stimulus>) -> Result<Run> {
        let index = self.metamers.len();
        let mut synthesis = self.synthesis.clone();
        synthesis.seed = synthesis.seed.wrapping_add(index as u64);
        if let Some(from) = from {
            synthesis.start = Some(from.with_name("metamer so far"));
        }
        if weight > 0.0 {
            let named =
                |(i, metamer): (usize, &Metamer)| metamer.stimulus().clone().with_name(format!("metamer {}", i + 1));
            let others: Vec<Stimulus> = match index {
                0 => vec![self.synthesis.original.clone()],
                _ => self.metamers.iter().enumerate().map(named).collect(),
            };
            synthesis = synthesis.penalty(Penalty::away_from(weight, others))?;
        }
        synthesis.start()
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
    let distances: Vec<f64> = (0..metamers.len())
        .flat_map(|i| (0..i).map(move |j| (i, j)))
        .map(|(i, j)| rms_difference(metamers[i].stimulus(), metamers[j].stimulus()))
        .collect();
    (!distances.is_empty()).then(|| distances.iter().sum::<f64>() / distances.len() as f64)
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
        write!(f, "Different({} of {} metamers, weight {})", self.metamers.len(), self.count, self.weight)
    }
}

crate::show_in_notebooks!(Different);

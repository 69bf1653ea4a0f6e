//! The analysis of answers.

use super::answers::task_fingerprints;
use super::{Answers, Block, ConditionProportion, Excluded, ExclusionRule, Participant, Published, Recognition};
use crate::{Error, Result};

/// Ratio of the longest to the typical frame time above which a frame was dropped.
const DROPPED_FRAME_RATIO: f64 = 1.5;

/// Builder of an analysis; [`Analysis::run`] computes it.
#[derive(Clone, Debug)]
#[must_use = "call run to compute the analysis"]
pub struct Analysis {
    answers: Answers,
    rule: ExclusionRule,
    network: Option<(String, Vec<(String, f64)>)>,
    published: Vec<Published>,
    seed: u64,
}

impl Analysis {
    /// Creates an analysis with the default exclusion rule.
    pub fn new(answers: Answers) -> Self {
        Self { answers, rule: ExclusionRule::default(), network: None, published: vec![], seed: 0 }
    }

    /// Sets the exclusion rule.
    pub fn exclude(mut self, rule: ExclusionRule) -> Self {
        self.rule = rule;
        self
    }

    /// Adds the network's proportion correct on the same stimuli by condition, shown as a dashed line.
    pub fn network<T: Into<String>>(
        mut self,
        name: impl Into<String>,
        proportions: impl IntoIterator<Item = (T, f64)>,
    ) -> Self {
        self.network = Some((name.into(), proportions.into_iter().map(|(name, p)| (name.into(), p)).collect()));
        self
    }

    /// Adds published human means: at the conditions of the same names if all conditions are stages of that network, else by relative
    /// depth.
    pub fn published(mut self, published: Published) -> Self {
        self.published.push(published);
        self
    }

    /// Sets the seed of the bootstrap; the default is 0.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Excludes participants and computes the proportions correct.
    ///
    /// Only valid trials are counted, see [`Answer::is_valid`](super::Answer::is_valid).
    ///
    /// # Errors
    /// [`Error::Invalid`] without valid trials, if all participants are excluded, and for proportions outside `[0, 1]`; [`Error::Unknown`]
    /// for a condition of the network that is not in the answers.
    pub fn run(self) -> Result<Recognition> {
        self.rule.check()?;
        let conditions = self.answers.conditions();
        let index = |name: &str| conditions.iter().position(|known| known == name);
        let network = self.network.map(|(name, proportions)| {
            let mut points = vec![];
            for (condition, p) in proportions {
                let position = index(&condition)
                    .ok_or_else(|| Error::unknown("condition", &condition, conditions.iter().map(String::as_str)))?;
                if !(0.0..=1.0).contains(&p) {
                    return Err(Error::invalid(condition, format!("must be a proportion in [0, 1], got {p}")));
                }
                points.push((position, p));
            }
            points.sort_by_key(|(position, _)| *position);
            Ok((name, points))
        });
        let network = network.transpose()?;
        let everybody = self.answers.participants();
        let excluded: Vec<Excluded> = everybody.iter().filter_map(|person| self.rule.excludes(person)).collect();
        let people: Vec<&Participant> =
            everybody.iter().filter(|person| excluded.iter().all(|out| out.session != person.session)).collect();
        let counts: Vec<Vec<(usize, usize)>> =
            people.iter().map(|person| count_by_condition(person, &conditions)).collect();
        let proportion = |(k, name): (usize, &String)| {
            let condition_counts: Vec<(usize, usize)> = counts.iter().map(|person| person[k]).collect();
            ConditionProportion::from_counts(name, &condition_counts, self.seed)
        };
        let proportions: Vec<ConditionProportion> = conditions.iter().enumerate().filter_map(proportion).collect();
        if proportions.is_empty() {
            let reason = match (everybody.len(), excluded.len()) {
                (0, _) => "have no participants".to_owned(),
                (all, out) if all == out => format!("have only excluded participants ({})", self.rule),
                _ => "have no valid trials".to_owned(),
            };
            return Err(Error::invalid("answers", reason));
        }
        let main = || people.iter().flat_map(|person| &person.answers).filter(|answer| answer.block == Block::Main);
        Ok(Recognition {
            proportions,
            chance: 1.0 / everybody[0].choices as f64,
            people: people.len(),
            rule: self.rule,
            excluded,
            invalid_trials: main().filter(|answer| !answer.is_valid()).count(),
            dropped_frames: main()
                .filter(|a| a.longest_frame_ms.zip(a.frame_ms).is_some_and(|(l, f)| l > DROPPED_FRAME_RATIO * f))
                .count(),
            simulated: people.iter().any(|person| person.simulated),
            tasks: task_fingerprints(people.iter().copied()),
            network,
            published: self.published,
            conditions,
            counts,
        })
    }
}

/// Counts the correct and valid answers of a participant in each condition.
fn count_by_condition(person: &Participant, conditions: &[String]) -> Vec<(usize, usize)> {
    let mut counts = vec![(0, 0); conditions.len()];
    for answer in person.answers.iter().filter(|answer| answer.block == Block::Main && answer.is_valid()) {
        if let Some(index) = conditions.iter().position(|name| *name == answer.condition) {
            counts[index].0 += usize::from(answer.is_correct() == Some(true));
            counts[index].1 += 1;
        }
    }
    counts
}

//! The analysis: from the answers of a class to proportions correct.

use super::{Answers, Block, ConditionProportion, Excluded, ExclusionRule, Person, Published, Recognition};
use crate::{Error, Result};

/// Above this many times the usual, the time between two frames means that one was left out.
const DROPPED: f64 = 1.5;

/// An analysis being put together; [`Analysis::run`] makes it.
#[derive(Clone, Debug)]
pub struct Analysis {
    answers: Answers,
    rule: ExclusionRule,
    network: Option<(String, Vec<(String, f64)>)>,
    published: Vec<Published>,
    seed: u64,
}

impl Analysis {
    /// An analysis of these answers by the usual rule of exclusion.
    pub fn new(answers: Answers) -> Self {
        Self { answers, rule: ExclusionRule::default(), network: None, published: vec![], seed: 0 }
    }

    /// Leaves people out by this rule.
    pub fn exclude(mut self, rule: ExclusionRule) -> Self {
        self.rule = rule;
        self
    }

    /// Adds the network's own proportion correct on the same stimuli, by condition, as a dashed line.
    pub fn network<T: Into<String>>(
        mut self,
        name: impl Into<String>,
        proportions: impl IntoIterator<Item = (T, f64)>,
    ) -> Self {
        self.network = Some((name.into(), proportions.into_iter().map(|(name, p)| (name.into(), p)).collect()));
        self
    }

    /// Adds published human means as a series: at the names of their stages where the class had the same, else spread by relative depth.
    pub fn published(mut self, published: Published) -> Self {
        self.published.push(published);
        self
    }

    /// What the bootstrap draws from: 0 unless said otherwise.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Leaves people out, and computes the proportions.
    ///
    /// Trials count that were answered and shown undisturbed ([`Answer::counts`](super::Answer::counts)).
    ///
    /// # Errors
    /// [`Error::Invalid`] without a trial that counts, with everybody excluded, and for proportions outside of `[0, 1]`; [`Error::Unknown`] for a
    /// condition of the network's that the class did not have.
    pub fn run(self) -> Result<Recognition> {
        self.rule.check()?;
        let conditions = self.answers.conditions();
        let index = |name: &str| conditions.iter().position(|known| known == name);
        let network = self.network.map(|(name, proportions)| {
            let mut points = vec![];
            for (condition, p) in proportions {
                let place = index(&condition)
                    .ok_or_else(|| Error::unknown("condition", &condition, conditions.iter().map(String::as_str)))?;
                if !(0.0..=1.0).contains(&p) {
                    return Err(Error::invalid(condition, format!("a proportion correct lies in [0, 1], got {p}")));
                }
                points.push((place, p));
            }
            points.sort_by_key(|(place, _)| *place);
            Ok((name, points))
        });
        let network = network.transpose()?;
        let everybody = self.answers.people();
        let excluded: Vec<Excluded> = everybody.iter().filter_map(|person| self.rule.excludes(person)).collect();
        let people: Vec<&Person> =
            everybody.iter().filter(|person| excluded.iter().all(|out| out.session != person.session)).collect();
        let counts: Vec<Vec<(usize, usize)>> = people.iter().map(|person| counted(person, &conditions)).collect();
        let proportion = |(k, name): (usize, &String)| {
            let of: Vec<(usize, usize)> = counts.iter().map(|person| person[k]).collect();
            ConditionProportion::of(name, &of, self.seed)
        };
        let proportions: Vec<ConditionProportion> = conditions.iter().enumerate().filter_map(proportion).collect();
        if proportions.is_empty() {
            let reason = match (everybody.len(), excluded.len()) {
                (0, _) => "hold nobody".to_owned(),
                (all, out) if all == out => format!("hold nobody who is not excluded ({})", self.rule),
                _ => "hold no trial that was answered and shown undisturbed".to_owned(),
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
            disturbed: main().filter(|answer| !answer.counts()).count(),
            dropped: main()
                .filter(|a| a.longest_frame_ms.zip(a.frame_ms).is_some_and(|(l, f)| l > DROPPED * f))
                .count(),
            simulated: people.iter().any(|person| person.simulated),
            network,
            published: self.published,
            conditions,
            counts,
        })
    }
}

/// Of each condition, how many answers of a person were right, and how many count.
fn counted(person: &Person, conditions: &[String]) -> Vec<(usize, usize)> {
    let mut counts = vec![(0, 0); conditions.len()];
    for answer in person.answers.iter().filter(|answer| answer.block == Block::Main && answer.counts()) {
        if let Some(place) = conditions.iter().position(|name| *name == answer.condition) {
            counts[place].0 += usize::from(answer.is_correct() == Some(true));
            counts[place].1 += 1;
        }
    }
    counts
}

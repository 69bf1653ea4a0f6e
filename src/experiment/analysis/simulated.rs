//! Simulated participants for testing the analysis.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::{Answer, Answers, Block, Participant, Published};
use crate::experiment::Choices;
use crate::experiment::assignment::{Generator, assign};
use crate::{Error, Result};

/// The probability that an attentive participant recognises a catch trial.
const CATCH_ACCURACY: f64 = 0.97;
/// The maximum number of participants, of stimuli and of catch trials.
const MAX_COUNT: usize = 100_000;
/// The maximum number of trials of all participants, and of pairs of a stimulus and a condition.
const MAX_TRIALS: usize = 5_000_000;

/// Builder of simulated participants, to test an analysis before an experiment. All results of simulated answers are marked as
/// simulated.
///
/// The model is a high-threshold one. In a condition with mean proportion `m` and chance `c`, a participant recognises a stimulus with probability
/// `sigmoid(logit((m - c) / (1 - c)) + spread z)`, where `z` is normal and constant for each participant, and guesses otherwise. The mean
/// over participants is therefore about `m`. Each participant gets each stimulus once, in one condition, as on the page.
///
/// ```
/// use metamers::experiment::analysis::SimulatedParticipants;
///
/// let answers = SimulatedParticipants::new([("natural", 0.93), ("block5", 0.6), ("logits", 0.1)]).participants(20).seed(7).answers()?;
/// assert!(answers.are_simulated() && answers.participants().len() == 20);
/// # Ok::<(), metamers::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "call answers to simulate the answers"]
pub struct SimulatedParticipants {
    conditions: Vec<(String, f64)>,
    people: usize,
    inattentive: usize,
    stimuli: usize,
    catch_trials: usize,
    choices: Choices,
    spread: f64,
    seed: u64,
}

impl SimulatedParticipants {
    /// Creates 20 attentive participants with these mean proportions correct by condition. The defaults are 72 stimuli, 8 catch trials, the 16
    /// choices of the papers, spread 0.5 and seed 0.
    pub fn new<T: Into<String>>(conditions: impl IntoIterator<Item = (T, f64)>) -> Self {
        Self {
            conditions: conditions.into_iter().map(|(name, mean)| (name.into(), mean)).collect(),
            people: 20,
            inattentive: 0,
            stimuli: 72,
            catch_trials: 8,
            choices: Choices::entry_level(),
            spread: 0.5,
            seed: 0,
        }
    }

    /// Creates participants with the published human means for `natural` and each stage.
    pub fn like(published: &Published) -> Self {
        let stages = published.stages().iter().map(|(stage, mean)| (stage.as_str(), *mean));
        Self::new([("natural", published.natural())].into_iter().chain(stages))
    }

    /// Sets the number of participants.
    pub fn participants(mut self, people: usize) -> Self {
        self.people = people;
        self
    }

    /// Sets the number of participants who answer at random; they are the last ones.
    pub fn inattentive(mut self, people: usize) -> Self {
        self.inattentive = people;
        self
    }

    /// Sets the number of stimuli, which are distributed over the conditions.
    pub fn stimuli(mut self, stimuli: usize) -> Self {
        self.stimuli = stimuli;
        self
    }

    /// Sets the number of catch trials.
    pub fn catch_trials(mut self, trials: usize) -> Self {
        self.catch_trials = trials;
        self
    }

    /// Sets the response choices.
    pub fn choices(mut self, choices: Choices) -> Self {
        self.choices = choices;
        self
    }

    /// Sets the standard deviation over participants, in log odds; the default is 0.5.
    pub fn spread(mut self, spread: f64) -> Self {
        self.spread = spread;
        self
    }

    /// Sets the seed; the same seed gives the same answers.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Simulates the answers.
    ///
    /// # Errors
    /// [`Error::Invalid`] without participants, stimuli or conditions, for a duplicate condition, a mean outside `[0, 1]`, more
    /// inattentive participants than participants, a spread that is negative or not finite, more than 100,000 participants, stimuli or
    /// catch trials, and more than 5,000,000 trials of all participants or pairs of a stimulus and a condition.
    pub fn answers(&self) -> Result<Answers> {
        self.check()?;
        let chance = self.choices.chance();
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        let available = vec![(0..self.conditions.len()).collect::<Vec<usize>>(); self.stimuli];
        let people = (0..self.people).map(|number| {
            let name = format!("simulated {:02}", number + 1);
            let attentive = number + self.inattentive < self.people;
            let z: f64 = StandardNormal.sample(&mut random);
            let shift = self.spread * z;
            let chosen =
                assign(&mut Generator::new(&format!("{}:{name}", self.seed)), &available, self.conditions.len());
            let main = chosen.into_iter().enumerate().map(|(stimulus, condition)| {
                let (name, mean) = &self.conditions[condition];
                let p_recognised = ((mean - chance) / (1.0 - chance)).clamp(0.0, 1.0);
                let p_recognised = if attentive { shift_log_odds(p_recognised, shift) } else { 0.0 };
                (Block::Main, format!("stimulus {:03}", stimulus + 1), name.clone(), Some(condition), p_recognised)
            });
            let catch = (0..self.catch_trials).map(|k| {
                let p_recognised = if attentive { CATCH_ACCURACY } else { 0.0 };
                (Block::Catch, format!("catch {:02}", k + 1), "catch".to_owned(), None, p_recognised)
            });
            let answers = main.chain(catch).enumerate().map(
                |(k, (block, stimulus, condition, condition_index, p_recognised))| {
                    let words = self.choices.words();
                    let right = words[k % words.len()].clone();
                    let answer = match random.random_bool(p_recognised) {
                        true => right.clone(),
                        false => words[random.random_range(0..words.len())].clone(),
                    };
                    Answer {
                        block,
                        trial: k + 1,
                        stimulus,
                        condition,
                        condition_index,
                        correct_answer: right,
                        answer: Some(answer),
                        response_ms: None,
                        shown_ms: None,
                        frame_ms: None,
                        longest_frame_ms: None,
                        interrupted: false,
                    }
                },
            );
            Participant {
                session: format!("{name}, seed {}", self.seed),
                participant: name,
                task: "simulated".into(),
                kind: "image".into(),
                choices: self.choices.words().len(),
                simulated: true,
                answers: answers.collect(),
            }
        });
        let people: Vec<Participant> = people.collect();
        Answers::from_people(people)
    }

    fn check(&self) -> Result<()> {
        let wrong = |what: &str, reason: String| Err(Error::invalid(what, reason));
        if self.people == 0 || self.stimuli == 0 || self.conditions.is_empty() {
            return wrong(
                "simulated participants",
                "require at least one participant, one stimulus and one condition".into(),
            );
        }
        self.check_counts()?;
        if self.inattentive > self.people {
            return wrong(
                "inattentive",
                format!("{} of {1} participants is impossible; the maximum is {1}", self.inattentive, self.people),
            );
        }
        if !(self.spread.is_finite() && self.spread >= 0.0) {
            return wrong("spread", format!("must be 0 or more and finite, got {}", self.spread));
        }
        for (k, (name, mean)) in self.conditions.iter().enumerate() {
            if !(0.0..=1.0).contains(mean) {
                return wrong(name, format!("must be a proportion in [0, 1], got {mean}"));
            }
            if self.conditions[..k].iter().any(|(other, _)| other == name) {
                return wrong("conditions", format!("\"{name}\" occurs twice"));
            }
        }
        Ok(())
    }

    /// Checks that the answers fit into memory.
    fn check_counts(&self) -> Result<()> {
        let counts = [("participants", self.people), ("stimuli", self.stimuli), ("catch_trials", self.catch_trials)];
        if let Some((what, count)) = counts.into_iter().find(|(_, count)| *count > MAX_COUNT) {
            return Err(Error::invalid(what, format!("must be at most {MAX_COUNT}, got {count}")));
        }
        let trials = self.people.saturating_mul(self.stimuli + self.catch_trials);
        let pairs = self.stimuli.saturating_mul(self.conditions.len());
        if trials.max(pairs) > MAX_TRIALS {
            let reason = format!(
                "must have at most {MAX_TRIALS} trials and pairs of a stimulus and a condition, got {trials} and {pairs}"
            );
            return Err(Error::invalid("simulated participants", reason));
        }
        Ok(())
    }
}

/// Shifts a probability in log odds; 0 and 1 stay unchanged.
fn shift_log_odds(p: f64, shift: f64) -> f64 {
    if p <= 0.0 || p >= 1.0 { p } else { 1.0 / (1.0 + (1.0 / p - 1.0) * (-shift).exp()) }
}

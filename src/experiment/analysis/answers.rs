//! The answers of people, as the page gives them out.

use serde::{Deserialize, Serialize};

use crate::display::{Align, MimeBundle, Show, Table};
use crate::{Error, Result};

/// What a trial was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Block {
    /// With feedback, before the experiment.
    Practice,
    /// The experiment.
    Main,
    /// To tell who pays no attention.
    Catch,
}

/// One trial of a person. Times are in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// What the trial was for.
    pub block: Block,
    /// Its place in its block, from 1; main and catch trials share a block.
    pub trial: usize,
    /// Which stimulus.
    pub stimulus: String,
    /// Under which condition; `practice` and `catch` where there is none.
    pub condition: String,
    /// The place of the condition in their order, from 0.
    pub condition_index: Option<usize>,
    /// The right answer.
    pub right: String,
    /// The answer; `None` when the page was left between stimulus and answer.
    pub answer: Option<String>,
    /// From the appearance of the choices to the answer.
    #[serde(default)]
    pub response_ms: Option<f64>,
    /// From the frame with which the picture appeared to that with which it went; for a sound how long it is.
    #[serde(default)]
    pub shown_ms: Option<f64>,
    /// The time between frames during the trial.
    #[serde(default)]
    pub frame_ms: Option<f64>,
    /// The longest time between two frames of the trial: above one and a half of `frame_ms` the screen left a frame out.
    #[serde(default)]
    pub longest_frame_ms: Option<f64>,
    /// Whether the page was hidden or left while the stimulus was shown.
    #[serde(default)]
    pub interrupted: bool,
}

impl Answer {
    /// Whether the answer is right; `None` without one.
    pub fn is_correct(&self) -> Option<bool> {
        self.answer.as_ref().map(|answer| *answer == self.right)
    }

    /// Whether it says something about recognition: there is an answer, to a stimulus that was shown undisturbed.
    pub fn counts(&self) -> bool {
        self.answer.is_some() && !self.interrupted
    }

    fn same_as(&self, other: &Self) -> bool {
        let key = |a: &Self| (a.block, a.trial, a.stimulus.clone(), a.condition.clone(), a.answer.clone());
        key(self) == key(other)
    }
}

/// The answers of one person in one session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Person {
    /// A number that is drawn for each session.
    pub session: String,
    /// The participant's code; empty when none was asked.
    pub participant: String,
    /// The fingerprint of the task.
    pub task: String,
    /// `image` or `sound`.
    pub kind: String,
    /// How many choices there were.
    pub choices: usize,
    /// Whether a computer made these answers up.
    #[serde(default)]
    pub simulated: bool,
    /// The trials in their order.
    pub answers: Vec<Answer>,
}

impl Person {
    /// The participant's code, or the number of the session.
    pub fn name(&self) -> &str {
        if self.participant.is_empty() { &self.session } else { &self.participant }
    }

    pub(super) fn check(&self) -> std::result::Result<(), String> {
        if self.session.is_empty() {
            return Err("has no session".into());
        }
        if self.choices < 2 {
            return Err(format!("session {}: says that there were {} choices", self.session, self.choices));
        }
        let mut seen = std::collections::HashSet::new();
        for answer in self.answers.iter().filter(|answer| answer.block != Block::Practice) {
            if !seen.insert(&answer.stimulus) {
                return Err(format!("session {}: stimulus \"{}\" is there twice", self.session, answer.stimulus));
            }
        }
        Ok(())
    }
}

/// The answers of any number of people.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Answers {
    pub(super) people: Vec<Person>,
}

impl Answers {
    /// The answers of these people.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a session without number, with fewer than two choices, with a stimulus twice, and as [`Answers::and`].
    pub fn from_people(people: impl IntoIterator<Item = Person>) -> Result<Self> {
        people.into_iter().try_fold(Self::default(), |mut all, person| {
            person.check().map_err(|reason| Error::invalid("answers", reason))?;
            all.add(person)?;
            Ok(all)
        })
    }

    /// These answers and others. A session that is in both is taken once: its longer version, if one is the beginning of the other.
    ///
    /// # Errors
    /// [`Error::Invalid`] when a session has two versions that differ, or people had different numbers of choices or different kinds of
    /// stimuli.
    pub fn and(mut self, others: Self) -> Result<Self> {
        others.people.into_iter().try_for_each(|person| self.add(person))?;
        Ok(self)
    }

    fn add(&mut self, person: Person) -> Result<()> {
        if let Some(first) = self.people.first()
            && (first.choices, &first.kind) != (person.choices, &person.kind)
        {
            let reason = format!(
                "session {} had {} choices for {}s, session {} {} for {}s; analyse them apart",
                first.session, first.choices, first.kind, person.session, person.choices, person.kind
            );
            return Err(Error::invalid("answers", reason));
        }
        let Some(known) = self.people.iter_mut().find(|known| known.session == person.session) else {
            self.people.push(person);
            return Ok(());
        };
        if !known.answers.iter().zip(&person.answers).all(|(a, b)| a.same_as(b)) {
            let reason = format!("session {} is there twice, with different answers", person.session);
            return Err(Error::invalid("answers", reason));
        }
        if person.answers.len() > known.answers.len() {
            *known = person;
        }
        Ok(())
    }

    /// The people, in the order in which they were read.
    pub fn people(&self) -> &[Person] {
        &self.people
    }

    /// Whether any of the answers were made up by a computer.
    pub fn are_simulated(&self) -> bool {
        self.people.iter().any(|person| person.simulated)
    }

    /// The conditions of the main trials in their order.
    pub fn conditions(&self) -> Vec<String> {
        let mut found: Vec<(usize, &String)> = vec![];
        let main = self.people.iter().flat_map(|person| &person.answers).filter(|answer| answer.block == Block::Main);
        for answer in main {
            let index = answer.condition_index.unwrap_or(usize::MAX);
            match found.iter_mut().find(|(_, name)| *name == &answer.condition) {
                Some((known, _)) => *known = (*known).min(index),
                None => found.push((index, &answer.condition)),
            }
        }
        found.sort_by_key(|(index, _)| *index);
        found.into_iter().map(|(_, name)| name.clone()).collect()
    }
}

impl Show for Answers {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        let mut table = Table::new(["person", "main trials", "catch trials right", "disturbed or unanswered"])
            .align([Align::Left, Align::Right, Align::Right, Align::Right])
            .caption(format!(
                "Answers of {}{} people",
                self.people.len(),
                if self.are_simulated() { " simulated" } else { "" }
            ));
        for person in &self.people {
            let of = |block| person.answers.iter().filter(move |answer| answer.block == block);
            let right = of(Block::Catch).filter(|answer| answer.is_correct() == Some(true)).count();
            table.push([
                person.name().to_owned(),
                of(Block::Main).count().to_string(),
                format!("{right} of {}", of(Block::Catch).count()),
                of(Block::Main).filter(|answer| !answer.counts()).count().to_string(),
            ]);
        }
        table.mime_bundles()
    }
}

crate::show_in_notebooks!(Answers);

//! Answers of participants, as saved by the page.

use serde::{Deserialize, Serialize};

use crate::display::{Align, MimeBundle, Show, Table};
use crate::{Error, Result};

/// The block of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Block {
    /// Practice with feedback, before the experiment.
    Practice,
    /// The experiment's trials.
    Main,
    /// Catch trials, which identify inattentive participants.
    Catch,
}

/// The answer in one trial. Times are in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The block of the trial.
    pub block: Block,
    /// The trial's number in its block, from 1; main and catch trials share a block.
    pub trial: usize,
    /// The stimulus' id.
    pub stimulus: String,
    /// The condition; `practice` and `catch` in trials without one.
    pub condition: String,
    /// Index of the condition.
    pub condition_index: Option<usize>,
    /// The correct answer.
    #[serde(rename = "right")]
    pub correct_answer: String,
    /// The given answer; `None` if the participant left the page before answering.
    pub answer: Option<String>,
    /// Time from the onset of the choices to the answer.
    #[serde(default)]
    pub response_ms: Option<f64>,
    /// Presentation time of the image, from its first frame to the first frame without it; the duration of a sound.
    #[serde(default)]
    pub shown_ms: Option<f64>,
    /// Median time between frames during the trial.
    #[serde(default)]
    pub frame_ms: Option<f64>,
    /// Longest time between two frames of the trial; above 1.5 x `frame_ms`, a frame was dropped.
    #[serde(default)]
    pub longest_frame_ms: Option<f64>,
    /// `true` if the page was hidden or left during the stimulus.
    #[serde(default)]
    pub interrupted: bool,
}

impl Answer {
    /// Returns whether the answer is correct; `None` without an answer.
    #[must_use]
    pub fn is_correct(&self) -> Option<bool> {
        self.answer.as_ref().map(|answer| *answer == self.correct_answer)
    }

    /// Returns whether the trial is valid: it has an answer, and the stimulus was shown without interruption. A `shown_ms` of 0 or less
    /// makes it invalid, because the stimulus was not shown; without `shown_ms`, as in simulated answers, it can be valid.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.answer.is_some() && !self.interrupted && self.shown_ms.is_none_or(|shown| shown > 0.0)
    }

    fn same_as(&self, other: &Self) -> bool {
        let key = |a: &Self| (a.block, a.trial, a.stimulus.clone(), a.condition.clone(), a.answer.clone());
        key(self) == key(other)
    }
}

/// The answers of one participant in one session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Participant {
    /// The session id: 16 random hexadecimal digits.
    pub session: String,
    /// The participant code; empty if the task does not ask for one.
    pub participant: String,
    /// The fingerprint of the task.
    pub task: String,
    /// `image` or `sound`.
    pub kind: String,
    /// The number of choices.
    pub choices: usize,
    /// `true` if the answers are simulated.
    #[serde(default)]
    pub simulated: bool,
    /// The answers in trial order.
    pub answers: Vec<Answer>,
}

impl Participant {
    /// The participant code, or the session id if there is no code.
    #[must_use]
    pub fn name(&self) -> &str {
        if self.participant.is_empty() { &self.session } else { &self.participant }
    }

    /// Returns whether two sessions are of the same participant and task. Simulated participants may share codes.
    fn repeats(&self, other: &Self) -> bool {
        let same_code = !self.participant.is_empty() && self.participant == other.participant;
        same_code && self.task == other.task && !self.simulated && !other.simulated
    }

    pub(super) fn check(&self) -> std::result::Result<(), String> {
        if self.session.is_empty() {
            return Err("a session has no id".into());
        }
        if self.choices < 2 {
            return Err(format!("session {} has {} choices; at least 2 are required", self.session, self.choices));
        }
        let mut seen = std::collections::HashSet::new();
        for answer in self.answers.iter().filter(|answer| answer.block != Block::Practice) {
            if !seen.insert(&answer.stimulus) {
                return Err(format!("session {}: stimulus \"{}\" occurs twice", self.session, answer.stimulus));
            }
        }
        Ok(())
    }
}

/// The answers of any number of participants.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Answers {
    pub(super) people: Vec<Participant>,
}

impl Answers {
    /// Combines the answers of several participants.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a session without an id, with fewer than two choices or with a duplicate stimulus. Also fails like
    /// [`Answers::merge`].
    pub fn from_people(people: impl IntoIterator<Item = Participant>) -> Result<Self> {
        people.into_iter().try_fold(Self::default(), |mut all, person| {
            person.check().map_err(|reason| Error::invalid("answers", reason))?;
            all.add(person)?;
            Ok(all)
        })
    }

    /// Merges two sets of answers. A session in both sets is kept once; if one version is the beginning of the other, the longer one
    /// is kept. Answers to several tasks can be merged; tables of them have a note.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a session with two conflicting versions, for different numbers of choices or kinds of stimuli, and for
    /// two sessions with the same participant code and task, unless one of them is simulated.
    pub fn merge(mut self, others: Self) -> Result<Self> {
        others.people.into_iter().try_for_each(|person| self.add(person))?;
        Ok(self)
    }

    /// Adds a participant; after an error the answers are those from before.
    pub(super) fn add(&mut self, person: Participant) -> Result<()> {
        if let Some(first) = self.people.first()
            && (first.choices, &first.kind) != (person.choices, &person.kind)
        {
            let reason = format!(
                "session {} has {} choices for {}s, but session {} has {} choices for {}s; analyse them separately",
                first.session, first.choices, first.kind, person.session, person.choices, person.kind
            );
            return Err(Error::invalid("answers", reason));
        }
        let Some(known) = self.people.iter_mut().find(|known| known.session == person.session) else {
            if let Some(first) = self.people.iter().find(|known| known.repeats(&person)) {
                let reason = format!(
                    "sessions {} and {} are of the same participant, \"{}\", and the same task; keep one of them, or give \
                     them different codes if two people used this code",
                    first.session, person.session, person.participant
                );
                return Err(Error::invalid("answers", reason));
            }
            self.people.push(person);
            return Ok(());
        };
        if !known.answers.iter().zip(&person.answers).all(|(a, b)| a.same_as(b)) {
            let reason = format!("session {} occurs twice with different answers", person.session);
            return Err(Error::invalid("answers", reason));
        }
        if person.answers.len() > known.answers.len() {
            *known = person;
        }
        Ok(())
    }

    /// The participants, in the order in which they were added.
    #[must_use]
    pub fn participants(&self) -> &[Participant] {
        &self.people
    }

    /// Returns whether any answers are simulated.
    #[must_use]
    pub fn are_simulated(&self) -> bool {
        self.people.iter().any(|person| person.simulated)
    }

    /// The conditions of the main trials, in the task's order.
    #[must_use]
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

/// The fingerprints of the tasks of these participants, each once.
pub(super) fn task_fingerprints<'a>(people: impl IntoIterator<Item = &'a Participant>) -> Vec<String> {
    let mut found: Vec<String> = vec![];
    for person in people {
        if !found.contains(&person.task) {
            found.push(person.task.clone());
        }
    }
    found
}

/// The note in captions if the answers belong to several tasks.
pub(super) fn several_tasks_note(tasks: &[String]) -> Option<String> {
    match tasks.len() {
        0 | 1 => None,
        n => Some(format!("Note: the answers belong to {n} different tasks ({}).", tasks.join(", "))),
    }
}

impl Show for Answers {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        let simulated = if self.are_simulated() { " simulated" } else { "" };
        let mut caption = format!("Answers of {}{simulated} participants", self.people.len());
        if let Some(note) = several_tasks_note(&task_fingerprints(&self.people)) {
            caption += &format!(". {note}");
        }
        let mut table = Table::new(["participant", "main trials", "catch trials correct", "invalid trials"])
            .align([Align::Left, Align::Right, Align::Right, Align::Right])
            .caption(caption);
        for person in &self.people {
            let block_answers = |block| person.answers.iter().filter(move |answer| answer.block == block);
            let correct = block_answers(Block::Catch).filter(|answer| answer.is_correct() == Some(true)).count();
            table.push([
                person.name().to_owned(),
                block_answers(Block::Main).count().to_string(),
                format!("{correct} of {}", block_answers(Block::Catch).count()),
                block_answers(Block::Main).filter(|answer| !answer.is_valid()).count().to_string(),
            ]);
        }
        table.mime_bundles()
    }
}

crate::show_in_notebooks!(Answers);

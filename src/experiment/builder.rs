//! Builder of recognition tasks.

use std::collections::{HashMap, HashSet};

use rayon::prelude::*;

use super::page::{Content, SingleStimulus, TaskStimulus, Version, data_url, digest};
use super::{Choices, Item, RecognitionTask, Timing};
use crate::stimulus::Stimulus;
use crate::{Error, Result};

/// Builder of a recognition task, from [`RecognitionTask::builder`].
#[derive(Debug, Clone)]
#[must_use = "call build to create the task"]
pub struct TaskBuilder {
    title: String,
    choices: Choices,
    items: Vec<Item>,
    practice: Vec<Item>,
    practice_pass: usize,
    catch_trials: Vec<Item>,
    conditions: Vec<String>,
    consent: String,
    instructions: String,
    participant_code: bool,
    timing: Timing,
    seed: u64,
}

impl TaskBuilder {
    pub(super) fn new(title: String, choices: Choices) -> Self {
        Self {
            title,
            choices,
            items: vec![],
            practice: vec![],
            practice_pass: 0,
            catch_trials: vec![],
            conditions: vec![],
            consent: String::new(),
            instructions: String::new(),
            participant_code: false,
            timing: Timing::default(),
            seed: 0,
        }
    }

    /// Adds one version of a stimulus; the parameters are those of [`Item::new`].
    pub fn item(
        self,
        id: impl Into<String>,
        condition: impl Into<String>,
        answer: impl Into<String>,
        stimulus: impl Into<Stimulus>,
    ) -> Self {
        self.items([Item::new(id, condition, answer, stimulus)])
    }

    /// Adds versions of stimuli. Items with the same id are versions of one stimulus, of which each participant gets one.
    pub fn items(mut self, items: impl IntoIterator<Item = Item>) -> Self {
        self.items.extend(items);
        self
    }

    /// Adds a practice block with feedback, repeated until at least `pass` answers are correct. The papers use 12 stimuli and require
    /// 7 correct images or 5 correct sounds. Conditions of these items are ignored.
    pub fn practice(mut self, items: impl IntoIterator<Item = Item>, pass: usize) -> Self {
        self.practice = items.into_iter().collect();
        self.practice_pass = pass;
        self
    }

    /// Adds catch trials: easy trials among the others that identify inattentive participants
    /// ([`ExclusionRule`](super::analysis::ExclusionRule)). Conditions of these items are ignored.
    pub fn catch_trials(mut self, items: impl IntoIterator<Item = Item>) -> Self {
        self.catch_trials = items.into_iter().collect();
        self
    }

    /// Sets the order of the conditions in tables and plots; the default is that of the items.
    pub fn conditions<T: Into<String>>(mut self, conditions: impl IntoIterator<Item = T>) -> Self {
        self.conditions = conditions.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the consent text shown before the experiment; without it, the page does not ask for consent.
    pub fn consent(mut self, text: impl Into<String>) -> Self {
        self.consent = text.into();
        self
    }

    /// Sets the instructions, which replace the default text of the page.
    pub fn instructions(mut self, text: impl Into<String>) -> Self {
        self.instructions = text.into();
        self
    }

    /// Makes the page ask for a participant code (up to 32 letters, digits, - and _). The code is saved with the answers and
    /// determines the conditions. Without it, conditions are random and the answers have only a session id.
    pub fn with_participant_code(mut self) -> Self {
        self.participant_code = true;
        self
    }

    /// Sets the presentation times of cross, image and mask; the default is 300 ms each.
    pub fn timing(mut self, timing: Timing) -> Self {
        self.timing = timing;
        self
    }

    /// Sets the seed, which determines conditions and trial order together with the participant code; the default is 0.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Checks the task and creates its page.
    ///
    /// # Errors
    /// [`Error::Invalid`] without an included item; for an empty id, condition or answer; for an id that occurs twice under one
    /// condition, has two answers, or occurs again in practice or catch trials; for a pass mark above the number of practice stimuli;
    /// for a duplicate in the order of conditions; for invalid presentation times; for a mix of images and sounds; and for a page above
    /// 100 MB. [`Error::Unknown`] for an answer that is not among the choices, and for a condition that is missing in the order.
    pub fn build(self) -> Result<RecognitionTask> {
        self.check()?;
        let kind = kind(&self.items[0].stimulus);
        let conditions = self.ordered_conditions()?;
        let excluded = self.items.iter().filter(|item| !item.included).count();
        let included: Vec<&Item> = self.items.iter().filter(|item| item.included).collect();
        let condition_index: HashMap<&str, usize> =
            conditions.iter().enumerate().map(|(k, name)| (name.as_str(), k)).collect();
        let versions: Vec<Version> = included
            .par_iter()
            .map(|item| Version {
                condition: condition_index[item.condition.as_str()],
                source: data_url(&item.stimulus),
                digest: digest(&item.stimulus),
            })
            .collect();
        let mut stimuli: Vec<TaskStimulus> = Vec::new();
        let mut indices: HashMap<&str, usize> = HashMap::new();
        for (item, version) in included.into_iter().zip(versions) {
            let index = *indices.entry(&item.id).or_insert_with(|| {
                stimuli.push(TaskStimulus { id: item.id.clone(), answer: item.answer.clone(), versions: vec![] });
                stimuli.len() - 1
            });
            stimuli[index].versions.push(version);
        }
        let content = Content {
            fingerprint: String::new(),
            title: self.title,
            kind,
            typed: self.choices.is_typed(),
            choices: self.choices.words().to_vec(),
            conditions,
            consent: self.consent.trim().to_owned(),
            instructions: self.instructions.trim().to_owned(),
            participant_code: self.participant_code,
            timing: self.timing,
            seed: self.seed.to_string(),
            practice_pass: self.practice_pass,
            stimuli,
            practice: self.practice.iter().map(SingleStimulus::new).collect(),
            catch_trials: self.catch_trials.iter().map(SingleStimulus::new).collect(),
        };
        RecognitionTask::new(content, excluded)
    }

    fn check(&self) -> Result<()> {
        if !self.items.iter().any(|item| item.included) {
            let reason = match self.items.len() {
                0 => "has no items; add some with item() or items()".into(),
                n => format!("has {n} items, but none is included"),
            };
            return Err(Error::invalid("recognition task", reason));
        }
        self.timing.check()?;
        let (mut versions, mut answers) = (HashSet::new(), HashMap::new());
        let all = || self.items.iter().chain(&self.practice).chain(&self.catch_trials);
        let first = kind(&self.items[0].stimulus);
        for item in all() {
            for (what, text) in [("id", &item.id), ("condition", &item.condition)] {
                if text.trim().is_empty() {
                    return Err(Error::invalid(format!("{what} of \"{}\"", item.stimulus.name()), "must not be empty"));
                }
            }
            if !self.choices.contains(&item.answer) {
                return Err(Error::unknown("choice", &item.answer, self.choices.words().iter().map(String::as_str)));
            }
            if kind(&item.stimulus) != first {
                let reason = format!(
                    "\"{}\" has the kind {}, but the first item has the kind {first}; build one task for each kind",
                    item.id,
                    kind(&item.stimulus)
                );
                return Err(Error::invalid("recognition task", reason));
            }
        }
        for item in &self.items {
            if !versions.insert((&item.id, &item.condition)) {
                let reason = format!("\"{}\" occurs twice under condition \"{}\"", item.id, item.condition);
                return Err(Error::invalid("recognition task", reason));
            }
            let answer = answers.entry(&item.id).or_insert(&item.answer);
            if **answer != item.answer {
                let reason = format!("\"{}\" has two correct answers, \"{answer}\" and \"{}\"", item.id, item.answer);
                return Err(Error::invalid("recognition task", reason));
            }
        }
        for item in self.practice.iter().chain(&self.catch_trials) {
            if answers.insert(&item.id, &item.answer).is_some() {
                let reason = format!(
                    "\"{}\" would be shown twice to a participant; use other stimuli for practice and catch trials",
                    item.id
                );
                return Err(Error::invalid("recognition task", reason));
            }
        }
        if self.practice_pass > self.practice.len() {
            let (pass, all) = (self.practice_pass, self.practice.len());
            let reason = format!("{pass} of {all} practice stimuli is impossible; the maximum is {all}");
            return Err(Error::invalid("practice pass mark", reason));
        }
        Ok(())
    }

    /// The conditions of the included items, in the order of [`TaskBuilder::conditions`].
    fn ordered_conditions(&self) -> Result<Vec<String>> {
        let mut found: Vec<&String> = Vec::new();
        for item in self.items.iter().filter(|item| item.included) {
            if !found.contains(&&item.condition) {
                found.push(&item.condition);
            }
        }
        if self.conditions.is_empty() {
            return Ok(found.into_iter().cloned().collect());
        }
        if let Some(missing) = found.iter().find(|name| !self.conditions.contains(name)) {
            return Err(Error::unknown("condition", missing, self.conditions.iter().map(String::as_str)));
        }
        if let Some(duplicate) =
            (1..self.conditions.len()).find(|&k| self.conditions[..k].contains(&self.conditions[k]))
        {
            return Err(Error::invalid("conditions", format!("\"{}\" occurs twice", self.conditions[duplicate])));
        }
        Ok(self.conditions.iter().filter(|name| found.contains(name)).cloned().collect())
    }
}

/// The kind of a stimulus, as the page and the answers name it.
fn kind(stimulus: &Stimulus) -> &'static str {
    match stimulus {
        Stimulus::Image(_) => "image",
        Stimulus::Sound(_) => "sound",
    }
}

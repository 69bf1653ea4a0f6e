//! The recognition task being put together, and checked.

use std::collections::{HashMap, HashSet};

use rayon::prelude::*;

use super::page::{Content, Shown, Single, Version, source};
use super::task::noun;
use super::{Choices, Item, RecognitionTask, Timing};
use crate::stimulus::Stimulus;
use crate::{Error, Result};

/// A recognition task being put together; [`TaskBuilder::build`] checks it and makes the page. Made by [`RecognitionTask::builder`].
#[derive(Debug, Clone)]
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

    /// Adds one version of a stimulus: as [`Item::new`].
    pub fn item(
        self,
        id: impl Into<String>,
        condition: impl Into<String>,
        answer: impl Into<String>,
        stimulus: impl Into<Stimulus>,
    ) -> Self {
        self.items([Item::new(id, condition, answer, stimulus)])
    }

    /// Adds versions of stimuli. Items of one id are versions of one stimulus, of which each person gets one.
    pub fn items(mut self, items: impl IntoIterator<Item = Item>) -> Self {
        self.items.extend(items);
        self
    }

    /// A practice block with feedback, to be repeated until at least `pass` answers are right. The papers: 12 stimuli of which 7 pictures
    /// or 5 sounds must be right. Conditions of these items are not used.
    pub fn practice(mut self, items: impl IntoIterator<Item = Item>, pass: usize) -> Self {
        self.practice = items.into_iter().collect();
        self.practice_pass = pass;
        self
    }

    /// Trials that anyone who pays attention gets right, spread among the others. They tell who did not
    /// ([`ExclusionRule`](super::analysis::ExclusionRule)). Conditions of these items are not used.
    pub fn catch_trials(mut self, items: impl IntoIterator<Item = Item>) -> Self {
        self.catch_trials = items.into_iter().collect();
        self
    }

    /// The order of the conditions in tables and plots; without it, that in which the items name them.
    pub fn conditions<T: Into<String>>(mut self, conditions: impl IntoIterator<Item = T>) -> Self {
        self.conditions = conditions.into_iter().map(Into::into).collect();
        self
    }

    /// What a person agrees to before the experiment begins; without it nobody is asked.
    pub fn consent(mut self, text: impl Into<String>) -> Self {
        self.consent = text.into();
        self
    }

    /// What a person is told to do, instead of the text that the page makes up.
    pub fn instructions(mut self, text: impl Into<String>) -> Self {
        self.instructions = text.into();
        self
    }

    /// Whether a person gives a code (up to 32 letters, digits, - and _) that stands in the answers and decides which conditions they
    /// get. Without it, chance does, and the answers carry only the number of the session.
    pub fn participant_code(mut self, asked: bool) -> Self {
        self.participant_code = asked;
        self
    }

    /// How long things are shown: 300 ms each unless said otherwise.
    pub fn timing(mut self, timing: Timing) -> Self {
        self.timing = timing;
        self
    }

    /// What the assignment of conditions and the order of trials come from, together with the participant's code: 0 unless said otherwise.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Checks the task and makes its page.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names what is wrong: no item that is included; an id, condition or answer without a letter; an id twice under
    /// one condition, or with two answers, or again in practice or catch trials; a pass mark above the number of practice stimuli; a
    /// condition missing in the given order; pictures and sounds mixed; stimuli of more than 100 MB in the page. [`Error::Unknown`] for an answer that is not
    /// among the choices.
    pub fn build(self) -> Result<RecognitionTask> {
        self.check()?;
        let kind = kind(&self.items[0].stimulus);
        let conditions = self.ordered_conditions()?;
        let left_out = self.items.iter().filter(|item| !item.included).count();
        let shown: Vec<&Item> = self.items.iter().filter(|item| item.included).collect();
        let index: HashMap<&str, usize> = conditions.iter().enumerate().map(|(k, name)| (name.as_str(), k)).collect();
        let versions: Vec<Version> = shown
            .par_iter()
            .map(|item| Version { condition: index[item.condition.as_str()], source: source(&item.stimulus) })
            .collect();
        let mut stimuli: Vec<Shown> = Vec::new();
        let mut places: HashMap<&str, usize> = HashMap::new();
        for (item, version) in shown.into_iter().zip(versions) {
            let place = *places.entry(&item.id).or_insert_with(|| {
                stimuli.push(Shown { id: item.id.clone(), answer: item.answer.clone(), versions: vec![] });
                stimuli.len() - 1
            });
            stimuli[place].versions.push(version);
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
            practice: self.practice.iter().map(Single::of).collect(),
            catch_trials: self.catch_trials.iter().map(Single::of).collect(),
        };
        RecognitionTask::new(content, left_out)
    }

    fn check(&self) -> Result<()> {
        if !self.items.iter().any(|item| item.included) {
            let reason = match self.items.len() {
                0 => "has no items; add some with item() or items()".into(),
                n => format!("shows none of its {n} items: none is included"),
            };
            return Err(Error::invalid("recognition task", reason));
        }
        self.timing.check()?;
        let (mut versions, mut answers) = (HashSet::new(), HashMap::new());
        let all = || self.items.iter().chain(&self.practice).chain(&self.catch_trials);
        let first = noun(kind(&self.items[0].stimulus));
        for item in all() {
            for (what, text) in [("id", &item.id), ("condition", &item.condition)] {
                if text.trim().is_empty() {
                    return Err(Error::invalid(what, format!("of \"{}\" has no letter", item.stimulus.name())));
                }
            }
            if !self.choices.has(&item.answer) {
                return Err(Error::unknown("choice", &item.answer, self.choices.words().iter().map(String::as_str)));
            }
            if noun(kind(&item.stimulus)) != first {
                let reason = format!("\"{}\" is no {first}, as the first item is; make a task of each kind", item.id);
                return Err(Error::invalid("recognition task", reason));
            }
        }
        for item in &self.items {
            if !versions.insert((&item.id, &item.condition)) {
                let reason = format!("\"{}\" is there twice under condition \"{}\"", item.id, item.condition);
                return Err(Error::invalid("recognition task", reason));
            }
            let answer = answers.entry(&item.id).or_insert(&item.answer);
            if **answer != item.answer {
                let reason = format!("\"{}\" has two right answers, \"{answer}\" and \"{}\"", item.id, item.answer);
                return Err(Error::invalid("recognition task", reason));
            }
        }
        for item in self.practice.iter().chain(&self.catch_trials) {
            if answers.insert(&item.id, &item.answer).is_some() {
                let reason = format!(
                    "\"{}\" would be shown twice to a person; take other stimuli for practice and catch trials",
                    item.id
                );
                return Err(Error::invalid("recognition task", reason));
            }
        }
        if self.practice_pass > self.practice.len() {
            let (pass, all) = (self.practice_pass, self.practice.len());
            let reason = format!("{pass} of {all} practice stimuli cannot be right; it is {all} at most");
            return Err(Error::invalid("practice pass mark", reason));
        }
        Ok(())
    }

    /// The conditions of which anything is shown.
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
        if let Some(twice) = (1..self.conditions.len()).find(|&k| self.conditions[..k].contains(&self.conditions[k])) {
            return Err(Error::invalid("conditions", format!("\"{}\" is there twice", self.conditions[twice])));
        }
        Ok(self.conditions.iter().filter(|name| found.contains(name)).cloned().collect())
    }
}

fn kind(stimulus: &Stimulus) -> &'static str {
    match stimulus {
        Stimulus::Image(_) => "image",
        Stimulus::Sound(_) => "sound",
    }
}

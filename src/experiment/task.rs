//! The recognition task: what is asked, checked and made into a page.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use rayon::prelude::*;

use super::assignment::{Generator, assign};
use super::page::{Content, Shown, Single, Version, source};
use super::{Choices, Item, Timing};
use crate::display::{Bundle, Show, escape};
use crate::stimulus::Stimulus;
use crate::{Error, Result};

const MEGABYTE: usize = 1_000_000;
/// Larger pages are refused: telephones fail to open them.
const LARGEST_PAGE: usize = 100 * MEGABYTE;
/// From here on a warning says that the page is slow to open.
const LARGE_PAGE: usize = 25 * MEGABYTE;
/// From here on a warning says what the page does to a notebook that shows it.
const LARGE_OUTPUT: usize = 3 * MEGABYTE;

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
            let reason = format!("{} of {} cannot be right", self.practice_pass, self.practice.len());
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

fn noun(kind: &str) -> &'static str {
    if kind == "image" { "picture" } else { "sound" }
}

/// An experiment that asks people what they see or hear, as one page of HTML.
///
/// A person reads and agrees to a text, practises with feedback, then sees each stimulus once, in one condition that chance chose for
/// them; conditions are as even over the stimuli as can be. A picture stands for 300 ms between a cross and a mask of noise, a sound
/// plays once; then the person chooses what it was. The page works from a file, in a notebook and on a telephone, with keyboard or
/// pointer. It loads and sends nothing: a person saves the answers as JSON or CSV, and [`analysis`](super::analysis) reads the files. The
/// design is that of Feather et al. (2023), Nature Neuroscience 26, 2017-2034.
///
/// The right answers stand in the page's source, for those who look for them there.
///
/// ```
/// use metamers::prelude::*;
///
/// let dog = Image::open("photos/dog.jpg")?.resize_shorter_side(96)?;
/// let coarse = dog.resize(12, 12)?.resize(96, 96)?;              // in a real experiment: a metamer.image()?
/// let task = RecognitionTask::builder("What do you see?", Choices::entry_level())
///     .item("dog", "natural", "dog", &dog)
///     .item("dog", "coarse", "dog", &coarse)
///     .consent("You take part of your own free will.")
///     .participant_code(true)
///     .seed(7)
///     .build()?;
/// assert!(task.page().starts_with("<!DOCTYPE html>"));
/// let seen = task.assignment("P07");                             // one of the two conditions, the same as in the page
/// assert_eq!(seen.len(), 1);
/// # Ok::<(), metamers::Error>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct RecognitionTask {
    page: String,
    title: String,
    kind: &'static str,
    fingerprint: String,
    seed: String,
    choices: usize,
    conditions: Vec<String>,
    /// Of each stimulus its id and the indices of its conditions.
    stimuli: Vec<(String, Vec<usize>)>,
    practice: (usize, usize),
    catch_trials: usize,
    left_out: usize,
}

impl std::fmt::Debug for RecognitionTask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (stimuli, conditions) = (self.stimuli.len(), self.conditions.len());
        write!(f, "RecognitionTask({:?}, {stimuli} {}s in {conditions} conditions)", self.title, noun(self.kind))
    }
}

impl RecognitionTask {
    /// A task with a title and the choices that a person has, still without items.
    pub fn builder(title: impl Into<String>, choices: Choices) -> TaskBuilder {
        TaskBuilder {
            title: title.into(),
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

    fn new(content: Content, left_out: usize) -> Result<Self> {
        let bytes = content.stimuli_bytes();
        if bytes > LARGEST_PAGE {
            let reason = format!(
                "its page would have {} MB, and {} MB are the most that browsers open well; take fewer items, smaller \
                 pictures, or sounds at a lower rate",
                bytes / MEGABYTE,
                LARGEST_PAGE / MEGABYTE
            );
            return Err(Error::invalid("recognition task", reason));
        }
        let (page, content) = content.page()?;
        let conditions_of = |shown: &Shown| shown.versions.iter().map(|version| version.condition).collect();
        Ok(Self {
            page,
            stimuli: content.stimuli.iter().map(|shown| (shown.id.clone(), conditions_of(shown))).collect(),
            title: content.title,
            kind: content.kind,
            fingerprint: content.fingerprint,
            seed: content.seed,
            choices: content.choices.len(),
            conditions: content.conditions,
            practice: (content.practice_pass, content.practice.len()),
            catch_trials: content.catch_trials.len(),
            left_out,
        })
    }

    /// The page: HTML that needs nothing beside it.
    pub fn page(&self) -> &str {
        &self.page
    }

    /// Twelve hexadecimal digits of the SHA-256 of all that the page shows; the answers carry them.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The conditions, in the order of tables and plots.
    pub fn conditions(&self) -> &[String] {
        &self.conditions
    }

    /// How many stimuli have a version under each condition, in the order of [`RecognitionTask::conditions`].
    pub fn versions(&self) -> Vec<usize> {
        let has = |condition| self.stimuli.iter().filter(|(_, conditions)| conditions.contains(&condition)).count();
        (0..self.conditions.len()).map(has).collect()
    }

    /// Which condition of each stimulus a person gets, as pairs of stimulus and condition: by their code, or by the number of their session
    /// when no code is asked.
    pub fn assignment(&self, person: &str) -> Vec<(String, String)> {
        let available: Vec<Vec<usize>> = self.stimuli.iter().map(|(_, conditions)| conditions.clone()).collect();
        let mut random = Generator::new(&format!("{}:{person}:conditions", self.seed));
        let chosen = assign(&mut random, &available, self.conditions.len());
        let named =
            |((id, _), condition): (&(String, Vec<usize>), usize)| (id.clone(), self.conditions[condition].clone());
        self.stimuli.iter().zip(chosen).map(named).collect()
    }

    /// What to know before it is used: conditions that miss stimuli, too few stimuli, a large page. Empty when all is well.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = vec![];
        let (stimuli, conditions) = (self.stimuli.len(), self.conditions.len());
        if stimuli < conditions {
            warnings.push(format!(
                "{stimuli} stimuli for {conditions} conditions: a person does not see every condition, and the test of the stage effect needs \
                 those who do"
            ));
        }
        for (name, versions) in self.conditions.iter().zip(self.versions()).filter(|(_, versions)| *versions < stimuli)
        {
            warnings.push(format!("condition \"{name}\" has {versions} of {stimuli} stimuli"));
        }
        let megabytes = self.page.len() as f64 / MEGABYTE as f64;
        if self.page.len() > LARGE_PAGE {
            warnings.push(format!("the page has {megabytes:.0} MB: slow to open, and some telephones may fail"));
        } else if self.page.len() > LARGE_OUTPUT {
            warnings.push(format!(
                "the page has {megabytes:.1} MB, and a notebook that shows it grows by as much; save(\"task.html\") makes a file of its own"
            ));
        }
        warnings
    }

    /// Writes the page (`.html`) or its description (`.txt`). The file appears whole or not at all.
    ///
    /// # Errors
    /// [`Error::File`] for another ending, or when the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        match path.extension().unwrap_or_default().to_string_lossy().to_lowercase().as_str() {
            "html" | "htm" => crate::atomic::write(path, self.page.as_bytes()),
            "txt" => Show::save(self, path),
            _ => Err(Error::file(path, "a recognition task is saved as .html (the page) or .txt (what it is)")),
        }
    }

    fn words(&self) -> String {
        let (pass, practice) = self.practice;
        let mut lines = vec![
            format!("recognition task: {}", self.title),
            format!(
                "{} {}s, each once to a person in one of {} conditions ({}); {} choices",
                self.stimuli.len(),
                noun(self.kind),
                self.conditions.len(),
                self.conditions.join(", "),
                self.choices
            ),
            format!("practice: {pass} of {practice} must be right; catch trials: {}", self.catch_trials),
        ];
        if self.left_out > 0 {
            lines.push(format!("left out: {} items that are not included", self.left_out));
        }
        lines.extend(self.warnings().into_iter().map(|warning| format!("mind: {warning}")));
        lines.push(
            "If no page appears here (a notebook that is not trusted shows none): save(\"task.html\") and open that file in a browser.".into(),
        );
        lines.join("\n")
    }
}

impl Show for RecognitionTask {
    fn bundles(&self) -> Vec<Bundle> {
        let words = self.words();
        let html = format!(
            r#"<pre style="white-space:pre-wrap">{}</pre>
<iframe srcdoc="{}" title="{}" style="width:100%;height:720px;border:1px solid #8a8a8a;border-radius:6px" allow="autoplay"></iframe>"#,
            escape(&words),
            escape(&self.page),
            escape(&self.title)
        );
        vec![Bundle::text(words).html(html)]
    }
}

crate::show_in_notebooks!(RecognitionTask);

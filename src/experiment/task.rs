//! The recognition task.

use std::path::Path;

use super::assignment::{Generator, assign};
use super::page::{Content, TaskStimulus};
use super::{Choices, TaskBuilder};
use crate::display::{MimeBundle, Show, escape};
use crate::{Error, Result};

const MEGABYTE: usize = 1_000_000;
/// The maximum page size in bytes, because phones fail to open larger pages.
const MAX_PAGE_BYTES: usize = 100 * MEGABYTE;
/// The page size in bytes above which a warning says that the page opens slowly.
const LARGE_PAGE_BYTES: usize = 25 * MEGABYTE;
/// The page size in bytes above which a warning mentions the notebook's size.
const LARGE_OUTPUT_BYTES: usize = 3 * MEGABYTE;

/// A recognition experiment with images or sounds, as an HTML page.
///
/// A participant gives consent, practises with feedback, and then sees each stimulus once, in one randomly assigned condition.
/// Conditions are balanced over the stimuli. An image is shown for 300 ms between a fixation cross and a noise mask; a sound plays
/// once. Then the participant selects an answer. The page works from a file, in a notebook and on a phone, with keyboard or pointer.
/// It loads and sends no data: participants save the answers as JSON or CSV, and [`analysis`](super::analysis) reads the files. The
/// design follows Feather et al. (2023), Nature Neuroscience 26, 2017-2034.
///
/// The page's source contains the correct answers, so participants could look them up there.
///
/// ```
/// use metamers::prelude::{analysis::*, *};
///
/// let dog = Image::open("photos/dog.jpg")?.resize_shorter_side(96)?;
/// let coarse = dog.resize(12, 12)?.resize(96, 96)?;              // in an experiment: metamer.image()?
/// let task = RecognitionTask::builder("What do you see?", Choices::entry_level())
///     .item("dog", "natural", "dog", &dog)
///     .item("dog", "coarse", "dog", &coarse)
///     .consent("Participation is voluntary.")
///     .with_participant_code()
///     .seed(7)
///     .build()?;
/// assert!(task.page().starts_with("<!DOCTYPE html>"));
/// let seen = task.assignment("P07");                             // one of the two conditions, as on the page
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
    /// Id and condition indices of each stimulus.
    stimuli: Vec<(String, Vec<usize>)>,
    /// The pass mark and the number of practice stimuli.
    practice: (usize, usize),
    catch_trials: usize,
    excluded: usize,
}

impl std::fmt::Debug for RecognitionTask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (stimuli, conditions) = (self.stimuli.len(), self.conditions.len());
        write!(f, "RecognitionTask({:?}, {stimuli} {}s in {conditions} conditions)", self.title, self.kind)
    }
}

impl RecognitionTask {
    /// Returns a builder for a task with this title and these response choices.
    pub fn builder(title: impl Into<String>, choices: Choices) -> TaskBuilder {
        TaskBuilder::new(title.into(), choices)
    }

    pub(super) fn new(content: Content, excluded: usize) -> Result<Self> {
        let bytes = content.stimuli_bytes();
        if bytes > MAX_PAGE_BYTES {
            let reason = format!(
                "its page would have {} MB, but browsers open at most {} MB reliably; use fewer items, smaller images, or \
                 sounds at a lower sample rate",
                bytes / MEGABYTE,
                MAX_PAGE_BYTES / MEGABYTE
            );
            return Err(Error::invalid("recognition task", reason));
        }
        let (page, content) = content.page()?;
        let conditions_of =
            |stimulus: &TaskStimulus| stimulus.versions.iter().map(|version| version.condition).collect();
        Ok(Self {
            page,
            stimuli: content.stimuli.iter().map(|stimulus| (stimulus.id.clone(), conditions_of(stimulus))).collect(),
            title: content.title,
            kind: content.kind,
            fingerprint: content.fingerprint,
            seed: content.seed,
            choices: content.choices.len(),
            conditions: content.conditions,
            practice: (content.practice_pass, content.practice.len()),
            catch_trials: content.catch_trials.len(),
            excluded,
        })
    }

    /// The page, a self-contained HTML document.
    #[must_use]
    pub fn page(&self) -> &str {
        &self.page
    }

    /// The first twelve hexadecimal digits of the SHA-256 of the page's content. The answers contain it.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The conditions, in the order of tables and plots.
    #[must_use]
    pub fn conditions(&self) -> &[String] {
        &self.conditions
    }

    /// The number of stimuli with a version under each condition, in the order of [`RecognitionTask::conditions`].
    #[must_use]
    pub fn versions(&self) -> Vec<usize> {
        let has = |condition| self.stimuli.iter().filter(|(_, conditions)| conditions.contains(&condition)).count();
        (0..self.conditions.len()).map(has).collect()
    }

    /// Returns the stimuli with the conditions that a participant gets. `person` is the participant code, or the session id if the
    /// task does not ask for a code.
    #[must_use]
    pub fn assignment(&self, person: &str) -> Vec<(String, String)> {
        let available: Vec<Vec<usize>> = self.stimuli.iter().map(|(_, conditions)| conditions.clone()).collect();
        let mut random = Generator::new(&format!("{}:{person}:conditions", self.seed));
        let chosen = assign(&mut random, &available, self.conditions.len());
        let named =
            |((id, _), condition): (&(String, Vec<usize>), usize)| (id.clone(), self.conditions[condition].clone());
        self.stimuli.iter().zip(chosen).map(named).collect()
    }

    /// Warnings about missing versions, too few stimuli and a large page; empty if there are none.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = vec![];
        let (stimuli, conditions) = (self.stimuli.len(), self.conditions.len());
        if stimuli < conditions {
            warnings.push(format!(
                "{stimuli} stimuli for {conditions} conditions: participants do not see every condition, which the test of the stage effect \
                 requires"
            ));
        }
        for (name, versions) in self.conditions.iter().zip(self.versions()).filter(|(_, versions)| *versions < stimuli)
        {
            warnings.push(format!("condition \"{name}\" has {versions} of {stimuli} stimuli"));
        }
        let megabytes = self.page.len() as f64 / MEGABYTE as f64;
        if self.page.len() > LARGE_PAGE_BYTES {
            warnings.push(format!("the page has {megabytes:.0} MB; it opens slowly, and some phones may fail"));
        } else if self.page.len() > LARGE_OUTPUT_BYTES {
            warnings.push(format!(
                "the page has {megabytes:.1} MB, which a notebook that shows it stores too; save(\"task.html\") writes a separate file"
            ));
        }
        warnings
    }

    /// Saves the page (`.html`) or its description (`.txt`). The write is atomic.
    ///
    /// # Errors
    /// [`Error::File`] for another extension, or if the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        match crate::fs::extension::lowercase_extension(path).as_str() {
            "html" | "htm" => crate::fs::atomic::write(path, self.page.as_bytes()),
            "txt" => Show::export(self, path),
            _ => Err(Error::file(path, "a recognition task is saved as .html (the page) or .txt (its description)")),
        }
    }

    fn words(&self) -> String {
        let (pass, practice) = self.practice;
        let mut lines = vec![
            format!("recognition task: {}", self.title),
            format!(
                "{} {}s, each shown once to a participant in one of {} conditions ({}); {} choices",
                self.stimuli.len(),
                self.kind,
                self.conditions.len(),
                self.conditions.join(", "),
                self.choices
            ),
            format!("practice: {pass} of {practice} must be correct; catch trials: {}", self.catch_trials),
        ];
        if self.excluded > 0 {
            lines.push(format!("excluded items: {}", self.excluded));
        }
        lines.extend(self.warnings().into_iter().map(|warning| format!("warning: {warning}")));
        lines.push(
            "If no page appears here (untrusted notebooks show none), use save(\"task.html\") and open the file in a browser.".into(),
        );
        lines.join("\n")
    }
}

impl Show for RecognitionTask {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        let words = self.words();
        let html = format!(
            r#"<pre style="white-space:pre-wrap">{}</pre>
<iframe srcdoc="{}" title="{}" style="width:100%;height:720px;border:1px solid #8a8a8a;border-radius:6px" allow="autoplay"></iframe>"#,
            escape(&words),
            escape(&self.page),
            escape(&self.title)
        );
        vec![MimeBundle::text(words).html(html)]
    }
}

crate::show_in_notebooks!(RecognitionTask);

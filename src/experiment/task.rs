//! The recognition task: one page of HTML.

use std::path::Path;

use super::assignment::{Generator, assign};
use super::page::{Content, Shown};
use super::{Choices, TaskBuilder};
use crate::display::{MimeBundle, Show, escape};
use crate::{Error, Result};

const MEGABYTE: usize = 1_000_000;
/// Larger pages are refused: telephones fail to open them.
const LARGEST_PAGE: usize = 100 * MEGABYTE;
/// From here on a warning says that the page is slow to open.
const LARGE_PAGE: usize = 25 * MEGABYTE;
/// From here on a warning says what the page does to a notebook that shows it.
const LARGE_OUTPUT: usize = 3 * MEGABYTE;

/// What a person is shown, in words.
pub(super) fn noun(kind: &str) -> &'static str {
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
/// use metamers::prelude::{analysis::*, *};
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
        TaskBuilder::new(title.into(), choices)
    }

    pub(super) fn new(content: Content, left_out: usize) -> Result<Self> {
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
        match crate::fs::extension::lowercase_extension(path).as_str() {
            "html" | "htm" => crate::fs::atomic::write(path, self.page.as_bytes()),
            "txt" => Show::export(self, path),
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

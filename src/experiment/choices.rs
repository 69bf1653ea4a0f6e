//! What a person may answer.

use std::collections::HashSet;

use crate::{Error, Result};

/// Up to this many choices are buttons, and more are typed.
const MOST_BUTTONS: usize = 24;

/// The answers that a person chooses from, in the order in which they are offered.
///
/// Up to 24 are shown as buttons; of more, a person types the beginning and takes one of those that go with it.
///
/// ```
/// use metamers::experiment::Choices;
///
/// assert_eq!(Choices::entry_level().words().len(), 16);
/// let words = Choices::of(["seven", "foxtrot", "hello"])?.typed();
/// assert_eq!(words.chance(), 1.0 / 3.0);
/// # Ok::<(), metamers::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choices {
    words: Vec<String>,
    typed: bool,
}

impl Choices {
    /// The 16 entry-level categories of the papers' picture experiments: airplane, bear, bicycle, bird, boat, bottle, car, cat, chair,
    /// clock, dog, elephant, keyboard, knife, oven, truck (Geirhos et al. 2018; Feather et al. 2019, 2023).
    pub fn entry_level() -> Self {
        let words = [
            "airplane", "bear", "bicycle", "bird", "boat", "bottle", "car", "cat", "chair", "clock", "dog", "elephant",
            "keyboard", "knife", "oven", "truck",
        ];
        Self { words: words.map(String::from).into(), typed: false }
    }

    /// Choices of one's own.
    ///
    /// # Errors
    /// [`Error::Invalid`] for fewer than two, for one without a letter, and for two that differ in nothing but case and outer spaces.
    pub fn new<T: Into<String>>(words: impl IntoIterator<Item = T>) -> Result<Self> {
        let words: Vec<String> = words.into_iter().map(|word| word.into().trim().to_owned()).collect();
        if words.len() < 2 {
            return Err(Error::invalid("choices", format!("a person chooses from two or more, got {}", words.len())));
        }
        let mut seen = HashSet::new();
        for (index, word) in words.iter().enumerate() {
            if word.is_empty() {
                return Err(Error::invalid("choices", format!("the one at index {index} has no letter")));
            }
            if !seen.insert(word.to_lowercase()) {
                return Err(Error::invalid("choices", format!("\"{word}\" is there twice")));
            }
        }
        Ok(Self { typed: words.len() > MOST_BUTTONS, words })
    }

    /// Has the answer typed, however few the choices are.
    pub fn typed(mut self) -> Self {
        self.typed = true;
        self
    }

    /// Has the answer chosen by buttons, however many the choices are.
    pub fn buttons(mut self) -> Self {
        self.typed = false;
        self
    }

    /// The choices.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// Whether the answer is typed.
    pub fn is_typed(&self) -> bool {
        self.typed
    }

    /// The proportion correct of a person who guesses: one over the number of choices.
    pub fn chance(&self) -> f64 {
        1.0 / self.words.len() as f64
    }

    pub(super) fn has(&self, word: &str) -> bool {
        self.words.iter().any(|known| known == word)
    }
}

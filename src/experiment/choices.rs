//! The response choices.

use std::collections::HashSet;

use crate::{Error, Result};

/// The maximum number of choices shown as buttons by default.
const MAX_BUTTONS: usize = 24;

/// The response choices, in display order.
///
/// Up to 24 choices are shown as buttons by default. For more, participants type the first letters and select a match.
///
/// ```
/// use metamers::experiment::Choices;
///
/// assert_eq!(Choices::entry_level().words().len(), 16);
/// let words = Choices::new(["seven", "foxtrot", "hello"])?.typed();
/// assert_eq!(words.chance(), 1.0 / 3.0);
/// # Ok::<(), metamers::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choices {
    words: Vec<String>,
    typed: bool,
}

impl Choices {
    /// The 16 entry-level categories of the papers' image experiments: airplane, bear, bicycle, bird, boat, bottle, car, cat, chair,
    /// clock, dog, elephant, keyboard, knife, oven, truck (Geirhos et al. 2018; Feather et al. 2019, 2023).
    #[must_use]
    pub fn entry_level() -> Self {
        let words = [
            "airplane", "bear", "bicycle", "bird", "boat", "bottle", "car", "cat", "chair", "clock", "dog", "elephant",
            "keyboard", "knife", "oven", "truck",
        ];
        Self { words: words.map(String::from).into(), typed: false }
    }

    /// Creates choices from words, in display order.
    ///
    /// # Errors
    /// [`Error::Invalid`] for fewer than two choices, an empty choice, and choices that differ only in case or surrounding spaces.
    pub fn new<T: Into<String>>(words: impl IntoIterator<Item = T>) -> Result<Self> {
        let words: Vec<String> = words.into_iter().map(|word| word.into().trim().to_owned()).collect();
        if words.len() < 2 {
            return Err(Error::invalid("choices", format!("at least two are required, got {}", words.len())));
        }
        let mut seen = HashSet::new();
        for (index, word) in words.iter().enumerate() {
            if word.is_empty() {
                return Err(Error::invalid("choices", format!("the choice at index {index} is empty")));
            }
            if !seen.insert(word.to_lowercase()) {
                return Err(Error::invalid("choices", format!("\"{word}\" occurs twice")));
            }
        }
        Ok(Self { typed: words.len() > MAX_BUTTONS, words })
    }

    /// Makes participants type the answer, for any number of choices.
    #[must_use]
    pub fn typed(mut self) -> Self {
        self.typed = true;
        self
    }

    /// Makes participants press a button, for any number of choices.
    #[must_use]
    pub fn buttons(mut self) -> Self {
        self.typed = false;
        self
    }

    /// The words, in display order.
    #[must_use]
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// Returns whether participants type the answer.
    #[must_use]
    pub fn is_typed(&self) -> bool {
        self.typed
    }

    /// The chance level: 1 / the number of choices.
    #[must_use]
    pub fn chance(&self) -> f64 {
        1.0 / self.words.len() as f64
    }

    pub(super) fn contains(&self, word: &str) -> bool {
        self.words.iter().any(|known| known == word)
    }
}

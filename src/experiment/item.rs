//! What is shown, and what is right.

use crate::stimulus::Stimulus;

/// The condition of a stimulus as it is in nature.
pub(super) const NATURAL: &str = "natural";

/// One version of a stimulus: which stimulus it is made of, under which condition, what a person should answer.
///
/// ```
/// use metamers::prelude::{analysis::*, *};
/// use metamers::experiment::Item;
///
/// let photo = Image::open("photos/dog.jpg")?;
/// let shown = Item::new("dog", "natural", "dog", &photo);
/// let failed = Item::new("dog", "block10", "dog", &photo).included(false); // its metamer did not pass
/// # Ok::<(), metamers::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    pub(super) id: String,
    pub(super) condition: String,
    pub(super) answer: String,
    pub(super) stimulus: Stimulus,
    pub(super) included: bool,
}

impl Item {
    /// The version of stimulus `id` under `condition`: `"natural"`, or the stage that its metamer matches.
    pub fn new(
        id: impl Into<String>,
        condition: impl Into<String>,
        answer: impl Into<String>,
        stimulus: impl Into<Stimulus>,
    ) -> Self {
        Self {
            id: id.into(),
            condition: condition.into(),
            answer: answer.into(),
            stimulus: stimulus.into(),
            included: true,
        }
    }

    /// A stimulus as it is in nature, for practice and catch trials.
    pub fn natural(id: impl Into<String>, answer: impl Into<String>, stimulus: impl Into<Stimulus>) -> Self {
        Self::new(id, NATURAL, answer, stimulus)
    }

    /// Whether it may be shown. A metamer that failed its criteria may not: people would be asked about something else.
    pub fn included(mut self, included: bool) -> Self {
        self.included = included;
        self
    }
}

//! Items of a recognition task.

use crate::stimulus::Stimulus;

/// The condition of natural stimuli.
pub(super) const NATURAL: &str = "natural";

/// One version of a stimulus, with the stimulus' id, the condition and the correct answer.
///
/// ```
/// use metamers::prelude::{analysis::*, *};
/// use metamers::experiment::Item;
///
/// let photo = Image::open("photos/dog.jpg")?;
/// let shown = Item::new("dog", "natural", "dog", &photo);
/// let failed = Item::new("dog", "block10", "dog", &photo).excluded(); // its verdict is not "metamer"
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
    /// Creates the version of stimulus `id` under `condition`: `"natural"`, or the stage that its metamer matches.
    #[must_use]
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

    /// Creates a natural stimulus, for the experiment, for practice or for catch trials.
    #[must_use]
    pub fn natural(id: impl Into<String>, answer: impl Into<String>, stimulus: impl Into<Stimulus>) -> Self {
        Self::new(id, NATURAL, answer, stimulus)
    }

    /// Excludes the item, as a metamer that fails its criteria. The task counts it but does not show it.
    #[must_use]
    pub fn excluded(mut self) -> Self {
        self.included = false;
        self
    }
}

//! The error type of the crate.

use std::path::PathBuf;

/// The result of every fallible function of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The error type of this crate; its message names the value, the reason and the remedy.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be opened, read, decoded or written.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
        /// The underlying error, for instance a [`std::io::Error`].
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// An argument has an invalid value.
    #[error("{what}: {reason}")]
    Invalid {
        /// The name of the argument.
        what: String,
        /// The reason, and the valid values.
        reason: String,
    },
    /// A tensor or an image has the wrong shape.
    #[error("{what} has shape {got:?}, expected {expected}")]
    Shape {
        /// The name of the tensor or image.
        what: String,
        /// The expected shape.
        expected: String,
        /// The actual shape.
        got: Vec<usize>,
    },
    /// A name of a stage, class, recipe or the like that does not exist.
    #[error("no {kind} named \"{name}\"{}", crate::error::hint(near, known))]
    Unknown {
        /// The kind of thing, such as "stage".
        kind: &'static str,
        /// The name.
        name: String,
        /// Existing names that are similar, the most similar first.
        near: Vec<String>,
        /// All existing names; empty when there are similar ones.
        known: Vec<String>,
    },
    /// Some values are infinite or NaN.
    #[error("{what} holds {count} values that are not finite, the first at index {first}")]
    NotFinite {
        /// The name of the tensor, image or file.
        what: String,
        /// The number of such values.
        count: usize,
        /// The flat index of the first such value.
        first: usize,
    },
    /// The loss or gradient of a synthesis is not finite; the run keeps the state before the failed step.
    #[error(
        "the synthesis diverged at gradient evaluation {evaluation}: {reason}; the run keeps its state \
         before that step: finish() returns the best so far; to get further, start again with smaller steps \
         (recipe.optimizer), another seed, or Recipe::nearest()"
    )]
    Diverged {
        /// The number of the evaluation.
        evaluation: usize,
        /// The value that is not finite.
        reason: String,
    },
    /// The user interrupted an operation that returns its result only at the end.
    #[error("{what}: interrupted after {done}; nothing is kept, and the same call starts from the beginning")]
    Interrupted {
        /// The operation.
        what: String,
        /// The progress, such as "3 of 110 stimuli".
        done: String,
    },
    /// An error of candle, the tensor library.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

/// The largest number of names that are all listed when none is similar.
const MAX_LISTED_NAMES: usize = 24;

/// The message, because a notebook prints an unhandled error by its `Debug` form.
impl std::fmt::Debug for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

fn hint(near: &[String], known: &[String]) -> String {
    match (near, known) {
        ([], []) => String::new(),
        ([], known) => format!("; known: {}", known.join(", ")),
        (near, _) => format!("; did you mean {}?", near.join(", ")),
    }
}

impl Error {
    /// An [`Error::File`] for `path` with a reason and no underlying error.
    #[must_use]
    pub fn file(path: impl Into<PathBuf>, reason: impl ToString) -> Self {
        Self::File { path: path.into(), reason: reason.to_string(), source: None }
    }

    /// An [`Error::File`] for `path` whose reason and source are an io error.
    ///
    /// ```
    /// use std::error::Error as _;
    ///
    /// let missing = std::fs::read("missing.json").map_err(|e| metamers::Error::io("missing.json", e)).unwrap_err();
    /// assert!(missing.to_string().starts_with("missing.json: "));
    /// assert!(missing.source().unwrap().is::<std::io::Error>());
    /// ```
    #[must_use]
    pub fn io(path: impl Into<PathBuf>, error: std::io::Error) -> Self {
        Self::file(path, &error).with_source(error)
    }

    /// Sets the underlying error of an [`Error::File`]; leaves other errors alone.
    #[must_use]
    pub fn with_source(mut self, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        if let Self::File { source, .. } = &mut self {
            *source = Some(error.into());
        }
        self
    }

    /// An [`Error::Invalid`] for the value named `what`.
    #[must_use]
    pub fn invalid(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Invalid { what: what.into(), reason: reason.into() }
    }

    /// An [`Error::Interrupted`] for the operation `what` with the progress `done`.
    #[must_use]
    pub fn interrupted(what: impl Into<String>, done: impl Into<String>) -> Self {
        Self::Interrupted { what: what.into(), done: done.into() }
    }

    /// An [`Error::Unknown`] for `name`, with the similar names among `known`. Without similar ones it lists all names if there are few,
    /// otherwise the five closest.
    #[must_use]
    pub fn unknown<'a>(kind: &'static str, name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        let mut near: Vec<(usize, &str)> =
            known.iter().map(|k| (levenshtein(&name.to_lowercase(), &k.to_lowercase()), *k)).collect();
        near.sort_by_key(|(distance, _)| *distance);
        if known.len() <= MAX_LISTED_NAMES || near.first().is_some_and(|(distance, _)| *distance <= 2) {
            near.retain(|(distance, k)| *distance <= 2 || k.starts_with(name));
        }
        near.truncate(5);
        let owned = |names: Vec<&str>| names.into_iter().map(String::from).collect();
        let known = if near.is_empty() { owned(known) } else { vec![] };
        Self::Unknown { kind, name: name.into(), near: owned(near.into_iter().map(|(_, k)| k).collect()), known }
    }

    /// An [`Error::Shape`] for the tensor named `what`.
    #[must_use]
    pub fn shape(what: impl Into<String>, expected: impl Into<String>, got: &[usize]) -> Self {
        Self::Shape { what: what.into(), expected: expected.into(), got: got.to_vec() }
    }
}

/// The Levenshtein distance: the number of insertions, deletions and substitutions between two words.
fn levenshtein(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, &y) in b.iter().enumerate() {
            let fewest = (diagonal + usize::from(x != y)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = std::mem::replace(&mut row[j + 1], fewest);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_lists_similar_ones() {
        let message = Error::unknown("stage", "blok5", ["stem", "block4", "block5", "features"]).to_string();
        assert_eq!(message, "no stage named \"blok5\"; did you mean block5, block4?");
    }

    #[test]
    fn a_name_without_similar_ones_lists_all() {
        let message = Error::unknown("stage", "retina", ["stem", "features"]).to_string();
        assert_eq!(message, "no stage named \"retina\"; known: stem, features");
    }

    #[test]
    fn a_name_without_similar_ones_among_many_lists_the_closest() {
        let known: Vec<String> = (0..40).map(|i| format!("_blocks.{i}._bn0.weight")).collect();
        let message = Error::unknown("tensor", "blocks.7.bn.weight", known.iter().map(String::as_str)).to_string();
        assert!(message.contains("; did you mean _blocks.7._bn0.weight, "), "{message}");
        assert_eq!(message.matches("_bn0").count(), 5, "{message}");
    }

    #[test]
    fn debug_is_the_message() {
        let error = Error::invalid("k", "must be at least 1");
        assert_eq!(format!("{error:?}"), "k: must be at least 1");
    }

    #[test]
    fn a_divergence_names_remedies() {
        let message = Error::Diverged { evaluation: 7, reason: "the loss became NaN".into() }.to_string();
        for part in ["evaluation 7", "the loss became NaN", "finish()", "smaller steps", "another seed"] {
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn an_interrupt_names_its_progress() {
        let message = Error::interrupted("null distribution", "3 of 110 stimuli").to_string();
        assert!(
            message.starts_with("null distribution: interrupted after 3 of 110 stimuli; nothing is kept"),
            "{message}"
        );
    }

    #[test]
    fn levenshtein_counts_edits() {
        assert_eq!(levenshtein("kitten", "sitting"), 3);
        assert_eq!(levenshtein("", "abc"), 3);
        assert_eq!(levenshtein("same", "same"), 0);
    }
}

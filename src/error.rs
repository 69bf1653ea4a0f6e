//! What can go wrong, said so that a person knows what to do next.

use std::path::PathBuf;

/// The result of every fallible function of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What was wrong, with what value, and what to do.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be opened, read, decoded or written.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A value that a person gave is outside of what is allowed.
    #[error("{what}: {reason}")]
    Invalid {
        /// Which value.
        what: String,
        /// What is wrong with it, and what is allowed.
        reason: String,
    },
    /// A tensor or an image has the wrong shape.
    #[error("{what} has shape {got:?}, expected {expected}")]
    Shape {
        /// Which tensor.
        what: String,
        /// The shape that it should have.
        expected: String,
        /// The shape that it has.
        got: Vec<usize>,
    },
    /// A name that does not exist: a stage, a class, a recipe.
    #[error("no {kind} named \"{name}\"{}", crate::error::hint(near))]
    Unknown {
        /// What the name should have named.
        kind: &'static str,
        /// The name.
        name: String,
        /// The names that do exist, the likeliest first.
        near: Vec<String>,
    },
    /// Numbers that are infinite or not numbers.
    #[error("{what} holds {count} values that are not finite, the first at index {first}")]
    NotFinite {
        /// Which tensor, image or file.
        what: String,
        /// How many such values.
        count: usize,
        /// The flat index of the first.
        first: usize,
    },
    /// A synthesis whose loss or gradient stopped being a finite number; the run keeps its last good state.
    #[error(
        "the synthesis diverged at gradient evaluation {evaluation}: {reason}; the run keeps its values and its history \
         as before that step: finish() gives the best so far; to get further, start again with smaller steps \
         (recipe.optimiser), another seed, or Recipe::fast()"
    )]
    Diverged {
        /// The evaluation at which it happened.
        evaluation: usize,
        /// What was seen.
        reason: String,
    },
    /// Somebody interrupted work that gives its result only when all is done.
    #[error("{what}: interrupted after {done}; nothing is kept, and the same call starts from the beginning")]
    Interrupted {
        /// The work.
        what: String,
        /// How far it was, as "3 of 110 stimuli".
        done: String,
    },
    /// An error of candle, the tensor library below.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

/// More names than these are not all listed when none is near.
const MOST_NAMES: usize = 24;

/// The message: this is what a result shows that is looked at without `?`.
impl std::fmt::Debug for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

fn hint(near: &[String]) -> String {
    match near {
        [] => String::new(),
        names => format!("; there is {}", names.join(", ")),
    }
}

impl Error {
    /// A [`Error::File`] for `path`, from any reason that can be written out.
    pub fn file(path: impl Into<PathBuf>, reason: impl ToString) -> Self {
        Self::File { path: path.into(), reason: reason.to_string() }
    }

    /// An [`Error::Invalid`] for the value named `what`.
    pub fn invalid(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Invalid { what: what.into(), reason: reason.into() }
    }

    /// An [`Error::Interrupted`] of the work named `what`, of which `done` is done.
    pub fn interrupted(what: impl Into<String>, done: impl Into<String>) -> Self {
        Self::Interrupted { what: what.into(), done: done.into() }
    }

    /// An [`Error::Unknown`] for `name`, with the nearest of `known`; all of them when none is near and they are few.
    pub fn unknown<'a>(kind: &'static str, name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        let mut near: Vec<(usize, &str)> =
            known.iter().map(|k| (edits(&name.to_lowercase(), &k.to_lowercase()), *k)).collect();
        near.sort_by_key(|(distance, _)| *distance);
        if known.len() <= MOST_NAMES || near.first().is_some_and(|(distance, _)| *distance <= 2) {
            near.retain(|(distance, k)| *distance <= 2 || k.starts_with(name));
        }
        near.truncate(5);
        let names = if near.is_empty() { known } else { near.into_iter().map(|(_, k)| k).collect() };
        Self::Unknown { kind, name: name.into(), near: names.into_iter().map(Into::into).collect() }
    }

    /// An [`Error::Shape`] for the tensor named `what`.
    pub fn shape(what: impl Into<String>, expected: impl Into<String>, got: &[usize]) -> Self {
        Self::Shape { what: what.into(), expected: expected.into(), got: got.to_vec() }
    }
}

/// How many letters must be put in, taken out or changed to turn one word into the other (Levenshtein's distance).
fn edits(a: &str, b: &str) -> usize {
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
    fn a_misspelt_name_lists_the_near_ones() {
        let message = Error::unknown("stage", "blok5", ["stem", "block4", "block5", "features"]).to_string();
        assert_eq!(message, "no stage named \"blok5\"; there is block5, block4");
    }

    #[test]
    fn a_name_like_no_other_lists_all() {
        let message = Error::unknown("stage", "retina", ["stem", "features"]).to_string();
        assert_eq!(message, "no stage named \"retina\"; there is stem, features");
    }

    #[test]
    fn a_name_like_none_of_many_lists_the_closest() {
        let known: Vec<String> = (0..40).map(|i| format!("_blocks.{i}._bn0.weight")).collect();
        let message = Error::unknown("tensor", "blocks.7.bn.weight", known.iter().map(String::as_str)).to_string();
        assert!(message.contains("; there is _blocks.7._bn0.weight, "), "{message}");
        assert_eq!(message.matches("_bn0").count(), 5, "{message}");
    }

    #[test]
    fn debug_is_the_message() {
        let error = Error::invalid("k", "asks for no class");
        assert_eq!(format!("{error:?}"), "k: asks for no class");
    }

    #[test]
    fn a_divergence_says_what_to_do() {
        let message = Error::Diverged { evaluation: 7, reason: "the loss became NaN".into() }.to_string();
        for part in ["evaluation 7", "the loss became NaN", "finish()", "smaller steps", "another seed"] {
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn an_interrupt_says_how_far_it_came_and_what_is_left() {
        let message = Error::interrupted("null distribution", "3 of 110 stimuli").to_string();
        assert!(
            message.starts_with("null distribution: interrupted after 3 of 110 stimuli; nothing is kept"),
            "{message}"
        );
    }

    #[test]
    fn edits_counts_letters() {
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(edits("", "abc"), 3);
        assert_eq!(edits("same", "same"), 0);
    }
}

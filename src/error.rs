//! What can go wrong, said so that a person knows what to do next.

use std::path::PathBuf;

/// The result of every fallible function of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What was wrong, with what value, and what to do.
#[derive(Debug, thiserror::Error)]
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
    #[error("the synthesis diverged at gradient evaluation {evaluation}: {reason}; the run keeps the best state before it")]
    Diverged {
        /// The evaluation at which it happened.
        evaluation: usize,
        /// What was seen.
        reason: String,
    },
    /// An error of candle, the tensor library below.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
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

    /// An [`Error::Shape`] for the tensor named `what`.
    pub fn shape(what: impl Into<String>, expected: impl Into<String>, got: &[usize]) -> Self {
        Self::Shape { what: what.into(), expected: expected.into(), got: got.to_vec() }
    }
}

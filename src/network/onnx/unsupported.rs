//! The error for an unsupported node or tensor.

/// The reason for an error; `import.rs` adds the position in the file.
pub(super) struct Unsupported(pub String);

pub(super) type ImportResult<T> = Result<T, Unsupported>;

impl From<crate::Error> for Unsupported {
    fn from(error: crate::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<candle_core::Error> for Unsupported {
    fn from(error: candle_core::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<String> for Unsupported {
    fn from(reason: String) -> Self {
        Self(reason)
    }
}

impl From<&str> for Unsupported {
    fn from(reason: &str) -> Self {
        Self(reason.into())
    }
}

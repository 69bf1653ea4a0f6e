//! Why a node or a tensor cannot be taken, before it is said where it stands.

pub(super) struct Refusal(pub String);

pub(super) type Outcome<T> = Result<T, Refusal>;

impl From<crate::Error> for Refusal {
    fn from(error: crate::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<candle_core::Error> for Refusal {
    fn from(error: candle_core::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<String> for Refusal {
    fn from(reason: String) -> Self {
        Self(reason)
    }
}

impl From<&str> for Refusal {
    fn from(reason: &str) -> Self {
        Self(reason.into())
    }
}
